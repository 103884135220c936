"""Trying every answer that the prices leave, where they are few: the exact optimum, and of equal ones the first.

What a trade's priced score has above its line's least, and what is left of priced rows, adds up to an answer's distance
from the bound. So all answers within a distance are found line by line; of partial ones only those are kept that no
other one replaces: one that uses no more of any row and comes before it by `exchange.rank`. All in exact integers, but
for distances, which are floats, held against a limit that is a little too large: they only say what is not worth a
look. Short distances are tried first: where there is an answer within one, the best of all is there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Choice
from .constraints import Interval
from .exchange import total_score
from .integers import ONE, Ledger, Line
from .milp import Relaxed
from .pricing import cut, row_limits
from .sums import TooMany
from .table import Table, Whole, table

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_STEPS = 2000  # of all lines; beyond, the combinations are too many
MOST_PARTIAL = 2000
MOST_TRIED = 200_000
DISTANCES = (64, 16, 4, 1)  # parts of the distance of an answer that is known
MARGIN = 1e-9
LARGEST = 2**62
BLOCK = 256


def every_step(_ledger: Ledger, _line: Line, interval: Interval) -> range:
    """All whole numbers of an interval."""
    return range(interval[0], interval[1] + 1)


@dataclass(frozen=True, slots=True)
class _Row:
    """A coupling row: what each point uses of it, what all together may, and what a unit left over costs, in money."""

    used: Ints
    room: int
    price: float


@dataclass(frozen=True, slots=True)
class _Points:
    """Every trade that is left, line by line. Sums are counted from each line's first point, in whole units.

    places     by line, which points are its
    distance   (m,) money above the line's least
    score, traded, later   (m,) what orders answers: of equal score and traded, at the first line, the least `later`
    """

    places: list[Ints]
    distance: Floats
    score: Ints
    traded: Ints
    later: Ints
    rows: list[_Row]

    @property
    def open_lines(self) -> list[int]:
        """Lines with more than one trade, those first whose second-best takes most of any distance."""
        several = [i for i, at in enumerate(self.places) if len(at) > 1]
        return sorted(several, key=lambda i: float(np.partition(self.distance[self.places[i]], 1)[1]), reverse=True)


def _money(ledger: Ledger) -> int:
    """A unit of money in score units."""
    return int(ONE * 10**ledger.places)


def _units(column: Whole, start: Ints, line: Ints) -> tuple[Ints, int]:
    """A column less what its line begins with, as a multiple of the largest possible unit, and that unit.

    Raises TooMany where that does not fit into 64 bits.
    """
    away = column - column[start][line]
    unit = math.gcd(*away.tolist()) or 1
    counted = away // unit
    if np.maximum.reduceat(np.abs(counted), start).sum() >= LARGEST:
        raise TooMany
    return counted.astype(np.int64), unit


def _rows(points: Table, prices: Mapping[str, int], start: Ints) -> list[_Row]:
    """The rows that some combination of the points breaks."""
    rows, every, money = [], points.uses, _money(points.ledger)
    for name, limit in row_limits(points.ledger).items():
        uses = every[name]
        if np.maximum.reduceat(uses, start).sum() > limit:
            used, unit = _units(uses, start, points.line)
            room = (limit - uses[start].sum()) // unit
            rows.append(_Row(used, max(-LARGEST, min(room, LARGEST)), prices.get(name, 0) * unit / money))
    return rows


def _left(ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, gap: int) -> tuple[Table, _Points]:
    """The trades within a distance of the bound. Raises TooMany."""
    left = cut(choices, relaxed.points, relaxed.prices, gap)
    if sum(b - a + 1 for c in left for a, b in c.segments) > MOST_STEPS:
        raise TooMany
    points = table(ledger, left, every_step)
    priced = points.priced(relaxed.prices)
    over = priced - np.minimum.reduceat(priced, points.start)[points.line]
    points, over = points.only(over <= gap), over[over <= gap]
    k, start = points.steps, points.start  # of any size
    by_rank = sorted(range(len(k)), key=lambda i: (points.line[i], -abs(k[i]), -k[i]))
    later = np.empty(len(k), dtype=np.int64)
    later[by_rank] = np.arange(len(k))
    return points, _Points(
        places=np.split(np.arange(len(k)), start[1:]),
        distance=(over / _money(ledger)).astype(float),
        score=_units(points.score, start, points.line)[0],
        traded=_units(np.abs(points.bought), start, points.line)[0],
        later=later,
        rows=_rows(points, relaxed.prices, start),
    )


@dataclass(frozen=True, slots=True)
class _Partial:
    """Answers (s of them) for the lines looked at so far, with their sums; `used` is (r, s), `chosen` (s, lines)."""

    chosen: Ints
    distance: Floats
    score: Ints
    traded: Ints
    used: Ints

    def only(self, which: Any) -> "_Partial":  # a mask or an order
        """Some of them."""
        sums = (self.distance[which], self.score[which], self.traded[which])
        return _Partial(self.chosen[which], *sums, self.used[:, which])


def _replaced(used: Ints, earlier: Ints) -> Bools:
    """(s,) whether one of the first `earlier` (s,) of used (r, s) uses no more of any row."""
    replaced, kept = np.zeros(len(earlier), dtype=np.bool_), np.empty(0, dtype=np.int64)
    used = used[(used != used[:, :1]).any(axis=1)]
    if len(used) == 1:
        least = np.minimum.accumulate(used[0])
        return np.asarray((earlier > 0) & (least[earlier - 1] <= used[0]))
    for first in range(0, len(earlier), BLOCK):
        block = np.arange(first, min(first + BLOCK, len(earlier)))
        for others in (kept, block):
            fewer = others[:, None] < earlier[block]
            for row in used:
                fewer &= row[others][:, None] <= row[block]
            replaced[block] |= fewer.any(axis=0)
            block = block[~replaced[block]]
        kept = np.concatenate([kept, block])
        if len(kept) > MOST_PARTIAL:
            raise TooMany
    return replaced


@dataclass(frozen=True, slots=True)
class _Search:
    """All answers within a distance of the bound, line by line."""

    points: _Points
    distance: float
    lines: list[int]

    def begun(self) -> _Partial:
        """The one answer for no line."""
        none = np.zeros(1, dtype=np.int64)
        return _Partial(np.empty((1, 0), np.int64), np.zeros(1), none, none, np.zeros((len(self.points.rows), 1), int))

    def extended(self, partial: _Partial, at: Ints) -> _Partial:
        """Every one of them with every point of one more line."""
        distance = partial.distance[:, None] + self.points.distance[at]
        of, which = np.nonzero(distance <= self.distance)
        if len(of) > MOST_TRIED:
            raise TooMany
        added, p = partial.only(of), at[which]
        used = [row.used[p] for row in self.points.rows]
        return _Partial(
            chosen=np.column_stack([added.chosen, p]),
            distance=distance[of, which],
            score=added.score + self.points.score[p],
            traded=added.traded + self.points.traded[p],
            used=added.used + np.array(used, dtype=np.int64).reshape(len(used), len(p)),
        )

    def possible(self, partial: _Partial, rest: Sequence[Ints]) -> _Partial:
        """Those that can still honour every row and stay within the distance; `rest` are the lines to come.

        What is sure to be left of a row, whatever they use, counts as used: it makes no difference any more.
        """
        distance, kept = partial.distance.copy(), np.ones(len(partial.score), dtype=np.bool_)
        used = partial.used.copy()
        for row, now in zip(self.points.rows, used, strict=True):
            kept &= now + sum(int(row.used[at].min()) for at in rest) <= row.room
            sure = row.room - sum(int(row.used[at].max()) for at in rest)
            distance += row.price * np.maximum(sure - now, 0)
            np.maximum(now, sure, out=now)
        kept &= distance <= self.distance
        return replace(partial, used=used).only(kept)

    def first(self, partial: _Partial) -> _Partial:
        """Without those that another one replaces; of those that are equal in every sum, the first by id."""
        partial = partial.only(np.lexsort((*partial.used, partial.traded, partial.score)))
        better = _starts(np.stack([partial.score, partial.traded]))
        partial = partial.only(~_replaced(partial.used, better))
        start = _starts(np.stack([partial.score, partial.traded, *partial.used]))
        several = np.flatnonzero(np.bincount(start, minlength=len(start))[start] > 1)
        by_id = np.argsort(self.lines[: partial.chosen.shape[1]])
        later = self.points.later[partial.chosen[several][:, by_id]]
        several = several[np.lexsort((*later.T[::-1], start[several]))]
        keep = np.bincount(start, minlength=len(start))[start] == 1
        keep[several[_starts(start[several][None]) == np.arange(len(several))]] = True
        return partial.only(keep)

    def best(self) -> Ints | None:
        """The points of the best answer, by `exchange.rank`; None where no answer is this near. Raises TooMany."""
        lines = [self.points.places[i] for i in self.lines]
        partial = self.possible(self.begun(), lines)
        for i, at in enumerate(lines):
            partial = self.first(self.possible(self.extended(partial, at), lines[i + 1 :]))
            if len(partial.score) > MOST_PARTIAL:
                raise TooMany
        if not len(partial.score):
            return None
        fixed = [at[0] for at in self.points.places if len(at) == 1]
        return np.sort(np.concatenate([partial.chosen[0], np.array(fixed, dtype=np.int64)]))


def _starts(sums: Ints) -> Ints:
    """(s,) for each column of sorted sums (r, s), which is the first that equals it."""
    new = np.ones(sums.shape[1], dtype=np.bool_)
    new[1:] = (np.diff(sums, axis=1) != 0).any(axis=0)
    return np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))


def best_within(ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, gap: int) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, if any is within `gap` (score) of the bound. Raises TooMany."""
    for near in sorted({gap // part for part in DISTANCES}):
        left, points = _left(ledger, choices, relaxed, near)
        distance = float(near / _money(ledger)) * (1 + MARGIN) + MARGIN
        best = _Search(points, distance, points.open_lines).best()
        trades = None if best is None else tuple(left.steps[best].tolist())
        if trades is not None and total_score(ledger, trades) - relaxed.bound <= near:
            return trades
    return None
