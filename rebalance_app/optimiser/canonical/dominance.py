"""Label setting with dominance, over all trades within a distance of the bound: the optimum, and of equals the first.

A label is an answer for the securities looked at so far. Only those are kept that are within the distance at all
multipliers, and that no other one dominates: one that uses no more of any row and comes before it by `rank`.
Indifferent securities are not tried trade by trade: they fill what the others leave.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.milp.highs import LpRelaxation
from rebalance_app.optimiser.problem.objective import rank

from .candidates import CandidateTrades, Floats, Ints, candidate_trades, largest_unit, score_per_money
from .lexicographic import Search

Bools = NDArray[np.bool_]
MOST_LABELS = 300
MOST_EXTENDED = 30_000
MOST_FILLS = 300
COMPARED = 64  # labels with which all others are compared
MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class _Labels:
    """Labels (s of them) of the securities looked at so far; `used` is (r, s), `chosen` (s, securities).

    fills      what indifferent securities may add to what they trade at least
    deviates   which of them do not stay indifferent
    """

    chosen: Ints
    distance: Floats
    score: Ints
    traded: Ints
    used: Ints
    fills: Ints
    deviates: Ints

    def only(self, which: Any) -> "_Labels":  # a mask or an order
        """Some of them."""
        sums = (self.distance[which], self.score[which], self.traded[which])
        return _Labels(self.chosen[which], *sums, self.used[:, which], self.fills[which], self.deviates[which])


def _dominated(used: Ints, earlier: Ints) -> Bools:
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
class _LabelSetting:
    """All answers within a distance of the bound, security by security.

    limit   (y,) how far they may be, at each choice of multipliers
    securities   which securities, in this order
    least, most  (securities + 1, r) what those from each on use of each row
    """

    candidates: CandidateTrades
    limit: Floats
    securities: list[int]
    least: Ints
    most: Ints

    @classmethod
    def within(cls, candidates: CandidateTrades, distance: float) -> "_LabelSetting":
        """With limits that are a little too large, because they are floats."""
        securities, rows, fills = candidates.open_securities, candidates.rows, candidates.fills
        least, most = np.zeros((2, len(securities) + 1, len(rows)), dtype=np.int64)
        for j in reversed(range(len(securities))):
            at = candidates.places[securities[j]]
            for r, row in enumerate(rows):
                least[j, r] = least[j + 1, r] + (row.used[at] + min(row.fill, 0) * fills[at]).min()
                most[j, r] = most[j + 1, r] + (row.used[at] + max(row.fill, 0) * fills[at]).max()
        return cls(candidates, distance + MARGIN * (1 + distance) + candidates.error, securities, least, most)

    def initial(self) -> _Labels:
        """The one answer for no security, but for those that have no choice."""
        p = self.candidates
        alone = sum(int(p.fills[at[0]]) for at in p.places if len(at) == 1)
        none = np.zeros(1, dtype=np.int64)
        used = np.zeros((len(p.rows), 1), dtype=np.int64)
        return _Labels(np.empty((1, 0), np.int64), p.above[None], none, none, used, none + alone, none)

    def extended(self, labels: _Labels, at: Ints) -> _Labels:
        """Every one of them with every point of one more security."""
        candidates = self.candidates
        of, which = np.nonzero(labels.distance[:, :1] + candidates.distance[at, 0] <= self.limit[0])
        if len(of) > MOST_EXTENDED:
            raise SearchLimit
        distance = labels.distance[of] + candidates.distance[at[which]]
        near = (distance <= self.limit).all(axis=1)
        of, which = of[near], which[near]
        added, p = labels.only(of), at[which]
        used = [row.used[p] for row in candidates.rows]
        return _Labels(
            chosen=np.column_stack([added.chosen, p]),
            distance=distance[near],
            score=added.score + candidates.score[p],
            traded=added.traded + candidates.traded[p],
            used=added.used + np.array(used, dtype=np.int64).reshape(len(used), len(p)),
            fills=added.fills + candidates.fills[p],
            deviates=added.deviates | candidates.deviates[p],
        )

    def possible(self, labels: _Labels) -> _Labels:
        """Those that can still honour every row, whatever the securities to come use.

        What is sure to be left of a row counts as used: it makes no difference any more.
        """
        kept, used = np.ones(len(labels.score), dtype=np.bool_), labels.used.copy()
        at = labels.chosen.shape[1]
        for row, now, least, most in zip(self.candidates.rows, used, self.least[at], self.most[at], strict=True):
            kept &= now + min(row.fill, 0) * labels.fills + least <= row.room
            np.maximum(now, row.room - most - max(row.fill, 0) * labels.fills, out=now)
        return replace(labels, used=used).only(kept)

    def undominated(self, labels: _Labels) -> _Labels:
        """Without those that another one dominates; of those that are equal in every sum, the first by id."""
        labels = labels.only(np.lexsort((*labels.used, labels.deviates, labels.traded, labels.score)))
        better = _starts(np.stack([labels.score, labels.traded]))
        same = np.stack([labels.deviates, -labels.deviates])
        labels = labels.only(~_dominated(np.concatenate([labels.used, same]), better))
        start = _starts(np.stack([labels.score, labels.traded, labels.deviates, *labels.used]))
        several = np.flatnonzero(np.bincount(start, minlength=len(start))[start] > 1)
        by_id = np.argsort(self.securities[: labels.chosen.shape[1]])
        later = self.candidates.later[labels.chosen[several][:, by_id]]
        several = several[np.lexsort((*later.T[::-1], start[several]))]
        keep = np.bincount(start, minlength=len(start))[start] == 1
        keep[several[_starts(start[several][None]) == np.arange(len(several))]] = True
        return labels.only(keep)

    def run(self, deadline: float) -> _Labels:
        """Labels of all securities that none dominates, but for what is filled. Raises SearchLimit."""
        labels, places = self.possible(self.initial()), [self.candidates.places[i] for i in self.securities]
        for j, at in enumerate(places):
            labels = self.undominated(self.possible(self.extended(labels, at)))
            many = (
                len(labels.score) > MOST_LABELS
                and len(labels.score) * math.prod(map(len, places[j + 1 :])) > MOST_EXTENDED
            )
            if many or time.monotonic() > deadline:
                raise SearchLimit
        return labels


@dataclass(frozen=True, slots=True)
class _Filled:
    """How answers of a search are filled: with as much as rows leave where that lowers the score, else with the least.

    slope   score units by which a unit that is filled lowers the score
    """

    candidates: CandidateTrades
    labels: _Labels
    slope: int

    def ranges(self) -> tuple[Ints, Ints]:
        """(s,) the least and the most that rows permit to fill, in units of what is indifferent."""
        low, high = np.zeros_like(self.labels.fills), self.labels.fills.copy()
        for row, used in zip(self.candidates.rows, self.labels.used, strict=True):
            if row.fill > 0:
                high = np.minimum(high, (row.room - used) // row.fill)
            elif row.fill < 0:
                low = np.maximum(low, -((row.room - used) // -row.fill))  # rounded up
        return low, high

    def chosen(self, s: int) -> tuple[dict[int, int], tuple[int, ...], int]:
        """The trades of one answer before any is filled, the securities that fill, and what these trade at least."""
        table, places = self.candidates.table, self.candidates.places
        at = np.array([of[0] for of in places])
        at[table.security[self.labels.chosen[s]]] = self.labels.chosen[s]
        trades = dict(enumerate(table.steps[at].tolist()))
        securities = tuple(i for i in self.candidates.indifferent.sets if at[i] == table.start[i])
        return trades, securities, sum(abs(trades[i]) * table.ip.securities[i].step for i in securities)

    def in_order(self, most: int, deadline: float) -> Iterator[tuple[int, ...]]:
        """Answers by score, which is `most` at most, and then by what is traded. Raises SearchLimit."""
        p, table = self.labels, self.candidates.table
        unit, traded_unit = (largest_unit(column, table) for column in (table.score, np.abs(table.net_bought)))
        begin, minor_units = table.score[table.start].sum(), self.candidates.indifferent.unit
        toward = -1 if self.slope > 0 else 1  # from the best amount to others
        waiting = list[
            tuple[int, int, int, int, int, int]
        ]()  # labels, each with the best amount it may yet be filled by

        def wait(s: int, amount: int, low: int, high: int) -> None:
            if low <= amount <= high:
                score = begin + int(p.score[s]) * unit - self.slope * amount
                traded = int(p.traded[s]) * traded_unit + minor_units * amount
                heappush(waiting, (score, traded, s, amount, low, high))

        for s, (low, high) in enumerate(zip(*(of.tolist() for of in self.ranges()), strict=True)):
            wait(s, high if toward < 0 else low, low, high)
        for _ in range(MOST_FILLS):
            if not waiting or waiting[0][0] > most:
                return
            _, _, s, amount, low, high = heappop(waiting)
            trades, securities, least = self.chosen(s)
            sums = self.candidates.indifferent.sums(securities)
            nearest = sums.nearest(least + amount * minor_units, toward)
            if nearest != least + amount * minor_units:
                if nearest is not None:
                    wait(s, (nearest - least) // minor_units, low, high)
                continue
            filled = Search(sums, deadline=deadline).first(nearest)
            if filled is None:
                wait(s, amount + toward, low, high)
            else:
                yield tuple((trades | dict(zip(securities, filled, strict=True))).values())
        raise SearchLimit


def best_within(relaxed: LpRelaxation, distance: int, deadline: float = math.inf) -> tuple[int, ...] | None:
    """The first of all answers by `rank`, if any is within a distance (score) of the bound.

    Raises SearchLimit, also when the monotonic clock says so.
    """
    candidates = candidate_trades(relaxed, distance)
    ip, multipliers = candidates.table.ip, relaxed.multipliers
    labels = _LabelSetting.within(candidates, float(distance / score_per_money(ip))).run(deadline)
    slope = sum(multipliers.get(row.name, 0) * row.fill * row.unit for row in candidates.rows)
    best = None
    for trades in _Filled(candidates, labels, slope).in_order(relaxed.bound + distance, deadline):
        here = rank(ip, trades)
        if best is not None and here[:2] > best[0][:2]:
            break
        best = (here, trades) if best is None else min(best, (here, trades))
    return None if best is None else best[1]
