"""What the reading of a column's numbers and of its days share: a column is read as one, and what is certain decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models_app.files.questions import Question

Cells = list[tuple[int, str]]  # the line and the text of each cell of a column that is not empty


@dataclass(frozen=True)
class Spelling:
    """How a column is written. `plain` gives a cell in the documented spelling, or as it is where it has no reading."""

    told: str  # in words
    plain: Callable[[str], str] | None = None  # None: every cell is in the documented spelling already
    question: Question | None = None
    contradiction: tuple[int, str] | None = None  # line and message, where one cell speaks against another
