"""Reduced-cost fixing: every trade that may be part of an answer within a distance of the bound, and what it adds.

Reduced costs, and what is left of rows with a multiplier, add up to an answer's distance from the bound. Other
multipliers give a bound of their own, and distances from it. Distances are floats, to be held against a limit that is a
little too large: they only say what is not worth a look. All else is exact.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.milp.breakpoints import BreakpointTable, Whole, listed
from rebalance_app.optimiser.milp.highs import LpRelaxation
from rebalance_app.optimiser.milp.lagrangian import steps_within
from rebalance_app.optimiser.problem.integer_problem import ONE, IntegerProblem

from .indifferent import Indifferent, count, indifferent_side, without

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST_STEPS = 2000  # of all securities but those that fill; beyond, the combinations are too many
MOST_DEVIATING = 63  # securities that may fill or not: each is a bit
SHIFTS = (0.003, 0.01, 0.03, 0.1, 0.3)  # of multipliers, where other bounds are looked for
LARGEST_SUM = 2**62
PRECISION = 1e-12  # of sums of some thousand floats

Multipliers = Mapping[str, int]


def _shifted(multipliers: Multipliers, rows: Sequence[str]) -> list[Multipliers]:
    """The multipliers, and others around them: each up, down or gone, and one up as much as another down."""
    by, now = [round(shift * ONE) for shift in SHIFTS], {row: multipliers.get(row, 0) for row in rows}
    found = [now, *(now | {row: 0} for row in rows)]
    found += [now | {row: now[row] + sign * each} for row in rows for sign in (1, -1) for each in by]
    pairs = [pair for a, b in combinations(rows, 2) for pair in ((a, b), (b, a))]
    found += [now | {up: now[up] + each, down: now[down] - each} for up, down in pairs for each in by]
    return [each for each in found if min(each.values(), default=0) >= 0]


@dataclass(frozen=True, slots=True)
class RowUse:
    """A coupling row: what each point uses of it, what indifferent securities add, and what all together may use.

    used   (m,) more than its security's first point; room: less what all first points use
    fill   what a unit of `Indifferent` uses, below 0 where it makes room
    """

    name: str
    used: Ints
    room: int
    fill: int
    unit: int


@dataclass(frozen=True, slots=True)
class CandidateTrades:
    """The trades left, security by security; an indifferent security at its smallest. Sums count whole units.

    places     by security, which points are its
    fills      (m,) how many units of money more a point may come to, where its security is indifferent
    deviates   (m,) the bit of a security that might have been indifferent and is not
    distance   (m, y) money above the security's least, at each of y multipliers
    above      (y,) what the bound at each of them is above the one that is known; error   (y,) more than all sums of
               distances may be wrong by
    score, traded, later   (m,) what orders answers: of equal score and traded, at the first security, the least `later`
    """

    table: BreakpointTable
    indifferent: Indifferent
    places: list[Ints]
    fills: Ints
    deviates: Ints
    distance: Floats
    above: Floats
    error: Floats
    score: Ints
    traded: Ints
    later: Ints
    rows: list[RowUse]

    @property
    def open_securities(self) -> list[int]:
        """Securities with more than one point, those first whose second-best takes most of any distance."""
        several = [i for i, at in enumerate(self.places) if len(at) > 1]
        second = {i: float(np.partition(self.distance[self.places[i], 0], 1)[1]) for i in several}
        return sorted(several, key=lambda i: second[i], reverse=True)


def score_per_money(ip: IntegerProblem) -> int:
    """A unit of money in score units."""
    return int(ONE * 10**ip.places)


def _counted(column: Whole, points: BreakpointTable, unit: int) -> Ints:
    """A column less what its security begins with, in units. Raises SearchLimit where sums do not fit into 64 bits."""
    away = (column - column[points.start][points.security]) // unit
    if np.maximum.reduceat(np.abs(away), points.start).sum() >= LARGEST_SUM:
        raise SearchLimit
    counted: Ints = away.astype(np.int64)
    return counted


def largest_unit(column: Whole, points: BreakpointTable, other: int = 0) -> int:
    """The largest that divides all that a column adds to what its security begins with, and another."""
    return math.gcd(other, *(column - column[points.start][points.security]).tolist()) or 1


def _rows(points: BreakpointTable, multipliers: Multipliers, indifferent: Indifferent, fills: Ints) -> list[RowUse]:
    """The rows that some combination of the points breaks, or that have a multiplier."""
    rows, every = [], points.uses
    net, traded = indifferent.side * indifferent.unit, indifferent.unit
    per_fill = {"cash_floor": points.ip.spent(net, traded, 0), "cash_ceiling": -net, "turnover": traded}
    for name, limit in points.limits.items():
        uses, adds = every[name], per_fill.get(name, 0)
        most = np.maximum.reduceat(uses + fills.astype(object) * max(0, adds), points.start).sum()
        if most > limit or multipliers.get(name):
            unit = largest_unit(uses, points, adds)
            room = (limit - uses[points.start].sum()) // unit
            used = _counted(uses, points, unit)
            rows.append(RowUse(name, used, max(-LARGEST_SUM, min(room, LARGEST_SUM)), adds // unit, unit))
    return rows


def _distances(
    points: BreakpointTable, least: Whole, multipliers: Multipliers, rows: Sequence[RowUse], fills: Ints
) -> tuple[Floats, Floats, Floats]:
    """`distance`, `above` and `error` of `CandidateTrades`, at the multipliers and at others around them.

    Where multipliers shift, what a point uses more than its security's first weighs more, and so does the room that
    there is.
    """
    ip = points.ip
    others = _shifted(multipliers, [row.name for row in rows])
    shift = np.array([[(other[row.name] - multipliers.get(row.name, 0)) / ONE for row in rows] for other in others])
    unit = np.array([float(row.unit / 10**ip.places) for row in rows])
    used = np.array([row.used for row in rows]).reshape(len(rows), len(points.security)).T * unit
    adds, room = unit * [row.fill for row in rows], unit * [float(row.room) for row in rows]
    costs = ((points.lagrangian_costs(multipliers) - least[points.security]) / score_per_money(ip)).astype(float)[
        :, None
    ] + used @ shift.T
    costs += np.minimum(0, fills[:, None] * (shift @ adds))
    lowest = np.minimum.reduceat(costs, points.start)
    summed = np.maximum.reduceat(np.abs(costs), points.start).sum(axis=0) + np.abs(shift) @ np.abs(room)
    return costs - lowest[points.security], lowest.sum(axis=0) - shift @ room, PRECISION * summed


def _later(points: BreakpointTable) -> Ints:
    """(m,) the place of each point by size, then buys before sales, within its security."""
    k = points.steps  # of any size
    later = np.empty(len(k), dtype=np.int64)
    later[sorted(range(len(k)), key=lambda i: (points.security[i], -abs(k[i]), -k[i]))] = np.arange(len(k))
    return later


def candidate_trades(relaxed: LpRelaxation, distance: int) -> CandidateTrades:
    """The trades within a distance of the bound. Raises SearchLimit."""
    points, multipliers = relaxed.points, relaxed.multipliers
    ip, values = points.ip, points.lagrangian_costs(relaxed.multipliers)
    indifferent = indifferent_side(points, steps_within(points, values, 0))
    tried = {i: without(of, indifferent.sets.get(i, ())) for i, of in steps_within(points, values, distance).items()}
    if sum(map(count, tried.values())) > MOST_STEPS:
        raise SearchLimit
    steps = [[indifferent.ends(i)[0]] if i in indifferent.sets else [] for i in range(len(ip.securities))]
    for i, intervals in tried.items():
        steps[i] += [k for a, b in intervals for k in range(a, b + 1)]
    table = listed(points, steps)
    fills = np.zeros(len(table.security), dtype=np.int64)
    deviates = np.zeros(len(table.security), dtype=np.int64)
    for bit, i in enumerate(i for i in indifferent.sets if len(steps[i]) > 1):
        if bit >= MOST_DEVIATING:
            raise SearchLimit
        deviates[table.start[i] + 1 : table.start[i] + len(steps[i])] = 1 << bit
    for i in indifferent.sets:
        smallest, largest = indifferent.ends(i)
        fills[table.start[i]] = abs(largest - smallest) * ip.securities[i].step // indifferent.unit
    rows = _rows(table, multipliers, indifferent, fills)
    distances, above, error = _distances(table, np.minimum.reduceat(values, points.start), multipliers, rows, fills)
    traded, score = np.abs(table.net_bought), table.score
    return CandidateTrades(
        table=table,
        indifferent=indifferent,
        places=np.split(np.arange(len(table.security)), table.start[1:]),
        fills=fills,
        deviates=deviates,
        distance=distances,
        above=above,
        error=error,
        score=_counted(score, table, largest_unit(score, table)),
        traded=_counted(traded, table, largest_unit(traded, table)),
        later=_later(table),
        rows=rows,
    )
