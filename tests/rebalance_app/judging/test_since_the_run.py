"""What changed since a run was launched, through the doors: refused, asked about, outdated, and recorded."""

import html
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import override_settings
from django.utils import timezone

from models_app.drift_index.changed import book_changed
from models_app.investment_models.rules import PositionDraft
from models_app.investment_models.selectors import model_version
from models_app.modelling.services import model_delete, model_portfolios_remove, model_position_update, model_update
from models_app.models import Holding, InvestmentModel, Portfolio, Price
from models_app.sources.local import LocalSource
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import UnavailableError
from ordergen.ops.verify import verify_all
from rebalance_app.closing.services import Closing, orders_close
from rebalance_app.limits.services import limits_set
from rebalance_app.models import Decision, OpenOrders, Order, OrderMove
from rebalance_app.orders import decide
from rebalance_app.orders.decide import order_decide, run_decide
from rebalance_app.orders.foresee import orders_foresee, run_foresee
from rebalance_app.runs.launch import run_launch
from tests.builders import portfolio

pytestmark = pytest.mark.django_db
BAND = Decimal("0.03")


def approve(by, run, comment=""):
    return run_decide(by=by, run_id=run.pk, verdict="approved", comment=comment)


def states(run):
    return dict(run.orders.values_list("ticker", "state"))


def words(response):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def change_target(fell, by, security, target):
    draft = PositionDraft(security.pk, Decimal(target), BAND, BAND)
    model_position_update(model_id=fell.model.pk, position=draft, by=by)


def rename(fell, by):
    model = InvestmentModel.objects.get(pk=fell.model.pk)
    _, draft = model_version(model.pk, model.version)
    from dataclasses import replace

    model_update(model_id=model.pk, version=model.version, draft=replace(draft, name="Core II"), by=by)


# The model.


def test_a_changed_target_of_what_is_traded_refuses_the_whole_proposal_and_outdates_it(
    fell, manager, approver, proposal
):
    change_target(fell, manager, fell.rune, "0.25")
    decided = approve(approver, proposal.run, "I know")
    (why,) = decided.reasons

    assert (decided.n_decided, decided.n_outdated) == (0, 3)
    assert why == (
        "Core wants 25.00 % (\N{MINUS SIGN}3.00 points, +3.00 points) of RUNE by version 2, and wanted 30.00 % "
        "(\N{MINUS SIGN}3.00 points, +3.00 points) by version 1, from which this was proposed: rebalance again."
    )
    assert set(states(proposal.run).values()) == {"outdated"}
    proposal.run.refresh_from_db()
    assert (proposal.run.n_outdated, proposal.run.n_awaiting) == (3, 0)
    assert set(OrderMove.objects.values_list("state_before", "state_after", "moved_by", "reason")) == {
        ("proposed", "outdated", approver.pk, why)
    }
    assert verify_all()["faults"] == []


def test_a_newer_version_that_leaves_the_traded_lines_alone_takes_a_reason(fell, manager, approver, proposal):
    rename(fell, manager)
    silent = approve(approver, proposal.run)
    assert (silent.n_decided, silent.n_outdated) == (0, 0)
    assert "Core II is at version 2, and this was proposed from version 1." in next(iter(silent.reasons))
    assert approve(approver, proposal.run, "only its name").n_decided == 3


def test_a_portfolio_that_left_the_model_is_not_traded_by_it(fell, manager, approver, proposal):
    other = portfolio("Other", "10")
    from models_app.modelling.services import model_portfolios_add

    model_portfolios_add(model_id=fell.model.pk, portfolio_ids=[other.pk], by=manager)
    model_portfolios_remove(model_id=fell.model.pk, portfolio_ids=[fell.portfolio.pk], by=manager)
    decided = approve(approver, proposal.run, "I know")
    assert decided.reasons == {"Fell no longer follows Core: rebalance by the model that it follows now.": 3}
    assert set(states(proposal.run).values()) == {"outdated"}


def test_nor_by_a_model_that_was_deleted(fell, manager, approver, proposal):
    model_delete(model_id=fell.model.pk, version=1, by=manager)
    assert "Core was deleted since this was proposed" in next(iter(approve(approver, proposal.run, "x").reasons))
    assert verify_all()["faults"] == []


def test_whoever_saved_the_version_that_a_run_uses_does_not_approve_it(client, fell, person, approver, run_worker):
    author = person("manager", "approver", name="author")
    change_target(fell, author, fell.rune, "0.29")
    run = run_worker(run_launch(by=person("manager", name="other"), model_id=fell.model.pk))
    decided = approve(author, run)

    assert decided.reasons == {
        "You saved version 2 of Core, which this run uses: another approver must decide.": run.n_orders
    }
    assert states(run).values() == {"proposed": 1} or set(states(run).values()) == {"proposed"}
    client.force_login(author)
    assert "You saved version 2 of Core" in words(client.get(f"/orders/{run.orders.first().pk}/"))
    assert approve(approver, run).n_decided == run.n_orders


def test_a_later_version_makes_its_author_no_author_of_the_run(fell, person, proposal):
    author = person("manager", "approver", name="author")
    rename(fell, author)
    assert approve(author, proposal.run, "only its name").n_decided == 3


def test_an_approval_by_the_author_is_found_by_verify(fell, manager, approver, proposal):
    approve(approver, proposal.run)
    Decision.objects.update(decided_by=manager)
    proposal.run.launched_by = approver
    proposal.run.save()
    faults = [fault for fault in verify_all()["faults"] if fault.startswith("four_eyes")]
    assert len(faults) == 3
    assert "who saved the model version" in faults[0]


# Ages.


def on(day, time_machine):
    time_machine.move_to(datetime.fromisoformat(f"{day}T09:00:00").replace(tzinfo=UTC), tick=False)


@pytest.fixture
def monday(time_machine, fell, manager, run_worker, settings):
    """A run launched on Monday 23 November 2026, on prices of the Friday before."""
    settings.PRICE_AGE_SOFT = 2
    on("2026-11-23", time_machine)
    return run_worker(run_launch(by=manager, model_id=fell.model.pk))


def closes(day, *securities):
    for one in securities:
        last = one.prices.latest("date").close
        Price.objects.update_or_create(security=one, date=day, defaults={"close": last})
    book_changed()


def test_an_old_proposal_takes_a_reason_and_after_five_weekdays_is_outdated(
    monday, fell, approver, time_machine, run_worker
):
    on("2026-11-25", time_machine)
    closes("2026-11-24", fell.kelp, fell.rune, fell.moss)
    silent = approve(approver, monday)
    assert silent.reasons == {
        "This was proposed 2 weekdays ago: say why it is approved all the same, or rebalance again.": 3
    }
    on("2026-12-01", time_machine)
    closes("2026-11-30", fell.kelp, fell.rune, fell.moss)
    late = approve(approver, monday, "I know")
    assert late.reasons == {
        "This was proposed 6 weekdays ago, and after 5 weekdays a proposal is outdated: rebalance again.": 3
    }
    assert late.n_outdated == 3


def test_a_price_that_got_older_than_at_the_launch_is_refused_until_a_newer_one_is_there(
    monday, fell, approver, time_machine
):
    on("2026-11-25", time_machine)
    closes("2026-11-24", fell.kelp, fell.rune)
    decided = approve(approver, monday, "I know")
    assert decided.n_decided == 2
    assert decided.reasons == {
        "The newest price of MOSS is of 2026-11-20, 3 weekdays ago; when this was proposed, its price was 1 weekday "
        "old: import newer prices, or rebalance again.": 1
    }
    closes("2026-11-24", fell.moss)
    assert approve(approver, monday, "I know").n_decided == 1


def test_how_old_it_may_be_is_a_setting(monday, fell, approver, time_machine):
    on("2026-11-25", time_machine)
    with override_settings(PRICE_AGE_SOFT=3, PROPOSAL_AGE_SOFT=2):
        assert approve(approver, monday).n_decided == 3


# Restrictions.


@pytest.mark.parametrize(
    ("values", "left"),
    [({"can_buy": False}, "RUNE may not be bought any more"), ({"lot_size": 7}, "RUNE is traded in lots of 7 by now")],
)
def test_a_restriction_on_a_security_that_came_later_is_honoured(fell, manager, approver, proposal, values, left):
    limits_set(by=manager, scope="security", subject_id=fell.rune.pk, values=values, reason="compliance")
    decided = approve(approver, proposal.run, "I know")
    assert (decided.n_decided, list(decided.reasons.values())) == (2, [1])
    assert next(iter(decided.reasons)).startswith(left)
    assert states(proposal.run)["RUNE"] == "proposed", "it can be lifted"


def test_a_portfolio_on_hold_is_not_traded(fell, manager, approver, proposal):
    terms = {"by": manager, "scope": "portfolio", "subject_id": fell.portfolio.pk, "reason": "transfer out"}
    limits_set(values={"hold": True}, **terms)
    decided = approve(approver, proposal.run, "I know")
    assert decided.reasons == {"Fell was put on hold since this was proposed: lift the hold first.": 3}
    limits_set(values={}, **terms)
    assert approve(approver, proposal.run).n_decided == 3


# Limits of the run on a part of a proposal.


def test_a_sale_alone_does_not_break_the_cash_ceiling_of_the_run(fell, manager, approver, run_worker):
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk, options={"max_cash": "5000"}))
    sale = run.orders.get(side="SELL")
    alone = order_decide(by=approver, order_ids=[sale.pk], verdict="approved", comment="x")
    (why,) = alone.reasons
    assert why == (
        "Fell: These sales would leave 22,000.00 in cash, above the ceiling of 5,000.00: approve the buys with them, "
        "or rebalance again."
    )
    assert approve(approver, run).n_decided == 3
    assert verify_all()["faults"] == []


def test_verify_finds_a_part_that_breaks_the_ceiling(fell, manager, approver, run_worker):
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk, options={"max_cash": "5000"}))
    Order.objects.filter(rebalance=run, side="SELL").update(state="approved")
    (fault,) = [f for f in verify_all()["faults"] if f.startswith("approved_orders_keep_the_limits")]
    assert "leaves 22000.0000 in cash, above the ceiling of 5000" in fault


# Orders elsewhere.


def test_the_opposite_order_of_another_run_is_named_and_takes_a_reason(fell, manager, approver, proposal, run_worker):
    from models_app.investment_models.rules import ModelDraft
    from models_app.modelling.services import model_create

    moor = portfolio("Moor", "10000")
    lines = (PositionDraft(fell.kelp.pk, Decimal("0.8"), BAND, BAND),)
    model = model_create(draft=ModelDraft("Kelp", lines, (moor.pk,)), by=manager)
    buying = run_worker(run_launch(by=manager, model_id=model.pk))
    approve(approver, proposal.run)

    silent = approve(approver, buying)
    assert silent.reasons == {
        "SELL 550 KELP of run #1 for Fell is open: the opposite of this order. Say why both are right, or wait until "
        "it is closed.": 1
    }
    shown = run_foresee(by=approver, run=buying, verdict="approved")
    assert [asked.reason for asked in shown.asks] == list(silent.reasons)
    assert approve(approver, buying, "two owners").n_decided == 1


# Outdated, and what the trail says.


def test_a_look_writes_nothing(client, fell, manager, approver, proposal):
    change_target(fell, manager, fell.rune, "0.25")
    client.force_login(approver)
    before = AuditEvent.objects.count()
    ids = list(proposal.of.values())
    orders_foresee(by=approver, order_ids=ids, verdict="approved")
    run_foresee(by=approver, run=proposal.run, verdict="approved")
    page = words(client.get(f"/orders/{ids[0]}/"))
    review = words(client.post("/orders/review", {"order": ids, "verdict": "approved"}))

    assert "Mark as outdated" in page
    assert "3 orders left out and outdated with this decision." in review
    assert "Mark 3 as outdated" in review
    assert set(states(proposal.run).values()) == {"proposed"}
    assert AuditEvent.objects.count() == before


def test_the_page_outdates_them_and_leads_to_what_helps(client, fell, manager, approver, proposal, run_worker):
    change_target(fell, manager, fell.rune, "0.25")
    client.force_login(approver)
    ids = list(proposal.of.values())
    told = words(client.post("/orders/decision", {"order": ids, "verdict": "approved"}, follow=True))
    assert "3 orders outdated. Core wants 25.00 %" in told

    page = client.get(f"/orders/{ids[0]}/").content.decode()
    assert f"/rebalances/new?portfolio={fell.portfolio.pk}" in page
    assert "Outdated. Core wants 25.00 %" in html.unescape(page)
    later = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    page = client.get(f"/orders/{ids[0]}/").content.decode()
    assert f'/rebalances/{later.pk}/portfolios/{fell.portfolio.pk}/">run #2</a>' in page


def test_the_api_says_so_too(client, fell, manager, approver, proposal):
    change_target(fell, manager, fell.rune, "0.25")
    client.force_login(approver)
    body = {"order_ids": list(proposal.of.values()), "verdict": "approved", "comment": "I know"}
    answer = client.post("/api/v2/orders/decisions", json.dumps(body), content_type="application/json").json()
    assert (answer["n_decided"], answer["n_skipped"], answer["n_outdated"]) == (0, 3, 3)
    assert client.get(f"/api/v2/orders/{proposal.sale}").json()["state"] == "outdated"


def test_who_may_not_approve_outdates_nothing(fell, person, approver, run_worker):
    both = person("manager", "approver", name="both")
    run = run_worker(run_launch(by=both, model_id=fell.model.pk))
    change_target(fell, both, fell.rune, "0.25")
    assert approve(both, run, "mine").n_outdated == 0
    assert set(states(run).values()) == {"proposed"}


def test_what_is_outdated_is_never_approved_again(fell, manager, approver, proposal):
    change_target(fell, manager, fell.rune, "0.25")
    approve(approver, proposal.run)
    change_target(fell, manager, fell.rune, "0.30")
    again = order_decide(by=approver, order_ids=list(proposal.of.values()), verdict="approved", comment="now?")
    assert again.reasons == {"It is outdated already.": 3}


def test_a_refusal_is_an_event_with_its_reasons_and_the_first_of_the_orders(fell, approver, proposal, monkeypatch):
    monkeypatch.setattr(decide, "MOST_NAMED", 1)
    order_decide(by=approver, order_ids=proposal.buys, verdict="approved")
    (event,) = AuditEvent.objects.filter(action="orders.refused")

    assert (event.actor, event.object_id, event.summary) == (
        "tom",
        proposal.run.pk,
        "Refused to approve 2 orders of run #1",
    )
    assert event.detail["orders"] == [min(proposal.buys)]
    assert event.detail["count"] == 2
    assert list(event.detail["reasons"].values()) == [2]
    assert verify_all()["faults"] == []


def test_so_is_that_of_a_whole_run_for_four_eyes(fell, person, run_worker):
    both = person("manager", "approver", name="both")
    run = run_worker(run_launch(by=both, model_id=fell.model.pk))
    approve(both, run)
    (event,) = AuditEvent.objects.filter(action="orders.refused")
    assert event.detail["reasons"] == {"You launched this run: another approver must decide.": 3}
    assert sorted(event.detail["orders"]) == sorted(run.orders.values_list("pk", flat=True))


def test_what_only_lacks_a_reason_or_was_decided_before_is_no_refusal(fell, manager, approver, proposal):
    rename(fell, manager)
    approve(approver, proposal.run)
    approve(approver, proposal.run, "only its name")
    order_decide(by=approver, order_ids=proposal.buys, verdict="approved", comment="again")
    assert not AuditEvent.objects.filter(action="orders.refused").exists()


# What `ordergen verify` tells beside faults.


def test_verify_tells_what_would_be_refused_now_and_calls_it_no_fault(fell, manager, approver, proposal):
    assert verify_all()["would_refuse"] == []
    terms = {"by": manager, "scope": "portfolio", "subject_id": fell.portfolio.pk, "reason": "transfer out"}
    limits_set(values={"hold": True}, **terms)
    report = verify_all()

    assert report["violations"] == 0
    why = "Fell was put on hold since this was proposed: lift the hold first."
    assert report["would_refuse"] == [{"run": 1, "what": "awaiting", "orders": 3, "reason": why}]
    assert set(states(proposal.run).values()) == {"proposed"}


def test_and_which_approved_buys_overdraw_by_now(fell, approver, proposal):
    approve(approver, proposal.run)
    closes("2026-11-23", fell.kelp)
    Price.objects.filter(security=fell.kelp, date="2026-11-23").update(close=30)
    book_changed()
    why = (
        "Fell: What is approved would leave \N{MINUS SIGN}1,500.00 in cash, below the floor of 0.00: reject buys, or "
        "bring in cash."
    )
    assert verify_all()["would_refuse"] == [{"run": 1, "what": "approved", "orders": 2, "reason": why}]


def test_where_rows_are_at_fault_nothing_that_rests_on_them_is_told(proposal):
    proposal.run.orders.update(value=1)
    report = verify_all()
    assert report["violations"]
    assert report["would_refuse"] is None


def test_a_book_that_does_not_answer_is_said(proposal, monkeypatch):
    def down(self, ids):
        raise UnavailableError("The accounting service does not answer.")

    monkeypatch.setattr(LocalSource, "balances", down)
    (told,) = verify_all()["would_refuse"]
    assert (told["orders"], told["reason"]) == (3, "Not judged: The accounting service does not answer.")


# What a statement may leave out.


def close_as_done(by, run):
    closings = [Closing(pk, "closed") for pk in run.orders.values_list("pk", flat=True)]
    orders_close(by=by, closings=closings, reason="by telephone")


def state(fell, after=timedelta(0), cash="0", **shares):
    owner = Portfolio.objects.filter(pk=fell.portfolio.pk)
    owner.update(cash=Decimal(cash), holdings_stated_at=timezone.now() + after, cash_stated_at=timezone.now() + after)
    for ticker, quantity in shares.items():
        key = {"portfolio": fell.portfolio, "security": getattr(fell, ticker.lower())}
        Holding.objects.update_or_create(**key, defaults={"quantity": Decimal(quantity)})
    book_changed([fell.portfolio.pk])


@pytest.mark.parametrize("cash", ["0", "4000"], ids=["a file of the day before", "the cash alone"])
def test_what_was_done_is_not_ordered_again_from_a_statement_that_does_not_show_it(
    fell, manager, approver, proposal, run_worker, cash
):
    approve(approver, proposal.run)
    close_as_done(approver, proposal.run)
    state(fell, cash=cash)
    again = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    left = again.portfolios.get()
    assert (again.n_orders, left.reason_code) == (0, "OPEN_ORDER")
    assert left.reason.endswith(
        "and 2 more orders are done, and holdings stated since do not show it: state holdings and cash that do."
    )

    blind = run_launch(by=manager, model_id=fell.model.pk, open_orders=OpenOrders.IGNORE)
    decided = approve(approver, run_worker(blind), "I know")
    assert decided.n_decided == 0
    assert "is done, and holdings stated since do not show it" in next(iter(decided.reasons))

    state(fell, cash="4000", KELP=450, RUNE=1500, MOSS=50)
    right = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert (right.n_no_trades, right.n_orders) == (1, 0)


def test_after_some_days_a_holding_as_before_is_one_that_returned(fell, manager, approver, proposal, run_worker):
    approve(approver, proposal.run)
    close_as_done(approver, proposal.run)
    state(fell, after=timedelta(days=5))
    assert run_worker(run_launch(by=manager, model_id=fell.model.pk)).n_orders == 3


def test_a_buy_and_its_sale_that_both_ended_leave_the_holding_as_before_and_nothing_missing(
    fell, manager, approver, proposal, run_worker
):
    approve(approver, proposal.run)
    close_as_done(approver, proposal.run)
    state(fell, cash="4000", KELP=450, RUNE=1500, MOSS=50)
    change_target(fell, manager, fell.rune, "0")
    out = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert approve(approver, out).n_decided == out.n_orders
    close_as_done(approver, out)
    state(fell, cash="16000", KELP=450, RUNE=0, MOSS=50)
    assert run_worker(run_launch(by=manager, model_id=fell.model.pk)).n_failed == 0
