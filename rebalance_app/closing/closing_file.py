"""What became of many orders, from a CSV file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models_app.files import cells
from models_app.files.kinds import FileColumn, FileKind
from models_app.reading.import_progress import ImportProgress
from models_app.reading.problems import FileProblems
from models_app.reading.reading import Known, read
from models_app.reading.rows import FileRow
from rebalance_app.closing.services import VERBS, Closing, ClosingsLook, closings_look
from rebalance_app.orders.decide import MAX_COMMENT

_WORDS = {"done": "closed"} | {name: name for name in VERBS}
_WHOLE = re.compile(r"[0-9]{1,18}")


def _outcome(cell: str) -> str:
    word = cell.strip().lower()
    if word not in _WORDS:
        raise ValueError(f"is not one of {', '.join(_WORDS)}")
    return _WORDS[word]


def _shares(cell: str) -> int:
    if not _WHOLE.fullmatch(cell.strip()):
        raise ValueError("is not a whole number of shares")
    return int(cell)


CLOSINGS = FileKind(
    "closings",
    "Closed orders",
    (
        FileColumn(
            "order_id", cells.record_id(r"[0-9a-f]{24}", "24 characters"), "As in the export of orders.", "6740c3d1…"
        ),
        FileColumn("outcome", _outcome, "done (outside of ordergen), cancelled or lapsed.", "done"),
        FileColumn(
            "quantity",
            _shares,
            "Shares done in all. Empty: all of a done order; of another what is known.",
            "350",
            required=False,
            may_be_empty=True,
        ),
        FileColumn(
            "reason",
            cells.text(MAX_COMMENT),
            "Why; empty: the reason given for the whole file.",
            "filled by telephone",
            required=False,
            may_be_empty=True,
        ),
    ),
    "Closes approved orders, all of the file or nothing.",
    ("6740c3d19b2f4e0a1c8d7e55,done,350,filled by telephone", "6740c3d19b2f4e0a1c8d7e56,lapsed,,"),
)


@dataclass(frozen=True)
class ClosingFile:
    """The rows of a file, what closing them would do, and every problem by its line."""

    closings: Sequence[Closing]
    look: ClosingsLook
    problems: FileProblems

    @property
    def counts(self) -> Mapping[str, int]:
        """Orders by outcome, of those that would be closed."""
        closing = [one.outcome for one in self.closings if one.order_id in self.look.done]
        return {name: closing.count(name) for name in VERBS}


def read_closings(content: bytes, reason: str) -> ClosingFile:
    """What the file says of orders; `reason` is of the rows that bring none. Writes nothing."""
    problems = FileProblems()
    reading = read(content, CLOSINGS, Known({}, (), None), problems, ImportProgress())
    for question in reading.questions:  # nobody is asked here: the file is to be as it is documented
        problems.add(0, "", "", question.text)
    rows = [] if reading.questions else reading.rows
    closings = [_closing(row) for row in rows]
    look = closings_look(closings, reason) if rows and not problems.count else ClosingsLook()
    for where, why in look.faults.items():
        at, _, column = where.partition(".")
        row = rows[int(at)] if at else None
        problems.add(row.line if row else 0, column, row.values.get(column) if row else "", why)
    return ClosingFile(closings, look, problems)


def _closing(row: FileRow) -> Closing:
    given = row.values
    return Closing(given["order_id"], given["outcome"], given.get("quantity"), given.get("reason") or "")
