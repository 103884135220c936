"""A budget for gains as a side constraint of sums: what sales of some amount must gain at least.

The least gain of some sales, by their amount, is convex where each security's is; to make it so, the securities' are
taken at their convex hulls. Then the cheapest pieces of all securities come first.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.integer_problem import FLOAT_EXACT, Security
from rebalance_app.optimiser.problem.objective import realised_gain

from .subset_sum import Progression, State, compact

Floats = NDArray[np.floating[Any]]
Point = tuple[int, int]  # amount and gain, in minor units
AT_ONCE = range(3, 2**20)  # so many steps are looked at together
ROUNDING = 1e-14  # of sums of a few floats, by the largest of them


def _hull(points: Sequence[Point]) -> list[Point]:
    """Of points by amount, those on the lower convex hull."""
    hull = list[Point]()
    for x, y in points:
        while len(hull) > 1:
            (a, b), (c, d) = hull[-2:]
            if (d - b) * (x - a) < (y - b) * (c - a):
                break
            hull.pop()
        hull.append((x, y))
    return hull


def _sales(security: Security, intervals: Sequence[Interval]) -> list[Point]:
    """What sales of a security within intervals of steps amount to and gain, at all kinks; no sale where it may be."""
    lots = [sold // security.shares for sold in accumulate(shares for shares, _ in security.tax_lots)]
    points = {0} if intervals[-1][1] >= 0 else set[int]()
    for first, last in intervals:
        kinks = [first, min(last, -1), *(-lot - more for lot in lots for more in (0, 1))]
        points |= {k for k in kinks if first <= k <= min(last, -1)}
    return sorted((-k * security.step, realised_gain(security, k)) for k in points)


@dataclass(frozen=True, slots=True)
class _Least:
    """The least gain of some securities' sales, by amount: convex, a straight security between neighbours.

    cheapest   the amount that gains least; largest   the largest gain or loss
    buys       what the securities' buys come to at least and at most
    """

    amounts: Sequence[int]
    gains: Sequence[int]
    cheapest: int
    largest: int
    buys: Interval

    def within(self, low: int, high: int) -> int:
        """A lower bound on the gain of sales of `low` to `high`, some of which can be made."""
        amount = min(max(self.cheapest, low, self.amounts[0]), high, self.amounts[-1])
        j = max(1, bisect_left(self.amounts, amount))
        if len(self.amounts) == 1 or amount < self.amounts[0]:
            return self.gains[0]
        (a, c), (b, d) = self.amounts[j - 1 : j + 1], self.gains[j - 1 : j + 1]
        return b + (d - b) * (amount - a) // (c - a)

    def about(self, low: Floats, high: Floats) -> Floats:
        """The same for many, in floats."""
        amounts, gains = (np.asarray(each, dtype=np.float64) for each in (self.amounts, self.gains))  # of any size
        return np.interp(np.minimum(np.maximum(low, float(self.cheapest)), high), amounts, gains)


class Gains:
    """A budget for what sales gain. What is left of it is money, in minor units."""

    def __init__(self, securities: Sequence[Security], sets: Sequence[Sequence[Interval]]) -> None:
        """Of securities, each with the steps it may trade: ascending intervals."""
        sales = [_sales(security, intervals) for security, intervals in zip(securities, sets, strict=True)]
        self.securities, self.least = securities, [_Least([0], [0], 0, 0, (0, 0))]
        self.sales = [np.array(points, dtype=np.float64).T for points in sales]
        slopes = (abs((d - b) / (c - a)) for points in sales for (a, b), (c, d) in pairwise(points) if c > a)
        self.steepest = max(slopes, default=0.0)
        segments, (amount, gain), (least, most) = list[tuple[Fraction, int, int]](), (0, 0), (0, 0)
        for security, intervals, points in zip(reversed(securities), reversed(sets), reversed(sales), strict=True):
            hull = _hull(points)
            amount, gain = amount + hull[0][0], gain + hull[0][1]
            for (a, b), (c, d) in pairwise(hull):
                insort(segments, (Fraction(d - b, c - a), c - a, d - b))
            least += max(0, intervals[0][0]) * security.step
            most += max(0, intervals[-1][1]) * security.step
            amounts = compact(accumulate((more for _, more, _ in segments), initial=amount))
            gains = compact(accumulate((more for _, _, more in segments), initial=gain))
            lowest = min(gains)
            largest = max(abs(gains[0]), abs(gains[-1]), abs(lowest))
            self.least.append(_Least(amounts, gains, amounts[gains.index(lowest)], largest, (least, most)))
        self.least.reverse()

    def after(self, i: int, k: int, left: int) -> int:
        """What is left after a trade."""
        return left - realised_gain(self.securities[i], k) if k < 0 else left

    def possible(self, i: int, state: int | State, left: int) -> bool:
        """Whether securities from i on may come to a state of the sums and gain no more than is left."""
        of, (least, most) = self.least[i], self.least[i].buys
        both, low, high = (state, least, most) if isinstance(state, int) else state
        return of.within(both - min(high, most), both - max(low, least)) <= left

    def narrowed(self, i: int, progression: Progression, steps: range, state: int | State, left: int) -> range:
        """Of some steps those after which the gain may be kept, as far as floats tell; it is convex in them."""
        if steps.stop > FLOAT_EXACT or len(steps) not in AT_ONCE:
            return steps
        of, (least, most) = self.least[i + 1], self.least[i + 1].buys
        both, low, high = (state, least, most) if isinstance(state, int) else state
        amount = np.arange(steps.start, steps.stop, steps.step) * float(progression.unit)
        bought = amount if progression.side > 0 and not isinstance(state, int) else 0.0
        rest = both - amount
        gain = of.about(rest - np.minimum(high - bought, most), rest - np.maximum(low - bought, least))
        error = ROUNDING * (of.largest + abs(left) + self.steepest * (abs(both) + abs(low) + abs(high) + amount[-1]))
        if progression.side < 0:
            gain += np.interp(amount, *self.sales[i])
            error += ROUNDING * float(np.abs(self.sales[i][1]).max())
        kept = np.flatnonzero(gain <= left + error + 1)
        return steps[kept[0] : kept[-1] + 1] if len(kept) else steps[:0]
