"""How far a long import has come: told by the thread that does it, read by whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_EVERY = 500


class Progress:
    """What is being done now, and how much of it is done. `total` is 0 where nobody can say."""

    def __init__(self) -> None:
        self.label, self.done, self.total = "Starting", 0, 0

    def now(self, label: str, total: int = 0) -> None:
        self.label, self.done, self.total = label, 0, total

    def each(self, label: str, items: Iterable[T], total: int) -> Iterator[T]:
        """`items` as they are, counted as they pass."""
        self.now(label, total)
        for count, item in enumerate(items, start=1):
            if count % _EVERY == 0:
                self.done = count
            yield item
