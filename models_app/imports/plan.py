"""What an import would do, and what is wrong with the file: plain data, shown by pages and command line."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from models_app.reading.import_progress import ImportProgress
from models_app.reading.problems import FileProblems
from models_app.reading.questions import Question
from models_app.reading.reading import Reading
from ordergen.accounts.models import User

SHOWN_CHANGES = 20


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One thing that would be new, changed or removed; `fields` are (name, before, after), empty for none."""

    what: str  # "new" | "changed" | "removed" | "named": a word for something that the book knows
    subject: str
    fields: tuple[tuple[str, str, str], ...]


@dataclass(slots=True)
class PlannedChanges:
    """Everything is counted by `what`; the first 20 are kept to be shown."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("new", "changed", "unchanged", "removed"), 0))
    shown: list[PlannedChange] = field(default_factory=list)

    def add(
        self, what: str, subject: str, names: Sequence[str], before: Sequence[object], after: Sequence[object]
    ) -> None:
        """Counts one change; `before` and `after` hold the values of `names`, or are empty where there is nothing."""
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == "unchanged" or len(self.shown) >= SHOWN_CHANGES:
            return
        old = [_shown(value) for value in before] or [""] * len(names)
        new = [_shown(value) for value in after] or [""] * len(names)
        differing = zip(names, old, new, strict=True)
        self.shown.append(PlannedChange(what, subject, tuple(triple for triple in differing if triple[1] != triple[2])))


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"  # the book's 11.0000 and a file's 11 are the same number
    return "" if value is None else str(value)


@dataclass(slots=True)
class Findings:
    """What looking at a file brings to light. A note is worth knowing, and stands in nobody's way."""

    problems: FileProblems = field(default_factory=FileProblems)
    changes: PlannedChanges = field(default_factory=PlannedChanges)
    notes: list[str] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    other_names: list[tuple[str, str, str]] = field(default_factory=list)  # "security" or "portfolio", a word, its id

    def name(self, of: str, word: str, known: str, pk: str) -> None:
        """Notes that a file's word means what the book knows as `known`."""
        self.other_names.append((of, word, pk))
        self.changes.add("named", word, (f"is the {of}",), (), (known,))


class ImportWork(Protocol):
    """The writing that a plan stands for, and the portfolios of which the file says what they own, changed or not."""

    @property
    def stated(self) -> Collection[str]: ...

    def write(self, *, by: User | None, reason: str, progress: ImportProgress) -> None:
        """Writes everything; call it inside a transaction."""
        ...


@dataclass(frozen=True)
class ImportPlan:
    """What importing one file would do. With problems or open questions nothing can be applied."""

    kind: str
    file_name: str
    sha256: str
    reading: Reading
    found: Findings
    book_version: str  # what the plan was made against; it is void once that has changed
    work: ImportWork
    confirmed: Mapping[str, str] = field(default_factory=dict)  # what somebody said to what can hardly be right

    @property
    def n_rows(self) -> int:
        return len(self.reading.rows)

    @property
    def changes(self) -> PlannedChanges:
        return self.found.changes

    @property
    def problems(self) -> FileProblems:
        return self.found.problems

    @property
    def notes(self) -> list[str]:
        return self.found.notes

    @property
    def questions(self) -> list[Question]:
        return self.found.questions

    @property
    def n_new(self) -> int:
        return self.changes.counts["new"]

    @property
    def n_changed(self) -> int:
        return self.changes.counts["changed"]

    @property
    def n_unchanged(self) -> int:
        return self.changes.counts["unchanged"]

    @property
    def n_removed(self) -> int:
        return self.changes.counts["removed"]

    @property
    def n_writes(self) -> int:
        return self.n_new + self.n_changed + self.n_removed + self.changes.counts.get("named", 0)

    @property
    def is_clean(self) -> bool:
        return not self.problems.count and not self.questions

    @property
    def seen(self) -> str:
        """A short word for what the plan was made against, book and layout, for a form to bring back."""
        layout = self.reading.layout.document if self.reading.layout else ""
        return hashlib.sha256(f"{self.book_version}/{layout}".encode()).hexdigest()[:16]

    @property
    def summary(self) -> str:
        """One line of counts: "holdings: 3 new, 1 changed, 0 removed, 12 unchanged"."""
        counts = ", ".join(f"{count:,} {what}" for what, count in self.changes.counts.items() if count)
        return f"{self.kind}: {counts or 'nothing in the file'}"
