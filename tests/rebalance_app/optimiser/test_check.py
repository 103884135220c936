"""The independent check finds every way an answer can be wrong, and imports nothing that could share its mistake."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from models_app.portfolio.types import TaxLot, Trade
from rebalance_app.optimiser.check import scalar as verify
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem

PROBLEM = problem(
    1000,
    position("A", 10, 20, "0.3", "0.05"),
    position("B", 28, 10, "0.2", "0.05"),
    position("X", 5, "4.5"),
    min_cash=D(100),
)
SOLUTION = solve(PROBLEM)


def moved(name, by):
    """The solution with one more or fewer share of one security, its orders and cash adjusted to match."""
    quantities = SOLUTION.quantities | {name: SOLUTION.quantities[name] + by}
    held = {p.security_id: p for p in PROBLEM.positions}
    changes = {n: int(q - held[n].quantity) for n, q in quantities.items()}
    trades = tuple(Trade(n, "BUY" if c > 0 else "SELL", abs(c)) for n, c in changes.items() if c)
    cash = PROBLEM.cash - sum(held[n].price * c for n, c in changes.items())
    drift = sum(abs(SOLUTION.market_value * p.target - p.price * quantities[p.security_id]) for p in PROBLEM.positions)
    figures = {"objective": drift, "drift_value": drift, "lower_bound": drift, "gap": D(0), "cash_after": cash}
    figures["cash_after_costs"] = cash
    return replace(SOLUTION, quantities=quantities, trades=trades, **figures)


def test_a_correct_answer_passes():
    assert SOLUTION.status == "optimal"
    assert verify.violations(PROBLEM, SOLUTION) == ()


@pytest.mark.parametrize("name", ["A", "B", "X"])
@pytest.mark.parametrize("by", [-1, 1, -10, 10, 1000])
def test_one_share_more_or_less_is_found_even_with_matching_orders_and_cash(name, by):
    assert verify.violations(PROBLEM, moved(name, by))


@pytest.mark.parametrize(
    "change",
    [
        {"cash_after": SOLUTION.cash_after + D("0.01")},
        {"cash_after_costs": SOLUTION.cash_after_costs - D("0.01")},
        {"cash_after_costs": None},
        {"objective": SOLUTION.objective - 1},
        {"drift_value": SOLUTION.drift_value + 1},
        {"lower_bound": SOLUTION.objective + 1, "gap": D(-1)},
        {"lower_bound": SOLUTION.objective - 1, "gap": D(1)},
        {"market_value": SOLUTION.market_value + 1},
        {"quantities": {}},
        {"quantities": SOLUTION.quantities | {"Z": D(1)}},
        {"trades": SOLUTION.trades[:-1]},
        {"trades": (*SOLUTION.trades, Trade("B", "BUY", 1))},
        {"trades": tuple(replace(t, side="BUY" if t.side == "SELL" else "SELL") for t in SOLUTION.trades)},
        {"trades": tuple(replace(t, quantity=t.quantity + 1) for t in SOLUTION.trades)},
        {"trades": (*SOLUTION.trades, SOLUTION.trades[0])},
    ],
)
def test_every_single_field_that_is_changed_is_found(change):
    assert verify.violations(PROBLEM, replace(SOLUTION, **change))


@pytest.mark.parametrize(
    "stricter",
    [
        {"min_cash": D(1000)},
        {"max_cash": D(100)},
        {"min_cash_weight": D("0.9")},
        {"max_cash_weight": D("0.1")},
        {"min_trade_value": D(1000)},
        {"max_turnover": D("0.01")},
        {"max_trades": 1},
        {"hold": True},
        {"mode": "invest_cash"},
        {"mode": "raise_cash"},
        {"mode": "only_breached"},
    ],
)
def test_an_answer_to_an_easier_problem_does_not_pass_for_a_harder_one(stricter):
    harder = replace(PROBLEM, options=replace(PROBLEM.options, **stricter))
    assert verify.violations(harder, SOLUTION)


def test_an_answer_whose_costs_are_taken_from_the_floor_is_found():
    stated = problem(1000, position("A", 0, 10, "0.9", "0.2"), min_cash=D(100), cost_bps=D(100))
    kept = replace(stated, options=replace(stated.options, reserve_costs=True))
    assert verify.violations(stated, solve(stated)) == verify.violations(kept, solve(kept)) == ()
    assert verify.violations(kept, solve(stated)) == ("cash after the trades is below its floor",)


@pytest.mark.parametrize("change", [{"can_buy": False}, {"lot_size": 7}])
def test_a_forbidden_buy_and_an_odd_lot_are_found(change):
    first, *rest = PROBLEM.positions
    assert verify.violations(replace(PROBLEM, positions=(replace(first, **change), *rest)), SOLUTION)


def test_a_gain_above_its_budget_is_found():
    *others, last = PROBLEM.positions
    taxed = replace(last, lots=(TaxLot(D(5), D(1)),))
    harder = replace(
        PROBLEM, positions=(*others, taxed), options=replace(PROBLEM.options, gain_budget=D(1), mode="only_breached")
    )
    assert "the realised gain is above its budget" in verify.violations(harder, SOLUTION)


def test_the_check_imports_no_solver_and_none_of_the_modules_that_solve():
    tree = ast.parse(Path(verify.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"collections.abc", "decimal", "models_app.portfolio.types"}


def test_an_answer_that_fails_the_check_is_an_error_and_carries_no_orders(monkeypatch):
    monkeypatch.setattr("rebalance_app.optimiser.solve.violations", lambda *_: ("a planted fault",))
    solution = solve(PROBLEM)
    assert (solution.status, solution.trades, solution.quantities) == ("error", (), {})
    assert solution.reasons[0].code == "VERIFY_FAILED"
