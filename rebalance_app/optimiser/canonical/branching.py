"""Where a node is divided in two: by the number of orders, or by the trade of one security."""

import math

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.milp.breakpoints import BreakpointTable, Whole, convex_parts, listed, needs_gate, table
from rebalance_app.optimiser.milp.highs import LpRelaxation
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.constraints import CouplingRow, Interval, max_trades

WHOLE = 1e-6  # steps or orders: nearer than that to a whole number, a relaxed one is whole


def min_trades(fewest: int) -> CouplingRow:
    """Σ [Δu ≠ 0] ≥ F: at least F orders. No options ask for it, only a node has it."""
    return CouplingRow("orders", -1, -fewest)


def order_limits(points: BreakpointTable) -> tuple[int, int]:
    """The fewest and the most orders that the rows permit: no more than one of each security."""
    rows, securities = points.rows, len(points.start)
    fewest = -rows["min_trades"].limit if "min_trades" in rows else 0
    return fewest, min(rows["max_trades"].limit, securities) if "max_trades" in rows else securities


def _between_segments(relaxed: LpRelaxation) -> NDArray[np.float64]:
    """(n,) money from each security's relaxed trade to the nearest allowed one, where it lies between segments."""

    def away(allowed: AllowedTrades, steps: float) -> float:
        nearest = min(max(first - steps, steps - last, 0) for first, last in allowed.segments)
        return nearest * allowed.security.step if nearest > WHOLE else 0.0

    return np.array([away(*each) for each in zip(relaxed.points.choices, relaxed.steps.tolist(), strict=True)])


def _rounding_cost(relaxed: LpRelaxation) -> Whole:
    """(n,) the reduced cost of each security at the better whole neighbour of its relaxed trade."""
    points = relaxed.points
    floors = [math.floor(steps + WHOLE) for steps in relaxed.steps.tolist()]  # of any size

    def neighbours(allowed: AllowedTrades, k: int) -> list[int]:
        return [min(max(each, a), b) for a, b in convex_parts(points.ip, allowed) for each in (k, k + 1)]

    near = listed(points, list(map(neighbours, points.choices, floors)))
    least = np.minimum.reduceat(points.lagrangian_costs(relaxed.multipliers), points.start)
    return np.asarray(np.minimum.reduceat(near.lagrangian_costs(relaxed.multipliers), near.start) - least)


def _fractional(relaxed: LpRelaxation) -> NDArray[np.float64]:
    """(n,) what a step of each security is worth, where its relaxed trade is no whole number."""
    is_whole = np.abs(relaxed.steps - np.rint(relaxed.steps)) <= WHOLE
    return np.where(is_whole, 0.0, np.array([float(allowed.security.step) for allowed in relaxed.points.choices]))


def _branching_security(relaxed: LpRelaxation) -> Interval:
    """The security to branch on, and the last step of its lower branch. Raises SearchLimit where all are whole."""
    choices = relaxed.points.choices
    for measured in (_between_segments, _rounding_cost):
        measure = measured(relaxed)
        i = int(np.argmax(measure))
        steps = float(relaxed.steps[i])
        if measure[i] and choices[i].least < choices[i].most:
            gated = needs_gate(relaxed.points.ip, choices[i])
            return i, (0 if steps > -WHOLE else -1) if gated else int(np.floor(steps + WHOLE))
    fraction = _fractional(relaxed)
    i = int(np.argmax(fraction))
    if not fraction[i]:
        raise SearchLimit
    return i, int(np.floor(relaxed.steps[i]))


def _by_security(relaxed: LpRelaxation) -> list[BreakpointTable]:
    """One security up to a step, and beyond it. Raises SearchLimit where the relaxation is whole."""
    points, (i, last) = relaxed.points, _branching_security(relaxed)
    allowed = points.choices[i]
    last = min(max(last, allowed.least), allowed.most - 1)
    below = tuple((a, min(b, last)) for a, b in allowed.segments if a <= last)
    above = tuple((max(a, last + 1), b) for a, b in allowed.segments if b > last)
    before, after = points.choices[:i], points.choices[i + 1 :]
    halves = (AllowedTrades(allowed.security, segments) for segments in (below, above))
    return [table(points.ip, (*before, half, *after), points.rows) for half in halves]


def branches(relaxed: LpRelaxation) -> list[BreakpointTable]:
    """The two branches of a node, together all that it permits. Raises SearchLimit where the relaxation is whole.

    By the number of orders, where they matter and the relaxation makes a fraction of one; else by a security.
    """
    points, whole = relaxed.points, math.floor(relaxed.orders + WHOLE)
    fewest, most = order_limits(points)
    if points.ip.orders_matter and relaxed.orders > whole + WHOLE and fewest <= whole < most:
        fewer, more = {"max_trades": max_trades(whole)}, {"min_trades": min_trades(whole + 1)}
        return [table(points.ip, points.choices, {**points.rows, **row}) for row in (fewer, more)]
    return _by_security(relaxed)
