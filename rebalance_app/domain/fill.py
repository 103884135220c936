"""Lines that may trade any of many amounts at no preference: they fill what all others leave of the coupling rows.

At the prices of the relaxation, such a line has its least priced score over a whole range of trades. What the lines on
one side amount to together is all that counts, and which amounts they can make, and how first, `sums` knows; so a
search over the other lines need not try them one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .constraints import Interval
from .integers import Ledger
from .pricing import grid, row_limits
from .sums import Sums, pieces

Sets = Mapping[int, Sequence[Interval]]  # by line, ascending intervals of steps


def count(intervals: Sequence[Interval]) -> int:
    """How many steps some intervals have."""
    return sum(b - a + 1 for a, b in intervals)


def without(intervals: Sequence[Interval], taken: Sequence[Interval]) -> list[Interval]:
    """What is left of ascending intervals when others, each within one of them, are taken out."""
    left = []
    for a, b in intervals:
        for first, last in taken:
            if a <= first <= b:
                left.append((a, first - 1))
                a = last + 1
        left.append((a, b))
    return [(a, b) for a, b in left if a <= b]


@dataclass(frozen=True, slots=True)
class Fill:
    """The lines of one side, 1 for buys and −1 for sales, and the steps among which each of them has no preference."""

    ledger: Ledger
    side: int
    sets: Sets
    _sums: dict[tuple[int, ...], Sums] = field(default_factory=dict)

    def ends(self, i: int) -> Interval:
        """A line's smallest and largest trade."""
        a, b = self.sets[i][0][0], self.sets[i][-1][1]
        return (a, b) if self.side > 0 else (b, a)

    def first(self, lines: Sequence[int], amount: int) -> dict[int, int] | None:
        """The first trades of some of the lines that come to an amount, in grains; None for none. Raises TooMany."""
        key, steps = tuple(lines), [line.step for line in self.ledger.lines]
        if key not in self._sums:
            self._sums[key] = Sums([pieces(self.sets[i], steps[i], steps[i]) for i in key], grid(self.ledger))
        found = self._sums[key].first(amount)
        return None if found is None else dict(zip(key, found, strict=True))


def filling(ledger: Ledger, sets: Sets) -> Fill:
    """The lines to fill with, of the trades at which each line's priced score is least: those of the richer side.

    None of which it matters beyond its amount how much they trade: where orders count, a line that may stay out of it,
    and where gains do, what is sold.
    """
    limits = row_limits(ledger)
    if "max_trades" in limits:
        sets = {i: of for i, of in sets.items() if not any(a <= 0 <= b for a, b in of)}
    several = {i: of for i, of in sets.items() if count(of) > 1}
    buys = {i: of for i, of in several.items() if of[0][0] >= 0}
    sales = {i: of for i, of in several.items() if of[-1][1] <= 0 and "gain_budget" not in limits}
    richer = sum(map(count, buys.values())) >= sum(map(count, sales.values()))
    return Fill(ledger, 1, buys) if richer else Fill(ledger, -1, sales)
