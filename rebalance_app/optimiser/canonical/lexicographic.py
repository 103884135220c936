"""The lexicographically first trades, security by security, that come to their sums and keep side constraints."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.failures import SearchLimit

from .subset_sum import Progression, Sums, Trades, TwoSums

PATIENCE = 1000  # looks at single trades until all that the last securities come to is held
MOST_TRADES = 100_000  # single trades looked at until a search is given up
MOST_HELD = 2**20
WIDE = 2**31


class SideConstraint(Protocol):
    """What trades must keep besides their sums. Each trade leaves something of it for the securities to come."""

    def after(self, i: int, k: int, left: Any) -> Any:
        """What is left after security i trades k steps."""

    def possible(self, i: int, state: Any, left: Any) -> bool:
        """Whether securities from i on may come to a state of the sums with what is left; no false negatives."""

    def narrowed(self, i: int, progression: Progression, steps: range, state: Any, left: Any) -> range:
        """Of ascending steps of security i's progression, those after which it may be possible, and maybe others."""


Kept = Sequence[tuple[SideConstraint, Any]]  # with what there is of each


@dataclass(frozen=True, slots=True)
class _Held:
    """All that the securities from `begin` on come to, ascending: what they trade times WIDE, plus what they buy."""

    begin: int
    unit: int
    sums: NDArray[np.int64]

    @classmethod
    def of(cls, securities: Sequence[Sequence[Progression]], unit: int) -> "_Held":
        """Of as many of the last securities as do not come to too much; of none where 64 bits are too few."""
        if sum(max(p.ends[1] for p in security) for security in securities) >= WIDE * unit:
            return _NOTHING
        sums, begin = np.zeros(1, dtype=np.int64), len(securities)
        while begin:
            trades = ((np.arange(p.least, p.most + 1) * (p.unit // unit), p.side > 0) for p in securities[begin - 1])
            these = np.concatenate([amounts * (WIDE + buys) for amounts, buys in trades])
            if len(sums) * len(these) > MOST_HELD:
                break
            sums, begin = np.add.outer(sums, these).ravel(), begin - 1
        return cls(begin, unit, np.sort(sums))

    def has(self, state: Any) -> bool:
        """Whether a state of the sums is among them."""
        both, low, high = (state, 0, state) if isinstance(state, int) else state
        first, last = max(0, -(-low // self.unit)), min(high, both) // self.unit
        begin = both // self.unit * WIDE
        at = int(np.searchsorted(self.sums, begin + first))
        return first <= last and at < len(self.sums) and int(self.sums[at]) <= begin + last


_NOTHING = _Held(-1, 1, np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Together:
    """Sums with side constraints: a state is that of the sums, then what is left of each constraint."""

    sums: Sums | TwoSums
    kept: tuple[SideConstraint, ...]

    def possible(self, i: int, state: tuple[Any, ...]) -> bool:
        """Whether the securities from i on may come to the state."""
        of, *lefts = state
        each = zip(self.kept, lefts, strict=True)
        return self.sums.possible(i, of) and all(side.possible(i, of, left) for side, left in each)

    def trades(self, i: int, state: tuple[Any, ...]) -> Trades:
        """The trades of security i, with the state after each."""
        of, *lefts = state

        def narrowed(progression: Progression, steps: range) -> range:
            for side, left in zip(self.kept, lefts, strict=True):
                steps = side.narrowed(i, progression, steps, of, left)
            return steps

        for k, rest in self.sums.trades(i, of, narrowed):
            yield k, (rest, *(side.after(i, k, left) for side, left in zip(self.kept, lefts, strict=True)))


class Search:
    """A search for first ways to trade some securities, from one state of the sums or another."""

    def __init__(self, sums: Sums | TwoSums, kept: Kept = (), deadline: float = math.inf) -> None:
        """Of the securities of the sums; `deadline` when it is given up, by the monotonic clock."""
        self.sums, self.kept, self.deadline = sums, kept, deadline
        self._states: Any = _Together(sums, tuple(side for side, _ in kept)) if kept else sums
        self._looks, self._held, self._dead = 0, _NOTHING, set[tuple[int, Any]]()

    def first(self, start: Any) -> list[int] | None:
        """The trades that make up a state of the sums: of all such, the largest, security by security, buys first.

        None where there are none. Raises SearchLimit.
        """
        begin = (start, *(left for _, left in self.kept)) if self.kept else start
        if not self._states.possible(0, begin):
            return None
        path, tried = list[tuple[int, Any]](), [self._states.trades(0, begin)]
        while len(path) < len(self.sums.securities):
            here = len(path) + 1
            for k, state in tried[-1]:
                if self._worth_a_look(here, state) and self._states.possible(here, state):
                    path.append((k, state))
                    tried.append(self._states.trades(here, state))
                    break
            else:
                tried.pop()
                if not path:
                    return None
                self._dead.add((len(path), path.pop()[1]))
        return [k for k, _ in path]

    def _worth_a_look(self, i: int, state: Any) -> bool:
        """Whether securities from i on were not yet found unable to come to a state. Raises SearchLimit."""
        self._looks += 1
        if self._looks == PATIENCE:
            self._held = _Held.of(self.sums.securities, self.sums.unit)
        if self._looks > MOST_TRADES or time.monotonic() > self.deadline:
            raise SearchLimit
        if i == self._held.begin and not self._held.has(state[0] if self.kept else state):
            return False
        return (i, state) not in self._dead
