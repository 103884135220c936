"""Proving an answer without branching: multipliers on the coupling rows make the problem separable again.

For any multipliers y ≥ 0 on rows g(k) ≤ 0,   min_k score(k) + y·g(k)   is a lower bound on the best score, and it falls
apart into one small minimum per security, each at a breakpoint. It is evaluated in exact integers, so that wherever the
multipliers came from (here: the duals of a linear relaxation), the bound is a proof.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise, product
from math import prod

import numpy as np

from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.coupling import broken, totals_of
from rebalance_app.optimiser.problem.integer_problem import ONE
from rebalance_app.optimiser.problem.objective import score

from .breakpoints import BreakpointTable, Whole

MOST_ROUNDINGS = 512
NEAR_WHOLE = 1e-6  # steps


def whole_multipliers(duals: Mapping[str, float]) -> dict[str, int]:
    """Dual values as fixed-point numbers with the denominator ONE, never below 0."""
    return {name: max(0, round(float(value) * ONE)) for name, value in duals.items()}


def lagrangian_bound(points: BreakpointTable, multipliers: Mapping[str, int]) -> int:
    """A proven lower bound on the score of every answer, exact."""
    least: int = np.minimum.reduceat(points.lagrangian_costs(multipliers), points.start).sum()
    limits = points.limits
    return least - sum(each * limits[name] for name, each in multipliers.items())


def steps_within(points: BreakpointTable, values: Whole, distance: int) -> dict[int, list[Interval]]:
    """By security, the steps of each part where values, linear between points, are within a distance of the least."""
    limit = np.minimum.reduceat(values, points.start)[points.security] + distance
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
        found.setdefault(int(points.security[which[0]]), []).append((low[which[0]], high[which[-1]]))
    return found


def _fixed(allowed: AllowedTrades, kept: list[Interval]) -> AllowedTrades:
    """The choice with only what is kept of its parts; no trade stays possible where both sides do."""
    if len(kept) > 1 and kept[0][0] < 0 < kept[-1][1] and (0, 0) not in kept:
        kept = [kept[0], (0, 0), kept[-1]]
    joined = len(allowed.segments) == 1 and all(b + 1 == c for (_, b), (c, _) in pairwise(kept))
    return AllowedTrades(allowed.security, ((kept[0][0], kept[-1][1]),) if joined else tuple(kept))


def reduced_cost_fixing(points: BreakpointTable, multipliers: Mapping[str, int], gap: int) -> tuple[AllowedTrades, ...]:
    """The choices without every trade that cannot be part of an answer within `gap` (in score) of the bound.

    A trade's reduced cost, what its Lagrangian cost is above its security's least, adds to the bound: where it exceeds
    the gap to an answer already known, the trade belongs to no better one. What is left for branch and bound is often a
    handful of securities.
    """
    kept = steps_within(points, points.lagrangian_costs(multipliers), gap)
    return tuple(_fixed(c, kept[i]) for i, c in enumerate(points.choices))


def neighbours(allowed: AllowedTrades, steps: float, reach: int) -> tuple[int, ...]:
    """The allowed whole numbers up to `reach` from a fractional trade, the nearest ends of its segments, no trade."""
    below, near = int(steps // 1), set()
    for first, last in allowed.segments:
        near |= {min(max(below + i, first), last) for i in range(1 - reach, reach + 1)}
        near |= {0} if first <= 0 <= last else set()
    return tuple(sorted(near))


def rounded(points: BreakpointTable, fractional: Sequence[float]) -> tuple[int, ...] | None:
    """The best whole answer among the neighbours of the relaxation's fractional steps that honours every row."""
    for reach in (1, 3):
        found = _rounded(points, fractional, reach)
        if found is not None:
            return found
    return None


def _rounded(points: BreakpointTable, fractional: Sequence[float], reach: int) -> tuple[int, ...] | None:
    options, ip = [], points.ip
    for c, steps in zip(points.choices, fractional, strict=True):
        whole = round(steps)
        is_whole = abs(steps - whole) < NEAR_WHOLE and any(a <= whole <= b for a, b in c.segments)
        options.append((whole,) if is_whole else neighbours(c, steps, reach))
    if prod(map(len, options)) > MOST_ROUNDINGS:
        return None
    varied = [(i, security) for i, security in enumerate(ip.securities) if len(options[i]) > 1]
    by_score = sorted(
        product(*options), key=lambda trades: sum(score(ip, security, trades[i]) for i, security in varied)
    )
    return next((trades for trades in by_score if not broken(points.rows, totals_of(ip, trades))), None)
