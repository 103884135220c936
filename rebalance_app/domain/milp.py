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
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .answer import CENT, Found
from .bounds import Choice
from .constraints import Totals, coupling_rows
from .exchange import close_gap, total_score
from .integers import ONE, Ledger, Line
from .objective import breakpoints, realised_gain, score
from .pricing import priced_bound, rounded, whole_prices

Floats = NDArray[np.float64]
ABSOLUTE_GAP = 0.009  # money: less than the cent that `optimal` allows, since bounds are rounded down
FEASIBLE_POINT = 2  # HiGHS: SolutionStatus.kSolutionStatusFeasible
LEAST_TIME = 0.05


class ProgramInfeasible(Exception):  # noqa: N818  # an outcome with a name, not a defect
    """The integer programme has no solution. Solving again cannot help; relaxing a limit can."""


class NoAnswerInTime(Exception):  # noqa: N818
    """Time ran out before any feasible answer was found. More time may help."""


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
    """Pieces of a line with gates: sales, the block down to the smallest sale, the block up to the smallest buy, buys."""
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


def _measures(ledger: Ledger) -> dict[str, tuple[Callable[[Line, int], int], int]]:
    """What is summed per line, as an exact function of its steps, and the divisor that makes it money."""
    money = 10**ledger.places
    measures: dict[str, tuple[Callable[[Line, int], int], int]] = {
        "score": (partial(score, ledger), money * ONE),
        "bought": (lambda line, k: k * line.step, money),
        "traded": (lambda line, k: abs(k) * line.step, money),
        "orders": (lambda _, k: int(k != 0), 1),
    }
    if ledger.gain_budget is not None:
        measures["gain"] = (realised_gain, money)
    return measures


def programme(ledger: Ledger, choices: Sequence[Choice]) -> Programme:
    """State the columns; every slope is the quotient of exact integers, turned into a float last."""
    pieces = tuple(all_pieces(ledger, choices))
    base = tuple(choice.least for choice in choices)
    slopes, constants = {}, {}
    for name, (measure, unit) in _measures(ledger).items():
        rises = [measure(ledger.lines[p.line], p.last) - measure(ledger.lines[p.line], p.first) for p in pieces]
        slopes[name] = np.array([rise / (unit * p.length) for rise, p in zip(rises, pieces, strict=True)])
        constants[name] = sum(measure(line, k) for line, k in zip(ledger.lines, base, strict=True)) / unit
    base_score = sum(score(ledger, line, k) for line, k in zip(ledger.lines, base, strict=True))
    return Programme(ledger, pieces, base, slopes, constants, base_score)


def gate_rows(pieces: Sequence[Piece], filled: Any) -> list[Any]:  # a CVXPY variable
    """filled ≤ length·B above, filled ≥ length·D below, B ≤ D: each gate's own pieces and nothing larger as big-M."""
    from cvxpy.atoms.affine.binary_operators import multiply  # noqa: PLC0415

    buy = {p.line: j for j, p in enumerate(pieces) if p.gate and p.side > 0}
    sell = {p.line: j for j, p in enumerate(pieces) if p.gate and p.side < 0}
    above = [j for j, p in enumerate(pieces) if p.side > 0 and not p.gate]
    below = [j for j, p in enumerate(pieces) if p.side < 0 and not p.gate]
    both = [line for line in buy if line in sell]
    lengths = np.array([p.length for p in pieces], dtype=float)
    rows = []
    if above:
        rows.append(filled[above] <= multiply(lengths[above], filled[[buy[pieces[j].line] for j in above]]))
    if below:
        rows.append(filled[below] >= multiply(lengths[below], filled[[sell[pieces[j].line] for j in below]]))
    if both:
        rows.append(filled[[buy[line] for line in both]] <= filled[[sell[line] for line in both]])
    return rows


def _dot(slopes: Floats, filled: Any, constant: float) -> Any:
    return slopes @ filled + constant


def statement(stated: Programme, *, whole: bool = True) -> tuple[Any, Any, dict[str, Any]]:
    """The CVXPY problem, its variable and its coupling rows by name; its relaxation with `whole` false."""
    import cvxpy as cp  # noqa: PLC0415  # three seconds and 100 MB that a closed form does not need

    ledger, pieces = stated.ledger, stated.pieces
    bounds = [np.zeros(len(pieces)), np.array([p.length for p in pieces])]
    filled = cp.Variable(len(pieces), integer=whole, bounds=bounds)
    totals = Totals(
        **{
            name: _dot(stated.slopes[name], filled, stated.constants[name]) if name in stated.slopes else 0
            for name in ("bought", "traded", "orders", "gain")
        }
    )
    rows = coupling_rows(ledger, totals, lambda grains: grains / 10**ledger.places)
    constraints = [*rows.values(), *gate_rows(pieces, filled)]
    return cp.Problem(cp.Minimize(stated.slopes["score"] @ filled), constraints), filled, rows


@cache
def banner_to_stderr() -> None:
    """Make the process's first HiGHS object while standard output points to standard error.

    HiGHS 1.16 writes two lines to standard output when the first object is made, before any option can silence it, and
    that would stand in the middle of a JSON document.
    """
    import highspy  # noqa: PLC0415

    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        highspy.Highs()  # type: ignore[no-untyped-call]
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def solve_statement(problem: Any, seconds: float) -> None:  # a CVXPY problem
    """Run HiGHS for at most `seconds`; afterwards the problem holds a feasible point, or an error says why not.

    One thread and a fixed seed make the answer the same on every machine. A warm start would return the last answer of
    the same problem. On a time-out without any feasible point CVXPY shows all zeros, which would read as "sell
    everything": only `primal_solution_status` tells.
    """
    banner_to_stderr()
    limits = {"time_limit": max(seconds, LEAST_TIME), "mip_abs_gap": ABSOLUTE_GAP, "mip_rel_gap": 0.0}
    problem.solve(solver="HIGHS", warm_start=False, threads=1, random_seed=0, output_flag=False, **limits)
    if problem.status in {"infeasible", "infeasible_or_unbounded", "infeasible_inaccurate"}:
        raise ProgramInfeasible
    if problem.solver_stats.extra_stats.primal_solution_status != FEASIBLE_POINT:
        raise NoAnswerInTime


def proven_bound(problem: Any, stated: Programme) -> Decimal:  # noqa: ANN401
    """The proven lower bound on the objective in money, rounded down beyond the solver's tolerance of 1e-6."""
    above_base = Decimal(float(problem.solver_stats.extra_stats.mip_dual_bound)) + Decimal("0.000001")
    exact = stated.ledger.score_money(stated.base_score) + above_base
    return max(Decimal(0), exact.quantize(Decimal("0.0001"), rounding=ROUND_FLOOR))


def _steps(stated: Programme, filled: Floats) -> list[float]:
    """Steps of each line that fillings of the pieces amount to."""
    steps = [float(k) for k in stated.base]
    for piece, count in zip(stated.pieces, filled, strict=True):
        steps[piece.line] += piece.steps * float(count)
    return steps


def solve_relaxed(stated: Programme, choices: Sequence[Choice], seconds: float) -> Found | None:
    """A whole answer next to the relaxation's, with an exact bound from its prices; None when no rounding is feasible."""
    problem, filled, rows = statement(stated, whole=False)
    solve_statement(problem, seconds)
    ledger = stated.ledger
    prices = whole_prices({name: row.dual_value for name, row in rows.items()})
    bound = ledger.score_money(priced_bound(ledger, choices, prices))
    trades = rounded(ledger, choices, _steps(stated, filled.value))
    return None if trades is None else Found(narrowed(ledger, choices, trades, bound), "milp", bound)


def narrowed(ledger: Ledger, choices: Sequence[Choice], trades: tuple[int, ...], bound: Decimal) -> tuple[int, ...]:
    """The trades, or better ones within a cent of the bound when exchanges reach them."""
    gap = ledger.score_money(total_score(ledger, trades)) - bound
    if gap <= CENT:
        return trades
    return close_gap(ledger, choices, trades, (float(gap - CENT), float(gap))) or trades


def solve_whole(stated: Programme, choices: Sequence[Choice], seconds: float) -> Found:
    """The answer of branch and bound, with the bound it proved. Raises NoAnswerInTime and ProgramInfeasible."""
    problem, filled, _ = statement(stated)
    solve_statement(problem, seconds)
    trades, bound = tuple(map(round, _steps(stated, np.rint(filled.value)))), proven_bound(problem, stated)
    return Found(narrowed(stated.ledger, choices, trades, bound), "milp", bound)


def better_of(ledger: Ledger, one: Found | None, other: Found) -> Found:
    """The better answer with the better bound; of equal ones the first."""
    if one is None:
        return other
    assert one.bound is not None
    assert other.bound is not None
    best = min((one, other), key=lambda found: total_score(ledger, found.trades))
    return replace(best, bound=max(one.bound, other.bound))


def solve_jointly(ledger: Ledger, choices: Sequence[Choice], seconds: float) -> Found:
    """The best trades under all coupling rows, with the bound that is proven. Needs a segment in every choice.

    First the relaxation: its rounding, improved by exchanges, is often within a cent of the bound that its prices prove.
    Otherwise branch and bound. Raises ProgramInfeasible, or NoAnswerInTime. The answer is still to be checked exactly.
    """
    stated, started = programme(ledger, choices), time.monotonic()
    if not stated.pieces:
        raise ProgramInfeasible  # nothing is left to choose, and the coupling rows were seen to fail
    quick = solve_relaxed(stated, choices, seconds)
    if quick is not None and quick.bound is not None:
        if ledger.score_money(total_score(ledger, quick.trades)) - quick.bound <= CENT:
            return quick
    try:
        return better_of(ledger, quick, solve_whole(stated, choices, seconds - (time.monotonic() - started)))
    except NoAnswerInTime:
        if quick is None:
            raise
        return quick
