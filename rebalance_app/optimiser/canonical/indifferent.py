"""Securities that may trade any of many amounts at no preference: they fill what others leave of the coupling rows.

At the multipliers of the relaxation, such a security has its least Lagrangian cost over a whole range of trades. What
the securities on one side amount to together is all that counts, and which amounts they can make, and how first, `Sums`
knows; so a search over the other securities need not try them one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import gcd

from rebalance_app.optimiser.milp.breakpoints import BreakpointTable
from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem

from .subset_sum import Sums, progressions

LARGEST_FILL = 2**48  # units of money that a security may fill: thousands of securities together need less than 62 bits

Sets = Mapping[int, Sequence[Interval]]  # by security, ascending intervals of steps


def count(intervals: Sequence[Interval]) -> int:
    """How many steps some intervals have."""
    return sum(b - a + 1 for a, b in intervals)


def without(intervals: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    """What is left of ascending intervals when others, each within one of them, are taken out."""
    left = []
    for a, b in intervals:
        inside = [(first, last) for first, last in taken if a <= first <= b]
        begins = [a, *(last + 1 for _, last in inside)]
        ends = [*(first - 1 for first, _ in inside), b]
        left += [(first, last) for first, last in zip(begins, ends, strict=True) if first <= last]
    return left


@dataclass(frozen=True, slots=True)
class Indifferent:
    """The indifferent securities of one side, 1 for buys and −1 for sales, each with steps of equal Lagrangian cost."""

    ip: IntegerProblem
    side: int
    sets: Sets
    unit: int  # the most minor units that divide all they trade; 0 where there is nothing to fill with
    _sums: dict[tuple[int, ...], Sums] = field(default_factory=dict)

    def ends(self, i: int) -> Interval:
        """A security's smallest and largest trade."""
        a, b = self.sets[i][0][0], self.sets[i][-1][1]
        return (a, b) if self.side > 0 else (b, a)

    def sums(self, securities: tuple[int, ...]) -> Sums:
        """What some of the securities can come to, in minor units."""
        if securities not in self._sums:
            step = [security.step for security in self.ip.securities]
            self._sums[securities] = Sums([progressions(self.sets[i], step[i]) for i in securities], self.unit or 1)
        return self._sums[securities]


def indifferent_side(points: BreakpointTable, sets: Sets) -> Indifferent:
    """Of the trades at which each security's Lagrangian cost is least, the indifferent securities of the richer side.

    None of which it matters beyond its amount how much they trade: where orders count, a security that may stay out of
    it, and where gains do, what is sold. Nor any whose amounts are too large to be counted in 64 bits.
    """
    ip, rows, unit = points.ip, points.rows, points.ip.grid
    largest = {i: max(-of[0][0], of[-1][1]) * ip.securities[i].step for i, of in sets.items()}
    several = {i: of for i, of in sets.items() if count(of) > 1 and largest[i] < LARGEST_FILL * unit}
    if (ip.reserves_costs and ip.ticket) or any(row.total == "orders" for row in rows.values()):
        several = {i: of for i, of in several.items() if not any(a <= 0 <= b for a, b in of)}
    buys = {i: of for i, of in several.items() if of[0][0] >= 0}
    sales = {i: of for i, of in several.items() if of[-1][1] <= 0 and "gain_budget" not in rows}
    side = 1 if sum(map(count, buys.values())) >= sum(map(count, sales.values())) else -1
    chosen = buys if side > 0 else sales
    return Indifferent(ip, side, chosen, gcd(*(ip.securities[i].step for i in chosen)))
