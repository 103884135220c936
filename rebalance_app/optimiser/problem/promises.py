"""Invariants between the algorithms, held also where `python -O` drops every `assert`."""

from typing import TypeVar

Value = TypeVar("Value")


class ImpossibleError(RuntimeError):
    """A defect: the algorithm met what it rules out, and no answer may be built on that."""


def required(value: Value | None, why: str) -> Value:
    """The value that must be there by now. Raises ImpossibleError."""
    if value is None:
        raise ImpossibleError(why)
    return value
