"""How a file is read: everything that pages and command line show of it, and its rows if nothing is left open.

read:  bytes | decode | split, or the sheet of a workbook | header -> columns | rows that count | values by column
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from models_app.files.kinds import FileKind
from models_app.reading import columns as of_columns
from models_app.reading import rows as of_rows
from models_app.reading.columns import ReadColumn
from models_app.reading.encodings import UnreadableError, decode
from models_app.reading.import_progress import ImportProgress
from models_app.reading.known_layouts import Layout, fitting, header_keys
from models_app.reading.problems import FileProblems
from models_app.reading.questions import Answers, Question
from models_app.reading.rows import Columns, FileRow, LeftOut
from models_app.reading.separated import SEPARATORS, Record, Table, split
from models_app.reading.workbook import is_workbook, read_workbook


@dataclass(frozen=True)
class Known:
    """What is known of a file before it is read."""

    answers: Answers = field(default_factory=dict)
    layouts: Sequence[Layout] = ()  # that may fit; of several the first is taken
    layout: Layout | None = None  # that somebody named; nothing else is tried


@dataclass
class Reading:
    """What a file was found to be. `rows` are empty while a question is open."""

    kind: FileKind
    problems: FileProblems
    encoding: str = ""
    separator: str = ""
    layout: Layout | None = None
    header_line: int = 1
    header_choices: tuple[tuple[str, str], ...] = ()
    columns: list[ReadColumn] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    questions: list[Question] = field(default_factory=list)
    rows: list[FileRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_documented: bool = False  # our names, commas: a file as our documentation says
    records: list[Record] = field(default_factory=list)

    @property
    def may_be_read_otherwise(self) -> bool:
        """Whether somebody may have something to say of how it is read: not of a file as our documentation says."""
        return bool(self.columns) and not self.is_documented

    @property
    def separator_name(self) -> str:
        """What separates the columns, in words."""
        return SEPARATORS.get(self.separator, self.separator)

    def text_of(self, row: FileRow) -> str:
        """What stands in the record of a row."""
        found = bisect_left(self.records, row.line, key=lambda record: record[0])
        return of_rows.in_a_line(self.records[found][1])


def read(content: bytes, kind: FileKind, known: Known, problems: FileProblems, progress: ImportProgress) -> Reading:
    """Everything that is found out about the file; what cannot be read is in `problems`."""
    reading = Reading(kind, problems)
    try:
        table = _table(content, kind, known, reading)
    except UnreadableError as error:
        problems.add(error.line, "", "", error.message)
        return reading
    if table.broken_at:
        message = "The quotes of this row do not match; the rest of the file cannot be read."
        problems.add(table.broken_at, "", "", message)
    if table.records:
        _read_table(table, known, reading, progress)
    elif not table.broken_at:
        problems.add(0, "", "", "The file is empty.")
    return reading


def _table(content: bytes, kind: FileKind, known: Known, reading: Reading) -> Table:
    """The records of the file; with what a layout remembers, where the file fits one."""
    table, questions = _records(content, kind, known, reading)
    layout = known.layout or _layout(table, kind, known)
    if layout is not None and not set(layout.answers) <= set(known.answers):
        known = replace(known, answers={**layout.answers, **known.answers})
        table, questions = _records(content, kind, known, reading)
    reading.layout = layout
    reading.questions.extend(questions)
    return table


def _records(content: bytes, kind: FileKind, known: Known, reading: Reading) -> tuple[Table, list[Question]]:
    if is_workbook(content):
        title, table = read_workbook(content, known.answers)
        reading.encoding = f"Excel workbook, sheet {title}"
        return table, [table.question] if table.question else []

    def is_header(cells: Sequence[str]) -> bool:
        keys = header_keys(cells)
        return of_columns.is_own(keys, kind) or fitting(known.layouts, kind, keys) is not None

    decoded = decode(content, known.answers)
    table = split(decoded.text, known.answers, is_header)
    reading.encoding, reading.separator = decoded.encoding, table.separator
    return table, [question for question in (decoded.question, table.question) if question]


def _layout(table: Table, kind: FileKind, known: Known) -> Layout | None:
    """The layout that the header fits, unless it is our own."""
    if not table.records:
        return None
    keys = header_keys(table.records[of_columns.header_at(table.records, kind, known.layouts, known.answers)][1])
    if of_columns.is_own(keys, kind):
        return None
    return fitting(known.layouts, kind, keys)


def _read_table(table: Table, known: Known, reading: Reading, progress: ImportProgress) -> None:
    kind, records, layout = reading.kind, table.records, reading.layout
    answers = {**layout.answers, **known.answers} if layout else known.answers
    header = of_columns.header_at(records, kind, (layout,) if layout else (), answers)
    reading.header_line, reading.header_choices = records[header][0], of_columns.header_choices(records)
    keys = header_keys(records[header][1])
    if layout and not layout.fits(keys):
        missing = ", ".join(sorted(set(layout.header) - set(keys)))
        reading.problems.add(reading.header_line, "", "", f"This is no file like “{layout.name}”: it lacks {missing}.")
        return
    for above in records[:header]:
        reading.left_out.add(above, "above the header")
    reading.columns = of_columns.resolve(records, header, kind, layout, answers)
    stated = _stated(reading, answers)
    of_columns.blame_header(reading.columns, kind, reading.header_line, reading.problems)
    reading.questions.extend(of_columns.open_questions(reading.columns, kind))
    if reading.problems.count or any(column.name is None for column in reading.columns):
        return
    documented = layout is None and table.separator == "," and of_columns.is_own(keys, kind)
    reading.is_documented, reading.records = documented, records
    columns = Columns(kind, reading.columns, len(keys), stated, documented)
    _read_rows(records[header + 1 :], columns, answers, reading, progress)


def _stated(reading: Reading, answers: Answers) -> dict[str, str]:
    """What the file does not say and somebody says for it; with a question where nobody does."""
    column = reading.kind.stated
    if column is None or any(other.name == column.name for other in reading.columns):
        return {}
    question = Question(column.name, f"The file names no {column.name}. Which one is it of?")
    given = (question.answer(answers) or "").strip()
    if not given:
        reading.questions.append(question)
    return {column.name: given} if given else {}


def _read_rows(
    records: list[Record], columns: Columns, answers: Answers, reading: Reading, progress: ImportProgress
) -> None:
    problems = reading.problems
    records = of_rows.within_table(records, columns, answers, reading.left_out)
    counted, doubt = of_rows.that_count(records, columns, answers, reading.left_out, problems)
    reading.questions.extend(filter(None, [doubt]))
    if not counted and not problems.count and not reading.questions:
        problems.add(0, "", "", "The file has a header and no rows.")
        return
    watched = list(progress.each("Reading rows", counted, len(counted)))
    rows, questions = of_rows.values(watched, columns, answers, problems)
    reading.questions.extend(questions)
    if reading.questions:
        return
    reading.rows, again = _added_up(rows, answers, reading) if reading.kind.name == "holdings" else (rows, None)
    reading.questions.extend(filter(None, [again]))


def _added_up(rows: list[FileRow], answers: Answers, reading: Reading) -> tuple[list[FileRow], Question | None]:
    """The rows of one security in one portfolio as one, if somebody wants that; a question while nobody has said."""
    if len({(row.values["portfolio"], row.values["ticker"]) for row in rows}) == len(rows):
        return rows, None
    by_key: dict[tuple[Any, Any], list[FileRow]] = {}
    for row in rows:
        by_key.setdefault((row.values["portfolio"], row.values["ticker"]), []).append(row)
    repeated = [(key, found) for key, found in by_key.items() if len(found) > 1]
    evidence = tuple(f"{ticker}, {name}: {_lines(found)}" for (name, ticker), found in repeated[:10])
    options = (("add", "Add them up"), ("no", "They are a mistake: refuse the file"))
    n = len(repeated)
    text = f"{n:,} {'security stands' if n == 1 else 'securities stand'} in the file more than once."
    question = Question("repeated", text, options, evidence)
    if (chosen := question.answer(answers)) != "add":
        return rows, None if chosen else question
    reading.notes.append(
        f"{n:,} holdings are the sum of several rows: {'; '.join(evidence[:3])}{' …' if n > 3 else ''}."
    )
    return [_sum(found) for found in by_key.values()], None


def _lines(rows: list[FileRow]) -> str:
    return " and ".join(f"{row.values['quantity']:f} in line {row.line}" for row in rows[:5])


def _sum(rows: list[FileRow]) -> FileRow:
    total = sum((row.values["quantity"] for row in rows), Decimal(0))
    return FileRow(rows[0].line, {**rows[0].values, "quantity": total})
