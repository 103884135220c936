"""An order's record is the same in lists, on its page, in the CSV and in API v2: states, what is done, who and when."""

import csv
import io
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from models_app.drift_index.changed import book_changed
from models_app.models import Price
from rebalance_app.closing.services import Closing, orders_close
from rebalance_app.models import Decision, Order
from rebalance_app.order_states.table import MOVES
from rebalance_app.orders.decide import order_decide
from rebalance_app.runs.launch import run_launch
from tests.callers import Api
from tests.markup import flat, words
from tests.rebalance_app.approved import approve, state_anew

pytestmark = pytest.mark.django_db


@pytest.fixture
def v2(manager, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


@pytest.fixture
def closed(book, run, approver):
    """BUY AAA for Harbour, approved, 5 of it done outside, as tom says."""
    (order,) = approve(run, approver, "Harbour", "AAA")
    orders_close(by=approver, closings=[Closing(order.pk, "closed", 5)], reason="by phone")
    return order


def exported(client, query=""):
    answer = client.get(f"/orders/export.csv{query}")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))


# Lists


def test_each_tab_has_its_orders_and_counts_them(as_approver, book, run, approver, closed):
    approve(run, approver, "Harbour", "BBB")
    (unwanted,) = run.orders.filter(portfolio_name="Harbour", ticker="XXX")
    order_decide(by=approver, order_ids=[unwanted.pk], verdict="rejected", comment="no")
    awaiting = run.n_orders - 3
    page = words(as_approver.get("/orders/"))

    assert f"Awaiting {awaiting} On their way 1 Ended 1 Rejected 1 All {run.n_orders}" in page
    for tab, tickers in (("approved", {"BBB"}), ("ended", {"AAA"}), ("rejected", {"XXX"})):
        rows = as_approver.get(f"/orders/?tab={tab}").context["rows"]
        assert {row.order.ticker for row in rows} == tickers, tab


def test_the_list_says_how_much_is_done_and_who_decided_when(as_approver, book, run, closed):
    page = flat(as_approver.get("/orders/?tab=ended").content.decode("utf-8-sig"))

    assert f'5<span class="muted">of {closed.quantity}</span>' in page
    assert "Done outside" in page
    decided = f"tom {Decision.objects.get().decided_at:%-d %b %Y %H:%M:%S} UTC"
    assert f"Done outside {decided}" in words(as_approver.get("/orders/?tab=ended"))


def test_superseded_orders_are_reached_by_their_state(as_approver, book, run, manager, run_worker):
    run_worker(run_launch(by=manager, model_id=book.model.pk))
    answer = as_approver.get("/orders/?state=superseded")

    assert {row.order.state for row in answer.context["rows"]} == {"superseded"}
    assert len(answer.context["rows"]) == run.n_orders
    assert answer.context["wanted"].tab == "all"
    assert '<option value="superseded" selected>' in answer.content.decode("utf-8-sig")


@pytest.mark.parametrize(
    ("query", "tab", "state"),
    [
        ("state=approved_earlier", "ended", "approved_earlier"),
        ("state=approved&tab=all", "all", "approved"),
        ("state=approved&tab=rejected", "approved", "approved"),
        ("state=proposed", "awaiting", "proposed"),
        ("state=nothing&tab=ended", "ended", ""),
    ],
)
def test_a_state_is_shown_in_a_tab_that_has_it(as_approver, run, query, tab, state):
    wanted = as_approver.get(f"/orders/?{query}").context["wanted"]
    assert (wanted.tab, wanted.state) == (tab, state)


def test_the_filter_by_state_pages_and_sorts_like_the_others(as_approver, run, closed):
    for query in ("state=closed", "state=closed&run=1", "state=closed&sort=-value", "state=closed&portfolio=harb"):
        rows = as_approver.get(f"/orders/?{query}").context["rows"]
        assert [row.order.pk for row in rows] == [closed.pk], query


def test_an_order_whose_portfolio_was_stated_anew_is_marked_in_lists_and_on_its_page(as_approver, book, run, approver):
    (order,) = approve(run, approver, "Harbour", "AAA")
    assert "unclear" not in words(as_approver.get("/orders/?tab=approved"))

    state_anew(book.harbour)
    assert "Approved unclear" in words(as_approver.get("/orders/?tab=approved"))
    assert "Runs leave the portfolio out until somebody says" in words(as_approver.get(f"/orders/{order.pk}/"))


# The page of an order


def test_the_page_tells_every_step_in_its_order(as_approver, closed, approver):
    page = words(as_approver.get(f"/orders/{closed.pk}/"))
    steps = [
        "Proposed by run #1 , launched by maya",
        "Approved by tom",
        f"Done outside by tom, 5 of {closed.quantity} done",
    ]
    places = [page.index(step) for step in steps]

    assert places == sorted(places)
    assert "“by phone”" in page
    assert "was approved" in page
    assert "Done 5 as of" in page


def test_an_open_order_of_which_nothing_was_heard_says_that(as_approver, run, approver):
    (order,) = approve(run, approver, "Harbour", "AAA")

    assert "Done – nothing heard since" in words(as_approver.get(f"/orders/{order.pk}/"))


def test_what_was_approved_earlier_asks_for_a_word(as_approver, run, approver):
    (order,) = approve(run, approver, "Harbour", "AAA")
    Order.objects.filter(pk=order.pk).update(state="approved_earlier", known_at=None)
    page = words(as_approver.get(f"/orders/{order.pk}/"))

    assert "approved before orders were followed to their end" in page
    assert "Nobody has said yet what became of it" in page


def test_a_reason_that_is_markup_stays_text(as_approver, run, approver):
    (order,) = approve(run, approver, "Harbour", "AAA")
    orders_close(by=approver, closings=[Closing(order.pk, "cancelled", 0)], reason="<script>alert(1)</script>")
    page = as_approver.get(f"/orders/{order.pk}/").content.decode("utf-8-sig")

    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_says_what_its_proposal_counted(as_approver, book, run, approver, manager, run_worker):
    (before,) = approve(run, approver, "Lee", "AAA")
    again = run_worker(run_launch(by=manager, model_id=book.model.pk))
    order = again.orders.get(portfolio_name="Lee", ticker="BBB")
    page = as_approver.get(f"/orders/{order.pk}/")

    assert "Its proposal counted these as done." in words(page)
    assert f'href="/orders/{before.pk}/"' in page.content.decode("utf-8-sig")


def test_the_page_splits_the_holding_into_what_was_held_and_what_was_on_its_way(
    as_approver, book, run, approver, manager, run_worker
):
    """Lee buys AAA, its price halves, and the next run buys more of it."""
    (before,) = approve(run, approver, "Lee", "AAA")
    Price.objects.create(security=book.aaa, date="2026-11-23", close="5")
    book_changed()
    again = run_worker(run_launch(by=manager, model_id=book.model.pk))
    order = again.orders.get(portfolio_name="Lee", ticker="AAA")

    assert order.quantity_before == before.quantity
    assert f"of 0 held +{before.quantity} on their way" in words(as_approver.get(f"/orders/{order.pk}/"))
    (counted,) = as_approver.get(f"/orders/{order.pk}/").context["view"].counted
    assert (counted["quantity"], counted["price"]) == (before.quantity, "5.0000")


# CSV


def test_the_csv_has_what_is_done_and_the_last_decision(as_approver, run, closed, approver):
    (rejected,) = approve(run, approver, "Lee", "AAA")
    order_decide(by=approver, order_ids=[rejected.pk], verdict="rejected", comment="=1+1")
    rows = {row["order_id"]: row for row in exported(as_approver, "?tab=all")}
    decision = Decision.objects.get(order=closed)
    known_at = Order.objects.get(pk=closed.pk).known_at

    told = rows[closed.pk]
    assert (told["state"], told["quantity_done"], told["known_at"]) == ("closed", "5", known_at.isoformat())
    assert (told["decided_by"], told["decided_at"]) == ("tom", decision.decided_at.isoformat())
    assert (rows[rejected.pk]["decided_by"], rows[rejected.pk]["comment"]) == ("tom", "'=1+1"), "the last one"
    untouched = next(row for row in rows.values() if row["state"] == "proposed")
    assert {untouched[name] for name in ("quantity_done", "known_at", "decided_by", "decided_at", "comment")} == {""}


def test_the_csv_of_a_state_has_that_state_only(as_approver, run, closed):
    assert [row["order_id"] for row in exported(as_approver, "?state=closed")] == [closed.pk]


# API v2


def test_the_api_has_the_record_in_list_and_detail(v2, closed):
    listed = {order["id"]: order for order in v2.get("/orders").json()["items"]}[closed.pk]
    detail = v2.get(f"/orders/{closed.pk}").json()

    assert (listed["state"], listed["quantity_done"], listed["decided_by"]) == ("closed", 5, "tom")
    assert {name: detail[name] for name in listed} == listed
    (told,) = detail["moves"]
    kept = closed.moves.get()
    moment = v2.get(f"/orders/{closed.pk}").json()["moves"][0].pop("moved_at")
    assert told == {
        "state_before": "approved", "state_after": "closed", "moved_by": "tom", "moved_at": moment,
        "quantity_done": 5, "reason": "by phone",
    }  # fmt: skip
    assert moment.startswith(f"{kept.moved_at:%Y-%m-%dT%H:%M:%S}")
    assert detail["open_orders"] == []


def test_an_order_that_nobody_decided_on_says_so_with_nulls(v2, run):
    told = v2.get("/orders").json()["items"][0]

    assert [told[name] for name in ("quantity_done", "known_at", "decided_by", "decided_at", "comment")] == [None] * 5


@pytest.mark.parametrize("state", sorted({move.to.value for move in MOVES.values()}))
def test_the_api_filters_by_every_state(v2, run, state):
    order = run.orders.first()
    Order.objects.filter(pk=order.pk).update(state=state)

    assert order.pk in {told["id"] for told in v2.get(f"/orders?state={state}").json()["items"]}


def test_lists_take_as_many_queries_for_many_decided_orders_as_for_one(as_approver, v2, run, approver):
    def asked(client, address):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        return len(queries)

    approve(run, approver, "Harbour", "AAA")
    addresses = [
        (as_approver, "/orders/?tab=approved"),
        (as_approver, "/orders/?tab=all"),
        (v2, "/orders?state=approved"),
    ]
    one = [[asked(*each) for each in addresses] for _ in range(2)][1]  # the first request of a key costs more
    approve(run, approver, "Harbour", "BBB", "CCC", "XXX")
    approve(run, approver, "Lee")

    assert [asked(*each) for each in addresses] == one


# What somebody may do in a list


@pytest.mark.parametrize("state", ["approved", "sent", "partly_filled", "approved_earlier"])
def test_whatever_somebody_can_say_what_became_of_can_be_chosen_in_its_list(as_approver, run, approver, state):
    (order,) = approve(run, approver, "Harbour", "AAA")
    Order.objects.filter(pk=order.pk).update(state=state)
    page = flat(as_approver.get(f"/orders/?state={state}").content.decode("utf-8-sig"))

    assert re.search(rf'name="order" value="{order.pk}"[^>]*>', page)
    assert not re.search(rf'name="order" value="{order.pk}"[^>]*disabled', page)
    assert "Close…" in page
    assert ("Reject…" in page) == (state != "approved_earlier")


def test_what_has_ended_for_good_cannot_be_chosen(as_approver, closed):
    page = as_approver.get("/orders/?tab=ended").content.decode("utf-8-sig")

    assert 'name="order"' not in page
    assert "Close…" not in page
