"""The relaxation of a node, straight to HiGHS: one of dozens, each of which CVXPY would take thrice as long to state.

The columns and rows are those that CVXPY is told of the root. Where a node has no answer, its coupling rows may be
broken at a penalty that nothing is worth; the multipliers that come of it usually prove a bound above every answer.
"""

from typing import Any

import numpy as np

from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed

from .breakpoints import BreakpointTable
from .formulation import Programme, matrix_rows, programme
from .highs import LATE, LEAST_TIME, LpRelaxation, lp_relaxation, prepare_solver, run_in_time

PENALTY = 10.0**6  # money for money


def _model(stated: Programme, *, penalised: bool) -> Any:  # a HiGHS model
    """Columns between 0 and their lengths, then, if asked for, how far each coupling row is broken."""
    import highspy  # noqa: PLC0415
    from scipy.sparse import csr_array, eye_array, hstack  # type: ignore[import-untyped]  # noqa: PLC0415

    names, matrix, limits = matrix_rows(stated)
    cost, most = stated.slopes["score"], stated.columns.length
    if penalised:
        broken = len(names)
        matrix = csr_array(hstack([matrix, -eye_array(len(limits), broken)]))
        cost = np.concatenate([cost, np.full(broken, PENALTY)])
        most = np.concatenate([most, np.full(broken, highspy.kHighsInf)])
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(cost), len(limits)
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros(len(cost)), most
    model.row_lower_, model.row_upper_ = np.full(len(limits), -highspy.kHighsInf), limits
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    return model


def solve_node(points: BreakpointTable, seconds: float) -> LpRelaxation:
    """The relaxation of the choices whose breakpoints these are. Raises NoAnswerInTime and SolverFailed."""
    import highspy  # noqa: PLC0415

    prepare_solver()
    stated = programme(points)
    for penalised in (False, True):
        solver = highspy.Highs()  # type: ignore[no-untyped-call]
        options: dict[str, Any] = {"output_flag": False, "presolve": "off", "threads": 1, "random_seed": 0}
        for name, value in (options | {"time_limit": max(seconds, LEAST_TIME)}).items():
            solver.setOptionValue(name, value)
        solver.passModel(_model(stated, penalised=penalised))
        run_in_time(solver.run, seconds + LATE)
        status = solver.getModelStatus()
        if status == highspy.HighsModelStatus.kOptimal:
            found = solver.getSolution()
            filled = np.array(found.col_value[: stated.width])
            return lp_relaxation(stated, filled, -np.array(found.row_dual))
        if status == highspy.HighsModelStatus.kTimeLimit:
            raise NoAnswerInTime
    raise SolverFailed(str(status))
