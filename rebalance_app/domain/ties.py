"""Of equally good answers the one that trades least, so that the same input gives the same orders everywhere.

Every answer that is as good lies in what the prices do not exclude. Where that leaves few lines open, a second integer
programme finds the least trading among them; where it leaves many, exchanges that keep the score and trade less are
taken until there is none. Either way the choice depends on nothing but the problem.
"""

from collections.abc import Sequence

from .bounds import Choice
from .constraints import broken_rows, totals_of
from .exchange import Spare, less_trading, total_score
from .integers import ONE, Ledger
from .milp import NoAnswerInTime, ProgramInfeasible, Relaxed, SolverFailed, solve_statement
from .pricing import cut
from .programme import Programme, matrix_rows, programme, variable, whole_trades
from .table import table

MOST_OPEN_LINES = 12  # beyond, the second programme can take longer than the first
MOST_SECONDS = 2.0
TOLERANCE = 1e-5  # money


def _least_traded(stated: Programme, best_score: int, seconds: float) -> tuple[int, ...]:
    """The programme again, with trading as its objective and the score no worse than the best."""
    import cvxpy as cp  # noqa: PLC0415

    filled, (_, matrix, limits) = variable(stated), matrix_rows(stated)
    spare = (best_score - stated.base_score) / (ONE * 10**stated.ledger.places) + TOLERANCE
    rows = [matrix @ filled <= limits, stated.slopes["score"] @ filled <= spare]
    solve_statement(cp.Problem(cp.Minimize(stated.slopes["traded"] @ filled), rows), seconds)
    return whole_trades(stated, filled)


def _better(ledger: Ledger, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Whichever has the lower score, then trades less; the first when neither does. The other must honour every row."""
    if broken_rows(ledger, other):
        return one

    def rank(trades: tuple[int, ...]) -> tuple[int, int]:
        return total_score(ledger, trades), totals_of(ledger, trades).traded

    return other if rank(other) < rank(one) else one


def least_trading(
    ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, trades: tuple[int, ...], seconds: float
) -> tuple[int, ...]:
    """Trades with the same score, or a better one, that trade no more than the given ones."""
    best_score = total_score(ledger, trades)
    open_choices = cut(choices, relaxed.points, relaxed.prices, best_score - relaxed.bound)
    if sum(c.least < c.most for c in open_choices) > MOST_OPEN_LINES:
        gap = float(ledger.score_money(best_score - relaxed.bound))
        return less_trading(ledger, choices, trades, Spare(relaxed.prices, gap))
    stated = programme(ledger, table(ledger, open_choices))
    if not stated.width:
        return trades
    try:
        return _better(ledger, trades, _least_traded(stated, best_score, min(seconds, MOST_SECONDS)))
    except (ProgramInfeasible, NoAnswerInTime, SolverFailed):
        return trades
