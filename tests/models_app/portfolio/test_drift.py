"""Drift is actual − target everywhere, and band use puts it on the scale of its own band."""

import pytest

from models_app.portfolio.drift import band_use_of, portfolio_drift
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem, shares


@pytest.mark.parametrize(
    ("drift", "use"),
    [("0", "0"), ("0.02", "0.4"), ("0.05", "1"), ("0.06", "1.2"), ("-0.01", "-0.5"), ("-0.02", "-1")],
)
def test_band_use_is_drift_over_the_side_of_the_band_it_lies_on(drift, use):
    assert band_use_of(D(drift), D("0.02"), D("0.05")) == D(use)


def test_where_a_side_of_the_band_has_no_width_there_is_no_band_use():
    assert band_use_of(D("0.1"), D(0), D("0")) is None
    assert band_use_of(D(0), D(0), D(0)) == 0


def portfolio():
    positions = (
        position("A", 35, 10, "0.30", "0.05"),
        position("B", 24, 10, "0.30", "0.05"),
        position("C", 10, 10, "0.10", "0.05"),
        position("D", 5, 10),
        position("E", 14, 10, "0.10", "0.05"),
    )
    return portfolio_drift(positions, D(120), commission_rate=D("0.001"))


def test_states_have_exact_edges():
    states = {p.security_id: p.state for p in portfolio().positions}
    assert states == {"A": "near", "B": "breach_under", "C": "in_band", "D": "not_in_model", "E": "near"}


def test_a_portfolio_adds_up():
    found = portfolio()
    assert (found.market_value, found.cash, found.cash_weight) == (1000, 120, D("0.12"))
    assert found.total_drift == 50 + 60 + 0 + 50 + 40
    assert found.total_drift_weight == D("0.2")
    assert (found.breaches, found.worst_band_use) == (2, None)
    assert (found.trades, found.trade_value, found.trade_cost) == (4, 200, D("0.2"))


def test_shares_to_target_are_the_trades_that_a_rebalance_proposes():
    stated = problem(
        400,
        position("A", 35, 10, "0.3", "0.05"),
        position("B", 7, "33.3", "0.3", ("0.01", "0.05")),
        position("D", 5, 10),
        position("S", -4, 7, "0.1", "0.1"),
    )
    found = portfolio_drift(stated.positions, stated.cash)
    assert {p.security_id: p.shares_to_target for p in found.positions if p.shares_to_target} == shares(solve(stated))


def test_an_unpriced_holding_leaves_the_market_value_unknown_and_says_which():
    found = portfolio_drift([position("A", 5, None, "0.5", "0.1"), position("B", 5, 10, "0.5", "0.1")], D(100))
    assert (found.market_value, found.total_drift, found.trade_value, found.cash_weight) == (None, None, None, None)
    assert [(p.state, p.weight, p.shares_to_target) for p in found.positions] == [
        ("unpriced", None, None),
        ("unknown", None, None),
    ]
    assert found.trades == 0


def test_a_security_without_price_that_is_not_held_hides_nothing_else():
    found = portfolio_drift([position("A", 0, None, "0.5", "0.1"), position("B", 5, 10, "0.5", "0.1")], D(50))
    assert found.market_value == 100
    assert [(p.state, p.shares_to_target) for p in found.positions] == [("unpriced", None), ("in_band", 0)]


def test_an_empty_portfolio_has_no_weights_and_no_error():
    found = portfolio_drift([position("A", 0, 10, "0.5", "0.1")], D(0))
    assert (found.market_value, found.cash_weight, found.total_drift) == (0, None, 0)
    assert found.positions[0].weight is None


def test_the_worst_is_the_largest_band_use_when_every_position_has_a_band():
    found = portfolio_drift([position("A", 31, 10, "0.3", "0.05"), position("B", 28, 10, "0.3", "0.02")], D(410))
    assert found.worst_band_use == -1
