"""What is wrong with a file, cell by cell: plain data, shown by pages and command line."""

from __future__ import annotations

from dataclasses import dataclass, field

SHOWN_PROBLEMS = 100
_SHOWN_VALUE = 60


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A row that cannot be imported as written. `line` counts from 1, the header's line; 0 is the file as a whole."""

    line: int
    column: str
    value: str
    message: str

    @property
    def place(self) -> str:
        """Where in the file: "line 3, close 'zero'"."""
        where = f"line {self.line}" if self.line else "the file"
        return f"{where}, {self.column} {self.value!r}" if self.column else where

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(slots=True)
class FileProblems:
    """Every problem is counted; the first `most` are kept to be shown."""

    count: int = 0
    shown: list[FileProblem] = field(default_factory=list)
    most: int = SHOWN_PROBLEMS

    @property
    def by_line(self) -> list[FileProblem]:
        """The shown ones in the order of the file."""
        return sorted(self.shown, key=lambda problem: problem.line)

    def add(self, line: int, column: str, value: object, message: str) -> None:
        self.count += 1
        if len(self.shown) < self.most:
            written = "" if value is None else str(value)
            clipped = written if len(written) <= _SHOWN_VALUE else f"{written[:_SHOWN_VALUE]}…"
            self.shown.append(FileProblem(line, column, clipped, message))
