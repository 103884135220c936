"""The first way, line by line, to trades that come to their sums and keep something else beside them."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .sums import Piece, Sums, Trades, TwoSums

PATIENCE = 1000  # looks at single trades, until all that the last lines come to is held,
MOST_LOOKS = 50_000  # and until a search is given up
MOST_HELD = 2**20
WIDE = 2**31


class TooMany(Exception):  # noqa: N818
    """More would have to be tried than pays, to know which is the first, or whether there is any."""


class Beside(Protocol):
    """What trades must keep beside their sums. Of it, each trade leaves something for the lines to come."""

    def after(self, i: int, k: int, left: Any) -> Any:
        """What is left after line i trades k steps."""
        ...

    def possible(self, i: int, state: Any, left: Any) -> bool:
        """Whether lines from i on may come to a state of the sums with what is left; what is impossible is."""
        ...

    def narrowed(self, i: int, piece: Piece, steps: range, state: Any, left: Any) -> range:
        """Of some steps of a piece of line i, ascending, those after which it may be possible, and maybe others."""
        ...


Kept = Sequence[tuple[Beside, Any]]  # with what there is of each


@dataclass(frozen=True, slots=True)
class _Held:
    """All that the lines from `begin` on come to, ascending: what they trade times WIDE, plus what they buy."""

    begin: int
    unit: int
    sums: NDArray[np.int64]

    @classmethod
    def of(cls, lines: Sequence[Sequence[Piece]], unit: int) -> "_Held | None":
        """As many of the last lines as do not come to too much; None where even that does not fit into 64 bits."""
        if sum(max(p.ends[1] for p in line) for line in lines) >= WIDE * unit:
            return None
        sums, begin = np.zeros(1, dtype=np.int64), len(lines)
        while begin:
            trades = ((np.arange(p.least, p.most + 1) * (p.unit // unit), p.side > 0) for p in lines[begin - 1])
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


@dataclass(frozen=True, slots=True)
class _Together:
    """Sums with what is kept beside them: a state is that of the sums, then what is left of each of these."""

    sums: Sums | TwoSums
    kept: tuple[Beside, ...]

    def possible(self, i: int, state: tuple[Any, ...]) -> bool:
        """Whether the lines from i on may come to the state."""
        of, *lefts = state
        each = zip(self.kept, lefts, strict=True)
        return self.sums.possible(i, of) and all(beside.possible(i, of, left) for beside, left in each)

    def trades(self, i: int, state: tuple[Any, ...]) -> Trades:
        """The trades of line i, with the state after each."""
        of, *lefts = state

        def narrowed(piece: Piece, steps: range) -> range:
            for beside, left in zip(self.kept, lefts, strict=True):
                steps = beside.narrowed(i, piece, steps, of, left)
            return steps

        for k, rest in self.sums.trades(i, of, narrowed):
            yield k, (rest, *(beside.after(i, k, left) for beside, left in zip(self.kept, lefts, strict=True)))


def first_way(sums: Sums | TwoSums, start: Any, besides: Kept = (), until: float = math.inf) -> list[int] | None:
    """The trades that lead from the start to nothing: of all such, line by line, the largest, and a buy before a sale.

    `start` is a state of the sums. None where there are none. Raises TooMany, also when the monotonic clock says so.
    """
    if not besides:
        return _first_path(sums, sums, start, lambda state: state, until)
    search = _Together(sums, tuple(beside for beside, _ in besides))
    return _first_path(sums, search, (start, *(left for _, left in besides)), itemgetter(0), until)


def _first_path(
    sums: Sums | TwoSums, search: Sums | TwoSums | _Together, start: Any, summed: Callable[[Any], Any], until: float
) -> list[int] | None:
    """The first path through all lines of a search; `summed` says which state of the sums a state of it has."""
    if not search.possible(0, start):
        return None
    looks, held, dead = 0, None, set[tuple[int, Any]]()
    path, tried = list[tuple[int, Any]](), [search.trades(0, start)]
    while len(path) < len(sums.lines):
        here = len(path) + 1
        for k, state in tried[-1]:
            looks += 1
            if looks == PATIENCE:
                held = _Held.of(sums.lines, sums.unit)
            if looks > MOST_LOOKS or time.monotonic() > until:
                raise TooMany
            if held is not None and here == held.begin and not held.has(summed(state)):
                continue
            if (here, state) not in dead and search.possible(here, state):
                path.append((k, state))
                tried.append(search.trades(here, state))
                break
        else:
            tried.pop()
            if not path:
                return None
            dead.add((len(path), path.pop()[1]))
    return [k for k, _ in path]
