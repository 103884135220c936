"""What is on its way to many portfolios is counted as it is followed for one, in a few queries and without holdings."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from models_app.models import Holding, Portfolio
from models_app.sources import get_source
from models_app.sources.globeco import GlobecoSource
from rebalance_app.models import Order, OrderState
from rebalance_app.order_states import pending
from rebalance_app.order_states.move import orders_move
from rebalance_app.order_states.on_the_way import on_their_way
from rebalance_app.order_states.pending import Pending, ToClearUp, pending_of, standing_of, to_clear_up
from tests.markup import words
from tests.rebalance_app.approved import approve, state_anew

pytestmark = pytest.mark.django_db


def close(orders, *, done):
    """Somebody says that they are done outside, `done` of each."""
    with transaction.atomic():
        orders_move("close", orders, known_at=timezone.now(), done={order.pk: done for order in orders})


def earlier(orders):
    with transaction.atomic():
        orders_move("approved_earlier", orders, known_at=timezone.now())


def ids(book):
    return [book.harbour.pk, book.cash_only.pk, book.tiny.pk]


def test_approved_orders_are_on_their_way_and_nobody_elses(book, run, approver):
    approve(run, approver, "Harbour", "AAA", "XXX")

    assert pending_of(ids(book)) == {book.harbour.pk: Pending(2)}
    assert pending_of([book.tiny.pk]) == {}
    assert pending_of([]) == {}


def test_an_order_is_unclear_once_its_portfolio_was_stated_anew(book, run, approver):
    state_anew(book.harbour, book.cash_only)
    approve(run, approver, "Harbour", "AAA")
    approve(run, approver, "Lee", "AAA")
    assert not any(some.is_unclear for some in pending_of(ids(book)).values())

    state_anew(book.harbour)
    found = pending_of(ids(book))
    assert (found[book.harbour.pk], found[book.cash_only.pk]) == (Pending(1, is_unclear=True), Pending(1))


def test_what_is_done_is_on_its_way_until_the_holdings_are_stated(book, run, approver):
    """And what ended with nothing done is not."""
    first, second = approve(run, approver, "Harbour", "AAA", "BBB")
    close([first], done=5)
    close([second], done=0)
    assert pending_of(ids(book)) == {book.harbour.pk: Pending(1)}

    state_anew(book.harbour)
    assert pending_of(ids(book)) == {}


@pytest.mark.parametrize("is_stated", [True, False])
def test_the_count_is_what_a_run_would_find_order_by_order(book, run, approver, is_stated):
    some = approve(run, approver, "Harbour")
    close(some[:1], done=1)
    if is_stated:  # with what was done of it: else it would be missing there
        change = 1 if some[0].side == "BUY" else -1
        Holding.objects.update_or_create(
            portfolio=book.harbour,
            security_id=some[0].security_id,
            defaults={"quantity": some[0].quantity_before + change},
        )
        state_anew(book.harbour)
    close(some[1:2], done=2)
    coming = on_their_way(get_source().balances([book.harbour.pk]))[book.harbour.pk]

    found = pending_of(ids(book))[book.harbour.pk]
    assert found.n == len(coming)
    assert found.is_unclear == any(one.is_unclear for one in coming) == is_stated


def test_a_portfolio_stated_long_ago_does_not_make_anothers_closed_orders_count_again(book, run, approver):
    (order,) = approve(run, approver, "Harbour", "AAA")
    close([order], done=5)
    state_anew(book.harbour)
    for long_ago in (None, timezone.now() - timedelta(days=900)):
        Portfolio.objects.filter(pk=book.cash_only.pk).update(holdings_stated_at=long_ago, cash_stated_at=long_ago)
        assert pending_of(ids(book)) == {}


def test_what_was_approved_earlier_is_counted_apart(book, run, approver):
    orders = approve(run, approver, "Harbour", "AAA", "BBB")
    earlier(orders[:1])

    assert pending_of(ids(book)) == {book.harbour.pk: Pending(1, n_earlier=1)}
    assert to_clear_up() == ToClearUp(0, 1)


def test_before_a_run_the_first_unclear_order_of_each_portfolio_is_named(book, run, approver):
    first, _ = approve(run, approver, "Harbour", "AAA", "BBB")
    approve(run, approver, "Lee", "AAA")
    state_anew(book.harbour)
    standing = standing_of(ids(book))

    assert (standing.n_pending, standing.n_unclear, standing.n_earlier) == (2, 1, 0)
    assert [order.pk for order in standing.unclear] == [first.pk]


def test_counting_takes_as_many_queries_for_all_portfolios_as_for_one(book, run, approver, django_assert_num_queries):
    approve(run, approver, "Harbour")
    approve(run, approver, "Lee")
    for asked in ([book.harbour.pk], ids(book)):
        with django_assert_num_queries(3):
            pending_of(asked)


def test_where_every_read_is_anew_every_open_order_is_unclear(book, run, approver, monkeypatch):
    """As with GlobeCo; and no service is asked for that."""
    approve(run, approver, "Harbour", "AAA")
    monkeypatch.setattr(pending, "get_source", GlobecoSource)

    assert pending_of(ids(book)) == {book.harbour.pk: Pending(1, is_unclear=True)}
    assert to_clear_up() == ToClearUp(1, 0)


def test_of_too_many_open_orders_nobody_invents_how_many_portfolios_are_unclear(
    as_manager, book, run, approver, monkeypatch
):
    approve(run, approver, "Harbour", "AAA")
    state_anew(book.harbour)
    assert to_clear_up() == ToClearUp(1, 0)

    monkeypatch.setattr(pending, "COUNTED", 0)
    assert to_clear_up() == ToClearUp(None, 0)
    assert "Unclear portfolios – too many orders are open to count" in words(as_manager.get("/"))


def test_the_dashboard_has_a_tile_for_each_and_none_where_there_is_nothing_to_say(as_manager, book, run, approver):
    page = words(as_manager.get("/"))
    assert "Orders on their way 0 none" in page
    assert "Unclear portfolios" not in page
    assert "Approved earlier" not in page

    orders = approve(run, approver, "Harbour", "AAA", "BBB")
    earlier(orders[:1])
    state_anew(book.harbour)
    page = words(as_manager.get("/"))
    assert "Orders on their way 1 runs count them" in page
    assert "Unclear portfolios 1" in page
    assert "Approved earlier 1" in page


def test_lists_of_portfolios_and_a_models_page_say_it_in_each_row(as_manager, book, run, approver):
    orders = approve(run, approver, "Harbour", "AAA", "BBB", "XXX")
    earlier(orders[:1])
    for address in ("/portfolios/", f"/models/{book.model.pk}/", "/"):
        page = words(as_manager.get(address))
        assert "2 orders on their way" in page, address
        assert "1 approved earlier" in page, address
        assert "unclear" not in page, address

    state_anew(book.harbour)
    assert "2 orders on their way, unclear" in words(as_manager.get("/portfolios/"))


def test_the_launch_page_says_how_many_are_left_out_and_leads_to_the_order(as_manager, book, run, approver):
    address = f"/rebalances/new?model={book.model.pk}"
    assert "With orders on their way 0" in words(as_manager.get(address))

    (unclear,) = approve(run, approver, "Harbour", "AAA")
    earlier(approve(run, approver, "Lee", "AAA"))
    state_anew(book.harbour)
    page = as_manager.get(address)
    text = words(page)
    assert "With orders on their way 1" in text
    assert "1 portfolio will be left out." in text
    assert f"BUY {unclear.quantity} AAA of run #1 for Harbour" in text
    assert f'href="/orders/{unclear.pk}/"' in page.content.decode()
    assert "1 portfolio has orders that were approved before orders were followed" in text
    assert 'href="/orders/?state=approved_earlier"' in page.content.decode()


def test_every_state_of_an_open_order_counts(book, run, approver):
    orders = approve(run, approver, "Harbour", "AAA")
    for state in ("sending", "not_sent", "unknown", "sent", "exported", "acknowledged", "partly_filled"):
        Order.objects.filter(pk=orders[0].pk).update(state=OrderState(state))
        assert pending_of(ids(book)) == {book.harbour.pk: Pending(1)}, state
