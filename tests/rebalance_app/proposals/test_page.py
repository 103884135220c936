"""The page of a proposal says what held, what of it shaped the answer, and how that was found: in every mode."""

import html
import re

import pytest

from models_app.portfolio.types import MODES
from rebalance_app.limits.services import limits_set
from rebalance_app.models import OpenOrders
from rebalance_app.proposals import certificate
from rebalance_app.proposals import document as propose
from rebalance_app.proposals.selectors import ProposalView
from rebalance_app.runs.launch import run_launch
from tests.callers import Api
from tests.markup import flat, words
from tests.rebalance_app.approved import approve

pytestmark = pytest.mark.django_db
CERTIFICATE = propose._certificate


@pytest.fixture
def proposed(client, manager, book, run_worker):
    """The page of Harbour's proposal under the options given, its spaces made plain."""
    client.force_login(manager)

    def page(**options):
        run = run_launch(
            by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk], options={"time_limit": 10} | options
        )
        run_worker(run)
        text = client.get(f"/rebalances/{run.pk}/portfolios/{book.harbour.pk}/").content.decode()
        return flat(html.unescape(text))

    return page


def marked(page):
    """The limits that are said to have shaped the answer."""
    (limits,) = re.findall(r"<dt>Limits</dt><dd>(.*?)</dd>", page)
    chips = re.findall(r'<span class="chip info">(.*?)</span></span>', limits)
    return [" ".join(re.sub("<[^>]*>", " ", chip).split()) for chip in chips]


@pytest.mark.slow
def test_the_limits_that_shaped_the_answer_are_marked_and_the_others_are_not(proposed):
    page = proposed(min_cash="5500", min_cash_weight="0.1", max_trades=9)

    assert marked(page) == ["cash at least 5,500.00 (run, shaped the answer)"]
    assert "orders at most 9<span" in page


def test_where_no_limit_shaped_the_answer_none_is_marked(proposed):
    assert marked(proposed(min_cash="1", max_trades=9)) == []


@pytest.mark.parametrize("options", [{}, {"min_trade_value": "10"}, {"min_cash": "5500"}])
def test_an_answer_that_is_known_to_be_the_first_of_equals_says_so(proposed, options):
    assert "proven optimal, and of equally good answers the first" in proposed(**options)


def test_an_answer_that_is_only_within_a_cent_says_no_more(proposed, monkeypatch):
    monkeypatch.setattr(propose, "_certificate", lambda *of: CERTIFICATE(*of) | {"first": False})
    assert "proven optimal to a cent" in proposed(min_trade_value="10")


def test_the_turnover_is_half_of_what_is_bought_and_sold(proposed):
    page = proposed(max_turnover="0.5")
    market_value, sells, buys = (
        float(re.search(rf"<dt>{name}</dt><dd>([0-9,.]+)", page)[1].replace(",", ""))
        for name in ("Market value", r"\+ sells", "− buys")
    )
    assert f"<dt>Turnover</dt><dd>{(buys + sells) / 2 / market_value:.2%}"[:-1] in page


@pytest.mark.parametrize(
    ("binding", "limits", "shaped"),
    [
        (["cash_floor"], {"min_cash": "500", "min_cash_weight": "0.1"}, ["min_cash_weight"]),
        (["cash_floor"], {"min_cash": "5000", "min_cash_weight": "0.1"}, ["min_cash"]),
        (["cash_ceiling"], {"max_cash": "500", "max_cash_weight": "0.1"}, ["max_cash"]),
        (["turnover", "band:A"], {"max_turnover": "0.1", "max_trades": 3}, ["max_turnover"]),
        ([], {"hold": True, "max_trades": 3}, ["hold"]),
        (["cash_floor"], {"max_trades": 3}, []),
    ],
)
def test_of_two_limits_on_the_same_thing_the_narrower_shaped_the_answer(binding, limits, shaped):
    held = {name: {"value": value, "level": "run"} for name, value in limits.items()}
    document = {"market_value": "10000", "binding": binding, "limits": held}

    assert [limit.name for limit in certificate.limits_held(document) if limit.has_shaped] == shaped
    assert certificate.was_stopped_by_cash(document) == ("cash_floor" in binding and not shaped)


def test_of_many_reasons_five_are_shown_and_the_others_wait_behind_one_line(proposed, monkeypatch):
    seven = [{"message": f"S{n} is in the way."} for n in range(7)]
    monkeypatch.setattr(ProposalView, "reasons", seven)
    page = proposed()

    shown, _, behind = page.partition("<summary>2 more</summary>")
    assert [f"S{n} is in the way." in shown for n in range(7)] == [True] * 5 + [False] * 2
    assert "S5 is in the way." in behind
    assert "S6 is in the way." in behind


def test_a_security_that_may_not_be_sold_or_trades_in_lots_says_so_at_its_row(proposed, manager, book):
    for subject, values in ((book.aaa, {"lot_size": 100}), (book.xxx, {"can_sell": False})):
        limits_set(by=manager, scope="security", subject_id=subject.pk, values=values, reason="mandate")
    rows = re.findall(r'<th scope="row"[^>]*>.*?</tr>', proposed(mode="invest_cash"))

    assert ["lots of 100" in row for row in rows if "AAA" in row] == [True]
    assert ["not to be sold" in row for row in rows if "XXX" in row] == [True]
    assert not any("lots of" in row for row in rows if "BBB" in row)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "takes the whole number nearest to its target that its band allows. No limit"),
        ({"mode": "within_bands"}, "trades as little as brings it into its band. No limit"),
        ({"mode": "only_breached"}, "is left alone inside its band"),
        ({"mode": "invest_cash"}, "nearest to its target that buying alone can reach"),
        ({"mode": "raise_cash"}, "is left alone, for the cash asked for is there without a sale"),
        ({"min_trade_value": "10"}, "that its band allows, with no order below the smallest one. No limit"),
        ({"cost_bps": "1"}, "with the cost of trading weighed in"),
        ({"soft_bands": True}, "bands being soft"),
    ],
)
def test_the_closed_form_is_told_as_it_was_in_each_mode(proposed, options, told):
    assert told in proposed(**options)


def test_every_mode_has_its_words():
    assert certificate.ALONE.keys() == set(MODES)


def test_on_hold_nothing_is_said_to_be_nearest(proposed, manager, book):
    limits_set(by=manager, scope="portfolio", subject_id=book.harbour.pk, values={"hold": True}, reason="estate")
    page = proposed()

    assert "the portfolio is on hold, so nothing is traded" in page
    assert marked(page) == ["on hold (portfolio, shaped the answer)"]


# Orders on their way


@pytest.fixture
def second(client, manager, approver, book, run, run_worker):
    """Opens the page of Harbour's proposal in a second run, after some orders of the first were approved."""
    client.force_login(manager)

    def page(*tickers, **more):
        approved = approve(run, approver, "Harbour", *tickers)
        again = run_worker(run_launch(by=manager, model_id=book.model.pk, **more))
        return approved, client.get(f"/rebalances/{again.pk}/portfolios/{book.harbour.pk}/")

    return page


def test_a_proposal_names_what_it_counted_and_splits_holdings_and_cash(second, book):
    (bought, sold), page = second("AAA", "XXX")
    text = words(page)

    assert "Counted as done: cash and positions before are as they will be" in text
    assert all(f'href="/orders/{order.pk}/"' in page.content.decode() for order in (bought, sold))
    assert f"0 held +{bought.quantity} on their way" in text
    change = sold.value - bought.value
    assert f"{10_000 + change:,.2f} 10,000.00 there \N{MINUS SIGN}{-change:,.2f} on its way" in text
    lines = {line.ticker: line for line in page.context["proposal"].lines}
    assert (lines["AAA"].quantity_held, lines["AAA"].on_their_way) == (0, bought.quantity)
    assert "XXX" not in lines, "all of it is gone by then"


def test_a_proposal_without_any_says_nothing_of_them(second):
    page = words(second("AAA", open_orders=OpenOrders.IGNORE)[1])

    assert "Counted as done" not in page
    assert "on its way" not in page


def test_a_portfolio_that_was_left_out_says_for_which_order(second):
    (bought,), page = second("AAA", open_orders=OpenOrders.LEAVE_OUT)
    text = words(page)

    assert f"BUY {bought.quantity} AAA of run #1 is on its way, and this run leaves such portfolios out." in text
    assert f'href="/orders/{bought.pk}/"' in page.content.decode()
    assert "Counted as done" not in text


def test_the_api_has_what_was_counted_in_the_document_and_at_each_position(second, manager, key_for, book):
    (bought,), page = second("AAA")
    run = page.context["run"]
    v2 = Api("/api/v2", **{"X-API-Key": key_for(manager)})
    document = v2.get(f"/runs/{run.pk}/proposals/{book.harbour.pk}").json()["document"]
    lee = v2.get(f"/runs/{run.pk}/proposals/{book.cash_only.pk}").json()["document"]

    assert [(one["id"], one["quantity"], one["price"]) for one in document["open_orders"]] == [
        (bought.pk, bought.quantity, "10.0000")
    ]
    assert {line["ticker"]: line["on_their_way"] for line in document["positions"]}["AAA"] == bought.quantity
    assert "open_orders" not in lee
    assert "on_their_way" not in lee["positions"][0]
