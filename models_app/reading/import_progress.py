"""How far a long import has come: told by the thread that does it, read by whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

T = TypeVar("T")
_EVERY = 500


class Doing(NamedTuple):
    """What is being done, and how much of it is done. `total` is 0 where nobody can say."""

    label: str
    done: int = 0
    total: int = 0


class ImportProgress:
    """What is being done now. It is replaced as a whole, so that a reader never sees parts of two states."""

    def __init__(self) -> None:
        self.doing = Doing("Starting")

    def now(self, label: str, total: int = 0) -> None:
        self.doing = Doing(label, 0, total)

    def each(self, label: str, items: Iterable[T], total: int) -> Iterator[T]:
        """`items` as they are, counted as they pass."""
        self.now(label, total)
        for count, item in enumerate(items, start=1):
            if count % _EVERY == 0:
                self.doing = Doing(label, count, total)
            yield item
