"""Why there is no answer where neither the problem nor the book is at fault: a solver, a worker or this program is."""

from typing import TypeVar

from .types import Reason

Value = TypeVar("Value")
LONGEST = 300  # characters of an exception's own words


def in_words(error: BaseException) -> str:
    """An exception in one line: its type, and what it says."""
    printable = "".join(sign if sign.isprintable() else " " for sign in str(error))  # no column takes a NUL
    said = " ".join(printable.split())[:LONGEST]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def program_failed(what: str) -> Reason:
    """An exception that nobody foresaw, `in_words`: a defect, whatever the problem was."""
    return Reason("INTERNAL_ERROR", f"The program failed with {what}. The worker's log tells where.")


class ImpossibleError(RuntimeError):
    """A defect: the algorithm met what it rules out, and no answer may be built on that."""


def known(value: Value | None, why: str) -> Value:
    """The value that must be there by now. Raises ImpossibleError."""
    if value is None:
        raise ImpossibleError(why)
    return value
