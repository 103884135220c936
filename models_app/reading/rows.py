"""From the records of a table to rows of values: which of them count, how each column is written, what a cell says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from models_app.files.kinds import FileColumn, FileKind
from models_app.reading.columns import ReadColumn
from models_app.reading.days import day_spelling
from models_app.reading.numbers import is_missing, number_spelling
from models_app.reading.problems import FileProblems
from models_app.reading.questions import Answers, Question
from models_app.reading.separated import Record
from models_app.reading.spelling import Cells, Spelling
from ordergen.core.canonical import canonical

SHOWN_LEFT_OUT = 50
_SHOWN_TEXT = 120
_SIGN_LENGTH = 60
_TOTALS = frozenset((
    "total", "totals", "grand total", "account total", "subtotal", "sub total", "sum", "cash total", "positions total",
    "summe", "gesamt", "gesamtsumme", "zwischensumme", "insgesamt", "saldo", "somme", "total general", "totale",
    "somma", "suma", "totaal", "subtotaal",
))  # fmt: skip


Fault = tuple[int, int, str, str, str]  # line, place of the column, its name, the cell, what is wrong


@dataclass(frozen=True)
class LeftOutRow:
    line: int
    text: str
    why: str


@dataclass
class LeftOut:
    """Every row that is not read is counted; the first 50 are kept to be shown."""

    count: int = 0
    shown: list[LeftOutRow] = field(default_factory=list)
    signs: dict[str, None] = field(default_factory=dict)  # how rows begin that a person left out, for the next file

    def add(self, record: Record, why: str) -> None:
        self.count += 1
        if len(self.shown) < SHOWN_LEFT_OUT:
            self.shown.append(LeftOutRow(record[0], in_a_line(record[1]), why))


@dataclass(slots=True)
class FileRow:
    """One record: the line it begins on, and its values by column; None where a cell was empty."""

    line: int
    values: dict[str, Any]


@dataclass
class Columns:
    """The columns of a file that are read, with what each of them is in the kind."""

    kind: FileKind
    read: list[ReadColumn]
    width: int  # of the header
    stated: dict[str, str]  # by the name of a column that the file lacks: its value for the whole file
    is_documented: bool  # our names, commas, no layout: then numbers and days are as documented, where they can be

    def named(self) -> list[tuple[ReadColumn, FileColumn]]:
        return [(column, self.kind.column(column.name)) for column in self.read if column.name]

    @property
    def needed(self) -> list[tuple[int, FileColumn]]:
        """Position and kind of each column that every row has to fill."""
        return [(column.position, of_kind) for column, of_kind in self.named() if of_kind.is_needed]


def in_a_line(cells: Iterable[str]) -> str:
    """What stands in a record, for people to find it."""
    text = " · ".join(" ".join(cell.split()) for cell in cells if cell.strip())
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}…"


def within_table(records: list[Record], columns: Columns, answers: Answers, left_out: LeftOut) -> list[Record]:
    """The records of this table, where a layout says that others stand below it or between."""
    ends = tuple(canonical(sign) for sign in answers.get("ends_at", "").splitlines() if sign.strip())
    conditions = {key: canonical(value) for key, value in answers.items() if key.startswith("only.")}
    wanted = [
        (column.position, conditions[name]) for column in columns.read if (name := f"only.{column.key}") in conditions
    ]
    if not ends and not wanted:
        return records
    kept: list[Record] = []
    for index, record in enumerate(records):
        if ends and canonical(" ".join(record[1])).startswith(ends):
            for later in records[index:]:
                left_out.add(later, "another table")
            break
        if all(len(record[1]) > at and canonical(record[1][at]) == value for at, value in wanted):
            kept.append(record)
        else:
            left_out.add(record, "another section")
    return kept


def that_count(
    records: list[Record], columns: Columns, answers: Answers, left_out: LeftOut, problems: FileProblems
) -> tuple[list[Record], Question | None]:
    """The records as wide as the header, without notes and totals that somebody chose to leave out."""
    odd = _odd(records, columns)
    if not odd and all(len(cells) == columns.width for _, cells in records):
        return records, None
    known = tuple(canonical(sign) for sign in answers.get("leave_out", "").splitlines() if canonical(sign))
    all_of_them, none_of_them = answers.get("leave_out") == "yes", answers.get("leave_out") == "no"
    kept: list[Record] = []
    doubtful: list[Record] = []
    for record in records:
        is_odd = record[0] in odd
        sign = _sign(record[1], columns) if is_odd else ""
        if is_odd and ((all_of_them and odd[record[0]]) or _begins(record[1], known)):
            left_out.add(record, "left out by choice")
            left_out.signs[sign] = None
        elif is_odd and odd[record[0]] and not none_of_them:
            doubtful.append(record)
        elif whole := _as_wide(record, columns, problems):
            kept.append(whole)
    return kept, _ask(doubtful) if doubtful else None


def _odd(records: list[Record], columns: Columns) -> dict[int, bool]:
    """Lines of rows that lack what every row has to say; True where that looks like a note or a total."""
    needed = columns.needed
    if not any(_is_suspect(records, at, of_kind, columns) for at, of_kind in needed):
        return {}
    odd: dict[int, bool] = {}
    for line, cells in records:
        empty = [of_kind for at, of_kind in needed if at >= len(cells) or _is_empty(cells[at], of_kind)]
        if empty or (not columns.is_documented and _names_a_total(cells, needed)):
            odd[line] = _is_no_entry(cells, empty, columns)
    return odd


def _is_suspect(records: list[Record], at: int, of_kind: FileColumn, columns: Columns) -> bool:
    """Whether any cell of this column is empty or names a total: by its distinct texts, which are few."""
    texts = {cells[at] if at < len(cells) else "" for _, cells in records}
    is_other_s = of_kind.holds == "text" and not columns.is_documented
    return any(_is_empty(text, of_kind) or (is_other_s and canonical(text) in _TOTALS) for text in texts)


def _is_empty(cell: str, of_kind: FileColumn) -> bool:
    return not cell.strip() or (of_kind.holds != "text" and not cell[0].isdigit() and is_missing(cell))


def _names_a_total(cells: Sequence[str], needed: Sequence[tuple[int, FileColumn]]) -> bool:
    return any(of_kind.holds == "text" and canonical(cells[at]) in _TOTALS for at, of_kind in needed if at < len(cells))


def _is_no_entry(cells: Sequence[str], empty: list[FileColumn], columns: Columns) -> bool:
    """Whether a row looks like a note, a total or cash: not just like one in which somebody forgot a cell."""
    if any(canonical(cell) in _TOTALS for cell in cells) or len(columns.needed) - len(empty) <= 1 < len(columns.needed):
        return True
    return not columns.is_documented and any(of_kind.holds == "number" for of_kind in empty)


def _sign(cells: Sequence[str], columns: Columns) -> str:
    """What tells such a row again in the next file: its first words that are neither a number nor the portfolio."""
    owners = {column.position for column, of_kind in columns.named() if of_kind.may_be_stated}
    words = [cell for at, cell in enumerate(cells) if at not in owners and any(map(str.isalpha, cell))]
    plain = [word for word in words if not any(map(str.isdigit, word))]
    return canonical((plain or words or [in_a_line(cells)])[0])[:_SIGN_LENGTH]


def _begins(cells: Sequence[str], signs: tuple[str, ...]) -> bool:
    return bool(signs) and any(canonical(cell).startswith(signs) for cell in cells if cell.strip())


def _ask(doubtful: list[Record]) -> Question:
    evidence = tuple(f"line {line}: {in_a_line(cells)}" for line, cells in doubtful[:10])
    more = (f"and {len(doubtful) - 10:,} more",) if len(doubtful) > 10 else ()
    options = (("yes", "Leave them out"), ("no", "They count, and lack something"))
    which = "1 row looks" if len(doubtful) == 1 else f"{len(doubtful):,} rows look"
    return Question("leave_out", f"{which} like a note, cash or a total.", options, (*evidence, *more))


def _as_wide(record: Record, columns: Columns, problems: FileProblems) -> Record | None:
    """The record with a cell for each column of the header; None, with a problem, where it lacks some or has more."""
    line, cells = record
    width, extra = columns.width, [cell for cell in cells[columns.width :] if cell.strip()]
    lacks = [of_kind for column, of_kind in columns.named() if column.position >= len(cells)]
    if not extra and not lacks:
        return line, (*cells[:width], *[""] * (width - len(cells)))
    hint = " A comma inside a number or a name needs quotes around it." if extra else ""
    problems.add(line, "", "", f"has {len(cells)} cells; the header has {width}.{hint}")
    return None


def values(
    records: list[Record], columns: Columns, answers: Answers, problems: FileProblems
) -> tuple[list[FileRow], list[Question]]:
    """The rows that could be read, and what has to be known first; what could not is in `problems`, by line."""
    questions: list[Question] = []
    read: dict[str, list[Any]] = {
        name: [_text_of(name, value, columns)] * len(records) for name, value in columns.stated.items()
    }
    faults: list[Fault] = []
    lines = [line for line, _ in records]
    for order, (column, of_kind) in enumerate(columns.named()):
        cells = Cells(lines, [cells[column.position] for _, cells in records])
        spelling = _spelling(of_kind, cells, columns, answers)
        column.told = spelling.told
        questions.extend(filter(None, [spelling.question]))
        if spelling.contradiction:
            line, message = spelling.contradiction
            faults.append((line, order, of_kind.name, dict(cells.pairs)[line], message))
        else:
            read[of_kind.name] = _parsed(cells, of_kind, spelling, order, faults)
    for line, _, name, cell, message in sorted(faults):
        problems.add(line, name, cell, message)
    return ([], questions) if questions else (_whole_rows(lines, read, {fault[0] for fault in faults}), [])


def _whole_rows(lines: list[int], read: dict[str, list[Any]], wrong: set[int]) -> list[FileRow]:
    """The values as rows, without those in which a cell is wrong."""
    names = list(read)
    rows = zip(lines, zip(*read.values(), strict=True), strict=True)
    return [FileRow(line, dict(zip(names, row, strict=True))) for line, row in rows if line not in wrong]


def _text_of(name: str, value: str, columns: Columns) -> Any:
    return columns.kind.column(name).parse(value)


def _spelling(of_kind: FileColumn, cells: Cells, columns: Columns, answers: Answers) -> Spelling:
    if of_kind.holds == "text":
        return Spelling("text")
    if of_kind.holds == "day":
        return day_spelling(of_kind.name, cells, answers)
    return number_spelling(
        of_kind.name,
        cells,
        answers,
        is_documented=columns.is_documented,
        is_weight=of_kind.holds == "weight",
        may_be_empty=of_kind.may_be_empty,
    )


def _parsed(cells: Cells, of_kind: FileColumn, spelling: Spelling, order: int, faults: list[Fault]) -> list[Any]:
    """The values of a column, None where a cell is empty or wrong. A text that repeats is read once."""
    read: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for text in cells.distinct:
        try:
            read[text] = _value(text, of_kind, spelling)
        except ValueError as error:
            read[text], wrong[text] = None, str(error)
    if wrong:
        for line, text in zip(cells.lines, cells.texts, strict=True):
            if text in wrong:
                faults.append((line, order, of_kind.name, text if text.strip() else "", wrong[text]))
    return [read[text] for text in cells.texts]


def _value(text: str, of_kind: FileColumn, spelling: Spelling) -> Any:
    """What a cell says, None for nothing; raises ValueError with what is wrong with it."""
    written = spelling.plain(text) if spelling.plain and text.strip() else text
    if written.strip():
        return of_kind.parse(written)
    if not of_kind.may_be_empty:
        raise ValueError("is empty")
    return None
