"""Trying every answer that the prices leave, where they are few: the exact optimum, and of equal ones the first.

What a trade's priced score has above its line's least, and what is left of priced rows, adds up to an answer's distance
from the bound. So all answers within a distance are found line by line. Any other prices give a bound of their own, and
what is above the distance at one of them is of no interest either. Of partial answers only those are kept that no other
one replaces: one that uses no more of any row and comes before it by `exchange.rank`. Lines without a preference are
not tried trade by trade: they `fill` what the others leave.

All in exact integers, but for distances, which are floats, held against a limit that is a little too large: they only
say what is not worth a look.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exchange import rank
from .fill import Fill, count, filling, without
from .integers import ONE, Ledger
from .milp import Relaxed
from .pricing import grid, kept_steps, row_limits
from .sums import TooMany
from .table import Table, Whole, listed

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
MOST_STEPS = 2000  # of all lines but those that fill; beyond, the combinations are too many
MOST_PARTIAL = 300
MOST_TRIED = 30_000
MOST_FILLS = 50
MOST_DEVIATING = 62  # lines that may fill or not: each is a bit
SHIFTS = (0.003, 0.01, 0.03, 0.1, 0.3)  # of prices, where other bounds are looked for
MARGIN = 1e-9
LARGEST = 2**62
COMPARED = 64  # partial answers, with which all others are

Prices = Mapping[str, int]


def _shifted(prices: Prices, rows: Sequence[str]) -> list[Prices]:
    """The prices, and others around them: each row's up or down or gone, and one's up as much as another's down."""
    by, now = [round(shift * ONE) for shift in SHIFTS], {row: prices.get(row, 0) for row in rows}
    found = [now, *(now | {row: 0} for row in rows)]
    found += [now | {row: now[row] + sign * each} for row in rows for sign in (1, -1) for each in by]
    pairs = [pair for a, b in combinations(rows, 2) for pair in ((a, b), (b, a))]
    found += [now | {up: now[up] + each, down: now[down] - each} for up, down in pairs for each in by]
    return [each for each in found if min(each.values(), default=0) >= 0]


@dataclass(frozen=True, slots=True)
class _Row:
    """A coupling row: what each point uses of it, what filling adds, and what all together may use.

    used   (m,) more than its line's first point; room: less what all first points use; fill: 1, −1 or 0 per grain unit
    """

    name: str
    used: Ints
    room: int
    fill: int
    unit: int


@dataclass(frozen=True, slots=True)
class _Points:
    """Every trade that is left, line by line, a line that fills at its smallest. Sums are counted in whole units.

    places     by line, which points are its
    fills      (m,) how many units of money more a point may come to, where its line fills; `deviates` (m,) the bit of
               a line that might have filled and does not
    distance   (m, y) money above the line's least, at each of y prices
    above      (y,) what the bound at each of them is above the one that is known
    score, traded, later   (m,) what orders answers: of equal score and traded, at the first line, the least `later`
    """

    table: Table
    places: list[Ints]
    fills: Ints
    deviates: Ints
    distance: Floats
    above: Floats
    score: Ints
    traded: Ints
    later: Ints
    rows: list[_Row]

    @property
    def open_lines(self) -> list[int]:
        """Lines with more than one point, those first whose second-best takes most of any distance."""
        several = [i for i, at in enumerate(self.places) if len(at) > 1]
        second = {i: float(np.partition(self.distance[self.places[i], 0], 1)[1]) for i in several}
        return sorted(several, key=lambda i: second[i], reverse=True)


def _money(ledger: Ledger) -> int:
    """A unit of money in score units."""
    return int(ONE * 10**ledger.places)


def _counted(column: Whole, points: Table, unit: int) -> Ints:
    """A column less what its line begins with, in units. Raises TooMany where sums do not fit into 64 bits."""
    away = (column - column[points.start][points.line]) // unit
    if np.maximum.reduceat(np.abs(away), points.start).sum() >= LARGEST:
        raise TooMany
    return away.astype(np.int64)


def _largest_unit(column: Whole, points: Table) -> int:
    """The largest that divides all that a column adds to what its line begins with."""
    return math.gcd(*(column - column[points.start][points.line]).tolist()) or 1


def _rows(points: Table, prices: Prices, fill: Fill, fills: Ints) -> list[_Row]:
    """The rows that some combination of the points breaks, or that have a price."""
    rows, every, unit = [], points.uses, grid(points.ledger)
    per_unit = {"cash_floor": fill.side, "cash_ceiling": -fill.side, "turnover": 1}
    for name, limit in row_limits(points.ledger).items():
        uses, adds = every[name], per_unit.get(name, 0)
        most = np.maximum.reduceat(uses + fills.astype(object) * max(0, adds) * unit, points.start).sum()
        if most > limit or prices.get(name):
            counts = unit if adds else _largest_unit(uses, points)
            room = (limit - uses[points.start].sum()) // counts
            used = _counted(uses, points, counts)
            rows.append(_Row(name, used, max(-LARGEST, min(room, LARGEST)), adds, counts))
    return rows


def _distances(
    points: Table, least: Whole, prices: Prices, rows: Sequence[_Row], fills: Ints
) -> tuple[Floats, Floats]:
    """`distance` and `above` of `_Points`, at the prices and at others around them.

    Where prices shift, what a point uses more than its line's first weighs more, and so does the room that there is.
    """
    money, places = _money(points.ledger), points.ledger.places
    others = _shifted(prices, [row.name for row in rows])
    shift = np.array([[(other[row.name] - prices.get(row.name, 0)) / ONE for row in rows] for other in others])
    unit = np.array([float(row.unit / 10**places) for row in rows])
    used = np.array([row.used for row in rows]).reshape(len(rows), len(points.line)).T * unit
    adds, room = unit * [row.fill for row in rows], unit * [float(row.room) for row in rows]
    priced = ((points.priced(prices) - least[points.line]) / money).astype(float)[:, None] + used @ shift.T
    priced += np.minimum(0, fills[:, None] * (shift @ adds))
    lowest = np.minimum.reduceat(priced, points.start)
    return priced - lowest[points.line], lowest.sum(axis=0) - shift @ room


def _later(points: Table) -> Ints:
    """(m,) the place of each point by size, then buys before sales, within its line."""
    k = points.steps  # of any size
    later = np.empty(len(k), dtype=np.int64)
    later[sorted(range(len(k)), key=lambda i: (points.line[i], -abs(k[i]), -k[i]))] = np.arange(len(k))
    return later


def _left(relaxed: Relaxed, gap: int) -> tuple[Fill, _Points]:
    """The trades within a distance of the bound. Raises TooMany."""
    points, prices = relaxed.points, relaxed.prices
    ledger, values = points.ledger, points.priced(relaxed.prices)
    fill = filling(ledger, kept_steps(points, values, 0))
    tried = {i: without(of, fill.sets.get(i, ())) for i, of in kept_steps(points, values, gap).items()}
    if sum(map(count, tried.values())) > MOST_STEPS:
        raise TooMany
    steps = [[fill.ends(i)[0]] if i in fill.sets else [] for i in range(len(ledger.lines))]
    for i, intervals in tried.items():
        steps[i] += [k for a, b in intervals for k in range(a, b + 1)]
    table = listed(ledger, steps)
    fills = np.zeros(len(table.line), dtype=np.int64)
    deviates = np.zeros(len(table.line), dtype=np.int64)
    for bit, i in enumerate(i for i in fill.sets if len(steps[i]) > 1):
        if bit > MOST_DEVIATING:
            raise TooMany
        deviates[table.start[i] + 1 : table.start[i] + len(steps[i])] = 1 << bit
    for i in fill.sets:
        smallest, largest = fill.ends(i)
        fills[table.start[i]] = abs(largest - smallest) * ledger.lines[i].step // grid(ledger)
    rows = _rows(table, prices, fill, fills)
    distance, above = _distances(table, np.minimum.reduceat(values, points.start), prices, rows, fills)
    traded, score = np.abs(table.bought), table.score
    return fill, _Points(
        table=table,
        places=np.split(np.arange(len(table.line)), table.start[1:]),
        fills=fills,
        deviates=deviates,
        distance=distance,
        above=above,
        score=_counted(score, table, _largest_unit(score, table)),
        traded=_counted(traded, table, grid(ledger)),
        later=_later(table),
        rows=rows,
    )


@dataclass(frozen=True, slots=True)
class _Partial:
    """Answers (s of them) for the lines looked at so far, with their sums; `used` is (r, s), `chosen` (s, lines).

    fills      what lines that fill may add to what they trade at least; `deviates`, which of them do not fill
    """

    chosen: Ints
    distance: Floats
    score: Ints
    traded: Ints
    used: Ints
    fills: Ints
    deviates: Ints

    def only(self, which: Any) -> "_Partial":  # a mask or an order
        """Some of them."""
        sums = (self.distance[which], self.score[which], self.traded[which])
        return _Partial(self.chosen[which], *sums, self.used[:, which], self.fills[which], self.deviates[which])


def _replaced(used: Ints, earlier: Ints) -> Bools:
    """(s,) whether one of the first `earlier` (s,) of used (r, s) uses no more of any row, as far as a few show."""
    used = used[(used != used[:, :1]).any(axis=1)]
    if len(used) == 1:
        least = np.minimum.accumulate(used[0])
        return np.asarray((earlier > 0) & (least[earlier - 1] <= used[0]))
    best = np.arange(min(COMPARED, len(earlier)))
    fewer = best[:, None] < earlier
    for row in used:
        fewer &= row[best][:, None] <= row
    return np.asarray(fewer.any(axis=0))


def _starts(sums: Ints) -> Ints:
    """(s,) for each column of sorted sums (r, s), which is the first that equals it."""
    new = np.ones(sums.shape[1], dtype=np.bool_)
    new[1:] = (np.diff(sums, axis=1) != 0).any(axis=0)
    return np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))


@dataclass(frozen=True, slots=True)
class _Search:
    """All answers within a distance of the bound, line by line; `most` is (y,), by price."""

    points: _Points
    most: Floats
    lines: list[int]

    def begun(self) -> _Partial:
        """The one answer for no line, but for those that have no choice."""
        p = self.points
        alone = sum(int(p.fills[at[0]]) for at in p.places if len(at) == 1)
        none = np.zeros(1, dtype=np.int64)
        used = np.zeros((len(p.rows), 1), dtype=np.int64)
        return _Partial(np.empty((1, 0), np.int64), p.above[None], none, none, used, none + alone, none)

    def extended(self, partial: _Partial, at: Ints) -> _Partial:
        """Every one of them with every point of one more line."""
        points = self.points
        of, which = np.nonzero(partial.distance[:, :1] + points.distance[at, 0] <= self.most[0])
        if len(of) > MOST_TRIED:
            raise TooMany
        distance = partial.distance[of] + points.distance[at[which]]
        near = (distance <= self.most).all(axis=1)
        of, which = of[near], which[near]
        added, p = partial.only(of), at[which]
        used = [row.used[p] for row in points.rows]
        return _Partial(
            chosen=np.column_stack([added.chosen, p]),
            distance=distance[near],
            score=added.score + points.score[p],
            traded=added.traded + points.traded[p],
            used=added.used + np.array(used, dtype=np.int64).reshape(len(used), len(p)),
            fills=added.fills + points.fills[p],
            deviates=added.deviates | points.deviates[p],
        )

    def possible(self, partial: _Partial, rest: Sequence[Ints]) -> _Partial:
        """Those that can still honour every row; `rest` are the lines to come.

        What is sure to be left of a row, whatever they use, counts as used: it makes no difference any more.
        """
        kept, used, fills = np.ones(len(partial.score), dtype=np.bool_), partial.used.copy(), self.points.fills
        for row, now in zip(self.points.rows, used, strict=True):
            at_least, at_most = min(row.fill, 0), max(row.fill, 0)
            least = sum(int((row.used[at] + at_least * fills[at]).min()) for at in rest)
            most = sum(int((row.used[at] + at_most * fills[at]).max()) for at in rest)
            kept &= now + at_least * partial.fills + least <= row.room
            np.maximum(now, row.room - most - at_most * partial.fills, out=now)
        return replace(partial, used=used).only(kept)

    def first(self, partial: _Partial) -> _Partial:
        """Without those that another one replaces; of those that are equal in every sum, the first by id."""
        partial = partial.only(np.lexsort((*partial.used, partial.deviates, partial.traded, partial.score)))
        better = _starts(np.stack([partial.score, partial.traded]))
        same = np.stack([partial.deviates, -partial.deviates])
        partial = partial.only(~_replaced(np.concatenate([partial.used, same]), better))
        start = _starts(np.stack([partial.score, partial.traded, partial.deviates, *partial.used]))
        several = np.flatnonzero(np.bincount(start, minlength=len(start))[start] > 1)
        by_id = np.argsort(self.lines[: partial.chosen.shape[1]])
        later = self.points.later[partial.chosen[several][:, by_id]]
        several = several[np.lexsort((*later.T[::-1], start[several]))]
        keep = np.bincount(start, minlength=len(start))[start] == 1
        keep[several[_starts(start[several][None]) == np.arange(len(several))]] = True
        return partial.only(keep)

    def all(self) -> _Partial:
        """Answers for all lines that no other replaces, but for what is filled. Raises TooMany."""
        lines = [self.points.places[i] for i in self.lines]
        partial = self.possible(self.begun(), lines)
        for i, at in enumerate(lines):
            partial = self.first(self.possible(self.extended(partial, at), lines[i + 1 :]))
            if len(partial.score) > MOST_PARTIAL:
                raise TooMany
        return partial


@dataclass(frozen=True, slots=True)
class _Filled:
    """How answers of a search are filled: with as much as rows leave where that lowers the score, else with the least.

    slope   score units by which a grain that is filled lowers the score
    """

    fill: Fill
    points: _Points
    partial: _Partial
    slope: int

    def ranges(self) -> tuple[Ints, Ints]:
        """(s,) the least and the most that rows permit to fill, in grain units."""
        low, high = np.zeros_like(self.partial.fills), self.partial.fills.copy()
        for row, used in zip(self.points.rows, self.partial.used, strict=True):
            if row.fill > 0:
                high = np.minimum(high, row.room - used)
            elif row.fill < 0:
                low = np.maximum(low, used - row.room)
        return low, high

    def trades(self, s: int, amount: int) -> tuple[int, ...] | None:
        """One answer with so much filled, in grain units; None where the lines that fill do not come to it."""
        table, places = self.points.table, self.points.places
        at = np.array([of[0] for of in places])
        at[table.line[self.partial.chosen[s]]] = self.partial.chosen[s]
        found = dict(enumerate(table.steps[at].tolist()))
        lines = [i for i in self.fill.sets if at[i] == table.start[i]]
        least = sum(abs(found[i]) * table.ledger.lines[i].step for i in lines)
        filled = self.fill.first(lines, least + amount * grid(table.ledger))
        return None if filled is None else tuple((found | filled).values())

    def in_order(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Answers by score and then by what is traded, each with its score. Raises TooMany."""
        p, table = self.partial, self.points.table
        unit, grain, begin = _largest_unit(table.score, table), grid(table.ledger), table.score[table.start].sum()
        waiting = list[tuple[int, int, int, int, int, int]]()

        def wait(s: int, amount: int, low: int, high: int) -> None:
            if low <= amount <= high:
                score = begin + int(p.score[s]) * unit - self.slope * grain * amount
                heappush(waiting, (score, int(p.traded[s]) + amount, s, amount, low, high))

        for s, (low, high) in enumerate(zip(*(of.tolist() for of in self.ranges()), strict=True)):
            wait(s, high if self.slope > 0 else low, low, high)
        for _ in range(MOST_FILLS):
            if not waiting:
                return
            score, _, s, amount, low, high = heappop(waiting)
            trades = self.trades(s, amount)
            if trades is None:
                wait(s, amount + (-1 if self.slope > 0 else 1), low, high)
            else:
                yield score, trades
        raise TooMany


def best_within(relaxed: Relaxed, gap: int) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, if any is within `gap` (score) of the bound. Raises TooMany."""
    fill, points = _left(relaxed, gap)
    ledger, prices = points.table.ledger, relaxed.prices
    distance = float(gap / _money(ledger))
    most = distance + MARGIN * (1 + distance + np.abs(points.above))
    partial = _Search(points, most, points.open_lines).all()
    slope = fill.side * (prices.get("cash_floor", 0) - prices.get("cash_ceiling", 0)) + prices.get("turnover", 0)
    best = None
    for score, trades in _Filled(fill, points, partial, slope).in_order():
        here = rank(ledger, trades)
        if score - relaxed.bound > gap or (best is not None and here[:2] > best[0][:2]):
            break
        best = (here, trades) if best is None else min(best, (here, trades))
    return None if best is None else best[1]
