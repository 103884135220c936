"""Every security's breakpoints in one table: bound, reduced-cost fixing and integer programme are read off its columns.

Between neighbouring points of a part everything that is summed is linear, and in a part the score is convex, with any
multipliers on the coupling rows. The columns hold Python integers of any size: exact, and added up without loops.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.constraints import CouplingRow, Interval, Total
from rebalance_app.optimiser.problem.coupling import Rows, coupling_rows
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem, Security
from rebalance_app.optimiser.problem.objective import breakpoints, realised_gain, score

Whole = NDArray[np.object_]  # Python integers


def needs_gate(ip: IntegerProblem, allowed: AllowedTrades) -> bool:
    """Whether buying, selling and not trading must be told apart.

    They must when small trades are forbidden, when an order counts or costs, and when selling at a loss would pay for
    itself by buying back (a wash sale).
    """
    if not allowed.least <= 0 <= allowed.most or allowed.least == allowed.most:
        return False
    at_a_loss = ip.gain_budget is not None and any(gain < 0 for _, gain in allowed.security.tax_lots)
    return len(allowed.segments) > 1 or ip.orders_matter or (at_a_loss and allowed.least < 0)


def convex_parts(ip: IntegerProblem, allowed: AllowedTrades) -> list[Interval]:
    """Where the score is convex: all of a security without gates; else its sales, no trade, and its buys."""
    if not needs_gate(ip, allowed):
        return [(allowed.least, allowed.most)]
    sales = [(a, min(b, -1)) for a, b in allowed.segments if a < 0]
    buys = [(max(a, 1), b) for a, b in allowed.segments if b > 0]
    return [*sales, (0, 0), *buys]


@dataclass(frozen=True, slots=True)
class BreakpointTable:
    """The points of all securities, one after another and ascending in each: m of them.

    choices, rows    what the points are of, and the coupling rows that hold: those of the options, or of a node
    security, part   (m,) which security, and which part, counted over all securities
    gated            (m,) whether the security has gates
    start            (n,) where each security begins
    steps, score, net_bought, orders, gain   (m,) of each point; score in score units, money in minor units
    """

    ip: IntegerProblem
    choices: Sequence[AllowedTrades]
    rows: Rows
    security: NDArray[np.int64]
    part: NDArray[np.int64]
    gated: NDArray[np.bool_]
    start: NDArray[np.int64]
    steps: Whole
    score: Whole
    net_bought: Whole
    orders: Whole
    gain: Whole

    @property
    def totals(self) -> dict[Total, Whole]:
        """(m,) what each point adds to each sum that a row may limit."""
        net, traded, orders = self.net_bought, np.abs(self.net_bought), self.orders
        found: dict[Total, Whole] = {"net_bought": net, "traded": traded, "orders": orders, "gain": self.gain}
        return found | {"spent": self.ip.spent(net, traded, orders)} if self.ip.reserves_costs else found

    @property
    def uses(self) -> dict[str, Whole]:
        """By coupling row, what each point uses of it, in minor units; an order counts as a unit of money."""
        totals, order = self.totals, 10**self.ip.places
        return {
            name: row.sign * totals[row.total] * (order if row.total == "orders" else 1)
            for name, row in self.rows.items()
        }

    @property
    def limits(self) -> dict[str, int]:
        """The most that every row permits, in the units of `uses`, rounded down to what trades reach."""
        grid, order = self.ip.grid, int(10**self.ip.places)

        def reached(row: CouplingRow) -> int:
            if row.total == "orders":
                return row.limit * order
            return row.limit if row.total in {"gain", "spent"} else row.limit // grid * grid

        return {name: reached(row) for name, row in self.rows.items()}

    def lagrangian_costs(self, multipliers: Mapping[str, int]) -> Whole:
        """(m,) score of each point plus what it uses of each row times its multiplier, in score units."""
        uses = self.uses
        return np.asarray(sum((each * uses[name] for name, each in multipliers.items() if each), self.score))


def _point(ip: IntegerProblem, security: Security, k: int) -> tuple[int, int, int, int, int]:
    """Steps, score, net bought, orders and gain of one trade."""
    gain = realised_gain(security, k) if ip.gain_budget is not None else 0
    return k, score(ip, security, k), k * security.step, int(k != 0), gain


def _columns(points: Iterable[tuple[int, ...]]) -> list[Whole]:
    return [np.array(column, dtype=object) for column in zip(*points, strict=True)]


def table(ip: IntegerProblem, choices: Sequence[AllowedTrades], rows: Rows | None = None) -> BreakpointTable:
    """The breakpoints of all choices, each of which needs a segment, under the options' rows or others."""
    points, places = list[tuple[int, ...]](), list[tuple[int, int, bool]]()
    start, part = [], 0
    for i, allowed in enumerate(choices):
        start.append(len(points))
        intervals = convex_parts(ip, allowed)
        for steps in breakpoints(ip, allowed.security, intervals):
            points += [_point(ip, allowed.security, k) for k in steps]
            places += [(i, part, len(intervals) > 1)] * len(steps)
            part += 1
    security, part_of, gated = (np.array(column) for column in zip(*places, strict=True))
    rows = coupling_rows(ip) if rows is None else rows
    return BreakpointTable(ip, choices, rows, security, part_of, gated, np.array(start), *_columns(points))


def listed(points: BreakpointTable, steps: Sequence[Sequence[int]]) -> BreakpointTable:
    """A table without gates of given trades, at least one of each security, in the order given."""
    pairs = zip(points.ip.securities, steps, strict=True)
    counts = np.array([len(some) for some in steps])
    security = np.repeat(np.arange(len(steps)), counts)
    columns = _columns(_point(points.ip, security, k) for security, some in pairs for k in some)
    none = np.zeros(len(security), dtype=np.bool_)
    return BreakpointTable(
        points.ip, points.choices, points.rows, security, security, none, np.cumsum(counts) - counts, *columns
    )
