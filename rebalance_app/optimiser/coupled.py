"""A coupled problem from its choices to trades: relaxation, exact parts, else exchanges, and branch and bound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from models_app.portfolio.units import CENT
from rebalance_app.optimiser.canonical.branch_and_bound import BranchAndBound
from rebalance_app.optimiser.milp.highs import ProgramInfeasible, Relaxed, solve_relaxed, solve_whole
from rebalance_app.optimiser.milp.lagrangian import reduced_cost_fixing
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem
from rebalance_app.optimiser.problem.promises import known

from .failures import NoAnswerInTime, SolverFailed
from .local_search import Exchanges, Spare, total_score
from .solution import Candidate

ROUNDS = 20  # of exchanges
FIRST_LOOK = 0.5  # of the time at most, before an answer is looked for by exchanges and branch and bound


@dataclass(frozen=True, slots=True)
class Joint:
    """One coupled problem with its relaxation and its exchanges. Every answer here honours every row, exactly."""

    ip: IntegerProblem
    choices: Sequence[AllowedTrades]
    relaxed: Relaxed
    exchanges: Exchanges

    def above_bound(self, trades: Sequence[int]) -> int:
        """The score of the trades, less the bound that the multipliers prove."""
        return total_score(self.ip, trades) - self.relaxed.bound

    def gap(self, found: Candidate) -> Decimal:
        """What the trades may be above the best, in money."""
        return self.ip.score_money(total_score(self.ip, found.trades)) - (found.bound or 0)

    def spare(self, found: Candidate) -> Spare:
        """What the multipliers leave open, given an answer."""
        return Spare(self.relaxed.multipliers, float(self.ip.score_money(self.above_bound(found.trades))))

    def improved(self, found: Candidate) -> Candidate:
        """The trades, or better ones that exchanges reach, if possible within a cent of the bound."""
        for _ in range(ROUNDS):
            exact_gap = self.gap(found)
            if exact_gap <= CENT:
                break
            gap = float(exact_gap)
            windows = ((gap - float(CENT), gap), (gap * 0.9, gap), (gap * 0.5, gap), (gap * 0.1, gap))
            trades = self.exchanges.closer(found.trades, self.spare(found), windows)
            better = found if trades is None else replace(found, trades=trades)
            if self.gap(better) >= exact_gap:
                break
            found = better
        return found

    def within_a_cent(self, branching: BranchAndBound, deadline: float) -> Candidate:
        """An answer where `branching` does not know the first of all: within a cent of what is proven, if possible."""
        trades, found = branching.incumbent, None
        least = known(branching.lower_bound, "while the first answer is not known, some part waits")
        if trades is not None:
            found = self.improved(Candidate(trades, "milp", self.ip.score_money(least)))
        if found is None or self.gap(found) > CENT:
            found = self.branch_and_bound(found, deadline - time.monotonic())
        return found if self.gap(found) > CENT else self.before_equals(found)

    def branch_and_bound(self, best: Candidate | None, seconds: float) -> Candidate:
        """Branch and bound over what the multipliers leave open; the known answer where that fails or time runs out."""
        if best is None:
            return self.improved(solve_whole(self.ip, self.choices, seconds))
        left = reduced_cost_fixing(
            self.choices, self.relaxed.points, self.relaxed.multipliers, self.above_bound(best.trades)
        )
        try:
            found = solve_whole(self.ip, left, seconds)
        except (NoAnswerInTime, ProgramInfeasible, SolverFailed):
            return best
        bound = max(x.bound for x in (best, found) if x.bound is not None)
        better = min((best, found), key=lambda x: total_score(self.ip, x.trades))
        return self.improved(replace(better, bound=bound))

    def before_equals(self, found: Candidate) -> Candidate:
        """Trades as good that come first by `rank`, as far as exchanges of two securities tell."""
        return replace(found, trades=self.exchanges.less_trading(found.trades, self.spare(found)))


def solve_jointly(ip: IntegerProblem, choices: Sequence[AllowedTrades], seconds: float) -> Candidate:
    """The best trades under all coupling rows, with the bound that is proven. Needs a segment in every choice.

    First the relaxation and what `branch` finds with its multipliers: the first of all answers by `rank`, or
    else a good one, improved by exchanges. If that is further than a cent from what is proven, branch and bound. With
    an answer better than the one it began with, `branch` begins again; where it was cut short it goes on. Raises
    ProgramInfeasible, or NoAnswerInTime. The answer is still to be checked exactly.
    """
    deadline = time.monotonic() + seconds
    relaxed = solve_relaxed(ip, choices, seconds)
    branching = BranchAndBound.of(ip, choices, relaxed)
    begun_with = branching.incumbent_score
    cut_short = branching.run((deadline - time.monotonic()) * FIRST_LOOK)
    if branching.lower_bound is None:
        return _first(branching)
    joint = Joint(ip, choices, relaxed, Exchanges.of(ip, choices))
    found = joint.within_a_cent(branching, deadline)
    better = begun_with is None or total_score(ip, found.trades) < begun_with
    if not (better or cut_short) or joint.gap(found) > CENT:
        return found
    branching.offer(found.trades)
    if better:
        branching.restart()
    branching.run(deadline - time.monotonic())
    if branching.lower_bound is None:
        return _first(branching)
    bound = max(found.bound or Decimal(0), ip.score_money(branching.lower_bound))
    return replace(found, trades=known(branching.incumbent, "an answer was noted"), bound=bound)


def _first(branching: BranchAndBound) -> Candidate:
    """What is known to be the first of all answers. Raises ProgramInfeasible."""
    if branching.incumbent is None:
        raise ProgramInfeasible
    return Candidate(branching.incumbent, "milp")
