"""A coupled problem from its choices to trades: relaxation, sums, exchanges, what remains, parts, branch and bound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from .answer import CENT, Found
from .bounds import Choice
from .branch import first_of_all
from .exchange import Exchanges, Spare, total_score
from .integers import Ledger
from .milp import NoAnswerInTime, ProgramInfeasible, Relaxed, SolverFailed, solve_relaxed, solve_whole
from .pricing import cut
from .remaining import best_within
from .sums import TooMany
from .tight import first_tight

ROUNDS = 20  # of exchanges


@dataclass(frozen=True, slots=True)
class Joint:
    """One coupled problem with its relaxation and its exchanges. Every answer here honours every row, exactly."""

    ledger: Ledger
    choices: Sequence[Choice]
    relaxed: Relaxed
    exchanges: Exchanges

    def rounded(self) -> Found | None:
        """The relaxation's rounding, improved by exchanges; None where no rounding honours every row."""
        if self.relaxed.trades is None:
            return None
        return self.narrowed(Found(self.relaxed.trades, "milp", self.ledger.score_money(self.relaxed.bound)))

    def above_bound(self, trades: Sequence[int]) -> int:
        """The score of the trades, less the bound that the prices prove."""
        return total_score(self.ledger, trades) - self.relaxed.bound

    def gap(self, found: Found) -> Decimal:
        """What the trades may be above the best, in money."""
        return self.ledger.score_money(total_score(self.ledger, found.trades)) - (found.bound or 0)

    def spare(self, found: Found) -> Spare:
        """What the prices leave open, given an answer."""
        return Spare(self.relaxed.prices, float(self.ledger.score_money(self.above_bound(found.trades))))

    def narrowed(self, found: Found) -> Found:
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

    def branched(self, known: Found | None, seconds: float) -> Found:
        """Branch and bound over what the prices leave open; the known answer where that fails or time runs out."""
        if known is None:
            return self.narrowed(solve_whole(self.ledger, self.choices, seconds))
        left = cut(self.choices, self.relaxed.points, self.relaxed.prices, self.above_bound(known.trades))
        try:
            found = solve_whole(self.ledger, left, seconds)
        except (NoAnswerInTime, ProgramInfeasible, SolverFailed):
            return known
        best = min((known, found), key=lambda x: total_score(self.ledger, x.trades))
        return self.narrowed(replace(best, bound=max(x.bound for x in (known, found) if x.bound is not None)))

    def exact(self, found: Found) -> Found | None:
        """The exact optimum and of equal ones the first, where few answers are as good as the one found."""
        try:
            trades = best_within(self.ledger, self.choices, self.relaxed, self.above_bound(found.trades))
        except TooMany:
            return None
        return None if trades is None else Found(trades, "milp")

    def parted(self, found: Found, seconds: float) -> Found | None:
        """The exact optimum and of equal ones the first, where a few branches are enough to know it."""
        try:
            trades = first_of_all(self.ledger, self.choices, self.relaxed, found.trades, seconds)
        except TooMany:
            return None
        return None if trades is None else Found(trades, "milp")

    def tight(self) -> Found | None:
        """The exact optimum and of equal ones the first, where it is as good as the bound allows."""
        try:
            trades = first_tight(self.ledger, self.relaxed.points, self.relaxed.prices)
        except TooMany:
            return None
        return None if trades is None else Found(trades, "milp")

    def before_equals(self, found: Found) -> Found:
        """Trades as good that come first by `exchange.rank`, as far as exchanges of two lines tell."""
        return replace(found, trades=self.exchanges.less_trading(found.trades, self.spare(found)))


def solve_jointly(ledger: Ledger, choices: Sequence[Choice], seconds: float) -> Found:
    """The best trades under all coupling rows, with the bound that is proven. Needs a segment in every choice.

    First the relaxation: an answer that meets the bound its prices prove, if there is one; else its rounding, improved
    by exchanges, if it is so near that all answers nearer can be tried, of the whole or of a few parts, or within a
    cent. Otherwise branch and bound.
    Where the optimum is exact, it is the first of equals by `exchange.rank`. Raises ProgramInfeasible, or
    NoAnswerInTime. The answer is still to be checked exactly.
    """
    deadline = time.monotonic() + seconds
    joint = Joint(ledger, choices, solve_relaxed(ledger, choices, seconds), Exchanges.of(ledger, choices))
    tight = joint.tight()
    if tight:
        return tight
    rounded = joint.rounded()
    exact = rounded and (joint.exact(rounded) or joint.parted(rounded, deadline - time.monotonic()))
    if exact:
        return exact
    if rounded is None or joint.gap(rounded) > CENT:
        found = joint.branched(rounded, deadline - time.monotonic())
        exact = joint.exact(found) or (joint.parted(found, deadline - time.monotonic()) if rounded is None else None)
    else:
        found = rounded
    if exact or joint.gap(found) > CENT:
        return exact or found
    return joint.before_equals(found)
