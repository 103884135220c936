"""A coupled problem from its choices to trades: relaxation, exchanges, branch and bound, ties."""

import time
from collections.abc import Sequence
from dataclasses import replace

from .answer import CENT, Found
from .bounds import Choice
from .exchange import total_score
from .integers import Ledger
from .milp import solve_proven, solve_relaxed
from .ties import least_trading


def solve_jointly(ledger: Ledger, choices: Sequence[Choice], seconds: float) -> Found:
    """The best trades under all coupling rows, with the bound that is proven. Needs a segment in every choice.

    First the relaxation: its rounding, improved by exchanges, is often within a cent of the bound its prices prove.
    Otherwise branch and bound. Of equally good answers the one that trades least. Raises ProgramInfeasible, or
    NoAnswerInTime. The answer is still to be checked exactly.
    """
    deadline = time.monotonic() + seconds
    relaxed = solve_relaxed(ledger, choices, seconds)
    found = solve_proven(ledger, choices, relaxed, deadline - time.monotonic())
    gap = ledger.score_money(total_score(ledger, found.trades)) - found.bound if found.bound is not None else 0
    left = deadline - time.monotonic()
    if gap > CENT or left <= 0:
        return found
    return replace(found, trades=least_trading(ledger, choices, relaxed, tuple(found.trades), left))
