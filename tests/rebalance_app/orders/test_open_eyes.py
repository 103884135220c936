"""An approval with open eyes: what cannot be paid for, or costs something else by now, is not approved unseen."""

import html
import json
import re
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models_app.drift_index.changed import book_changed
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import Holding, Portfolio, Price
from models_app.sources.local import LocalSource
from ordergen.core.db import atomic
from ordergen.core.errors import UnavailableError
from ordergen.ops.verify import verify_all
from ordergen.settings import _fraction
from rebalance_app.limits.services import limits_set
from rebalance_app.models import Decision, Order
from rebalance_app.orders import decide, foresee
from rebalance_app.orders.decide import order_decide, run_decide
from rebalance_app.orders.foresee import orders_foresee, run_foresee
from rebalance_app.runs.launch import run_launch
from tests.builders import portfolio, security, together

pytestmark = pytest.mark.django_db
BELOW = (
    "Fell: These buys would leave −18,000.00 in cash, below the floor of 0.00: approve the sales with them, or "
    "rebalance again."
)
WITHOUT = (
    "Fell: Without these sales the buys approved before (of RUNE, MOSS) would leave −18,000.00 in cash, below the "
    "floor of 0.00: reject the buys first."
)


@pytest.fixture
def fell(manager):
    """Fell has 1,000 KELP at 40 and no cash; its model wants 45 % KELP, 30 % RUNE at 8 and 15 % MOSS at 120."""
    with together():
        kelp, rune, moss = security("KELP", "40"), security("RUNE", "8"), security("MOSS", "120")
        owner = portfolio("Fell", "0", KELP="1000")
    weights = ((kelp, "0.45"), (rune, "0.30"), (moss, "0.15"))
    band = Decimal("0.03")
    positions = tuple(PositionDraft(s.pk, Decimal(weight), band, band) for s, weight in weights)
    model = model_create(draft=ModelDraft("Core", positions, (owner.pk,)), by=manager)
    return SimpleNamespace(portfolio=owner, kelp=kelp, rune=rune, moss=moss, model=model)


@pytest.fixture
def proposal(fell, manager, run_worker):
    """SELL 550 KELP for 22,000, BUY 1,500 RUNE for 12,000 and 50 MOSS for 6,000."""
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    orders = {order.ticker: order.pk for order in run.orders.all()}
    told = {o.ticker: (o.side, o.quantity) for o in run.orders.all()}
    assert told == {"KELP": ("SELL", 550), "RUNE": ("BUY", 1500), "MOSS": ("BUY", 50)}
    return SimpleNamespace(run=run, sale=orders["KELP"], buys=[orders["RUNE"], orders["MOSS"]], of=orders)


def price_now(security_, close, date="2026-11-23"):
    with atomic():
        Price.objects.update_or_create(security=security_, date=date, defaults={"close": Decimal(close)})
        book_changed()


def states(run):
    return dict(run.orders.values_list("ticker", "state"))


def approve(by, *order_ids, comment=""):
    return order_decide(by=by, order_ids=order_ids, verdict="approved", comment=comment)


def reject(by, *order_ids):
    return order_decide(by=by, order_ids=order_ids, verdict="rejected", comment="no")


def words(response):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


# What cannot be paid for.


def test_buys_are_not_approved_without_the_sale_that_pays_for_them_through_the_api(client, approver, proposal):
    client.force_login(approver)
    body = {"order_ids": proposal.buys, "verdict": "approved"}
    answer = client.post("/api/v2/orders/decisions", json.dumps(body), content_type="application/json").json()

    assert answer["n_decided"] == 0
    assert answer["reasons"] == {BELOW: 2}
    assert {left["order_id"] for left in answer["skipped"]} == set(proposal.buys)
    assert not Decision.objects.exists()


def test_the_review_page_names_them_before_and_nothing_is_left_to_approve(client, approver, proposal):
    client.force_login(approver)
    form = {"order": proposal.buys, "verdict": "approved"}
    review = words(client.post("/orders/review", form))
    assert f"2 orders left out. {BELOW}" in review
    assert "Nothing to decide" in review

    told = words(client.post("/orders/decision", form, follow=True))
    assert f"2 orders left as they were. {BELOW}" in told
    assert set(states(proposal.run).values()) == {"proposed"}


def test_the_page_of_an_order_says_it_too_and_offers_only_what_can_be_done(client, approver, proposal):
    client.force_login(approver)
    page = client.get(f"/orders/{proposal.of['RUNE']}/")
    assert "would leave −12,000.00 in cash" in words(page)
    assert 'value="approved"' not in page.content.decode()
    assert 'value="rejected"' in page.content.decode()

    approve(approver, *proposal.of.values())
    page = client.get(f"/orders/{proposal.sale}/")
    assert f"To reject: {WITHOUT}" in words(page)
    assert 'value="rejected"' not in page.content.decode()


def test_a_whole_proposal_is_approved_at_once_as_ever(approver, proposal):
    assert run_decide(by=approver, run_id=proposal.run.pk, verdict="approved").n_decided == 3
    assert verify_all()["faults"] == []


def test_so_is_the_sale_first_and_the_buys_after_it(approver, proposal):
    assert approve(approver, proposal.sale).n_decided == 1
    assert approve(approver, *proposal.buys).n_decided == 2
    assert verify_all()["faults"] == []


def test_each_decision_counts_what_was_approved_before_it(fell, manager, approver, run_worker):
    """20,000 in cash pays for 18,000 of RUNE or for 9,000 of MOSS, and for both only with the sale."""
    Portfolio.objects.filter(pk=fell.portfolio.pk).update(cash=20_000)
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    of = {order.ticker: order.pk for order in run.orders.all()}
    assert approve(approver, of["RUNE"]).n_decided == 1
    second = approve(approver, of["MOSS"])

    assert [reason.partition(", below")[0] for reason in second.reasons] == [
        "Fell: These buys would leave −7,000.00 in cash"
    ]
    assert approve(approver, of["KELP"]).n_decided == approve(approver, of["MOSS"]).n_decided == 1


def test_what_came_in_later_does_not_pay_for_a_part_of_the_proposal(fell, approver, proposal):
    Portfolio.objects.filter(pk=fell.portfolio.pk).update(cash=12_000)
    (reason,) = approve(approver, proposal.of["RUNE"]).reasons
    assert reason.startswith("Fell: These buys at the cash and prices of the proposal would leave −12,000.00 in cash")
    assert approve(approver, *proposal.of.values()).n_decided == 3


def test_a_rejected_sale_pays_for_nothing(approver, proposal):
    reject(approver, proposal.sale)
    decided = run_decide(by=approver, run_id=proposal.run.pk, verdict="approved")
    assert list(decided.reasons) == [
        "Fell: These buys would leave −18,000.00 in cash, below the floor of 0.00: rebalance again."
    ]


def test_what_a_sale_brought_is_counted_once_when_it_is_in_the_book(fell, approver, proposal):
    approve(approver, proposal.sale)
    Holding.objects.filter(portfolio=fell.portfolio, security=fell.kelp).update(quantity=450)
    assert approve(approver, *proposal.buys).n_decided == 0, "sold, but the money is not there"

    Portfolio.objects.filter(pk=fell.portfolio.pk).update(cash=22_000)
    assert approve(approver, *proposal.buys).n_decided == 2


def test_the_floor_is_the_one_of_the_run(fell, manager, approver, run_worker):
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk, options={"min_cash": "5000"}))
    sale, buys = run.orders.get(side="SELL"), run.orders.filter(side="BUY")
    approve(approver, sale.pk)
    bought = sum(order.value for order in buys)
    assert sale.value - bought >= 5000

    price_now(fell.kelp, "39.50")
    decided = approve(approver, *buys.values_list("pk", flat=True))
    left = Decimal("39.50") * sale.quantity - bought
    assert left < 5000
    assert list(decided.reasons) == [
        f"Fell: These buys would leave {left:,.2f} in cash, below the floor of 5,000.00: rebalance again."
    ]


def test_a_floor_in_per_cent_is_of_the_market_value_of_today(fell, manager, approver, run_worker):
    limits_set(
        by=manager, scope="portfolio", subject_id=fell.portfolio.pk, values={"min_cash_weight": "0.1"}, reason="mandate"
    )
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert run.portfolios.get().cash_after == 4000, "exactly a tenth"
    price_now(fell.rune, "8.01")
    decided = run_decide(by=approver, run_id=run.pk, verdict="approved")
    (reason,) = decided.reasons
    assert "would leave 3,985.00 in cash, below the floor of 4,000.00" in reason
    assert states(run) == {"KELP": "approved", "RUNE": "proposed", "MOSS": "proposed"}

    price_now(fell.rune, "8.00")
    assert run_decide(by=approver, run_id=run.pk, verdict="approved").n_decided == 2


def test_a_sale_is_not_rejected_while_approved_buys_live_on_it(approver, proposal):
    approve(approver, *proposal.of.values())
    refused = reject(approver, proposal.sale)
    assert (refused.n_decided, refused.reasons) == (0, {WITHOUT: 1})

    assert reject(approver, *proposal.buys).n_decided == 2
    assert reject(approver, proposal.sale).n_decided == 1
    assert verify_all()["faults"] == []


def test_but_it_is_together_with_them(approver, proposal):
    approve(approver, *proposal.of.values())
    assert reject(approver, *proposal.of.values()).n_decided == 3


def test_nor_is_it_where_buys_were_approved_alone_before_this_was_looked_at(approver, proposal):
    """As the release before could leave them; `ordergen verify` names such a set."""
    Order.objects.filter(pk__in=proposal.buys).update(state="approved")
    assert reject(approver, proposal.sale).reasons == {WITHOUT: 1}
    assert run_decide(by=approver, run_id=proposal.run.pk, verdict="rejected", comment="no").n_decided == 0
    (fault,) = [fault for fault in verify_all()["faults"] if fault.startswith("approved_orders_can_be_paid_for")]
    assert "Fell: what is approved of it leaves -18000.0000 in cash, below the floor of 0" in fault
    assert approve(approver, proposal.sale).n_decided == 1, "which mends it"


# A price that moved.


def test_an_order_at_a_price_that_moved_too_far_is_not_approved_whatever_is_said(client, fell, approver, proposal):
    approve(approver, proposal.sale)
    price_now(fell.moss, "240")
    why = "MOSS costs 240.00 now and 120.00 when this was proposed, 100.00 % more: rebalance again."
    client.force_login(approver)
    body = {"verdict": "approved", "expected_count": 2, "comment": "I know"}
    url = f"/api/v2/runs/{proposal.run.pk}/decisions"
    answer = client.post(url, json.dumps(body), content_type="application/json").json()

    assert (answer["n_decided"], answer["reasons"]) == (1, {why: 1})
    assert states(proposal.run) == {"KELP": "approved", "RUNE": "approved", "MOSS": "proposed"}
    assert f"1 order left out. {why}" in words(
        client.post("/orders/review", {"order": proposal.of["MOSS"], "verdict": "approved"})
    )


SOFT = (
    "MOSS costs 129.60 now and 120.00 when this was proposed, 8.00 % more: say why it is approved all the same, or "
    "rebalance again."
)


def test_where_it_moved_less_a_reason_is_needed_and_kept(fell, approver, proposal):
    price_now(fell.moss, "129.60")
    silent = run_decide(by=approver, run_id=proposal.run.pk, verdict="approved", comment="  ")
    assert (silent.n_decided, silent.reasons) == (2, {SOFT: 1})

    told = run_decide(by=approver, run_id=proposal.run.pk, verdict="approved", comment="still worth it")
    assert told.n_decided == 1
    assert Decision.objects.get(order=proposal.of["MOSS"]).comment == "still worth it"


@pytest.mark.parametrize("close", ["126.00", "114.00", "120.00"])
def test_a_price_within_the_tolerance_is_no_matter(fell, approver, proposal, close):
    price_now(fell.moss, close)
    assert run_decide(by=approver, run_id=proposal.run.pk, verdict="approved").n_decided == 3


@pytest.mark.parametrize(
    ("close", "is_soft"), [("126.0001", True), ("113.9999", True), ("144", True), ("144.0001", False), ("95.99", False)]
)
def test_its_two_edges_are_exact(fell, approver, proposal, close, is_soft):
    price_now(fell.moss, close)
    approve(approver, proposal.sale, proposal.of["RUNE"])
    assert approve(approver, proposal.of["MOSS"]).n_decided == 0
    shown = orders_foresee(by=approver, order_ids=[proposal.of["MOSS"]], verdict="approved")
    assert (bool(shown.asks), bool(shown.excluded)) == (is_soft, not is_soft)


@pytest.mark.parametrize(("close", "remedy"), [("30", "rebalance again"), ("37", "approve the sales with them, or")])
def test_buys_are_sent_to_their_sale_only_where_that_can_be_approved(fell, approver, proposal, close, remedy):
    price_now(fell.kelp, close)
    decided = approve(approver, *proposal.of.values())
    assert decided.n_decided == 0
    (of_buys,) = (reason for reason, count in decided.reasons.items() if count == 2)
    assert f"below the floor of 0.00: {remedy}" in of_buys


def test_without_a_reason_no_buy_is_approved_that_would_not_be_with_one(fell, approver, proposal):
    """And it is left alone for the reason that the preview gave."""
    price_now(fell.rune, "8.60")
    ids = [proposal.of["RUNE"]]
    shown = orders_foresee(by=approver, order_ids=ids, verdict="approved")
    decided = approve(approver, *ids)
    assert not shown.asks
    assert decided.reasons == {left.reason: left.count for left in shown.excluded}


def test_how_far_a_price_may_move_is_a_setting(fell, approver, proposal):
    price_now(fell.moss, "129.60")
    with override_settings(PRICE_MOVED_SOFT=Decimal("0.08")):
        assert approve(approver, *proposal.of.values()).n_decided == 3


def test_a_security_without_a_price_today_is_not_approved(fell, approver, proposal):
    Price.objects.filter(security=fell.moss).delete()
    decided = approve(approver, *proposal.of.values(), comment="I know")
    assert (decided.n_decided, len(decided.reasons)) == (2, 1)
    assert "MOSS has no price" in next(iter(decided.reasons))


def test_the_page_asks_for_the_reason_at_its_field_and_keeps_what_was_typed(client, fell, approver, proposal):
    price_now(fell.moss, "129.60")
    client.force_login(approver)
    form = {"order": list(proposal.of.values()), "verdict": "approved"}
    review = client.post("/orders/review", form)
    assert f"1 order only with a reason. {SOFT}" in words(review)
    assert "Approve 3 orders?" in words(review)
    assert re.search(r"<textarea[^>]* required", review.content.decode())

    again = client.post("/orders/decision", form | {"comment": " ", "typed": "3"})
    assert again.status_code == 422
    assert again.context["form"].errors == {"comment": ["Say why: the price of some of these orders moved."]}
    assert "Say why: the price of some of these orders moved." in words(again)
    assert not Decision.objects.exists()

    client.post("/orders/decision", form | {"comment": "still worth it"})
    assert Decision.objects.filter(comment="still worth it").count() == 3


def test_the_page_of_an_order_asks_too(client, fell, approver, proposal):
    approve(approver, proposal.sale)
    price_now(fell.moss, "129.60")
    client.force_login(approver)
    page = client.get(f"/orders/{proposal.of['MOSS']}/")
    assert SOFT in words(page)
    assert re.search(r"<textarea[^>]* required", page.content.decode())
    assert client.post("/orders/decision", {"order": proposal.of["MOSS"], "verdict": "approved"}).status_code == 422


# What is shown before is what is done.


def test_cash_is_shown_now_with_what_is_approved_and_with_what_is_chosen(client, approver, proposal):
    approve(approver, proposal.sale)
    client.force_login(approver)
    review = client.post("/orders/review", {"order": proposal.of["RUNE"], "verdict": "approved"})
    assert "Fell 0.00 22,000.00 10,000.00 0.00" in words(review)

    approve(approver, *proposal.buys)
    (line,) = orders_foresee(by=approver, order_ids=proposal.buys, verdict="rejected").cash or [None]
    assert line is None, "no funding is at stake"
    (line,) = orders_foresee(by=approver, order_ids=[proposal.sale], verdict="rejected").cash
    assert (line.outlook.cash, line.outlook.approved, line.outlook.after) == (0, 4000, 4000)


def test_while_the_book_does_not_answer_the_review_says_so_and_offers_nothing(client, approver, proposal, monkeypatch):
    def down(self, ids):
        raise UnavailableError("The accounting service does not answer.")

    monkeypatch.setattr(LocalSource, "balances", down)
    client.force_login(approver)
    review = words(client.post("/orders/review", {"order": proposal.buys, "verdict": "approved"}))
    assert "2 orders left out. The accounting service does not answer." in review
    assert "Nothing to decide" in review
    assert client.get(f"/orders/{proposal.sale}/").status_code == 200


def test_a_run_too_large_to_be_judged_for_a_page_says_so(client, approver, proposal, monkeypatch):
    monkeypatch.setattr(foresee, "FORESEEN", 2)
    client.force_login(approver)
    review = client.post("/orders/review", {"run": proposal.run.pk, "whole_run": "on", "verdict": "approved"})
    assert "Approve 3 orders of run #1?" in words(review)
    assert "These are too many to be judged for this page." in words(review)


def test_reasons_that_differ_by_portfolio_are_told_up_to_a_number(approver, proposal, monkeypatch):
    monkeypatch.setattr(decide, "MOST_REASONS", 1)
    outcome = decide.DecisionOutcome()
    outcome.add(0, {"a": "first", "b": "second", "c": "third", "d": "first"})
    assert outcome.reasons == {"first": 2, decide.OTHER_REASONS: 2}
    assert outcome.n_skipped == 4


def test_prices_are_read_once_for_many_portfolios(book, manager, approver, run_worker, monkeypatch):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    read, reads = LocalSource.latest_prices, []

    def counted(self, ids):
        reads.append(set(ids))
        return read(self, ids)

    monkeypatch.setattr(LocalSource, "latest_prices", counted)
    assert run_decide(by=approver, run_id=run.pk, verdict="approved").n_decided == run.n_orders
    assert len(reads) == 1


TICKERS = ("KELP", "RUNE", "MOSS")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(["approved", "rejected"]),
            st.sets(st.sampled_from(TICKERS), min_size=1),
            st.sampled_from(["", "because"]),
        ),
        st.tuples(
            st.just("price"), st.sampled_from(TICKERS), st.sampled_from(["0.7", "0.92", "0.97", "1", "1.04", "1.3"])
        ),
        st.tuples(st.just("cash"), st.just(""), st.sampled_from(["0", "4000", "25000"])),
    ),
    max_size=7,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_in_whatever_order_decisions_are_taken_no_set_is_approved_that_cannot_be_paid_for(
    fell, approver, proposal, steps
):
    """And what the preview leaves in is decided, what it leaves out is not."""
    Decision.objects.all().delete()
    Order.objects.update(state="proposed")
    prices = {"KELP": Decimal(40), "RUNE": Decimal(8), "MOSS": Decimal(120)}
    now, cash = dict(prices), Decimal(0)
    for ticker in TICKERS:
        price_now(getattr(fell, ticker.lower()), now[ticker])
    Portfolio.objects.update(cash=0)
    for kind, what, how in steps:
        if kind == "price":
            now[what] = prices[what] * Decimal(how)
            price_now(getattr(fell, what.lower()), now[what])
            continue
        if kind == "cash":
            cash = Decimal(how)
            Portfolio.objects.update(cash=cash)
            continue
        ids = [proposal.of[ticker] for ticker in sorted(what)]
        shown = orders_foresee(by=approver, order_ids=ids, verdict=kind)
        comment = how or ("no" if kind == "rejected" or shown.asks else "")
        decided = order_decide(by=approver, order_ids=ids, verdict=kind, comment=comment)
        assert decided.n_decided == shown.totals.count
        assert decided.reasons == {left.reason: left.count for left in shown.excluded}

        approved = list(Order.objects.filter(state="approved"))
        if kind == "approved" and decided.n_decided and any(o.side == "BUY" and o.pk in ids for o in approved):
            signs = {"SELL": 1, "BUY": -1}
            assert cash + sum(signs[o.side] * o.quantity * now[o.ticker] for o in approved) >= 0
        assert sum({"SELL": 1, "BUY": -1}[o.side] * o.value for o in approved) >= 0
    faults = [fault for fault in verify_all()["faults"] if fault.startswith("approved_orders_can_be_paid_for")]
    assert faults == []


def test_a_run_is_decided_as_it_was_foreseen(fell, manager, approver, proposal):
    price_now(fell.moss, "100")
    shown = run_foresee(by=approver, run=proposal.run, verdict="approved")
    decided = run_decide(by=approver, run_id=proposal.run.pk, verdict="approved", comment="because")
    assert (decided.n_decided, decided.n_skipped) == (shown.totals.count, 0) == (3, 0)
    assert [asked.count for asked in shown.asks] == [1]


@pytest.mark.parametrize("given", ["5 %", "-0.1", "1.01", "NaN", ""])
def test_a_tolerance_that_is_no_fraction_is_refused_at_start(monkeypatch, given):
    monkeypatch.setenv("ORDERGEN_PRICE_MOVED_SOFT", given)
    with pytest.raises(ImproperlyConfigured, match="ORDERGEN_PRICE_MOVED_SOFT"):
        _fraction("ORDERGEN_PRICE_MOVED_SOFT", "0.05")
