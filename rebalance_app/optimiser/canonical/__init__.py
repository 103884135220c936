"""The exact search over ties and small gaps: it finds the optimum, and of equals the first by `rank`."""

import time
from collections.abc import Callable
from dataclasses import replace

from models_app.portfolio.units import CENT
from rebalance_app.optimiser.milp.highs import LpRelaxation, ProgramInfeasible
from rebalance_app.optimiser.problem.candidate import Candidate
from rebalance_app.optimiser.problem.objective import total_score
from rebalance_app.optimiser.problem.promises import required

from .branch_and_bound import BranchAndBound

FIRST_LOOK = 0.5  # of the time at most, before any good answer is looked for

Good = Callable[[tuple[int, ...] | None, int], Candidate]  # from trades to begin with, and a bound on the score


def first_of_equals(relaxed: LpRelaxation, start: tuple[int, ...] | None, good: Good, deadline: float) -> Candidate:
    """The first of all best answers, or else what `good` finds, within a cent of what is proven if that can.

    `start` are trades to begin with, `deadline` is by the monotonic clock. An answer of `good` is also one to search on
    from: with a better one than it began with the search begins again, and where it was cut short it goes on. Raises
    ProgramInfeasible, and what `good` raises.
    """
    search = BranchAndBound.of(relaxed, start)
    begun_with = search.incumbent_score
    timed_out = search.run((deadline - time.monotonic()) * FIRST_LOOK)
    if search.lower_bound is None:
        return _proven(search)
    ip, found = relaxed.points.ip, good(search.incumbent, search.lower_bound)
    score = total_score(ip, found.trades)
    better = begun_with is None or score < begun_with
    if not (better or timed_out) or ip.score_money(score) - found.bound > CENT:
        return found
    search.offer(found.trades)
    if better:
        search.restart()
    search.run(deadline - time.monotonic())
    if search.lower_bound is None:
        return _proven(search)
    bound = max(found.bound, ip.score_money(search.lower_bound))
    return replace(found, trades=required(search.incumbent, "an answer was offered"), bound=bound)


def _proven(search: BranchAndBound) -> Candidate:
    """What a search that came to its end knows to be the first. Raises ProgramInfeasible."""
    if search.incumbent is None:
        raise ProgramInfeasible
    bound = search.ip.score_money(total_score(search.ip, search.incumbent))
    return Candidate(search.incumbent, "milp", bound, first=True)
