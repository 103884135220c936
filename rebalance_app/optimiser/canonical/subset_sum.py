"""Which sums whole trades of some securities can add up to, and what a trade leaves for the securities after it.

The sums that securities can make are the bits of one large integer; a shift adds a trade to all of them at once. So it
is known before a trade is chosen whether the securities after it can make up the rest, and a search finds the first way
almost without turning back. Where the securities can make more sums than are worth holding, those near the least and
the most are known, and the others are taken to be possible until they come near.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from heapq import merge
from itertools import accumulate
from math import gcd
from typing import Any, NamedTuple

from rebalance_app.optimiser.problem.constraints import Interval

FULLY_KNOWN = 2**19  # sums: up to so many are all known, where MOST_BITS permit
WINDOW = 2**16  # sums that are known at either end, at least, where not all are
JUMPS = 4  # longest steps of a sum that a window should hold
MOST_BITS = 2**27  # for n securities: of each 1/n of them beyond a window, and 1/n² in any case
FEW = 3_000  # sums of the last securities that are held one by one
FEWEST = 200  # of these, that are looked through

Ordered = Iterator[tuple[int, int, int]]  # (−steps, −k, amount) of trades, the largest first


def compact(numbers: Iterable[int]) -> Sequence[int]:
    """Whole numbers in 64 bits each, where they fit: such lists grow with the square of the securities."""
    every = list(numbers)
    try:
        return array("q", every)
    except OverflowError:
        return every


class Progression(NamedTuple):  # and no dataclass, because hundreds are made for each look
    """Trades of one side, `least` to `most` steps, each of which adds `unit` to a sum; 0 where it adds nothing."""

    side: int
    least: int
    most: int
    unit: int

    @property
    def ends(self) -> Interval:
        """The smallest and the largest amount."""
        return self.least * self.unit, self.most * self.unit

    def rest(self, total: int) -> Interval:
        """The least and the most that it leaves of a total."""
        return total - self.most * self.unit, total - self.least * self.unit

    def between(self, low: int, high: int) -> range:
        """The steps of its trades that amount to `low` to `high`."""
        if not self.unit:
            return range(int(low <= 0 <= high))
        return range(max(-(-low // self.unit), self.least), min(high // self.unit, self.most) + 1)

    def trades(self, steps: range) -> Ordered:
        """Its trades of so many steps."""
        for n in reversed(steps):
            yield -n, -n * self.side, n * self.unit


def progressions(intervals: Sequence[Interval], step: int) -> list[Progression]:
    """The intervals by side; a step bought or sold adds `step` to a sum, and no trade is a buy of 0."""
    found = []
    for a, b in intervals:
        if b >= 0:
            found.append(Progression(1, max(a, 0), b, step))
        if a < 0:
            found.append(Progression(-1, max(1, -b), -a, step))
    return found


@lru_cache(maxsize=2**12)
def _common(one: int, other: int) -> tuple[int, int]:
    """The greatest common divisor of two units, and by it, the inverse of the one modulo the other."""
    unit = gcd(one, other)
    return unit, pow(one // unit, -1, other // unit)


def dividing(progression: Progression, unit: int, total: int, low: int, high: int) -> range:
    """A progression's steps that amount to `low` to `high` and leave of a total a multiple of a unit, which may be 0.

    By the extended Euclid's algorithm they are a first one and every so many-th after it.
    """
    steps = progression.between(low, high)
    if not unit:
        return steps
    common, inverse = _common(progression.unit, unit)
    if total % common:
        return range(0)
    every = unit // common
    return range(steps.start + (total // common * inverse - steps.start) % every, steps.stop, every)


Trades = Iterator[tuple[int, Any]]  # k and what is to be made up after it
Narrowed = Callable[[Progression, range], range] | None  # the steps worth a look; None: all are


def _merged(some: Iterable[tuple[Progression, range]], narrowed: Narrowed) -> Ordered:
    """The trades of one security's progressions, so many steps of each, together."""
    trades = [p.trades(narrowed(p, steps) if narrowed else steps) for p, steps in some]
    return trades[0] if len(trades) == 1 else merge(*trades)


class Sums:
    """What securities can add up to: from security i on, known exactly, or but within a window from either end.

    What the last two securities that add anything come to, number theory decides.
    """

    def __init__(self, securities: Sequence[Sequence[Progression]], unit: int) -> None:
        """Each security needs a progression; `unit` divides what every one of its trades adds."""
        self.securities, self.unit = securities, unit
        ends = [[p.ends for p in security] for security in securities]
        self.least = [*accumulate((min(a for a, _ in security) for security in reversed(ends)), initial=0)][::-1]
        self.most = [*accumulate((max(b for _, b in security) for security in reversed(ends)), initial=0)][::-1]
        jumps = [p.unit * max(1, p.least if len(security) > 1 else 1) for security in securities for p in security]
        number = max(1, len(securities))
        wider, most = MOST_BITS // number**2, min(FULLY_KNOWN, max(WINDOW, MOST_BITS // number))
        window = max(wider, min(most, max(WINDOW, JUMPS * max(jumps, default=1) // unit)))
        ranges = ((high - low) // unit + 1 for low, high in zip(self.least, self.most, strict=True))
        self.known = [every if every <= max(wider, most) else window for every in ranges]
        self.adding = [i for i, most in enumerate(self.most[:-1]) if most > self.most[i + 1]]
        self.units = [
            *accumulate((gcd(*(p.unit for p in security)) for security in reversed(securities)), gcd, initial=0)
        ][::-1]
        self._reached: dict[tuple[int, bool], list[int]] = {}
        self._few = self._held_one_by_one()

    def reached(self, i: int, sign: int, *, mirrored: bool = False) -> int:
        """Which sums of the securities from i on lie 0, 1, ... units above their least, or below their most (sign −1).

        One per bit, `known[i]` of them, the last one lowest if mirrored. Worked out from the last security on, as far
        as it is asked for: far from both ends nobody asks.
        """
        from_last = self._reached.setdefault((sign, mirrored), [1])
        for at in reversed(range(i, len(self.securities) + 1 - len(from_last))):
            from_last.append(self._with_security(at, from_last[-1], sign, mirrored=mirrored))
        return from_last[len(self.securities) - i]

    def _with_security(self, i: int, after: int, sign: int, *, mirrored: bool) -> int:
        """`reached` of security i, from that of the security after it: moved by each of its trades, by doubling."""
        known = self.known[i]
        mask, wider = 0 if mirrored else (1 << known) - 1, known - self.known[i + 1]
        if mirrored and wider:
            after = after << wider if wider > 0 else after >> -wider
        elif wider < 0:
            after &= mask

        def raised(bits: int, by: int) -> int:
            return bits >> by if mirrored else bits << by & mask

        found, end = 0, self.least[i] - self.least[i + 1] if sign > 0 else self.most[i] - self.most[i + 1]
        for p in self.securities[i]:
            away, unit = (p.ends[0] - end if sign > 0 else end - p.ends[1]) // self.unit, p.unit // self.unit
            if away < known:
                bits, times, covered = raised(after, away) if away else after, p.most - p.least, 1
                while covered <= times and unit * covered < known:  # bits hold 0 to covered − 1 more trades
                    more = min(covered, times + 1 - covered)
                    bits |= raised(bits, more * unit)
                    covered += more
                found |= bits
        return found

    def _held_one_by_one(self) -> list[set[int]]:
        """All that the last securities can add up to, from none of them to as many as it is not much for."""
        found = [{0}]
        for security in reversed(self.securities):
            if len(found[-1]) * sum(p.most - p.least + 1 for p in security) > FEW:
                break
            amounts = [steps * p.unit for p in security for steps in range(p.least, p.most + 1)]
            found.append({amount + rest for amount in amounts for rest in found[-1]})
        return found

    def few(self, i: int) -> set[int] | None:
        """All that the securities from i on can add up to, where that is not much."""
        securities = len(self.securities) - i
        return self._few[securities] if securities < len(self._few) else None

    def _adding(self, i: int) -> list[int]:
        """The next securities from i on that add anything, three at most."""
        at = bisect_left(self.adding, i)
        return self.adding[at : at + 3]

    def steps(self, i: int, progression: Progression, total: int) -> list[range]:
        """The steps of security i's progression after which the securities to come may make up the rest of a total."""
        adding = self._adding(i + 1)
        if len(adding) == 1:
            return [dividing(progression, p.unit, total, *p.rest(total)) for p in self.securities[adding[0]]]
        return [dividing(progression, self.units[i + 1], total, total - self.most[i + 1], total - self.least[i + 1])]

    def away(self, i: int, total: int, sign: int) -> int:
        """Units from the least (sign 1) or the most (−1) of the securities from i on."""
        return (total - self.least[i] if sign > 0 else self.most[i] - total) // self.unit

    def possible(self, i: int, total: int) -> bool:
        """Whether the securities from i on may add up to the total; no false negatives."""
        if not self.least[i] <= total <= self.most[i] or total % (self.units[i] or self.unit):
            return False
        few = self.few(i)
        if few is not None:
            return total in few
        adding = self._adding(i)
        if 0 < len(adding) <= 2:  # number theory decides
            return any(any(self.steps(adding[0], p, total)) for p in self.securities[adding[0]])
        for sign in (1, -1):
            not_beyond = self.known[i] - 1 - self.away(i, total, sign)
            if not_beyond >= 0:  # one window tells all; mirrored, only what is nearer to the end is shifted
                return bool(self.reached(i, sign, mirrored=True) >> not_beyond & 1)
        return True

    def nearest(self, total: int, sign: int) -> int | None:
        """The total, or the nearest above (sign 1) or below it (−1) that all securities may add up to; None for none.

        Where a sum is not known, it may.
        """
        on_grid = -(-total * sign // self.unit) * self.unit * sign
        total = max(on_grid, self.least[0]) if sign > 0 else min(on_grid, self.most[0])
        if not self.least[0] <= total <= self.most[0]:
            return None
        few = self.few(0)
        if few is not None:
            return min((each for each in few if (each - total) * sign >= 0), key=lambda x: abs(x - total))
        away, known = self.away(0, total, sign), self.known[0]
        if away < known:
            bits = self.reached(0, sign) >> away
            if bits:
                return total + sign * self.unit * ((bits & -bits).bit_length() - 1)
            total += sign * self.unit * (known - away)
        away = self.away(0, total, -sign)
        if away >= known:
            return total
        bits = self.reached(0, -sign) & (2 << away) - 1 if away >= 0 else 0
        return total + sign * self.unit * (away + 1 - bits.bit_length()) if bits else None

    def trades(self, i: int, total: int, narrowed: Narrowed = None) -> Trades:
        """The trades of security i, largest first, a buy before a sale, and what those after it must add up to."""
        if i < len(self.securities):
            some = [(p, steps) for p in self.securities[i] for steps in self.steps(i, p, total)]
            for _, minus_k, amount in _merged(some, narrowed):
                yield -minus_k, total - amount


def _one_side(security: Sequence[Progression], side: int) -> list[Progression]:
    """What a security may add on one side: nothing, where it may trade on the other."""
    these = [p for p in security if p.side == side]
    return these if len(these) == len(security) else [*these, Progression(side, 0, 0, 0)]


State = tuple[int, int, int]  # what all trades come to together, and the least and the most of it that is bought


class TwoSums:
    """What securities can buy and sell, where both together must come to a sum, and buys to one of a range."""

    def __init__(self, securities: Sequence[Sequence[Progression]], unit: int) -> None:
        """As `Sums` has them; a step sold adds what it sells."""
        self.securities, self.unit = securities, unit
        self.buys, self.sales = (Sums([_one_side(security, side) for security in securities], unit) for side in (1, -1))

    def _meet(self, i: int, both: int, low: int, high: int) -> bool:
        """Whether buys of `low` to `high` and sales for the rest are among known sums; true where windows end first.

        The buys' window at one end is laid over the sales' at the end that tells: bit r is a buy r units nearer to its
        end than the furthest one asked for.
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

    def possible(self, i: int, state: State) -> bool:
        """Whether the securities from i on may come to the state; no false negatives."""
        both, low, high = state
        buys, sales, unit = self.buys, self.sales, self.unit
        low = max(low, buys.least[i], both - sales.most[i])
        high = min(high, buys.most[i], both - sales.least[i])
        low, high = -(-low // unit) * unit, high // unit * unit
        if low > high or both % (gcd(buys.units[i], sales.units[i]) or unit):
            return False
        if low == high:
            return buys.possible(i, low) and sales.possible(i, both - low)
        some, others = buys.few(i), sales.few(i)
        if some is None or others is None or len(some) > FEWEST:
            if i == len(self.securities) - 2:
                return any(any(self._steps(i, p, (both, low, high))) for p in self.securities[i])
            return self._meet(i, both, low, high)
        return any(low <= bought <= high and both - bought in others for bought in some)

    def _steps(self, i: int, progression: Progression, state: State) -> list[range]:
        """The steps of security i's progression after which the securities to come may make up the rest of a state."""
        both, low, high = state
        same = self.buys if progression.side > 0 else self.sales
        first, last = (low, high) if progression.side > 0 else (both - high, both - low)
        if first == last:
            return same.steps(i, progression, first)
        if i == len(self.securities) - 2:
            return [self._steps_with(progression, other, state) for other in self.securities[i + 1]]
        least = max(first - same.most[i + 1], both - self.buys.most[i + 1] - self.sales.most[i + 1])
        most = min(last - same.least[i + 1], both - self.buys.least[i + 1] - self.sales.least[i + 1])
        return [dividing(progression, gcd(self.buys.units[i + 1], self.sales.units[i + 1]), both, least, most)]

    def _steps_with(self, progression: Progression, other: Progression, state: State) -> range:
        """The steps of a progression with which another one makes up a state."""
        both, low, high = state
        least, most = other.rest(both)
        if progression.side != other.side:
            first, last = (low, high) if progression.side > 0 else (both - high, both - low)
            return dividing(progression, other.unit, both, max(first, least), min(last, most))
        bought = both if progression.side > 0 else 0
        return dividing(progression, other.unit, both, least, most) if low <= bought <= high else range(0)

    def trades(self, i: int, state: State, narrowed: Narrowed = None) -> Trades:
        """The trades of security i, largest first, a buy before a sale, and the state after it."""
        if i < len(self.securities):
            some = [(p, steps) for p in self.securities[i] for steps in self._steps(i, p, state)]
            both, low, high = state
            for _, minus_k, amount in _merged(some, narrowed):
                bought = amount if minus_k < 0 else 0
                yield -minus_k, (both - amount, low - bought, high - bought)
