"""Each coupling inequality with numbers plugged in, and no solver."""

import pytest

from rebalance_app.domain import constraints
from rebalance_app.domain.constraints import broken_rows, totals_of
from rebalance_app.domain.integers import ledger
from rebalance_app.domain.types import TaxLot
from tests.domain.build import D, position, problem


@pytest.mark.parametrize(("bought", "kept"), [(90, True), (91, False), (-500, True)])
def test_cash_floor(bought, kept):
    assert constraints.cash_floor(100, bought, 10) is kept


@pytest.mark.parametrize(("bought", "kept"), [(90, True), (89, False)])
def test_cash_ceiling(bought, kept):
    assert constraints.cash_ceiling(100, bought, 10) is kept


@pytest.mark.parametrize(("traded", "kept"), [(100, True), (101, False)])
def test_turnover(traded, kept):
    assert constraints.turnover(traded, 100) is kept


@pytest.mark.parametrize(("orders", "kept"), [(0, True), (3, True), (4, False)])
def test_max_trades(orders, kept):
    assert constraints.max_trades(orders, 3) is kept


@pytest.mark.parametrize(("gain", "kept"), [(5, True), (6, False), (-10, True)])
def test_gain_budget(gain, kept):
    assert constraints.gain_budget(gain, 5) is kept


def test_totals_and_broken_rows_of_a_set_of_trades():
    lots = (TaxLot(D(4), D(12)), TaxLot(D(6), D(8)))
    book = ledger(
        problem(
            100,
            position("A", 10, 10, "0.5", "0.5", lots=lots),
            position("B", 0, 20, "0.5", "0.5"),
            max_turnover=D("0.25"),
            max_trades=1,
            gain_budget=D(1),
            max_cash=D(100),
        )
    )
    totals = totals_of(book, (-6, 4))
    assert [book.money(x) for x in (totals.bought, totals.traded, totals.gain)] == [20, 140, -4]
    assert totals.orders == 2
    assert broken_rows(book, (0, 0)) == ()
    assert broken_rows(book, (-6, 4)) == ("turnover", "max_trades")
    assert broken_rows(book, (0, 6)) == ("cash_floor", "turnover")
    assert broken_rows(book, (-10, 0)) == ("cash_ceiling", "gain_budget")
