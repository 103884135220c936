"""Whatever a reason says would help does help when it is done."""

from collections import Counter
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.instances import alike, costly, small
from models_app.portfolio.types import TaxLot
from rebalance_app.formats.sentences import sentence
from rebalance_app.optimiser.solve import loosened, solve
from tests.rebalance_app.optimiser.build import D, codes, position, problem

DRIFTS = {"low_drift_needed": "low_drift", "high_drift_needed": "high_drift"}
ADVICE = {
    "low_drift_needed": "widen the low drift to {:.2f} points",
    "high_drift_needed": "widen the high drift to {:.2f} points",
    "market_value_needed": "bring the market value to at least {:,.2f}",
    "cash_needed": "add {:,.2f} of cash",
    "cash_at_most": "lower the floor to {:,.2f}",
    "cash_at_least": "raise the ceiling to {:,.2f}",
    "min_trade_needed": "lower the minimum trade value to {:,.2f}",
    "trades_needed": "raise the limit to {}",
    "turnover_needed": "raise the limit to {:.2f} %",
    "gain_needed": "raise the budget to {:,.2f}",
}
TOWARD = {
    "cash_at_most": ROUND_FLOOR,
    "cash_at_least": ROUND_CEILING,
    "min_trade_needed": ROUND_FLOOR,
    "gain_needed": ROUND_CEILING,
}


def with_remedies(stated, market_value, reason):
    """Each thing that the reason's sentence advises, by name, and the problem after doing it."""
    for name, value in reason.numbers.items():
        if name in DRIFTS:
            wider = [
                replace(p, **{DRIFTS[name]: value}) if p.security_id == reason.security_id else p
                for p in stated.positions
            ]
            yield name, replace(stated, positions=tuple(wider))
        elif name in {"cash_needed", "market_value_needed"}:
            added = value if name == "cash_needed" else value - market_value
            yield name, replace(stated, cash=stated.cash + added)
    if reason.code == "RESTRICTION_CONFLICT":
        lifted = [
            replace(p, can_buy=True, can_sell=True) if p.security_id == reason.security_id else p
            for p in stated.positions
        ]
        yield "lifted", replace(stated, positions=tuple(lifted))
    names = [name for name in reason.numbers if name in ADVICE or reason.code == "LIMITS_CONFLICT"]
    limits = [name for name in names if name not in DRIFTS and name not in {"cash_needed", "market_value_needed"}]
    for name, options in zip(limits, loosened(stated.options, reason), strict=True):
        yield name, replace(stated, options=options)


def remedies_work(stated):
    """Do everything that every reason advises, one at a time; the advices that were tried."""
    solution = solve(stated)
    tried = []
    if solution.status != "infeasible":
        return tried
    for reason in solution.reasons:
        for name, easier in with_remedies(stated, solution.market_value, reason):
            after = solve(easier)
            left = {(r.code, r.security_id) for r in after.reasons}
            assert after.status != "error", (name, reason, after.reasons)
            assert (reason.code, reason.security_id) not in left, (name, reason)
            if reason.code == "LIMITS_CONFLICT":
                assert after.solved
            elif name != "lifted":
                told = reason.numbers[name] * (100 if name in {*DRIFTS, "turnover_needed"} else 1)
                if name in TOWARD:  # what is said to suffice is rounded to the side that does
                    told = told.quantize(D("0.01"), rounding=TOWARD[name])
                assert ADVICE[name].format(told) in sentence(reason).lower()
            tried.append(f"{reason.code} {name}")
    return tried


def test_a_gain_between_two_cents_is_told_as_the_next():
    """Of seed 48445, found by chance."""
    assert "GAIN_BUDGET_TOO_LOW gain_needed" in remedies_work(small(48445))


@pytest.mark.slow
def test_every_remedy_of_every_reason_does_what_it_says():
    tried = Counter(name for seed in range(600) for name in remedies_work(small(seed)))
    tried.update(name for seed in range(150) for name in remedies_work(alike(seed)))
    assert set(tried) >= {
        "BAND_TOO_NARROW high_drift_needed",
        "BAND_TOO_NARROW low_drift_needed",
        "BAND_TOO_NARROW market_value_needed",
        "RESTRICTION_CONFLICT lifted",
        "RESTRICTION_CONFLICT low_drift_needed",
        "RESTRICTION_CONFLICT high_drift_needed",
        "MIN_TRADE_CONFLICT min_trade_needed",
        "SHORT_OF_CASH cash_needed",
        "SHORT_OF_CASH cash_at_most",
        "CASH_ABOVE_CEILING cash_at_least",
        "TURNOVER_TOO_LOW turnover_needed",
        "TOO_FEW_TRADES trades_needed",
        "GAIN_BUDGET_TOO_LOW gain_needed",
        "LIMITS_CONFLICT turnover",
        "LIMITS_CONFLICT cash_floor",
    }, tried


@settings(max_examples=60, deadline=None)
@given(st.integers(min_value=10_000, max_value=10**9))
def test_remedies_of_any_problem_do_what_they_say(seed):
    remedies_work(small(seed))
    remedies_work(costly(small(seed), seed))


def test_cash_that_does_not_reach_for_the_costs_says_so():
    solution = solve(problem(100, position("A", 0, 10, "1", "0"), cost_bps=D(100), reserve_costs=True))
    (reason,) = solution.reasons
    assert (reason.code, reason.numbers["short"], reason.numbers["cash_at_most"]) == ("SHORT_OF_CASH", D(1), D(-1))
    assert "-1.00 is left after costs, and the cash floor is 0.00" in sentence(reason)


def test_a_share_that_is_too_dear_is_told_with_its_part_of_the_portfolio_and_every_way_out():
    solution = solve(problem(100_000, position("BRK.A", 0, 41_000, "0.05", "0.01")))
    (reason,) = solution.reasons
    assert sentence(reason) == (
        "One share of BRK.A is worth 41,000.00, 41.00 % of this portfolio, and its band is 2.00 points wide: "
        "4,000.00 to 6,000.00. No whole number of them has a value in it; the nearest are 0.00 and 41,000.00. "
        "Widen the high drift to 36.00 points, or widen the low drift to 5.00 points, or exclude BRK.A, or bring the "
        "market value to at least 683,333.34."
    )


def test_a_band_that_no_money_of_the_portfolio_reaches_is_not_advised():
    (reason,) = solve(problem(10_000, position("BRK.A", 0, 41_000, "0.05", "0.01"))).reasons
    assert set(reason.numbers) & set(DRIFTS) == {"low_drift_needed"}


def test_a_forced_gain_above_its_budget_says_what_it_takes():
    gaining = position("A", 100, 10, "0.5", "0.1", lots=(TaxLot(D(100), D(4)),))
    solution = solve(problem(0, gaining, gain_budget=D(100)))
    assert codes(solution) == ["GAIN_BUDGET_TOO_LOW"]
    assert solution.reasons[0].numbers == {"gain_needed": 240}
    assert solve(problem(0, gaining, gain_budget=D(240))).solved
    assert not solve(problem(0, gaining, gain_budget=D(239))).solved


@pytest.mark.parametrize("limit", [{"max_turnover": D("0.05")}, {"max_cash": D(50)}, {"max_trades": 0}])
def test_a_nearest_answer_relaxes_whatever_limit_stands_in_its_way(limit):
    short = position("A", -5, 10, "0.2", "0.1")
    solution = solve(problem(200, short, position("B", 0, 10, "0.2", "0.1"), nearest=True, **limit))
    assert solution.status == "infeasible"
    assert solution.nearest.solved
