"""Branching in exact integers, where one relaxation leaves too much open: the optimum, and of equal ones the first.

A line that the relaxation leaves between two whole answers is parted there, and each part has a relaxation, prices and
a bound of its own. A part is done with when its bound is above an answer already known, when its first answer is found
by `tight` or `remaining`, or when these show that it has none as good. HiGHS only says where to look: each of these
decisions is made in whole numbers.
"""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .bounds import Choice
from .constraints import Interval
from .exchange import rank, total_score
from .integers import Ledger, Line
from .milp import NoAnswerInTime, ProgramInfeasible, Relaxed, SolverFailed, solve_relaxed
from .pricing import row_limits
from .remaining import best_within
from .sums import TooMany
from .table import Whole, needs_gate, table
from .tight import first_tight

MOST_PARTS = 12  # relaxations; counted and not timed, so that a slow machine gives no other answer
WHOLE = 1e-6  # steps: nearer than that to a whole number, a relaxed trade is one

Choices = tuple[Choice, ...]


def _breaks_a_row(ledger: Ledger, choices: Choices) -> bool:
    """Whether some row is broken even by what uses least of it."""
    points, limits = table(ledger, choices), row_limits(ledger)
    uses = points.uses
    return any(np.minimum.reduceat(uses[name], points.start).sum() > limit for name, limit in limits.items())


def _between_segments(choices: Choices, relaxed: Relaxed) -> NDArray[np.float64]:
    """(n,) money from each line's relaxed trade to the nearest that it may make, where that is none of its segments."""

    def away(choice: Choice, steps: float) -> float:
        nearest = min(max(first - steps, steps - last, 0) for first, last in choice.segments)
        return nearest * choice.line.step if nearest > WHOLE else 0.0

    return np.array([away(*each) for each in zip(choices, relaxed.steps.tolist(), strict=True)])


def _astray(ledger: Ledger, choices: Choices, relaxed: Relaxed) -> Whole:
    """(n,) how far above its least the priced score of each line is at the better whole neighbour of its relaxation."""
    floors = np.floor(relaxed.steps + WHOLE).astype(np.int64).tolist()
    below = {line.position.security_id: k for line, k in zip(ledger.lines, floors, strict=True)}

    def neighbours(_ledger: Ledger, line: Line, interval: Interval) -> list[int]:
        first, last = interval
        k = below[line.position.security_id]
        return sorted({min(max(each, first), last) for each in (k, k + 1)})

    near, points = table(ledger, choices, neighbours), relaxed.points
    least = np.minimum.reduceat(points.priced(relaxed.prices), points.start)
    return np.asarray(np.minimum.reduceat(near.priced(relaxed.prices), near.start) - least)


def _fractional(choices: Choices, relaxed: Relaxed) -> NDArray[np.float64]:
    """(n,) what a step of each line is worth, where its relaxed trade is no whole number."""
    is_whole = np.abs(relaxed.steps - np.rint(relaxed.steps)) <= WHOLE
    return np.where(is_whole, 0.0, np.array([float(choice.line.step) for choice in choices]))


def _place(ledger: Ledger, choices: Choices, relaxed: Relaxed) -> Interval:
    """The line to part, and its last step in the first part. Raises TooMany where the relaxation is whole."""
    for measure in (_between_segments(choices, relaxed), _astray(ledger, choices, relaxed)):
        i = int(np.argmax(measure))
        steps = float(relaxed.steps[i])
        if measure[i] and choices[i].least < choices[i].most:
            gated = needs_gate(ledger, choices[i])
            return i, (0 if steps > -WHOLE else -1) if gated else int(np.floor(steps + WHOLE))
    fraction = _fractional(choices, relaxed)
    i = int(np.argmax(fraction))
    if not fraction[i]:
        raise TooMany
    return i, int(np.floor(relaxed.steps[i]))


def _parted(ledger: Ledger, choices: Choices, relaxed: Relaxed) -> list[Choices]:
    """The choices in two parts, one line up to a step and beyond it."""
    i, last = _place(ledger, choices, relaxed)
    choice = choices[i]
    last = min(max(last, choice.least), choice.most - 1)
    below = tuple((a, min(b, last)) for a, b in choice.segments if a <= last)
    above = tuple((max(a, last + 1), b) for a, b in choice.segments if b > last)
    return [(*choices[:i], Choice(choice.line, part), *choices[i + 1 :]) for part in (below, above)]


def _answer_or_parts(
    ledger: Ledger, choices: Choices, relaxed: Relaxed, known: Sequence[int]
) -> tuple[tuple[int, ...] | None, list[Choices]]:
    """The first answer of a part, if any is as good as the known one; or, where that is open, any answer and its parts.

    Raises TooMany.
    """
    gap = total_score(ledger, known) - relaxed.bound
    if gap < 0:
        return None, []
    tight = first_tight(ledger, relaxed.points, relaxed.prices)  # what is too many for sums is so in smaller parts too
    try:
        return tight or best_within(ledger, choices, relaxed, gap), []
    except TooMany:
        return relaxed.trades, _parted(ledger, choices, relaxed)


def first_of_all(
    ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, known: tuple[int, ...], seconds: float
) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, given one of them; None where that takes more parts, or too long.

    `relaxed` is the relaxation of the choices, of which `tight` and `remaining` were seen not to tell enough. Raises
    TooMany where it shows no line to part.
    """
    deadline, parts = time.monotonic() + seconds, _parted(ledger, tuple(choices), relaxed)
    for _ in range(MOST_PARTS):
        if not parts:
            return known
        part = parts.pop()
        if _breaks_a_row(ledger, part):
            continue
        try:
            of_part = solve_relaxed(ledger, part, deadline - time.monotonic())
            found, more = _answer_or_parts(ledger, part, of_part, known)
        except (NoAnswerInTime, ProgramInfeasible, SolverFailed, TooMany):
            return None  # that a part has no answer is for whole numbers to say
        parts += more
        known = min(known, found or known, key=lambda trades: rank(ledger, trades))
    return None
