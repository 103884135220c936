"""Each inequality with numbers plugged in, and no solver."""

import pytest

from models_app.portfolio import bands
from models_app.portfolio.types import TaxLot
from rebalance_app.optimiser.canonical.branching import min_trades
from rebalance_app.optimiser.problem import constraints
from rebalance_app.optimiser.problem.bounds import smallest_trades
from rebalance_app.optimiser.problem.coupling import TradeTotals, broken, broken_rows, totals_of
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.objective import score
from tests.rebalance_app.optimiser.build import D, position, problem


def keeps(row, **sums):
    """Whether a row permits sums, all others of which are 0."""
    totals = dict.fromkeys(("net_bought", "spent", "traded", "orders", "gain"), 0) | sums
    return broken({"row": row}, TradeTotals(**totals)) == ()


@pytest.mark.parametrize(("spent", "kept"), [(90, True), (91, False), (-500, True)])
def test_cash_floor_after_costs(spent, kept):
    assert keeps(constraints.cash_floor(100, 10, after_costs=True), spent=spent) is kept


@pytest.mark.parametrize(("net_bought", "kept"), [(90, True), (91, False), (-500, True)])
def test_cash_floor(net_bought, kept):
    assert keeps(constraints.cash_floor(100, 10), net_bought=net_bought) is kept


@pytest.mark.parametrize(("net_bought", "kept"), [(90, True), (89, False)])
def test_cash_ceiling(net_bought, kept):
    assert keeps(constraints.cash_ceiling(100, 10), net_bought=net_bought) is kept


@pytest.mark.parametrize(("traded", "kept"), [(100, True), (101, False)])
def test_turnover(traded, kept):
    assert keeps(constraints.turnover(100), traded=traded) is kept


@pytest.mark.parametrize(("orders", "kept"), [(0, True), (3, True), (4, False)])
def test_max_trades(orders, kept):
    assert keeps(constraints.max_trades(3), orders=orders) is kept


@pytest.mark.parametrize(("orders", "kept"), [(2, False), (3, True), (4, True)])
def test_min_trades(orders, kept):
    assert keeps(min_trades(3), orders=orders) is kept


@pytest.mark.parametrize(("gain", "kept"), [(5, True), (6, False), (-10, True)])
def test_gain_budget(gain, kept):
    assert keeps(constraints.gain_budget(5), gain=gain) is kept


@pytest.mark.parametrize(
    ("held", "steps"),
    [(0, (3, 4)), (30, (0, 1)), (50, (-2, -1)), (35, (0, 0)), (-10, (4, 5))],
)
def test_band_of_30_to_40_in_steps_of_10(held, steps):
    assert bands.band(held, 10, 30, 40) == steps


def test_a_band_that_no_step_ends_in_is_an_empty_interval():
    least, most = bands.band(0, 30, 40, 50)
    assert least > most


def test_a_band_below_zero_permits_no_short():
    assert bands.band(20, 10, -15, 5) == (-2, -2)


@pytest.mark.parametrize(("held", "step", "steps"), [(30, 10, -3), (35, 10, -3), (-25, 10, 3), (0, 10, 0)])
def test_sold_out_but_for_a_fraction_and_never_short(held, step, steps):
    assert bands.sold_out(held, step) == (steps, steps)


def test_where_bands_are_soft_anything_up_to_the_whole_portfolio_may_be_held():
    assert constraints.portfolio(30, 10, 100) == (-3, 7)
    assert constraints.portfolio(300, 10, 100) == (-30, 0)


@pytest.mark.parametrize(
    ("limit", "steps"),
    [
        (constraints.do_not_buy, (-3, 0)),
        (constraints.do_not_sell, (0, 5)),
        (lambda steps: constraints.raise_cash(steps, held=30), (-3, 0)),
        (lambda steps: constraints.raise_cash(steps, held=-30), (0, 0)),
        (lambda _: constraints.do_not_trade(), (0, 0)),
    ],
)
def test_restrictions_and_modes_cut_the_interval(limit, steps):
    assert limit((-3, 5)) == steps


def test_do_not_buy_leaves_nothing_where_the_band_asks_for_a_buy():
    least, most = constraints.do_not_buy((2, 5))
    assert least > most


@pytest.mark.parametrize(("held", "breached"), [(29, True), (30, False), (40, False), (41, True)])
def test_only_what_is_outside_its_band_is_breached(held, breached):
    assert constraints.is_breached(held, 30, 40) is breached


@pytest.mark.parametrize(
    ("steps", "segments"),
    [
        ((-5, 5), ((-5, -2), (0, 0), (3, 5))),
        ((-1, 2), ((0, 0),)),
        ((1, 2), ()),
        ((1, 4), ((3, 4),)),
        ((-4, -3), ((-4, -3),)),
        ((3, 2), ()),
    ],
)
def test_no_sale_below_two_steps_and_no_buy_below_three(steps, segments):
    assert constraints.min_trade(steps, buy=3, sell=2) == segments


def test_a_minimum_trade_of_one_step_parts_nothing():
    assert constraints.min_trade((-5, 5), buy=1, sell=1) == ((-5, 5),)


@pytest.mark.parametrize(("held", "minimum", "expected"), [(10, 35, (4, 4)), (3, 35, (4, 3)), (0, 35, (4, 4))])
def test_an_order_is_large_enough_or_closes_the_position(held, minimum, expected):
    book = integer_problem(problem(100, position("A", held, 10, "0.5", "0.5"), min_trade_value=D(minimum)))
    assert smallest_trades(book, book.securities[0]) == expected


@pytest.mark.parametrize(
    ("options", "steps", "expected"),
    [
        ({}, 2, 10),
        ({}, -1, 40),
        ({"cost_bps": D(50)}, 2, D("10.1")),
        ({"ticket_cost": D(4)}, 2, 14),
        ({"ticket_cost": D(4)}, 0, 30),
        ({"mode": "within_bands"}, 2, D("20.01")),
        ({"mode": "only_breached"}, 2, 10),
        ({"mode": "invest_cash"}, 1, 20 + 1000 * 10),
        ({"mode": "raise_cash"}, -1, 40 + 2 * 10 + 1000 * 30),
        ({"mode": "raise_cash"}, 5, 20 + 2 * 50),
        ({"soft_bands": True}, 5, 20 + 1000 * 10),
    ],
)
def test_what_each_mode_and_cost_adds_to_the_objective_of_20_held_of_50_within_40_to_60(options, steps, expected):
    book = integer_problem(problem(80, position("A", 2, 10, "0.5", "0.1"), **options))
    assert book.score_money(score(book, book.securities[0], steps)) == expected


def test_totals_and_broken_rows_of_a_set_of_trades():
    lots = (TaxLot(D(4), D(12)), TaxLot(D(6), D(8)))
    book = integer_problem(
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
    assert [book.money(x) for x in (totals.net_bought, totals.traded, totals.gain)] == [20, 140, -4]
    assert totals.orders == 2
    assert broken_rows(book, (0, 0)) == ()
    assert broken_rows(book, (-6, 4)) == ("turnover", "max_trades")
    assert broken_rows(book, (0, 6)) == ("cash_floor", "turnover")
    assert broken_rows(book, (-10, 0)) == ("cash_ceiling", "gain_budget")
