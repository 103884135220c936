"""Which limit to relax, and to what, when every limit is possible alone but not all of them together.

One limit at a time becomes elastic: the integer programme minimises by how much it is missed while all others hold. A
limit whose relaxation alone makes the problem possible is named with the value it would need.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.coupling import coupling_rows, totals_of
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem

from .breakpoints import table
from .formulation import matrix_rows, programme, variable, whole_trades
from .highs import ProgramInfeasible, refuse_beyond_floats, solve_statement

ROWS = ("turnover", "max_trades", "gain_budget", "cash_ceiling", "cash_floor")


def least_miss(ip: IntegerProblem, choices: Sequence[AllowedTrades], name: str, seconds: float) -> tuple[int, ...]:
    """Trades that honour every row but `name`, and miss that one by as little as possible.

    Raises ProgramInfeasible when the other rows conflict too, NoAnswerInTime, and SolverFailed.
    """
    import cvxpy as cp  # noqa: PLC0415

    stated = programme(table(ip, choices))
    if not stated.width:
        raise ProgramInfeasible
    refuse_beyond_floats(ip)
    filled, slack = variable(stated), cp.Variable(nonneg=True)
    names, matrix, limits = matrix_rows(stated)
    spared = np.zeros(len(limits))
    spared[names.index(name)] = 1.0
    rows = matrix @ filled <= limits + spared * slack
    solve_statement(cp.Problem(cp.Minimize(slack), [rows]), seconds)
    return whole_trades(stated, filled)


def _needed(ip: IntegerProblem, name: str, trades: Sequence[int]) -> Decimal:
    """The value that the named option must have for `trades` to be allowed."""
    totals = totals_of(ip, trades)
    if name == "max_trades":
        return Decimal(totals.orders)
    if name == "turnover":
        return ip.money(totals.traded)
    if name == "gain_budget":
        return ip.money(totals.gain)
    return ip.money(ip.cash - (totals.spent if name == "cash_floor" else totals.net_bought))


def relaxations(ip: IntegerProblem, choices: Sequence[AllowedTrades], seconds: float) -> dict[str, Decimal]:
    """By name, each limit that makes the problem possible when it alone is relaxed, and the value it then needs.

    Money, except `max_trades` (orders). Turnover is given as traded money: buys plus sells.
    """
    asked = coupling_rows(ip)
    crossed = ip.ceiling is not None and ip.ceiling < ip.floor
    names = [name for name in (ROWS[3:] if crossed else ROWS) if name in asked]  # no other limit uncrosses these two
    found = {}
    for name in names:
        try:
            found[name] = _needed(ip, name, least_miss(ip, choices, name, seconds / len(names)))
        except (ProgramInfeasible, NoAnswerInTime, SolverFailed):
            continue
    return found
