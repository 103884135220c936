"""Trying every answer that the prices leave, where they are few: the exact optimum, and of equal ones the first.

Answers are put together security by security. Of partial ones only those are kept that are within the distance at all prices,
and that no other one replaces: one that uses no more of any row and comes before it by `exchange.rank`. Lines without a
preference are not tried trade by trade: they `fill` what the others leave.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.local_search import rank
from rebalance_app.optimiser.milp.highs import Relaxed

from .candidates import Floats, Ints, Points, largest_unit, left, money
from .lexicographic import Search, SearchLimit

Bools = NDArray[np.bool_]
MOST_PARTIAL = 300
MOST_TRIED = 30_000
MOST_FILLS = 300
COMPARED = 64  # partial answers, with which all others are
MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class _Label:
    """Answers (s of them) for the securities looked at so far, with their sums; `used` is (r, s), `chosen` (s, securities).

    fills      what securities that fill may add to what they trade at least; `deviates`, which of them do not fill
    """

    chosen: Ints
    distance: Floats
    score: Ints
    traded: Ints
    used: Ints
    fills: Ints
    deviates: Ints

    def only(self, which: Any) -> "_Label":  # a mask or an order
        """Some of them."""
        sums = (self.distance[which], self.score[which], self.traded[which])
        return _Label(self.chosen[which], *sums, self.used[:, which], self.fills[which], self.deviates[which])


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
    """All answers within a distance of the bound, security by security.

    limit   (y,) how far they may be, by price
    securities   which securities, in this order; least, most   (securities + 1, r) what those from each on use of each row
    """

    points: Points
    limit: Floats
    securities: list[int]
    least: Ints
    most: Ints

    @classmethod
    def within(cls, points: Points, distance: float) -> "_Search":
        """With limits that are a little too large, because they are floats."""
        securities, rows, fills = points.open_lines, points.rows, points.fills
        least, most = np.zeros((2, len(securities) + 1, len(rows)), dtype=np.int64)
        for j in reversed(range(len(securities))):
            at = points.places[securities[j]]
            for r, row in enumerate(rows):
                least[j, r] = least[j + 1, r] + (row.used[at] + min(row.fill, 0) * fills[at]).min()
                most[j, r] = most[j + 1, r] + (row.used[at] + max(row.fill, 0) * fills[at]).max()
        return cls(points, distance + MARGIN * (1 + distance) + points.error, securities, least, most)

    def begun(self) -> _Label:
        """The one answer for no security, but for those that have no choice."""
        p = self.points
        alone = sum(int(p.fills[at[0]]) for at in p.places if len(at) == 1)
        none = np.zeros(1, dtype=np.int64)
        used = np.zeros((len(p.rows), 1), dtype=np.int64)
        return _Label(np.empty((1, 0), np.int64), p.above[None], none, none, used, none + alone, none)

    def extended(self, partial: _Label, at: Ints) -> _Label:
        """Every one of them with every point of one more security."""
        points = self.points
        of, which = np.nonzero(partial.distance[:, :1] + points.distance[at, 0] <= self.limit[0])
        if len(of) > MOST_TRIED:
            raise SearchLimit
        distance = partial.distance[of] + points.distance[at[which]]
        near = (distance <= self.limit).all(axis=1)
        of, which = of[near], which[near]
        added, p = partial.only(of), at[which]
        used = [row.used[p] for row in points.rows]
        return _Label(
            chosen=np.column_stack([added.chosen, p]),
            distance=distance[near],
            score=added.score + points.score[p],
            traded=added.traded + points.traded[p],
            used=added.used + np.array(used, dtype=np.int64).reshape(len(used), len(p)),
            fills=added.fills + points.fills[p],
            deviates=added.deviates | points.deviates[p],
        )

    def possible(self, partial: _Label) -> _Label:
        """Those that can still honour every row, whatever the securities to come use.

        What is sure to be left of a row counts as used: it makes no difference any more.
        """
        kept, used = np.ones(len(partial.score), dtype=np.bool_), partial.used.copy()
        at = partial.chosen.shape[1]
        for row, now, least, most in zip(self.points.rows, used, self.least[at], self.most[at], strict=True):
            kept &= now + min(row.fill, 0) * partial.fills + least <= row.room
            np.maximum(now, row.room - most - max(row.fill, 0) * partial.fills, out=now)
        return replace(partial, used=used).only(kept)

    def first(self, partial: _Label) -> _Label:
        """Without those that another one replaces; of those that are equal in every sum, the first by id."""
        partial = partial.only(np.lexsort((*partial.used, partial.deviates, partial.traded, partial.score)))
        better = _starts(np.stack([partial.score, partial.traded]))
        same = np.stack([partial.deviates, -partial.deviates])
        partial = partial.only(~_replaced(np.concatenate([partial.used, same]), better))
        start = _starts(np.stack([partial.score, partial.traded, partial.deviates, *partial.used]))
        several = np.flatnonzero(np.bincount(start, minlength=len(start))[start] > 1)
        by_id = np.argsort(self.securities[: partial.chosen.shape[1]])
        later = self.points.later[partial.chosen[several][:, by_id]]
        several = several[np.lexsort((*later.T[::-1], start[several]))]
        keep = np.bincount(start, minlength=len(start))[start] == 1
        keep[several[_starts(start[several][None]) == np.arange(len(several))]] = True
        return partial.only(keep)

    def all(self, until: float) -> _Label:
        """Answers for all securities that no other replaces, but for what is filled. Raises SearchLimit."""
        partial, places = self.possible(self.begun()), [self.points.places[i] for i in self.securities]
        for j, at in enumerate(places):
            partial = self.first(self.possible(self.extended(partial, at)))
            many = (
                len(partial.score) > MOST_PARTIAL
                and len(partial.score) * math.prod(map(len, places[j + 1 :])) > MOST_TRIED
            )
            if many or time.monotonic() > until:
                raise SearchLimit
        return partial


@dataclass(frozen=True, slots=True)
class _Filled:
    """How answers of a search are filled: with as much as rows leave where that lowers the score, else with the least.

    slope   score units by which a minor unit that is filled lowers the score
    """

    points: Points
    partial: _Label
    slope: int

    def ranges(self) -> tuple[Ints, Ints]:
        """(s,) the least and the most that rows permit to fill, in minor unit units."""
        low, high = np.zeros_like(self.partial.fills), self.partial.fills.copy()
        for row, used in zip(self.points.rows, self.partial.used, strict=True):
            if row.fill > 0:
                high = np.minimum(high, (row.room - used) // row.fill)
            elif row.fill < 0:
                low = np.maximum(low, -((row.room - used) // -row.fill))  # rounded up
        return low, high

    def chosen(self, s: int) -> tuple[dict[int, int], tuple[int, ...], int]:
        """The trades of one answer before any is filled, the securities that fill, and what these trade at least."""
        table, places = self.points.table, self.points.places
        at = np.array([of[0] for of in places])
        at[table.security[self.partial.chosen[s]]] = self.partial.chosen[s]
        trades = dict(enumerate(table.steps[at].tolist()))
        securities = tuple(i for i in self.points.fill.sets if at[i] == table.start[i])
        return trades, securities, sum(abs(trades[i]) * table.ip.securities[i].step for i in securities)

    def in_order(self, most: int, until: float) -> Iterator[tuple[int, ...]]:
        """Answers by score, which is `most` at most, and then by what is traded. Raises SearchLimit."""
        p, table = self.partial, self.points.table
        unit, traded_unit = (largest_unit(column, table) for column in (table.score, np.abs(table.bought)))
        begin, grains = table.score[table.start].sum(), self.points.fill.unit
        toward = -1 if self.slope > 0 else 1  # from the best amount to others
        waiting = list[tuple[int, int, int, int, int, int]]()

        def wait(s: int, amount: int, low: int, high: int) -> None:
            if low <= amount <= high:
                score = begin + int(p.score[s]) * unit - self.slope * grains * amount
                traded = int(p.traded[s]) * traded_unit + grains * amount
                heappush(waiting, (score, traded, s, amount, low, high))

        for s, (low, high) in enumerate(zip(*(of.tolist() for of in self.ranges()), strict=True)):
            wait(s, high if toward < 0 else low, low, high)
        for _ in range(MOST_FILLS):
            if not waiting or waiting[0][0] > most:
                return
            _, _, s, amount, low, high = heappop(waiting)
            trades, securities, least = self.chosen(s)
            sums = self.points.fill.sums(securities)
            nearest = sums.nearest(least + amount * grains, toward)
            if nearest != least + amount * grains:
                if nearest is not None:
                    wait(s, (nearest - least) // grains, low, high)
                continue
            filled = Search(sums, until=until).first(nearest)
            if filled is None:
                wait(s, amount + toward, low, high)
            else:
                yield tuple((trades | dict(zip(securities, filled, strict=True))).values())
        raise SearchLimit


def best_within(relaxed: Relaxed, gap: int, until: float = math.inf) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, if any is within `gap` (score) of the bound.

    Raises SearchLimit, also when the monotonic clock says so.
    """
    points = left(relaxed, gap)
    ip, prices = points.table.ip, relaxed.prices
    partial = _Search.within(points, float(gap / money(ip))).all(until)
    slope = points.fill.side * (prices.get("cash_floor", 0) - prices.get("cash_ceiling", 0)) + prices.get("turnover", 0)
    best = None
    for trades in _Filled(points, partial, slope).in_order(relaxed.bound + gap, until):
        here = rank(ip, trades)
        if best is not None and here[:2] > best[0][:2]:
            break
        best = (here, trades) if best is None else min(best, (here, trades))
    return None if best is None else best[1]
