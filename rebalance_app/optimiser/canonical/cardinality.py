"""A number of orders as a side constraint of sums: what so many orders of some securities can come to.

Which sums securities can make, `Sums` knows, but not with how many orders. Here it is known of each number of orders
what it can come to at least and at most, and which sums just below the most it can make: a search that trades most with
the first securities runs into those. What two orders come to, number theory decides.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, product

from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.problem.constraints import Interval

from .subset_sum import Progression, State, Sums, TwoSums, compact, dividing

KNOWN = 2**25  # sums below the most are known, over securities times orders,
MOST_KNOWN = 2**21
LEAST_KNOWN = 2**12  # and fewer than these are not worth it
DECIDED = 2  # orders of which it is known what they can come to
MOST_SUMS = 64  # of buys that are tried one by one
MOST_TRIED = 100_000  # pairs of securities, or of numbers of buys and sales, until a search is given up

Number = tuple[int, int]  # the fewest and the most orders


@dataclass(frozen=True, slots=True)
class _Rest:
    """The securities from one on that must make an order, and those that may, as (−most, security): largest first.

    least, most   by the number of orders of those that may: what all orders come to at least and at most
    """

    must: tuple[tuple[int, int], ...]
    may: tuple[tuple[int, int], ...]
    least: Sequence[int]
    most: Sequence[int]


def _rests(orders: Sequence[Sequence[Progression]], must: Sequence[bool]) -> list[_Rest]:
    """Of the securities from each one on, and of none; a security without orders is left out."""
    found = [_Rest((), (), [0], [0])]
    those, others, least, certain = list[tuple[int, int]](), list[tuple[int, int]](), list[int](), (0, 0)
    for i in reversed(range(len(orders))):
        if orders[i]:
            low, high = min(p.ends[0] for p in orders[i]), max(p.ends[1] for p in orders[i])
            insort(those if must[i] else others, (-high, i))
            if must[i]:
                certain = certain[0] + low, certain[1] + high
            else:
                insort(least, low)
        at_least = compact(accumulate(least, initial=certain[0]))
        at_most = compact(accumulate((-most for most, _ in others), initial=certain[1]))
        found.append(_Rest(tuple(those), tuple(others), at_least, at_most))
    return found[::-1]


class Counted:
    """What securities of progressions can come to with so many orders: with exactly so many, or at most."""

    def __init__(self, sums: Sums | TwoSums, *, exact: bool) -> None:
        """Of the securities of some sums. A progression of 0 steps, or of 0 a step, is no order."""
        self.unit, self.exact = sums.unit, exact
        self.orders = [
            [p._replace(least=max(1, p.least)) for p in security if p.most * p.unit] for security in sums.securities
        ]
        self.must = [all(p.least * p.unit for p in security) for security in sums.securities]
        self.rests = _rests(self.orders, self.must)
        self._reached: dict[tuple[int, int], int] = {}
        self._mirrored: dict[tuple[int, int], int] = {}
        self._tried = 0

    def count(self) -> None:
        """Count what is tried. Raises SearchLimit."""
        self._tried += 1
        if self._tried > MOST_TRIED:
            raise SearchLimit

    def ends(self, i: int, number: int) -> Interval | None:
        """The least and the most that so many orders of the securities from i on come to; None where they cannot be."""
        rest = self.rests[i]
        free = number - len(rest.must)
        if free < 0 or (self.exact and free > len(rest.may)):
            return None
        return rest.least[free if self.exact else 0], rest.most[min(free, len(rest.may))]

    def fit(self, i: int, total: int, fewest: int) -> bool:
        """Whether so many orders of the securities from i on, or more, may come to no more than the total."""
        rest = self.rests[i]
        free = max(0, fewest - len(rest.must))
        return free <= len(rest.may) and rest.least[free] <= total

    def known(self, i: int, number: int) -> int:
        """How many sums below the most are known; 0 where it would be too few."""
        known = min(MOST_KNOWN, KNOWN // max(1, number * (len(self.orders) - i)))
        return known if known >= LEAST_KNOWN else 0

    def reached(self, i: int, number: int) -> int:
        """Which sums lie 0, 1, ... units below the most of so many orders of the securities from i on, one per bit."""
        for at in reversed(range(i, len(self.orders) + 1)):
            for n in range(max(0, number - (at - i)), number + 1):
                if (at, n) not in self._reached:
                    self._reached[at, n] = self._with_security(at, n)
        return self._reached[i, number]

    def mirrored(self, i: int, number: int) -> int:
        """The same, the last one that is known lowest."""
        if (i, number) not in self._mirrored:
            bits = f"{self.reached(i, number):0{self.known(i, number)}b}"
            self._mirrored[i, number] = int(bits[::-1], 2)
        return self._mirrored[i, number]

    def _lowered(self, i: int, number: int, below: int, known: int) -> int:
        """What is reached from security i on, moved down by an amount, as far as it stays known."""
        away = below // self.unit
        return self._reached[i, number] << away & (1 << known) - 1 if away < known else 0

    def _with_security(self, i: int, number: int) -> int:
        """What `reached` is for security i, given what it is for the security after it."""
        ends = self.ends(i, number)
        if ends is None or i == len(self.orders):
            return int(ends is not None)
        known, found = self.known(i, number), 0
        without, after = self.ends(i + 1, number), self.ends(i + 1, number - 1)
        if without is not None and not self.must[i]:
            found = self._lowered(i + 1, number, ends[1] - without[1], known)
        if after is None:
            return found
        for p in self.orders[i]:
            bits = self._lowered(i + 1, number - 1, ends[1] - after[1] - p.ends[1], known)
            unit, times, covered = p.unit // self.unit, p.most - p.least, 1
            while covered <= times and unit * covered < known:  # bits hold 0 to covered − 1 steps less
                more = min(covered, times + 1 - covered)
                bits |= bits << more * unit & (1 << known) - 1
                covered += more
            found |= bits
        return found

    def _pairs_of(self, i: int, total: int) -> Iterator[tuple[int, int]]:
        """Two securities from i on, with all that must make an order, whose orders can come to the total at least."""
        must, may = self.rests[i].must, self.rests[i].may
        if len(must) == DECIDED:
            yield must[0][1], must[1][1]
            return
        for n, (most, one) in enumerate(must or may):
            for other_most, other in may if must else may[n + 1 :]:
                if -most - other_most < total:
                    break
                yield one, other

    def _together(self, one: int, other: int, total: int) -> bool:
        """Whether an order of each of two securities come to the total."""
        self.count()
        pairs = product(self.orders[one], self.orders[other])
        return any(dividing(a, b.unit, total, *b.rest(total)) for a, b in pairs)

    def _decided(self, i: int, total: int, number: int) -> bool:
        """Whether at most two orders, as many as may be and within the ends of their sums, come to the total."""
        must, may = self.rests[i].must, self.rests[i].may
        numbers: Iterable[int] = range(number if self.exact else len(must), number + 1)
        if 0 in numbers and not total:
            return True
        alone = (p for _, each in must or may for p in self.orders[each]) if 1 in numbers else ()
        if any(total % p.unit == 0 and p.ends[0] <= total <= p.ends[1] for p in alone):
            return True
        return DECIDED in numbers and any(self._together(*both, total) for both in self._pairs_of(i, total))

    def possible(self, i: int, total: int, number: int) -> bool:
        """Whether so many orders of the securities from i on may come to the total; no false negatives."""
        ends = self.ends(i, number)
        if ends is None or not ends[0] <= total <= ends[1] or total % self.unit:
            return False
        if number <= DECIDED:
            return self._decided(i, total, number)
        away = (ends[1] - total) // self.unit
        return away >= self.known(i, number) or bool(self.reached(i, number) >> away & 1)


class Orders:
    """A number of orders, as a side constraint of one sum or of two. What is left is the fewest and the most."""

    def __init__(self, sums: Sums | TwoSums, number: Number) -> None:
        """Of the securities of the sums; `number` is what all of them may make."""
        exact = number[0] == number[1]
        self.unit, self.every = sums.unit, Counted(sums, exact=exact)
        self.sides = [Counted(of, exact=exact) for of in (sums.buys, sums.sales)] if isinstance(sums, TwoSums) else []

    def after(self, _i: int, k: int, left: Number) -> Number:
        """What is left after a trade."""
        return (max(0, left[0] - 1), left[1] - 1) if k else left

    def narrowed(self, i: int, progression: Progression, steps: range, state: int | State, left: Number) -> range:
        """Of some steps those that leave what so many orders may come to; 0 steps are no order."""
        if 0 in steps:
            return steps if left[1] else steps[:1]
        most = max(0, left[1])
        numbers = range(min(most, 1) if isinstance(state, int) else most)  # one sum does not ask who makes them
        ranges = [self._between(i + 1, progression.side, state, (n, most - 1 - n)) for n in numbers]
        low = min((each[0] for each in ranges if each), default=1)
        high = max((each[1] for each in ranges if each), default=0)
        some = progression.between(low, high)
        return steps[bisect_left(steps, some.start) : bisect_left(steps, some.stop)]

    def _between(self, i: int, side: int, state: int | State, numbers: Number) -> Interval | None:
        """What a trade may amount to, so that so many orders on its side and so many on the other make up the rest."""
        if isinstance(state, int):
            rest = self.every.ends(i, sum(numbers))
            return None if rest is None else (state - rest[1], state - rest[0])
        both, low, high = state
        low, high = (low, high) if side > 0 else (both - high, both - low)
        same, other = (of.ends(i, n) for of, n in zip(self.sides[::side], numbers, strict=True))
        if same is None or other is None or max(both - high, other[0]) > min(both - low, other[1]):
            return None
        return both - min(both - low, other[1]) - same[1], both - max(both - high, other[0]) - same[0]

    def possible(self, i: int, state: int | State, left: Number) -> bool:
        """Whether securities from i on may come to a state of the sums with orders that are left."""
        fewest, most = left
        if isinstance(state, int):
            return self.every.fit(i, state, fewest) and self.every.possible(i, state, most)
        return (
            self.every.fit(i, state[0], fewest)
            and self.every.possible(i, state[0], most)
            and any(self._parted(i, state, bought, most - bought) for bought in range(most + 1))
        )

    def _parted(self, i: int, state: State, bought: int, sold: int) -> bool:
        """Whether so many buys and so many sales may come to a state."""
        self.every.count()
        (buys, sales), (both, low, high) = self.sides, state
        of_buys, of_sales = buys.ends(i, bought), sales.ends(i, sold)
        if of_buys is None or of_sales is None:
            return False
        low, high = max(low, of_buys[0], both - of_sales[1]), min(high, of_buys[1], both - of_sales[0])
        low, high = -(-low // self.unit) * self.unit, high // self.unit * self.unit
        if (high - low) // self.unit < MOST_SUMS:
            some = range(low, high + 1, self.unit)
            return any(buys.possible(i, each, bought) and sales.possible(i, both - each, sold) for each in some)
        below = (of_buys[1] + of_sales[1] - both) // self.unit  # what both are below their most, together
        first, last = ((of_buys[1] - end) // self.unit for end in (high, low))
        known = sales.known(i, sold)
        if below >= known or last >= buys.known(i, bought):
            return True
        met = buys.reached(i, bought) & sales.mirrored(i, sold) >> known - 1 - below
        return bool(met >> first & (2 << last - first) - 1)
