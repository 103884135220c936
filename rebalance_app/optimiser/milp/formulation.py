"""The integer programme as columns and rows: what CVXPY is told, in joint incremental form.

For each security take the breakpoints between which its drift, traded value and realised gain are linear, and give each
piece between two neighbours one integer variable: how many of its steps are filled. The objective then has one slope
per piece, with no absolute values and no auxiliary rows. Slopes rise from piece to piece, so filling out of order only
overstates what is minimised or capped, and the relaxation is the convex envelope over the integers.

Where a security may not make small trades, costs a ticket, or counts as an order, two binaries part its pieces: B = 1
opens the buying side, D = 1 keeps the selling side closed, B ≤ D.

All rows are one sparse matrix: row by row, CVXPY would take longer than HiGHS.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.problem.constraints import CouplingRow
from rebalance_app.optimiser.problem.integer_problem import ONE

from .breakpoints import BreakpointTable, Whole

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """The integer variables: each fills the steps of security `security` from `first` to `last`.

    side    +1: filled only by a buy (B = 1); −1: emptied only by a sale (D = 0); 0: free
    gate    the block between no trade and the smallest trade, all or nothing: the variable is B or D itself
    length  how often the variable can be filled: a gate once, any other by its steps
    """

    security: Ints
    first: Floats
    last: Floats
    side: Ints
    gate: NDArray[np.bool_]
    length: Floats

    @property
    def steps(self) -> Floats:
        """Steps the security moves per unit of the variable."""
        return (self.last - self.first) / self.length


def columns(points: BreakpointTable, at: Ints) -> Columns:
    """One column from each point `at` to the next one; in securities with gates the ones at no trade are the gates."""
    first, last, gated = points.steps[at].astype(float), points.steps[at + 1].astype(float), points.gated[at]
    gate = gated & ((first == 0) | (last == 0))
    side = np.where(gated, np.where(last > 0, 1, -1), 0)
    return Columns(points.security[at], first, last, side, gate, np.where(gate, 1.0, last - first))


@dataclass(frozen=True, slots=True)
class Programme:
    """The columns with their slopes in money per unit, and the sums when every column is 0."""

    points: BreakpointTable
    columns: Columns
    base: tuple[int, ...]
    slopes: dict[str, Floats]
    constants: dict[str, float]
    base_score: int

    @property
    def width(self) -> int:
        """The number of columns; 0 when nothing is left to choose."""
        return len(self.columns.security)


def programme(points: BreakpointTable) -> Programme:
    """State the columns, their slopes, and the sums at the base: every security at its fewest steps.

    Slopes are what a unit of a column adds to each sum, in money (orders in orders). Figures are subtracted as whole
    numbers, because their digits exceed a float's, and become floats last.
    """
    unit = 10**points.ip.places
    sums: dict[str, tuple[Whole, int]] = {"score": (points.score, unit * ONE)}
    sums |= {name: (column, 1 if name == "orders" else unit) for name, column in points.totals.items()}
    at = np.flatnonzero(points.security[1:] == points.security[:-1])
    stated, start = columns(points, at), points.start
    return Programme(
        points=points,
        columns=stated,
        base=tuple(points.steps[start]),
        slopes={name: ((x[at + 1] - x[at]) / per).astype(float) / stated.length for name, (x, per) in sums.items()},
        constants={name: float(x[start].sum() / per) for name, (x, per) in sums.items()},
        base_score=points.score[start].sum(),
    )


def limit_row(stated: Programme, row: CouplingRow) -> tuple[Floats, float]:
    """slopes · filled ≤ limit, in money (orders in orders): the slopes and the limit of a coupling row."""
    limit = float(row.limit) if row.total == "orders" else stated.points.ip.in_float(row.limit)
    return row.sign * stated.slopes[row.total], limit - row.sign * stated.constants[row.total]


def gate_matrix(stated: Columns, securities: int) -> Any:  # a SciPy sparse array
    """Rows ≤ 0: filled ≤ length·B above, filled ≥ length·D below, B ≤ D; a gate's own pieces and no larger big-M."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with CVXPY

    gate = np.full((2, securities), -1)  # the column of B and of D in each security
    for side, of in ((1, gate[0]), (-1, gate[1])):
        which = np.flatnonzero(stated.gate & (stated.side == side))
        of[stated.security[which]] = which
    above, below = (np.flatnonzero(~stated.gate & (stated.side == side)) for side in (1, -1))
    both = gate[:, (gate >= 0).all(axis=0)]
    first = np.concatenate([above, below, both[0]])
    second = np.concatenate([gate[0][stated.security[above]], gate[1][stated.security[below]], both[1]])
    sign = np.repeat([1.0, -1.0, 1.0], [len(above), len(below), len(both[0])])
    length = np.concatenate([stated.length[above], stated.length[below], np.ones(len(both[0]))])
    values, places = np.column_stack([sign, -sign * length]), np.column_stack([first, second])
    shape = (len(first), len(stated.security))
    return csr_array((values.ravel(), places.ravel(), 2 * np.arange(len(first) + 1)), shape=shape)


def matrix_rows(stated: Programme) -> tuple[tuple[str, ...], Any, Floats]:
    """All rows as matrix @ filled ≤ limits: the coupling rows, in the order of their names, then the gates."""
    from scipy.sparse import csr_array, vstack  # noqa: PLC0415

    rows = [limit_row(stated, row) for row in stated.points.rows.values()]
    gates = gate_matrix(stated.columns, len(stated.base))
    coupling = csr_array(np.array([slopes for slopes, _ in rows]).reshape(-1, stated.width))
    limits = np.concatenate([[limit for _, limit in rows], np.zeros(gates.shape[0])])
    return tuple(stated.points.rows), vstack([coupling, gates], format="csr"), limits


def variable(stated: Programme, *, whole: bool = True) -> Any:
    """The fillings of the columns as a CVXPY variable with its bounds."""
    import cvxpy as cp  # noqa: PLC0415  # three seconds and 100 MB that a closed form does not need

    return cp.Variable(stated.width, integer=whole, bounds=[np.zeros(stated.width), stated.columns.length])


def filled_steps(stated: Programme, filled: Floats) -> Floats:
    """Steps of each security that fillings of the columns amount to."""
    moved = np.bincount(stated.columns.security, stated.columns.steps * filled, len(stated.base))
    return np.array(stated.base, dtype=float) + moved


def whole_trades(stated: Programme, filled: Any) -> tuple[int, ...]:  # a solved CVXPY variable
    """The trades that whole fillings amount to."""
    return tuple(map(round, filled_steps(stated, np.rint(filled.value)).tolist()))
