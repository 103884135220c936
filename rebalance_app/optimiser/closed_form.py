"""The closed form of one problem: without coupling rows every security is its own problem, and its optimum is known."""

from .problem.bounds import Choice, choice
from .problem.integer_problem import Ledger
from .problem.objective import best


def solve_alone(ledger: Ledger) -> tuple[tuple[Choice, ...], tuple[int, ...] | None]:
    """Choices of every line, and each line's best trade by itself; None for the trades when a line has no choice."""
    choices = tuple(choice(ledger, line) for line in ledger.lines)
    if not all(c.segments for c in choices):
        return choices, None
    return choices, tuple(best(ledger, c) for c in choices)
