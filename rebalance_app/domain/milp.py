"""The integer programme where securities compete for cash, turnover or orders: CVXPY states it, HiGHS solves it.

Joint incremental form. For each line take the breakpoints between which its drift, traded value and realised gain are
linear, and give each piece between two neighbours one integer variable: how many of its steps are filled. The objective
then has one slope per piece, with no absolute values and no auxiliary rows. Slopes rise from piece to piece, so filling
out of order only overstates what is minimised or capped, and the relaxation is the convex envelope over the integers.

Where a line may not make small trades, costs a ticket, or counts as an order, two binaries part its pieces: B = 1 opens
the buying side, D = 1 keeps the selling side closed, B ≤ D.

Everything is in money, never divided by market value: HiGHS's absolute tolerances of 1e-6 would be worth 50 in a
portfolio of 50 million.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import CENT, Found
from .bounds import Choice
from .constraints import Totals, coupling_rows, totals_of
from .exchange import ANYTHING, Spare, close_gap, total_score
from .integers import ONE, Ledger
from .objective import breakpoints, realised_gain, score
from .pricing import cut, priced_bound, rounded, whole_prices

Floats = NDArray[np.float64]
ABSOLUTE_GAP = 0.009  # money: less than the cent that `optimal` allows, since bounds are rounded down
FEASIBLE_POINT = 2  # HiGHS: SolutionStatus.kSolutionStatusFeasible
LEAST_TIME = 0.05
ROUNDS = 20  # of exchanges


class ProgramInfeasible(Exception):  # noqa: N818  # an outcome with a name, not a defect
    """The integer programme has no solution. Solving again cannot help; relaxing a limit can."""


class NoAnswerInTime(Exception):  # noqa: N818
    """Time ran out before any feasible answer was found. More time may help."""


class SolverFailed(Exception):  # noqa: N818
    """The solver gave up for a reason of its own. Solving again may help; the message is the solver's."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One integer variable: the steps of line `line` between `first` and `last`.

    side +1: filled only by a buy (B = 1); −1: emptied only by a sale (D = 0); 0: free.
    A gate is the block between no trade and the smallest trade, all or nothing: its variable is B or D itself.
    """

    line: int
    first: int
    last: int
    side: int = 0
    gate: bool = False

    @property
    def length(self) -> int:
        """How often the variable can be filled: a gate once, a piece by its steps."""
        return 1 if self.gate else self.last - self.first

    @property
    def steps(self) -> int:
        """Steps the line moves per unit of the variable."""
        return (self.last - self.first) // self.length


def _joined(ledger: Ledger, choice: Choice, index: int, part: tuple[int, int], side: int) -> list[Piece]:
    points = breakpoints(ledger, choice.line, part)
    return [Piece(index, a, b, side) for a, b in pairwise(points)]


def needs_gate(ledger: Ledger, choice: Choice) -> bool:
    """Whether buying, selling and not trading must be told apart.

    They must when small trades are forbidden, when an order counts or costs, and when selling at a loss would pay for
    itself by buying back (a wash sale).
    """
    if not choice.least <= 0 <= choice.most or choice.least == choice.most:
        return False
    at_a_loss = ledger.gain_budget is not None and any(gain < 0 for _, gain in choice.line.tax_lots)
    counted = bool(ledger.ticket) or ledger.options.max_trades is not None
    return len(choice.segments) > 1 or counted or (at_a_loss and choice.least < 0)


def gated_pieces(ledger: Ledger, choice: Choice, index: int) -> list[Piece]:
    """Pieces of a line with gates: sales, the block of the smallest sale, the block of the smallest buy, buys."""
    pieces = []
    sales = [(a, min(b, -1)) for a, b in choice.segments if a < 0]
    buys = [(max(a, 1), b) for a, b in choice.segments if b > 0]
    for first, last in sales:
        pieces += [*_joined(ledger, choice, index, (first, last), -1), Piece(index, last, 0, -1, gate=True)]
    for first, last in buys:
        pieces += [Piece(index, 0, first, 1, gate=True), *_joined(ledger, choice, index, (first, last), 1)]
    return pieces


def all_pieces(ledger: Ledger, choices: Sequence[Choice]) -> list[Piece]:
    """The columns of the whole programme."""
    pieces = []
    for index, choice in enumerate(choices):
        if needs_gate(ledger, choice):
            pieces += gated_pieces(ledger, choice, index)
        else:
            pieces += _joined(ledger, choice, index, (choice.least, choice.most), 0)
    return pieces


@dataclass(frozen=True, slots=True)
class Programme:
    """The columns with their slopes in money per unit, and the sums when every column is 0."""

    ledger: Ledger
    pieces: tuple[Piece, ...]
    base: tuple[int, ...]
    slopes: dict[str, Floats]
    constants: dict[str, float]
    base_score: int


def _slopes(ledger: Ledger, pieces: Sequence[Piece]) -> dict[str, Floats]:
    """What a unit of each piece adds to each sum, in money (orders in orders).

    Scores are subtracted as whole numbers, because their digits exceed a float's, and become floats last.
    """
    money, lines = 10**ledger.places, ledger.lines
    length = np.array([p.length for p in pieces], dtype=float)
    first, last = (np.array([getattr(p, end) for p in pieces], dtype=float) for end in ("first", "last"))
    step = np.array([line.step / money for line in lines])[[p.line for p in pieces]]
    rises = [score(ledger, lines[p.line], p.last) - score(ledger, lines[p.line], p.first) for p in pieces]
    gains = [
        realised_gain(lines[p.line], p.last) - realised_gain(lines[p.line], p.first) if p.first < 0 else 0
        for p in pieces
        if ledger.gain_budget is not None
    ]
    return {
        "score": np.array([rise / (money * ONE) for rise in rises]) / length,
        "bought": (last - first) * step / length,
        "traded": (np.abs(last) - np.abs(first)) * step / length,
        "orders": ((last != 0).astype(float) - (first != 0)) / length,
        "gain": np.array([gain / money for gain in gains]) / length if gains else np.zeros(len(pieces)),
    }


def programme(ledger: Ledger, choices: Sequence[Choice]) -> Programme:
    """State the columns, their slopes, and the sums at the base: every line at its fewest steps."""
    pieces = tuple(all_pieces(ledger, choices))
    base = tuple(choice.least for choice in choices)
    totals, money = totals_of(ledger, base), 10**ledger.places
    base_score = total_score(ledger, base)
    constants = {
        "score": base_score / (money * ONE),
        "bought": totals.bought / money,
        "traded": totals.traded / money,
        "orders": float(totals.orders),
        "gain": totals.gain / money,
    }
    return Programme(ledger, pieces, base, _slopes(ledger, pieces), constants, base_score)


def gate_rows(pieces: Sequence[Piece], filled: Any) -> list[Any]:  # a CVXPY variable
    """filled ≤ length·B above, filled ≥ length·D below, B ≤ D: each gate's own pieces and nothing larger as big-M.

    One sparse matrix times the variable: row by row, CVXPY would take longer than HiGHS.
    """
    from scipy.sparse import csr_array  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with CVXPY

    buy = {p.line: j for j, p in enumerate(pieces) if p.gate and p.side > 0}
    sell = {p.line: j for j, p in enumerate(pieces) if p.gate and p.side < 0}
    above = [(j, buy[p.line], 1.0, -float(p.length)) for j, p in enumerate(pieces) if p.side > 0 and not p.gate]
    below = [(j, sell[p.line], -1.0, float(p.length)) for j, p in enumerate(pieces) if p.side < 0 and not p.gate]
    either = [(buy[line], sell[line], 1.0, -1.0) for line in buy if line in sell]
    rows = [*above, *below, *either]
    if not rows:
        return []
    columns = np.array([row[:2] for row in rows]).ravel()
    values = np.array([row[2:] for row in rows]).ravel()
    matrix = csr_array((values, columns, np.arange(0, 2 * len(rows) + 1, 2)), shape=(len(rows), len(pieces)))
    return [matrix @ filled <= 0]


def totals_in(stated: Programme, filled: Any) -> Totals:  # a CVXPY variable
    """The sums that the coupling rows limit, as expressions in the fillings, in money."""

    def total(name: str) -> Any:
        return stated.slopes[name] @ filled + stated.constants[name]

    return Totals(bought=total("bought"), traded=total("traded"), orders=total("orders"), gain=total("gain"))


def statement(stated: Programme, *, whole: bool = True) -> tuple[Any, Any, dict[str, Any]]:
    """The CVXPY problem, its variable and its coupling rows by name; its relaxation with `whole` false."""
    import cvxpy as cp  # noqa: PLC0415  # three seconds and 100 MB that a closed form does not need

    ledger, pieces = stated.ledger, stated.pieces
    bounds = [np.zeros(len(pieces)), np.array([p.length for p in pieces])]
    filled = cp.Variable(len(pieces), integer=whole, bounds=bounds)
    rows = coupling_rows(ledger, totals_in(stated, filled), lambda grains: grains / 10**ledger.places)
    constraints = [*rows.values(), *gate_rows(pieces, filled)]
    return cp.Problem(cp.Minimize(stated.slopes["score"] @ filled), constraints), filled, rows


@cache
def prepare_solver() -> None:
    """Make the process's first HiGHS object with standard output turned away, and one thread for all.

    HiGHS 1.16 writes two lines to standard output when the first object is made, before any option can silence it, and
    that would stand in the middle of a JSON document, or in a worker's log. It also refuses `threads=1` once anything
    in the process has used it with more, until its scheduler is reset.
    """
    import highspy  # noqa: PLC0415

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


def solve_statement(problem: Any, seconds: float, **more: str) -> None:  # a CVXPY problem
    """Run HiGHS for at most `seconds`; afterwards the problem holds a feasible point, or an error says why not.

    One thread and a fixed seed make the answer the same on every machine. A warm start would return the last answer of
    the same problem. On a time-out without any feasible point CVXPY shows all zeros, which would read as "sell
    everything": only `primal_solution_status` tells.
    """
    from cvxpy.error import SolverError  # noqa: PLC0415

    prepare_solver()
    limits = {"time_limit": max(seconds, LEAST_TIME), "mip_abs_gap": ABSOLUTE_GAP, "mip_rel_gap": 0.0}
    try:
        problem.solve(solver="HIGHS", warm_start=False, threads=1, random_seed=0, output_flag=False, **limits, **more)
    except SolverError as error:
        raise SolverFailed(str(error)) from error
    if problem.status in {"infeasible", "infeasible_or_unbounded", "infeasible_inaccurate"}:
        raise ProgramInfeasible
    if problem.solver_stats.extra_stats.primal_solution_status != FEASIBLE_POINT:
        raise NoAnswerInTime


def proven_bound(problem: Any, stated: Programme) -> Decimal:
    """The proven lower bound on the objective in money, rounded down beyond the solver's tolerance of 1e-6."""
    above_base = Decimal(float(problem.solver_stats.extra_stats.mip_dual_bound)) + Decimal("0.000001")
    exact = stated.ledger.score_money(stated.base_score) + above_base
    return max(Decimal(0), exact.quantize(Decimal("0.0001"), rounding=ROUND_FLOOR))


def steps_of(stated: Programme, filled: Floats) -> list[float]:
    """Steps of each line that fillings of the pieces amount to."""
    steps = [float(k) for k in stated.base]
    for piece, count in zip(stated.pieces, filled, strict=True):
        steps[piece.line] += piece.steps * float(count)
    return steps


def whole_trades(stated: Programme, filled: Any) -> tuple[int, ...]:  # a solved CVXPY variable
    """The trades that whole fillings amount to."""
    return tuple(map(round, steps_of(stated, np.rint(filled.value))))


@dataclass(frozen=True, slots=True)
class Relaxed:
    """What the relaxation gives: prices of the rows, the exact bound they prove, and a whole answer near it, if any."""

    prices: dict[str, int]
    bound: int  # score
    trades: tuple[int, ...] | None


def solve_relaxed(ledger: Ledger, choices: Sequence[Choice], seconds: float) -> Relaxed:
    """Solve the statement without whole numbers. Raises ProgramInfeasible and NoAnswerInTime."""
    stated = programme(ledger, choices)
    if not stated.pieces:
        raise ProgramInfeasible  # nothing is left to choose, and the coupling rows were seen to fail
    problem, filled, rows = statement(stated, whole=False)
    solve_statement(problem, seconds, presolve="off")  # it takes longer than the relaxation itself
    prices = whole_prices({name: row.dual_value for name, row in rows.items()})
    bound = priced_bound(ledger, choices, prices)
    trades = rounded(ledger, choices, steps_of(stated, filled.value))
    return Relaxed(prices, bound, trades and narrowed(ledger, choices, trades, ledger.score_money(bound), prices))


def narrowed(
    ledger: Ledger,
    choices: Sequence[Choice],
    trades: tuple[int, ...],
    bound: Decimal,
    prices: Mapping[str, int] | None = None,
) -> tuple[int, ...]:
    """The trades, or better ones that exchanges reach, if possible within a cent of the bound.

    `prices` are those that prove the bound; None where branch and bound proved it.
    """
    for _ in range(ROUNDS):
        exact_gap = ledger.score_money(total_score(ledger, trades)) - bound
        if exact_gap <= CENT:
            return trades
        gap = float(exact_gap)
        windows = ((gap - float(CENT), gap), (gap * 0.9, gap), (gap * 0.5, gap), (gap * 0.1, gap))
        spare = ANYTHING if prices is None else Spare(prices, gap)
        better = close_gap(ledger, choices, trades, spare, windows)
        if better is None:
            return trades
        trades = better
    return trades


def solve_whole(ledger: Ledger, choices: Sequence[Choice], seconds: float) -> Found:
    """The answer of branch and bound, with the bound it proved. Raises NoAnswerInTime and ProgramInfeasible."""
    stated = programme(ledger, choices)
    if not stated.pieces:
        return Found(stated.base, "milp")
    problem, filled, _ = statement(stated)
    solve_statement(problem, seconds)
    trades, bound = whole_trades(stated, filled), proven_bound(problem, stated)
    return Found(narrowed(ledger, choices, trades, bound), "milp", bound)


def _branched(ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, seconds: float) -> Found:
    """Branch and bound over what the relaxation leaves open; its own answer where time runs out first."""
    bound = ledger.score_money(relaxed.bound)
    if relaxed.trades is None:
        return solve_whole(ledger, choices, seconds)
    known = total_score(ledger, relaxed.trades)
    try:
        found = solve_whole(ledger, cut(ledger, choices, relaxed.prices, known - relaxed.bound), seconds)
    except NoAnswerInTime:
        return Found(relaxed.trades, "milp", bound)
    best = min((relaxed.trades, found.trades), key=lambda trades: total_score(ledger, trades))
    proven = None if found.bound is None else max(found.bound, bound)
    return replace(found, trades=best, bound=proven)


def solve_proven(ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, seconds: float) -> Found:
    """The relaxation's answer when exchanges brought it within a cent of its bound, else that of branch and bound."""
    bound = ledger.score_money(relaxed.bound)
    if relaxed.trades is not None and ledger.score_money(total_score(ledger, relaxed.trades)) - bound <= CENT:
        return Found(relaxed.trades, "milp", bound)
    return _branched(ledger, choices, relaxed, seconds)
