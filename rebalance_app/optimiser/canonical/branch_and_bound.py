"""Branching in exact integers, where one relaxation leaves too much open: the optimum, and of equal ones the first.

Where the relaxation makes a fraction of an order, fewer orders are one part and more are another. Else a security that it
leaves between two whole answers is parted there. Each part has a relaxation, prices and a bound of its own. The part
with the lowest bound is looked at first, and ever further from its bound, until `tight` or `remaining` finds its first
answer; where they would have to try too many, it is parted in turn. When all other bounds are above an answer, that is
the first of all. HiGHS only says where to look: each decision is made in whole numbers.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed
from rebalance_app.optimiser.local_search import Rank, rank
from rebalance_app.optimiser.milp.breakpoints import Table, Whole, listed, needs_gate, parts, table
from rebalance_app.optimiser.milp.highs import Relaxed
from rebalance_app.optimiser.milp.lagrangian import row_limits
from rebalance_app.optimiser.milp.part_relaxation import solve_part
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.integer_problem import ONE, IntegerProblem

from .at_bound import first_tight
from .dominance import best_within
from .lexicographic import SearchLimit

MOST_PARTS = 200  # relaxations; counted, so that within the time limit a slow machine gives no other answer
MOST_LOOKS = 400
NEAR = 10**6  # the first look goes as far as this part of the market value,
FURTHER = 4  # and each look so many times as far as the last
WHOLE = 1e-6  # steps: nearer than that to a whole number, a relaxed trade is one

Choices = tuple[AllowedTrades, ...]


def _breaks_a_row(points: Table) -> bool:
    """Whether some row is broken even by what uses least of it."""
    uses, limits = points.uses, row_limits(points.ip)
    return any(np.minimum.reduceat(uses[name], points.start).sum() > limit for name, limit in limits.items())


def _all_there_is(points: Table) -> bool:
    """Whether the points are one answer: where each security has but one there is nothing to choose."""
    return len(points.security) == len(points.start)


def _between_segments(_ledger: IntegerProblem, choices: Choices, relaxed: Relaxed) -> NDArray[np.float64]:
    """(n,) money from each security's relaxed trade to the nearest that it may make, where that is none of its segments."""

    def away(allowed: AllowedTrades, steps: float) -> float:
        nearest = min(max(first - steps, steps - last, 0) for first, last in allowed.segments)
        return nearest * allowed.security.step if nearest > WHOLE else 0.0

    return np.array([away(*each) for each in zip(choices, relaxed.steps.tolist(), strict=True)])


def _astray(ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> Whole:
    """(n,) how far above its least the priced score of each security is at the better whole neighbour of its relaxation."""
    floors = [math.floor(steps + WHOLE) for steps in relaxed.steps.tolist()]  # of any size

    def neighbours(allowed: AllowedTrades, k: int) -> list[int]:
        return [min(max(each, a), b) for a, b in parts(ip, allowed) for each in (k, k + 1)]

    near, points = listed(ip, list(map(neighbours, choices, floors))), relaxed.points
    least = np.minimum.reduceat(points.priced(relaxed.prices), points.start)
    return np.asarray(np.minimum.reduceat(near.priced(relaxed.prices), near.start) - least)


def _fractional(choices: Choices, relaxed: Relaxed) -> NDArray[np.float64]:
    """(n,) what a step of each security is worth, where its relaxed trade is no whole number."""
    is_whole = np.abs(relaxed.steps - np.rint(relaxed.steps)) <= WHOLE
    return np.where(is_whole, 0.0, np.array([float(allowed.security.step) for allowed in choices]))


def _place(ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> Interval:
    """The security to part, and its last step in the first part. Raises SearchLimit where the relaxation is whole."""
    for measured in (_between_segments, _astray):
        measure = measured(ip, choices, relaxed)
        i = int(np.argmax(measure))
        steps = float(relaxed.steps[i])
        if measure[i] and choices[i].least < choices[i].most:
            gated = needs_gate(ip, choices[i])
            return i, (0 if steps > -WHOLE else -1) if gated else int(np.floor(steps + WHOLE))
    fraction = _fractional(choices, relaxed)
    i = int(np.argmax(fraction))
    if not fraction[i]:
        raise SearchLimit
    return i, int(np.floor(relaxed.steps[i]))


def _by_line(ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> list[Choices]:
    """The choices in two parts, one security up to a step and beyond it. Raises SearchLimit where the relaxation is whole."""
    i, last = _place(ip, choices, relaxed)
    allowed = choices[i]
    last = min(max(last, allowed.least), allowed.most - 1)
    below = tuple((a, min(b, last)) for a, b in allowed.segments if a <= last)
    above = tuple((max(a, last + 1), b) for a, b in allowed.segments if b > last)
    return [(*choices[:i], AllowedTrades(allowed.security, part), *choices[i + 1 :]) for part in (below, above)]


def _parted(choices: Choices, relaxed: Relaxed) -> list[tuple[IntegerProblem, Choices]]:
    """A problem in two parts: by the number of orders, where they matter and the relaxation makes a fraction of one."""
    ip, whole = relaxed.points.ip, math.floor(relaxed.orders + WHOLE)
    fewest, most = ip.fewest_orders, ip.most_orders
    if ip.orders_matter and relaxed.orders > whole + WHOLE and fewest <= whole and (most is None or whole < most):
        return [(replace(ip, most_orders=whole), choices), (replace(ip, fewest_orders=whole + 1), choices)]
    return [(ip, part) for part in _by_line(ip, choices, relaxed)]


@dataclass(order=True, frozen=True, slots=True)
class _Part:
    """Choices of which no answer has a score below `least`; ordered by that, then by when they were made.

    further   how far from the bound of the relaxation to look next, in score units; 0: no further than `tight` does
    divisible   false where `tight` gave up: what is too many for sums is so in smaller parts too
    """

    least: int
    made: int
    choices: Choices = field(compare=False)
    relaxed: Relaxed = field(compare=False)
    further: int = field(default=0, compare=False)
    divisible: bool = field(default=True, compare=False)


@dataclass(slots=True)
class Branching:
    """What is known so far: the first of the answers found, and the parts that may have one before it.

    whole      all choices as one part; waiting   a heap of those to be looked at
    known      the answer, with its rank
    made       how many parts
    deadline   until when it goes on, by the monotonic clock
    """

    ip: IntegerProblem
    whole: _Part
    waiting: list[_Part]
    known: tuple[int, ...] | None = None
    known_rank: Rank | None = None
    made: int = 0
    is_aside: bool = False  # and solves nothing aside
    deadline: float = 0.0

    @classmethod
    def of(cls, ip: IntegerProblem, choices: Sequence[AllowedTrades], relaxed: Relaxed) -> "Branching":
        """Begun, with the choices as the only part, and their relaxation."""
        whole = _Part(relaxed.bound, 0, tuple(choices), relaxed)
        begun = cls(ip, whole, [whole])
        if relaxed.trades is not None:
            begun.note(relaxed.trades)
        return begun

    def go_on(self, seconds: float) -> bool:
        """Look at parts, those with the lowest bounds first, until too much was tried or time runs out; True then.

        Where `least` is None then, `known` is the first of all answers by `exchange.rank`, or there is none.
        """
        self.deadline = time.monotonic() + seconds
        with suppress(SearchLimit, NoAnswerInTime, SolverFailed):
            for _ in range(MOST_LOOKS):
                if self.least is None or time.monotonic() > self.deadline:
                    break
                following = self._look(self.waiting[0])
                heappop(self.waiting)
                for part in following:
                    heappush(self.waiting, part)
        return time.monotonic() > self.deadline

    @property
    def known_score(self) -> int | None:
        """The score of the answer that is known."""
        return None if self.known_rank is None else self.known_rank[0]

    @property
    def least(self) -> int | None:
        """The least score that an answer before the known one may have; None where none comes before it."""
        known = self.known_score
        return self.waiting[0].least if self.waiting and (known is None or self.waiting[0].least <= known) else None

    def begin_again(self) -> None:
        """Go back to all choices as one part: with a better answer other parts matter.

        Where they were never parted, what was seen of them stays.
        """
        if self.made:
            self.waiting, self.made = [self.whole], 0

    def _worst(self, part: _Part) -> int:
        """How far from the bound of a part an answer that matters may be, and 1 at least."""
        points, known = part.relaxed.points, self.known_score
        worst = int(np.maximum.reduceat(points.score, points.start).sum()) if known is None else known
        return max(1, worst - part.relaxed.bound)

    def _further(self, part: _Part) -> list[_Part]:
        """The part, to be looked at further from its bound: to where nothing was proven yet, or four times as far.

        Nothing, where all answers that matter were looked at.
        """
        worst = self._worst(part)
        if part.further and part.further >= worst:
            return []
        bound = part.relaxed.bound
        nearest = max(1, self.ip.market_value * ONE // NEAR, part.least - bound)
        least = max(part.least, bound + part.further + 1) if part.further else part.least
        reach = min(max(nearest, FURTHER * part.further), worst)
        return [replace(part, least=least, further=reach)]

    def _aside(self, ip: IntegerProblem, choices: Choices) -> tuple[int, ...] | None:
        """The first answer of a problem that is a step of this one, None for none. Raises SearchLimit."""
        if self.is_aside:
            raise SearchLimit
        points = table(ip, choices)
        if _breaks_a_row(points):
            return None
        if _all_there_is(points):
            return tuple(points.steps.tolist())
        relaxed = solve_part(ip, choices, points, self.deadline - time.monotonic())
        own = Branching.of(ip, choices, relaxed)
        own.is_aside = True
        own.go_on(self.deadline - time.monotonic())
        if own.least is not None:
            raise SearchLimit
        return own.known

    def note(self, trades: tuple[int, ...]) -> None:
        """Keep an answer, if it comes before the one that is known."""
        here = rank(self.ip, trades)
        if self.known_rank is None or here < self.known_rank:
            self.known, self.known_rank = trades, here

    def _divided(self, part: _Part) -> list[_Part]:
        """Two in the place of a part, or fewer. Raises SearchLimit, NoAnswerInTime and SolverFailed."""
        found = []
        for ip, choices in _parted(part.choices, part.relaxed):
            points = table(ip, choices)
            if _breaks_a_row(points):
                continue
            if _all_there_is(points):
                self.note(tuple(points.steps.tolist()))
                continue
            self.made += 1
            if self.made > MOST_PARTS:
                raise SearchLimit
            relaxed = solve_part(ip, choices, points, self.deadline - time.monotonic())
            found.append(_Part(max(part.least, relaxed.bound), self.made, choices, relaxed))
        return found

    def _look(self, part: _Part) -> list[_Part]:
        """Look for the first answer of a part, which is all that there is to it, or else what is to be looked at next.

        Raises SearchLimit, NoAnswerInTime and SolverFailed.
        """
        try:
            if part.further:
                part = replace(part, further=min(part.further, self._worst(part)))
                trades = best_within(part.relaxed, part.further, self.deadline)
            else:
                points, prices = part.relaxed.points, part.relaxed.prices
                trades, nearer = first_tight(points, prices, self.deadline, self._aside)
                part = replace(part, least=max(part.least, part.relaxed.bound + nearer))
        except SearchLimit:
            if not part.further:
                return [replace(each, divisible=False) for each in self._further(part)]
            if not part.divisible:
                raise
            return self._divided(part)
        if trades is None:
            return self._further(part)
        self.note(trades)
        return []
