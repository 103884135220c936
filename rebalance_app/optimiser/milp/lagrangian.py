"""Proving an answer without branching: prices on the coupling rows make the problem separable again.

For any prices y ≥ 0 on rows g(k) ≤ 0,   min_k score(k) + y·g(k)   is a lower bound on the best score, and it falls
apart into one small minimum per line, each at a breakpoint. It is evaluated in exact integers, so that wherever the
prices came from (here: the duals of the relaxation that CVXPY states), the bound is a proof.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise, product
from math import gcd, prod

import numpy as np

from rebalance_app.optimiser.problem.bounds import Choice
from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.coupling import broken_rows
from rebalance_app.optimiser.problem.integer_problem import ONE, Ledger
from rebalance_app.optimiser.problem.objective import score

from .breakpoints import Table, Whole

MOST_ROUNDINGS = 512


def whole_prices(duals: Mapping[str, float]) -> dict[str, int]:
    """Dual values as whole numbers over ONE, never below 0."""
    return {name: max(0, round(float(value) * ONE)) for name, value in duals.items()}


def grid(ledger: Ledger) -> int:
    """The grains of which all that is bought, and all that is traded, is a multiple."""
    return gcd(*(line.step for line in ledger.lines))


def row_limits(ledger: Ledger) -> dict[str, int]:
    """The most that every row that is asked for permits, in grains, rounded to what trades reach.

    As in `Table.uses`, an order counts as a unit of money.
    """
    unit = grid(ledger)
    limits: dict[str, int | None] = {
        "cash_floor": (ledger.cash - ledger.floor) // unit * unit,
        "cash_ceiling": None if ledger.ceiling is None else (ledger.ceiling - ledger.cash) // unit * unit,
        "turnover": None if ledger.trade_cap is None else ledger.trade_cap // unit * unit,
        "max_trades": None if ledger.most_orders is None else ledger.most_orders * 10**ledger.places,
        "min_trades": -ledger.fewest_orders * 10**ledger.places if ledger.fewest_orders else None,
        "gain_budget": ledger.gain_budget,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def priced_bound(points: Table, prices: Mapping[str, int]) -> int:
    """A proven lower bound on the score of every answer, exact."""
    least: int = np.minimum.reduceat(points.priced(prices), points.start).sum()
    limits = row_limits(points.ledger)
    return least - sum(price * limits[name] for name, price in prices.items())


def kept_steps(points: Table, values: Whole, gap: int) -> dict[int, list[Interval]]:
    """By line, the steps of each part where the values, convex and linear between points, are within `gap` of least."""
    limit = np.minimum.reduceat(values, points.start)[points.line] + gap
    inside, k = values <= limit, points.steps
    low, high = k.copy(), k.copy()
    at = np.flatnonzero(points.part[1:] == points.part[:-1])
    i = at[~inside[at] & inside[at + 1]]
    low[i + 1] -= (limit[i] - values[i + 1]) * (k[i + 1] - k[i]) // (values[i] - values[i + 1])
    i = at[inside[at] & ~inside[at + 1]]
    high[i] += (limit[i] - values[i]) * (k[i + 1] - k[i]) // (values[i + 1] - values[i])
    found: dict[int, list[Interval]] = {}
    for _, group in groupby(np.flatnonzero(inside), key=points.part.__getitem__):
        which = list(group)
        found.setdefault(int(points.line[which[0]]), []).append((low[which[0]], high[which[-1]]))
    return found


def _cut_choice(choice: Choice, kept: list[Interval]) -> Choice:
    """The choice with only what is kept of its parts; no trade stays possible where both sides do."""
    if len(kept) > 1 and kept[0][0] < 0 < kept[-1][1] and (0, 0) not in kept:
        kept = [kept[0], (0, 0), kept[-1]]
    joined = len(choice.segments) == 1 and all(b + 1 == c for (_, b), (c, _) in pairwise(kept))
    return Choice(choice.line, ((kept[0][0], kept[-1][1]),) if joined else tuple(kept))


def cut(choices: Sequence[Choice], points: Table, prices: Mapping[str, int], gap: int) -> tuple[Choice, ...]:
    """The choices without every trade that cannot be part of an answer within `gap` (in score) of the priced bound.

    A line's priced score above its minimum adds to the bound: where it exceeds the gap to an answer already known, the
    trade belongs to no better one. What is left for branch and bound is often a handful of lines. `points` are the
    breakpoints of the choices.
    """
    kept = kept_steps(points, points.priced(prices), gap)
    return tuple(_cut_choice(c, kept[i]) for i, c in enumerate(choices))


def neighbours(choice: Choice, steps: float, reach: int) -> tuple[int, ...]:
    """The allowed whole numbers up to `reach` from a fractional trade, the nearest ends of its segments, no trade."""
    below, near = int(steps // 1), set()
    for first, last in choice.segments:
        near |= {min(max(below + i, first), last) for i in range(1 - reach, reach + 1)}
        near |= {0} if first <= 0 <= last else set()
    return tuple(sorted(near))


def rounded(ledger: Ledger, choices: Sequence[Choice], relaxed: Sequence[float]) -> tuple[int, ...] | None:
    """The best whole answer among the neighbours of the relaxation's fractional lines that honours every row."""
    for reach in (1, 3):
        found = _rounded(ledger, choices, relaxed, reach)
        if found is not None:
            return found
    return None


def _rounded(ledger: Ledger, choices: Sequence[Choice], relaxed: Sequence[float], reach: int) -> tuple[int, ...] | None:
    near_whole = 1e-6
    options = []
    for c, steps in zip(choices, relaxed, strict=True):
        whole = round(steps)
        is_whole = abs(steps - whole) < near_whole and any(a <= whole <= b for a, b in c.segments)
        options.append((whole,) if is_whole else neighbours(c, steps, reach))
    if prod(map(len, options)) > MOST_ROUNDINGS:
        return None
    varied = [(i, line) for i, line in enumerate(ledger.lines) if len(options[i]) > 1]
    by_score = sorted(product(*options), key=lambda trades: sum(score(ledger, line, trades[i]) for i, line in varied))
    return next((trades for trades in by_score if not broken_rows(ledger, trades)), None)
