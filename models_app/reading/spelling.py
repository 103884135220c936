"""What the reading of numbers and of days share: a column is read as one, and what is certain in it decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from models_app.reading.questions import Question

Pairs = list[tuple[int, str]]  # of cells: the line, and the text without spaces around it


@dataclass(frozen=True)
class Cells:
    """A column: the line and the text of each of its cells, empty ones too."""

    lines: Sequence[int]
    texts: Sequence[str]

    @cached_property
    def distinct(self) -> set[str]:
        """Every text that stands in the column, as it is; much fewer than cells where names or days repeat."""
        return set(self.texts)

    @cached_property
    def filled(self) -> set[str]:
        """Every text but the empty one, without spaces around it."""
        return {stripped for text in self.distinct if (stripped := text.strip())}

    @cached_property
    def pairs(self) -> Pairs:
        """The cells that are not empty, in the order of the file."""
        pairs = zip(self.lines, map(str.strip, self.texts), strict=True)
        return [(line, text) for line, text in pairs if text]


@dataclass(frozen=True)
class Spelling:
    """How a column is written. `plain` gives a cell in the documented spelling, or as it is where it has no reading."""

    told: str  # in words
    plain: Callable[[str], str] | None = None  # None: every cell is in the documented spelling already
    question: Question | None = None
    contradiction: tuple[int, str] | None = None  # line and message, where one cell speaks against another
