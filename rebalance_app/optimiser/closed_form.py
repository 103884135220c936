"""Each security's best trade alone, of its breakpoints: together the optimum, where they keep every coupling row."""

from .problem.bounds import AllowedTrades, allowed_trades
from .problem.integer_problem import IntegerProblem
from .problem.objective import best


def solve_alone(ip: IntegerProblem) -> tuple[tuple[AllowedTrades, ...], tuple[int, ...] | None]:
    """What every security may trade, and the best trade of each by itself; None for these where one has no choice."""
    choices = tuple(allowed_trades(ip, security) for security in ip.securities)
    if not all(c.segments for c in choices):
        return choices, None
    return choices, tuple(best(ip, c) for c in choices)
