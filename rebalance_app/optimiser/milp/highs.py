"""The integer programme where securities compete for cash, turnover or orders: CVXPY states it, HiGHS solves it.

Everything is in money, never divided by market value: HiGHS's absolute tolerances of 1e-6 would be worth 50 in a
portfolio of 50 million.
"""

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import cache
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_app.portfolio.units import TICK
from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.candidate import Candidate
from rebalance_app.optimiser.problem.coupling import broken_rows
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem

from .breakpoints import BreakpointTable, table
from .formulation import Programme, filled_steps, matrix_rows, programme, variable, whole_trades
from .lagrangian import lagrangian_bound, whole_multipliers

Floats = NDArray[np.float64]
ABSOLUTE_GAP = 0.009  # money: less than the cent that `optimal` allows, since bounds are rounded down
FEASIBLE_POINT = 2  # HiGHS: SolutionStatus.kSolutionStatusFeasible
LEAST_TIME = 0.05
LARGEST_MONEY = 10**14
NOTHING_TO_SHOW = "Cannot unpack invalid solution"  # CVXPY's ValueError of an end that it has no name for
LATE = 0.5  # seconds after its limit until HiGHS is left behind


class ProgramInfeasible(Exception):  # noqa: N818  # an outcome with a name, not a defect
    """The integer programme has no solution. Solving again cannot help; relaxing a limit can."""


def statement(stated: Programme, *, whole: bool = True) -> tuple[Any, Any, Any]:
    """The CVXPY problem, its variable and its one constraint; its relaxation with `whole` false."""
    import cvxpy as cp  # noqa: PLC0415

    filled = variable(stated, whole=whole)
    _, matrix, limits = matrix_rows(stated)
    rows = matrix @ filled <= limits
    return cp.Problem(cp.Minimize(stated.slopes["score"] @ filled), [rows]), filled, rows


@cache
def prepare_solver() -> None:
    """Make the process's first HiGHS object with standard output turned away, and one thread for all.

    HiGHS 1.16 writes two lines to standard output when the first object is made, before any option can silence it,
    and that would stand in the middle of a JSON document, or in a worker's log. It also refuses `threads=1` once
    anything in the process has used it with more, until its scheduler is reset.
    """
    import highspy  # noqa: PLC0415

    warnings.filterwarnings("ignore", "Solution may be inaccurate")  # CVXPY's; every answer is checked exactly
    try:
        kept = os.dup(1)
    except OSError:
        return  # a daemon without standard output has none to protect
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        highspy.Highs.resetGlobalScheduler(True)  # noqa: FBT003  # HiGHS takes it by position
        highspy.Highs()  # type: ignore[no-untyped-call]
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def run_in_time(attempt: Callable[[], object], seconds: float) -> None:
    """Let HiGHS run, but wait no longer than `seconds`: it looks at its clock only between steps, and one can be long.

    Raises what `attempt` raises, and NoAnswerInTime; the thread then goes on until HiGHS sees the time, and its process
    is best ended. In a thread of its own HiGHS also minds no other use of it.
    """
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            attempt()
            outcome.set_result(None)
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    if not wait([outcome], seconds).done:
        raise NoAnswerInTime
    outcome.result()


def _solve(problem: Any, options: Mapping[str, Any]) -> None:  # a CVXPY problem
    """Raises SolverFailed where the solver did; any other exception is a defect, and none of its business."""
    from cvxpy.error import SolverError  # noqa: PLC0415

    try:
        problem.solve(solver="HIGHS", **options)
    except SolverError as error:
        raise SolverFailed(str(error)) from error
    except ValueError as error:
        if not str(error).startswith(NOTHING_TO_SHOW):
            raise
        raise SolverFailed("it ended without a solution") from error


def solve_statement(problem: Any, seconds: float, **more: str) -> None:
    """Run HiGHS for at most `seconds`; afterwards the problem holds a feasible point, or an error says why not.

    One thread and a fixed seed make the answer the same on every machine. A warm start would return the last answer of
    the same problem. Restarts of the tree and the search for symmetry cost more than they bring: without them the worst
    of the benchmark's hard cases takes 0.6 instead of 3.8 s. On a time-out without any feasible point CVXPY shows all
    zeros, which would read as "sell everything": only `primal_solution_status` tells.
    """
    prepare_solver()
    limits = {"time_limit": max(seconds, LEAST_TIME), "mip_abs_gap": ABSOLUTE_GAP, "mip_rel_gap": 0.0}
    same = {"threads": 1, "random_seed": 0, "warm_start": False}
    plain = {"mip_allow_restart": False, "mip_detect_symmetry": False, "output_flag": False}
    run_in_time(lambda: _solve(problem, {**limits, **same, **plain, **more}), seconds + LATE)
    if problem.status in {"infeasible", "infeasible_or_unbounded", "infeasible_inaccurate"}:
        raise ProgramInfeasible
    if problem.solver_stats.extra_stats.primal_solution_status != FEASIBLE_POINT:
        raise NoAnswerInTime


def proven_bound(problem: Any, stated: Programme) -> Decimal:
    """The proven lower bound on the objective in money, rounded down beyond the solver's tolerance of 1e-6."""
    above_base = Decimal(float(problem.solver_stats.extra_stats.mip_dual_bound)) - Decimal("0.000001")
    exact = stated.points.ip.score_money(stated.base_score) + above_base
    return max(Decimal(0), exact.quantize(TICK, rounding=ROUND_FLOOR))


@dataclass(frozen=True, slots=True)
class LpRelaxation:
    """What the relaxation gives.

    points   breakpoints of the choices
    steps    (n,) trade of each security
    multipliers   of the rows, by the denominator ONE, and the exact `bound` on the score that they prove
    orders   how many orders it makes
    """

    points: BreakpointTable
    steps: Floats
    multipliers: dict[str, int]
    bound: int
    orders: float


def lp_relaxation(stated: Programme, filled: Floats, duals: Floats) -> LpRelaxation:
    """What fillings of the columns and duals of the rows, the coupling rows first, come to."""
    points = stated.points
    multipliers = whole_multipliers(dict(zip(points.rows, duals, strict=False)))
    orders = float(stated.slopes["orders"] @ filled + stated.constants["orders"])
    bound = lagrangian_bound(points, multipliers)
    return LpRelaxation(points, filled_steps(stated, filled), multipliers, bound, orders)


def solve_relaxed(ip: IntegerProblem, choices: Sequence[AllowedTrades], seconds: float) -> LpRelaxation:
    """Solve the statement without whole numbers. Raises ProgramInfeasible and NoAnswerInTime."""
    stated = programme(table(ip, choices))
    if not stated.width:
        raise ProgramInfeasible  # nothing is left to choose, and the coupling rows were seen to fail
    problem, filled, rows = statement(stated, whole=False)
    solve_statement(problem, seconds, presolve="off")  # it takes longer than the relaxation itself
    return lp_relaxation(stated, filled.value, rows.dual_value)


def refuse_beyond_floats(ip: IntegerProblem) -> None:
    """Raises SolverFailed where cents are lost in floats; HiGHS's presolve was even seen to crash there."""
    if ip.market_value > LARGEST_MONEY * 10**ip.places:
        raise SolverFailed(f"Beyond {LARGEST_MONEY:,} its floating-point numbers do not tell cents apart.")


def solve_whole(ip: IntegerProblem, choices: Sequence[AllowedTrades], seconds: float) -> Candidate:
    """The answer of branch and bound, with the bound it proved.

    Raises NoAnswerInTime, ProgramInfeasible, and SolverFailed, also where the solver's tolerance passed what breaks a
    row in exact arithmetic.
    """
    stated = programme(table(ip, choices))
    if not stated.width:
        return Candidate(stated.base, "milp", ip.score_money(stated.base_score))  # the only choice
    refuse_beyond_floats(ip)
    problem, filled, _ = statement(stated)
    solve_statement(problem, seconds)
    trades = whole_trades(stated, filled)
    broken = broken_rows(ip, trades)
    if broken:
        raise SolverFailed(f"Its answer breaks {', '.join(broken)} by less than its tolerance.")
    return Candidate(trades, "milp", proven_bound(problem, stated))
