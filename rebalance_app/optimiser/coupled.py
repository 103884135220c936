"""A coupled problem from choices to trades: relaxation, exact search; else exchanges and HiGHS's branch and bound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from models_app.portfolio.units import CENT
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.candidate import Candidate
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem
from rebalance_app.optimiser.problem.objective import total_score

from .canonical import first_of_equals
from .failures import NoAnswerInTime, SolverFailed
from .local_search import Exchanges, OpenGap
from .milp.highs import LpRelaxation, ProgramInfeasible, solve_relaxed, solve_whole
from .milp.lagrangian import reduced_cost_fixing, rounded

ROUNDS = 20  # of exchanges


@dataclass(frozen=True, slots=True)
class Fallback:
    """One coupled problem with its relaxation and its exchanges. Every answer here honours every row, exactly."""

    ip: IntegerProblem
    relaxed: LpRelaxation
    exchanges: Exchanges

    def lagrangian_gap(self, trades: Sequence[int]) -> int:
        """The score of the trades, less the Lagrangian bound."""
        return total_score(self.ip, trades) - self.relaxed.bound

    def gap(self, found: Candidate) -> Decimal:
        """What the trades may be above the best, in money."""
        return self.ip.score_money(total_score(self.ip, found.trades)) - found.bound

    def open_gap(self, found: Candidate) -> OpenGap:
        """What the multipliers leave open, given an answer."""
        return OpenGap(self.relaxed.multipliers, float(self.ip.score_money(self.lagrangian_gap(found.trades))))

    def improved(self, found: Candidate) -> Candidate:
        """The trades, or better ones that exchanges reach, if possible within a cent of the bound."""
        for _ in range(ROUNDS):
            exact_gap = self.gap(found)
            if exact_gap <= CENT:
                break
            gap = float(exact_gap)
            windows = ((gap - float(CENT), gap), (gap * 0.9, gap), (gap * 0.5, gap), (gap * 0.1, gap))
            trades = self.exchanges.closer(found.trades, self.open_gap(found), windows)
            better = found if trades is None else replace(found, trades=trades)
            if self.gap(better) >= exact_gap:
                break
            found = better
        return found

    def within_a_cent(self, trades: tuple[int, ...] | None, bound: int, deadline: float) -> Candidate:
        """An answer within a cent of the bound if possible, and before its equals as far as exchanges of two tell."""
        found = None
        if trades is not None:
            found = self.improved(Candidate(trades, "milp", self.ip.score_money(bound)))
        if found is None or self.gap(found) > CENT:
            found = self.highs_on_reduced(found, deadline - time.monotonic())
        if self.gap(found) > CENT:
            return found
        return replace(found, trades=self.exchanges.less_trading(found.trades, self.open_gap(found)))

    def highs_on_reduced(self, best: Candidate | None, seconds: float) -> Candidate:
        """HiGHS's answer of what the multipliers leave open; the known answer where that fails or time runs out."""
        points = self.relaxed.points
        if best is None:
            return self.improved(solve_whole(self.ip, points.choices, seconds))
        left = reduced_cost_fixing(points, self.relaxed.multipliers, self.lagrangian_gap(best.trades))
        try:
            found = solve_whole(self.ip, left, seconds)
        except (NoAnswerInTime, ProgramInfeasible, SolverFailed):
            return best
        better = min((best, found), key=lambda x: total_score(self.ip, x.trades))
        return self.improved(replace(better, bound=max(best.bound, found.bound)))


def solve_jointly(ip: IntegerProblem, choices: Sequence[AllowedTrades], seconds: float) -> Candidate:
    """The best trades under all coupling rows, with the bound that is proven. Needs a segment in every choice.

    First the relaxation, and of all best answers the first by `rank`, where `canonical` finds it. Else an answer that
    is rounded, improved by exchanges and, if that is further than a cent from what is proven, by branch and bound.
    Raises ProgramInfeasible, or NoAnswerInTime. The answer is still to be checked exactly.
    """
    deadline = time.monotonic() + seconds
    relaxed = solve_relaxed(ip, choices, seconds)
    start = rounded(relaxed.points, relaxed.steps.tolist())

    def within_a_cent(trades: tuple[int, ...] | None, bound: int) -> Candidate:
        return Fallback(ip, relaxed, Exchanges.of(ip, choices)).within_a_cent(trades, bound, deadline)

    # Without `canonical` this is `within_a_cent(start, relaxed.bound)`: as good to a cent, but any of the equals.
    return first_of_equals(relaxed, start, within_a_cent, deadline)
