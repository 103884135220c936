"""At multipliers that no relaxation would give: the first of all answers within a distance, or none is there."""

import math
import random
from contextlib import suppress
from dataclasses import replace
from itertools import count, islice

import numpy as np
import pytest

from benchmarks.instances import alike, small
from models_app.portfolio.types import TaxLot
from rebalance_app.optimiser.canonical import candidates, dominance, indifferent
from rebalance_app.optimiser.canonical.at_bound import first_at_bound
from rebalance_app.optimiser.canonical.dominance import best_within
from rebalance_app.optimiser.closed_form import solve_alone
from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.milp.breakpoints import table
from rebalance_app.optimiser.milp.highs import LpRelaxation
from rebalance_app.optimiser.milp.lagrangian import lagrangian_bound
from rebalance_app.optimiser.problem.coupling import coupling_rows
from rebalance_app.optimiser.problem.integer_problem import ONE, integer_problem
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem, shares
from tests.rebalance_app.optimiser.oracle import best

MULTIPLIERS = (0, 0, ONE, ONE, ONE + ONE // 1000, ONE // 2, 2 * ONE)


def too_much(_points):
    """No problem of its own is solved here."""
    raise SearchLimit


def varied(seed):
    """Securities that are alike, of two prices, some held in two lots, under limits of every kind."""
    rng, stated = random.Random(seed), alike(seed)
    chances = {
        "max_cash": (0.3, lambda: D(rng.randint(0, 200))),
        "gain_budget": (0.4, lambda: D(rng.randint(-20, 60))),
        "cost_bps": (0.3, lambda: D(10_000)),  # trading costs what it brings
        "max_turnover": (0.6, lambda: D(rng.randint(2, 60)) / 200),
        "min_trade_value": (0.3, lambda: D(rng.choice([20, 50, 75]))),
    }
    chosen = {name: make() for name, (chance, make) in chances.items() if rng.random() < chance}

    def other(p):
        price, held = p.price * rng.choice([1, 1, 2]), D(rng.randint(0, 9))
        some = D(rng.randint(0, int(held)))
        lots = tuple(TaxLot(n, D(rng.randint(5, 60))) for n in (some, held - some) if n)
        return replace(p, price=price, quantity=held, lots=lots, lot_size=rng.choice([1, 1, 2]))

    options = replace(stated.options, **chosen)
    return replace(stated, positions=tuple(other(p) for p in stated.positions), options=options)


def open_ones():
    """Problems with the points of their securities, where there is a coupling row and something to choose."""
    for seed in count():
        stated = small(seed) if seed % 4 == 0 else varied(seed)
        book = integer_problem(stated)
        if book.market_value > 0 and coupling_rows(book) and not stated.options.hold:
            choices, _ = solve_alone(book)
            if all(c.segments for c in choices) and any(c.least < c.most for c in choices):
                yield seed, stated, book, table(book, choices)


def at_multipliers(stated, book, points, multipliers, expected):
    """The problem at multipliers, its first answer in steps, and how far this is from the bound; None for none."""
    at = LpRelaxation(points, None, multipliers, lagrangian_bound(points, multipliers), 0.0)
    if expected is None:
        return at, None, None
    trades = tuple(expected[2][security.position.security_id] // security.lot for security in book.securities)
    return at, trades, int(expected[0] * ONE * 10**book.places) - at.bound


LITTLE = {
    "as it is": {},
    "few to compare with": {(dominance, "COMPARED"): 2},
    "nothing to fill with": {(indifferent, "LARGEST_FILL"): 1},
    "few steps": {(candidates, "MOST_STEPS"): 25},
}


@pytest.mark.parametrize(
    "little", [pytest.param(name, marks=[pytest.mark.slow] if LITTLE[name] else []) for name in LITTLE]
)
def test_within_a_distance_is_found_the_first_of_all_answers_or_there_is_none(little, monkeypatch):
    for (module, name), value in LITTLE[little].items():
        monkeypatch.setattr(module, name, value)
    compared = 0
    for seed, stated, book, points in islice(open_ones(), 300):
        rng = random.Random(seed)
        at, trades, away = at_multipliers(
            stated, book, points, {name: rng.choice(MULTIPLIERS) for name in points.rows}, best(stated)
        )
        cases = [(10**14, None)] if trades is None else [(away, trades), (2 * away + 1, trades), (away - 1, None)]
        for gap, expected in cases:
            if gap >= 0:
                with suppress(SearchLimit):
                    assert best_within(at, gap) == expected, (stated, at.multipliers, gap)
                    compared += 1
    assert compared > 250


def order_multiplier(book, points, multipliers, rng):
    """At which, if it is above 0, some trade of some security is worth as much as none."""
    values = points.lagrangian_costs({**multipliers, "max_trades": 0})
    some = rng.randrange(len(values))
    none = [m for m in np.flatnonzero(points.security == points.security[some]) if not points.steps[m]]
    return max([0, *((values[m] - values[some]) // 10**book.places for m in none)])


@pytest.mark.parametrize(
    "rows",
    [
        ("cash_floor",),
        ("cash_ceiling",),
        ("turnover",),
        ("cash_floor", "turnover"),
        ("cash_floor", "max_trades"),
        ("turnover", "max_trades"),
    ],
)
def test_what_attains_the_bound_at_any_multipliers_is_the_first_of_all_answers(rows):
    found = 0
    for seed, stated, book, points in islice(open_ones(), 400):
        if set(rows) <= points.rows.keys():
            rng = random.Random(seed)
            expected = best(stated)
            for _ in range(5 if "max_trades" in rows else 1):
                multipliers = {name: rng.choice(MULTIPLIERS[2:]) for name in rows}
                if "max_trades" in rows:
                    multipliers["max_trades"] = order_multiplier(book, points, multipliers, rng)
                at, trades, away = at_multipliers(stated, book, points, multipliers, expected)
                with suppress(SearchLimit):
                    attained, nearer = first_at_bound(points, at.multipliers, math.inf, too_much)
                    assert attained in (trades, None)
                    assert attained is not None or trades is None or nearer <= away
                    found += attained is not None
    assert found > 1


@pytest.mark.parametrize("most", [1, 2, 5])
def test_where_more_orders_are_allowed_than_there_are_securities_no_answer_is_nearer_than_said(most):
    book = integer_problem(problem(50, position("A", 0, 10, "0.4", "0.1"), min_cash=D(11), max_trades=most))
    choices, _ = solve_alone(book)
    points, multipliers = table(book, choices), {"cash_floor": ONE, "max_trades": ONE}
    _, trades, away = at_multipliers(book.problem, book, points, multipliers, best(book.problem))
    attained, nearer = first_at_bound(points, multipliers, math.inf, too_much)
    assert attained in (trades, None)
    assert nearer <= away


def test_where_trading_costs_what_it_brings_no_more_is_traded_than_the_limits_ask():
    two = (position(name, 0, 10, "0.4", "0.4") for name in "BA")
    solution = solve(problem(100, *two, max_cash=D(50), cost_bps=D(10_000)))
    assert shares(solution) == {"A": 4, "B": 1}
    assert (solution.method, solution.first) == ("milp", True)


def test_sales_that_count_the_same_but_gain_differently_stay_within_the_gain_budget():
    dear, cheap = (position(n, 8, 10, "0.25", "0.25", lots=(TaxLot(D(8), D(c)),)) for n, c in (("B", 10), ("A", 5)))
    solution = solve(problem(0, dear, cheap, gain_budget=D(5), max_turnover=D("0.125")))
    assert shares(solution) == {"A": -1, "B": -3}
    assert (solution.method, solution.first) == ("milp", True)


def whole_blocks(value, unit):
    """Blocks worth a third of `value` each, and alike small ones of which the cash above the floor buys three."""
    blocks = [D(value) / 3 + D("0.37"), D(value) / 3 + D("11.91")]
    blocks = [each.quantize(D("0.01")) for each in blocks]
    cash = (sum(blocks) * D("1.3")).quantize(D("0.01"))
    exact = D(1).scaleb(-17)
    large = (
        position(f"L{i}", 0, each, (each / cash).quantize(D("0.000001")) + D("0.000001"))
        for i, each in enumerate(blocks)
    )
    large = [replace(p, low_drift=p.target, high_drift=D("0.0000001")) for p in large]
    small_ones = []
    for name, most in zip("ABCD", (1, 1, 3, 3), strict=True):
        weight = (unit * most / cash).quantize(exact) + exact
        small_ones.append(position(name, 0, unit, str(weight), (str(weight), str(2 * exact))))
    return problem(cash, *large, *small_ones, min_cash=cash - sum(blocks) - 3 * unit, max_trades=4)


@pytest.mark.parametrize("value", [2 * 10**10, 2 * 10**12])
def test_of_equals_beside_blocks_of_billions_the_first_is_chosen(value):
    solution = solve(whole_blocks(value, D("20.73")))
    assert solution.first
    assert {name: k for name, k in shares(solution).items() if name in "ABCD"} == {"A": 1, "C": 2}


def test_a_smallest_order_of_more_grains_than_64_bits_count_is_made_or_refused_and_never_left_out():
    held, value = D("123.456789"), D(10) ** 13
    weight = str(held / (2 * value))
    two = position("A", 0, 1000, "0.5", ("0.5", "0")), position("B", 1, held, weight, weight)
    floor = value - held + D("19000.000001")
    solution = solve(problem(2 * value - held, *two, min_cash=floor, min_trade_value=value - 50_000))
    made = shares(solution) if solution.solved else solution.reasons[0].code
    assert made in ({"A": 9_999_999_981, "B": -1}, "SOLVER_FAILED")


def test_a_smallest_order_of_more_shares_than_64_bits_count_that_cash_does_not_reach_is_not_made():
    dust = position("A", 0, "0.000000000001", "0.5", ("0.5", "0"))
    other = position("B", 0, "1234567.89", "0.4", ("0.4", "0.1"))
    smallest = D(10) ** 8
    solution = solve(problem(2 * smallest, dust, other, min_cash=smallest + 3, min_trade_value=smallest))
    assert shares(solution) == {}
