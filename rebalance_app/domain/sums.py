"""Which whole trades, line by line, add up to a sum; and of all that do, the first.

The sums that some lines can make are the bits of one large integer; a shift adds a trade to all of them at once. So it
is known before a trade is chosen whether the lines after it can make up the rest, and the first way is found almost
without turning back. Where the lines can make more sums than are worth holding, those near the least and the most are
known, and the others are taken to be possible until they come near.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import merge
from itertools import accumulate, product
from math import gcd
from typing import Any, NamedTuple

from .constraints import Interval

KNOWN = 2**19  # sums: where lines can make no more of them, all are known
WINDOW = 2**16  # else so many at either end, or more:
JUMPS = 4  # how often the longest step of a sum fits into them
FEW = 3_000  # sums of the last lines are held one by one
FEWEST = 200  # and looked through
MOST_LOOKS = 20_000  # at single trades, until the search for the first way is given up


class TooMany(Exception):  # noqa: N818
    """More would have to be tried than pays, to know which is the first, or whether there is any."""


class Piece(NamedTuple):  # and no dataclass, because hundreds are made for each look
    """Trades of one side, `least` to `most` steps, each of which adds to a sum `unit`, which may be below 0."""

    side: int
    least: int
    most: int
    unit: int

    @property
    def ends(self) -> Interval:
        """The smallest and the largest amount."""
        a, b = self.least * self.unit, self.most * self.unit
        return (a, b) if a < b else (b, a)

    def between(self, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        """(−steps, −k, amount) of its trades that amount to `low` to `high`, the largest trade first."""
        if self.unit > 0:
            first, last = -(-low // self.unit), high // self.unit
        else:
            first, last = -(high // -self.unit), -low // -self.unit
        for steps in range(min(last, self.most), max(first, self.least) - 1, -1):
            yield -steps, -steps * self.side, steps * self.unit


def pieces(intervals: Sequence[Interval], buy: int, sell: int) -> list[Piece]:
    """The intervals by side, where a step bought adds `buy` to a sum and a step sold `sell`; no trade is a buy of 0."""
    found = []
    for a, b in intervals:
        if b >= 0:
            found.append(Piece(1, max(a, 0), b, buy))
        if a < 0:
            found.append(Piece(-1, max(1, -b), -a, sell))
    return found


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pieces, `a` and `b` units a step, whose amounts add up to a sum: a·x + b·y, by the extended Euclid's x."""

    one: Piece
    other: Piece
    unit: int  # the greatest common divisor of a and b
    inverse: int  # of a / unit modulo b / unit

    @classmethod
    def of(cls, one: Piece, other: Piece) -> "Pair":
        """Of two pieces, each of which adds something."""
        unit = gcd(one.unit, other.unit)
        return cls(one, other, unit, pow(one.unit // unit, -1, abs(other.unit) // unit))

    def comes_to(self, total: int, low: int, high: int) -> bool:
        """Whether some steps come to the total, with `low` to `high` of it from the first piece."""
        if total % self.unit:
            return False
        a, b = self.one.unit, self.other.unit
        least, most = self.other.ends
        low, high = max(low, self.one.ends[0], total - most), min(high, self.one.ends[1], total - least)
        first, last = (-(-low // a), high // a) if a > 0 else (-(high // -a), -low // -a)
        every = abs(b) // self.unit
        first += (total // self.unit * self.inverse - first) % every
        return low <= high and first <= last


Trades = Iterator[tuple[int, Any]]  # k and what is to be made up after it; None: that is impossible


def first_path(lines: int, start: Any, trades: Callable[[int, Any], Trades]) -> list[int] | None:
    """The first trades, line by line, that lead from `start` through all lines; None for none. Raises TooMany.

    `trades` gives those of a line in the order in which they are to be tried.
    """
    looks, dead = 0, set()
    path, tried = list[tuple[int, Any]](), [trades(0, start)]
    while len(path) < lines:
        for k, state in tried[-1]:
            looks += 1
            if looks > MOST_LOOKS:
                raise TooMany
            if state is not None and (len(path), state) not in dead:
                path.append((k, state))
                tried.append(trades(len(path), state))
                break
        else:
            tried.pop()
            if not path:
                return None
            _, state = path.pop()
            dead.add((len(path), state))
    return [k for k, _ in path]


class _Lines:
    """Lines of pieces, of which the last two come to a sum or do not, by number theory."""

    lines: Sequence[Sequence[Piece]]

    @cached_property
    def pairs(self) -> list[Pair]:
        """All pairs of pieces of the last two lines."""
        return [Pair.of(*both) for both in product(*self.lines[-2:])]


class Sums(_Lines):
    """What lines of pieces can add up to: from line i on, known exactly, or but within a window from either end."""

    def __init__(self, lines: Sequence[Sequence[Piece]], unit: int) -> None:
        """Each line needs a piece; `unit` divides what every one of its trades adds."""
        self.lines, self.unit = lines, unit
        ends = [[p.ends for p in line] for line in lines]
        self.least = [*accumulate((min(a for a, _ in line) for line in reversed(ends)), initial=0)][::-1]
        self.most = [*accumulate((max(b for _, b in line) for line in reversed(ends)), initial=0)][::-1]
        jumps = [abs(p.unit) * max(1, p.least if len(line) > 1 else 1) for line in lines for p in line]
        window = min(max(WINDOW, JUMPS * max(jumps, default=1) // unit), KNOWN)
        ranges = ((most - least) // unit + 1 for least, most in zip(self.least, self.most, strict=True))
        self.known = [every if every <= KNOWN else window for every in ranges]
        self._reached: dict[tuple[int, bool], list[int]] = {}
        self._few = self._held_one_by_one()

    def reached(self, i: int, sign: int, *, mirrored: bool = False) -> int:
        """Which sums of the lines from i on lie 0, 1, ... units above their least, or below their most (sign −1).

        One per bit, `known[i]` of them, the last one lowest if mirrored. Worked out from the last line on, as far as it
        is asked for: far from both ends nobody asks.
        """
        from_last = self._reached.setdefault((sign, mirrored), [1])
        for at in reversed(range(i, len(self.lines) + 1 - len(from_last))):
            from_last.append(self._with_line(at, from_last[-1], sign, mirrored=mirrored))
        return from_last[len(self.lines) - i]

    def _with_line(self, i: int, after: int, sign: int, *, mirrored: bool) -> int:
        """What `reached` is for line i, given what it is for the line after it."""
        known = self.known[i]
        mask, wider = 0 if mirrored else (1 << known) - 1, known - self.known[i + 1]
        if mirrored and wider:
            after = after << wider if wider > 0 else after >> -wider
        elif wider < 0:
            after &= mask

        def raised(bits: int, by: int) -> int:
            return bits >> by if mirrored else bits << by & mask

        found, end = 0, self.least[i] - self.least[i + 1] if sign > 0 else self.most[i] - self.most[i + 1]
        for p in self.lines[i]:
            away, unit = (p.ends[0] - end if sign > 0 else end - p.ends[1]) // self.unit, abs(p.unit) // self.unit
            if away < known:
                bits, times, covered = raised(after, away) if away else after, p.most - p.least, 1
                while covered <= times and unit * covered < known:  # bits hold 0 to covered − 1 more trades
                    more = min(covered, times + 1 - covered)
                    bits |= raised(bits, more * unit)
                    covered += more
                found |= bits
        return found

    def _held_one_by_one(self) -> list[set[int]]:
        """All that the last lines can add up to, from none of them to as many as it is not much for."""
        found = [{0}]
        for line in reversed(self.lines):
            if len(found[-1]) * sum(p.most - p.least + 1 for p in line) > FEW:
                break
            amounts = [steps * p.unit for p in line for steps in range(p.least, p.most + 1)]
            found.append({amount + rest for amount in amounts for rest in found[-1]})
        return found

    def few(self, i: int) -> set[int] | None:
        """All that the lines from i on can add up to, where that is not much."""
        lines = len(self.lines) - i
        return self._few[lines] if lines < len(self._few) else None

    def away(self, i: int, total: int, sign: int) -> int:
        """Units from the least (sign 1) or the most (−1) of the lines from i on."""
        return (total - self.least[i] if sign > 0 else self.most[i] - total) // self.unit

    def possible(self, i: int, total: int) -> bool:
        """Whether the lines from i on may add up to the total; what is said to be impossible is."""
        if not self.least[i] <= total <= self.most[i] or total % self.unit:
            return False
        few = self.few(i)
        if few is not None:
            return total in few
        if i == len(self.lines) - 2:
            return any(pair.comes_to(total, *pair.one.ends) for pair in self.pairs)
        for sign in (1, -1):
            not_beyond = self.known[i] - 1 - self.away(i, total, sign)
            if not_beyond >= 0:  # one window tells all; mirrored, only what is nearer to the end is shifted
                return bool(self.reached(i, sign, mirrored=True) >> not_beyond & 1)
        return True

    def nearest(self, total: int, sign: int) -> int | None:
        """The total, or the nearest above it (sign 1) or below it (−1) that all lines may add up to; None for none.

        Where not all sums are known, it is the total itself, whether it can be made or not.
        """
        total = max(-(-total // self.unit) * self.unit, self.least[0]) if sign > 0 else min(total, self.most[0])
        if not self.least[0] <= total <= self.most[0]:
            return None
        few = self.few(0)
        if few is not None:
            return min((each for each in few if (each - total) * sign >= 0), key=lambda x: abs(x - total))
        if self.most[0] - self.least[0] >= self.known[0] * self.unit:
            return total
        away, bits = self.away(0, total, 1), self.reached(0, 1)
        bits = bits >> away if sign > 0 else bits & (2 << away) - 1
        found = away + (bits & -bits).bit_length() - 1 if sign > 0 else bits.bit_length() - 1
        return self.least[0] + found * self.unit

    def trades(self, i: int, total: int) -> Trades:
        """The trades of line i, largest first, and what the lines after it must add up to."""
        if i < len(self.lines):
            low, high = total - self.most[i + 1], total - self.least[i + 1]
            for _, minus_k, amount in merge(*(p.between(low, high) for p in self.lines[i])):
                yield -minus_k, total - amount if self.possible(i + 1, total - amount) else None

    def first(self, total: int) -> list[int] | None:
        """The trades that add up to the total: of all such, line by line, the largest, and a buy before a sale.

        None where there are none. Raises TooMany.
        """
        return first_path(len(self.lines), total, self.trades) if self.possible(0, total) else None


def _one_side(line: Sequence[Piece], side: int) -> list[Piece]:
    """What a line may add on one side: nothing, where it may trade on the other."""
    these = [p for p in line if p.side == side]
    return these if len(these) == len(line) else [*these, Piece(side, 0, 0, 0)]


class TwoSums(_Lines):
    """What lines can buy and sell, where both together must come to a sum, and buys may come to a range of sums.

    A state is that sum, and the range of buys, for the lines still to come.
    """

    def __init__(self, lines: Sequence[Sequence[Piece]], unit: int) -> None:
        """As `Sums` has them; a step sold adds what it sells."""
        self.lines, self.unit = lines, unit
        self.buys, self.sales = (Sums([_one_side(line, side) for line in lines], unit) for side in (1, -1))

    def _meet(self, i: int, both: int, low: int, high: int) -> bool:
        """Whether sums are known, or not known not to be, with buys of `low` to `high` and sales for the rest.

        Looked at from one of two ends of the buys and of the sales, where the windows tell. A bit r stands for a buy of
        r units short of the one that is furthest from the end.
        """
        buys, sales, width = self.buys, self.sales, (high - low) // self.unit
        for sign in (1, -1):
            furthest = high if sign > 0 else low
            away, rest = buys.away(i, furthest, sign), both - furthest
            if away >= buys.known[i]:
                continue
            same, other = sales.away(i, rest, sign), sales.away(i, rest, -sign)
            if min(same + width, other) < sales.known[i]:
                bought = buys.reached(i, sign, mirrored=True) >> buys.known[i] - 1 - away & (2 << width) - 1
                if same + width < sales.known[i]:
                    return bought & sales.reached(i, sign) >> same != 0
                return bought & sales.reached(i, -sign, mirrored=True) >> sales.known[i] - 1 - other != 0
        return True

    def _comes_to(self, pair: Pair, both: int, low: int, high: int) -> bool:
        """Whether the last two lines come to `both`, with buys of `low` to `high`."""
        sides = pair.one.side, pair.other.side
        if sides[0] == sides[1]:
            bought = both if sides[0] > 0 else 0
            return low <= bought <= high and pair.comes_to(both, *pair.one.ends)
        return pair.comes_to(both, *((low, high) if sides[0] > 0 else (both - high, both - low)))

    def possible(self, i: int, both: int, low: int, high: int) -> bool:
        """Whether the lines from i on may come to `both` with buys of `low` to `high`; what is impossible is."""
        buys, sales, unit = self.buys, self.sales, self.unit
        low = max(low, buys.least[i], both - sales.most[i])
        high = min(high, buys.most[i], both - sales.least[i])
        low, high = -(-low // unit) * unit, high // unit * unit
        if low > high or both % unit:
            return False
        some, others = buys.few(i), sales.few(i)
        if some is None or others is None or len(some) > FEWEST:
            if i == len(self.lines) - 2:
                return any(self._comes_to(pair, both, low, high) for pair in self.pairs)
            return self._meet(i, both, low, high)
        return any(low <= bought <= high and both - bought in others for bought in some)

    def _between(self, i: int, state: tuple[int, int, int], side: int) -> Interval:
        """The least and the most that line i may buy, or sell, as far as what lies after it tells."""
        both, low, high = state
        buys, sales, after = self.buys, self.sales, i + 1
        first, last = (low, high) if side > 0 else (both - high, both - low)
        same = buys if side > 0 else sales
        return (
            max(first - same.most[after], both - buys.most[after] - sales.most[after]),
            min(last - same.least[after], both - buys.least[after] - sales.least[after]),
        )

    def trades(self, i: int, state: tuple[int, int, int]) -> Trades:
        """The trades of line i, largest first, and the state after it."""
        both, low, high = state
        of = self.lines[i] if i < len(self.lines) else ()
        for _, minus_k, amount in merge(*(p.between(*self._between(i, state, p.side)) for p in of)):
            bought = amount if minus_k < 0 else 0
            rest = both - amount, low - bought, high - bought
            yield -minus_k, rest if self.possible(i + 1, *rest) else None

    def first(self, both: int, low: int, high: int) -> list[int] | None:
        """The trades that come to `both`, of which `low` to `high` is bought, as `Sums.first` has them."""
        if not self.possible(0, both, low, high):
            return None
        return first_path(len(self.lines), (both, low, high), self.trades)
