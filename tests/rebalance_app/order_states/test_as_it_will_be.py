"""A portfolio as it will be stands beside the portfolio as it is: on its page, and over the API."""

from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from models_app.drift_index.live_drift import portfolio_view
from models_app.models import Holding, Portfolio
from rebalance_app.order_states.as_it_will_be import as_it_will_be
from rebalance_app.order_states.move import orders_move
from rebalance_app.runs.launch import run_launch
from tests.builders import portfolio
from tests.callers import Api
from tests.markup import words
from tests.rebalance_app.approved import approve, state_anew

pytestmark = pytest.mark.django_db


@pytest.fixture
def v2(viewer, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(viewer)})


def to_be(owner):
    return as_it_will_be(portfolio_view(owner.pk))


def test_nothing_on_its_way_is_nothing_to_show(book, run):
    assert to_be(book.harbour) is None


def test_it_is_what_the_next_run_takes_as_given(book, run, approver, manager, run_worker):
    approve(run, approver, "Harbour", "AAA", "XXX")
    then = to_be(book.harbour).view.drift
    again = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
    row = again.portfolios.get()

    assert (then.cash, then.market_value) == (row.cash_before, row.market_value)
    assert then.total_drift == row.drift_before


def test_once_all_of_it_is_done_the_portfolio_is_as_it_was_said_to_be(book, run, approver):
    orders = approve(run, approver, "Harbour")
    then = to_be(book.harbour).view
    for order in orders:
        sign = 1 if order.side == "BUY" else -1
        held, _ = Holding.objects.get_or_create(
            portfolio=book.harbour, security_id=order.security_id, defaults={"quantity": 0}
        )
        Holding.objects.filter(pk=held.pk).update(quantity=held.quantity + sign * order.quantity)
        book.harbour.cash -= sign * order.value
    Portfolio.objects.filter(pk=book.harbour.pk).update(cash=book.harbour.cash)
    with transaction.atomic():
        done = {order.pk: order.quantity for order in orders}
        orders_move("close", orders, known_at=timezone.now(), done=done)
    state_anew(book.harbour)

    now = portfolio_view(book.harbour.pk)
    assert now.drift == then.drift
    assert as_it_will_be(now) is None


def test_the_page_has_both_for_each_position_and_names_the_orders(as_manager, book, run, approver):
    bought, sold = approve(run, approver, "Harbour", "AAA", "XXX")
    page = words(as_manager.get(f"/portfolios/{book.harbour.pk}/"))
    then = to_be(book.harbour).view

    assert "2 orders on their way" in page
    assert f"+{bought.quantity} on its way" in page
    assert f"\N{MINUS SIGN}{sold.quantity} on its way" in page
    assert "→ nothing held" in page, "XXX is sold out"
    assert f"Cash 10,000.00 then {then.drift.cash:,.2f}" in page
    aaa = next(position for position in then.positions if position.ticker == "AAA")
    assert f"→ {aaa.drift.weight * 100:.2f}" in page


def test_the_page_says_that_nobody_knows_what_an_unclear_order_did(as_manager, book, run, approver):
    approve(run, approver, "Harbour", "AAA")
    state_anew(book.harbour)
    page = words(as_manager.get(f"/portfolios/{book.harbour.pk}/"))

    assert "stated anew since 1 of these was last heard of" in page
    assert "Runs leave the portfolio out" in page


def test_the_api_gives_the_orders_and_the_drift_to_be(v2, book, run, approver):
    path = f"/portfolios/{book.harbour.pk}/on-their-way"
    assert v2.get(path).json() == {"portfolio_id": book.harbour.pk, "open_orders": [], "drift": None}

    (bought,) = approve(run, approver, "Harbour", "AAA")
    answer = v2.get(path).json()
    told = {"id": bought.pk, "run": 1, "security_id": bought.security_id, "ticker": "AAA", "side": "BUY"}
    told |= {"quantity": bought.quantity, "price": "10.0000", "is_unclear": False}
    now = v2.get(f"/portfolios/{book.harbour.pk}/drift").json()
    assert answer["open_orders"] == [told]
    assert Decimal(answer["drift"]["cash"]) == Decimal(now["cash"]) - bought.value
    assert Decimal(answer["drift"]["market_value"]) == Decimal(now["market_value"])
    assert answer["drift"]["breaches"] == now["breaches"] - 1


def test_the_api_does_not_know_portfolios_and_models_that_there_are_not(v2, book):
    lonely = portfolio("Lonely", "5")

    assert v2.get(f"/portfolios/{'f' * 24}/on-their-way").status_code == 404
    assert v2.get(f"/portfolios/{lonely.pk}/on-their-way?model_id={book.model.pk}").status_code == 404
    assert v2.get(f"/portfolios/{lonely.pk}/on-their-way").json()["open_orders"] == []
    assert v2.get(f"/portfolios/{lonely.pk}/on-their-way?model_id=x").status_code == 422
