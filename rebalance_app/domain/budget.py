"""A budget for gains beside sums: what sales of some amount must gain at least.

The least gain of some sales, by their amount, is convex where each line's is; to make it so, the lines' are taken at
their convex hulls. Then the cheapest pieces of all lines come first.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

from .constraints import Interval
from .integers import Line
from .objective import realised_gain
from .orders import compact
from .sums import Piece, State, after

Point = tuple[int, int]  # amount and gain, in grains


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


def _sales(line: Line, intervals: Sequence[Interval]) -> list[Point]:
    """What sales of a line within some intervals of steps amount to and gain, at all kinks; no sale where it may be."""
    lots = [sold // line.shares for sold in accumulate(shares for shares, _ in line.tax_lots)]
    points = {0} if intervals[-1][1] >= 0 else set[int]()
    for first, last in intervals:
        kinks = [first, min(last, -1), *(-lot - more for lot in lots for more in (0, 1))]
        points |= {k for k in kinks if first <= k <= min(last, -1)}
    return sorted((-k * line.step, realised_gain(line, k)) for k in points)


@dataclass(frozen=True, slots=True)
class _Least:
    """The least gain of some lines' sales, by amount: convex, a straight line between neighbours.

    cheapest   the amount that gains least
    buys       what the lines' buys come to at least and at most
    """

    amounts: Sequence[int]
    gains: Sequence[int]
    cheapest: int
    buys: Interval

    def within(self, low: int, high: int) -> tuple[int, int, int]:
        """The least gain of sales of `low` to `high`, as (b, n, d): b + n/d. It goes on straight beyond both ends."""
        if len(self.amounts) == 1:
            return self.gains[0], 0, 1
        amount = min(max(self.cheapest, low), high)
        j = min(max(1, bisect_left(self.amounts, amount)), len(self.amounts) - 1)
        (a, c), (b, d) = self.amounts[j - 1 : j + 1], self.gains[j - 1 : j + 1]
        return b, (d - b) * (amount - a), c - a


class Gains:
    """A budget for what sales gain. What is left of it is money, in grains."""

    def __init__(self, lines: Sequence[Line], sets: Sequence[Sequence[Interval]]) -> None:
        """Of lines, each with the steps it may trade: ascending intervals."""
        self.lines, self.least = lines, [_Least([0], [0], 0, (0, 0))]
        segments, (amount, gain), (least, most) = list[tuple[Fraction, int, int]](), (0, 0), (0, 0)
        for line, intervals in zip(reversed(lines), reversed(sets), strict=True):
            hull = _hull(_sales(line, intervals)) or [(0, 0)]
            amount, gain = amount + hull[0][0], gain + hull[0][1]
            for (a, b), (c, d) in pairwise(hull):
                insort(segments, (Fraction(d - b, c - a), c - a, d - b))
            least += max(0, intervals[0][0]) * line.step
            most += max(0, intervals[-1][1]) * line.step
            amounts = compact(accumulate((more for _, more, _ in segments), initial=amount))
            gains = compact(accumulate((more for _, _, more in segments), initial=gain))
            self.least.append(_Least(amounts, gains, amounts[gains.index(min(gains))], (least, most)))
        self.least.reverse()

    def after(self, i: int, k: int, left: int) -> int:
        """What is left after a trade."""
        return left - realised_gain(self.lines[i], k) if k < 0 else left

    def _least_gain(self, i: int, state: int | State) -> tuple[int, int, int]:
        """What lines from i on gain at least where they come to a state of the sums, as `_Least.within` gives it."""
        of, (least, most) = self.least[i], self.least[i].buys
        both, low, high = (state, least, most) if isinstance(state, int) else state
        return of.within(both - min(high, most), both - max(low, least))

    def possible(self, i: int, state: int | State, left: int) -> bool:
        """Whether lines from i on may come to a state of the sums and gain no more than is left."""
        base, more, per = self._least_gain(i, state)
        return base + more // per <= left

    def narrowed(self, i: int, piece: Piece, steps: range, state: int | State, left: int) -> range:
        """Of some steps those after which the gain may be kept: as it is convex in them, they are without gaps."""

        def gain(n: int) -> tuple[int, int, int]:
            base, more, per = self._least_gain(i + 1, after(state, piece.side, n * piece.unit))
            return realised_gain(self.lines[i], n * piece.side) + base, more, per

        def kept(n: int) -> bool:
            base, more, per = gain(n)
            return base + more // per <= left

        def turns(n: int) -> bool:
            (base, more, per), (further, m, p) = gain(steps[n]), gain(steps[n + 1])
            return further - base >= Fraction(more, per) - Fraction(m, p)

        ends = steps and (kept(steps[0]), kept(steps[-1]))
        if not ends or all(ends):
            return steps
        some = ends.index(True) * (len(steps) - 1) if any(ends) else bisect_left(range(len(steps) - 1), 1, key=turns)
        if not kept(steps[some]):
            return steps[:0]
        first = bisect_left(steps[: some + 1], 1, key=kept)
        return steps[first : some + bisect_left(steps[some:], 1, key=lambda n: not kept(n))]
