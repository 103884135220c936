"""From an .xlsx workbook to the records that a text file would give: values as they stand, nothing computed or run.

A number becomes plain digits with a point, a day year-month-day; a formula counts as the value that was saved with it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from models_app.reading.encodings import UnreadableError
from models_app.reading.questions import Answers, Question
from models_app.reading.separated import Record, Table

_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_MOST_UNPACKED = 250 * 2**20  # bytes; a sheet of 25 MB unpacks to about ten times as much
_MOST_CELLS = 5_000_000
_MOST_COLUMNS = 500
_DIGITS = 15  # what spreadsheets show of a number; beyond is the noise of its double
_SAVE_AS = "Save it as “CSV UTF-8” or as .xlsx and try again."


def is_workbook(content: bytes) -> bool:
    """Whether these bytes are a spreadsheet program's own file, by their first ones."""
    return content.startswith((_ZIP, _OLD))


def read_workbook(content: bytes, answers: Answers) -> tuple[str, Table]:
    """The name of the sheet that was read, and its records by row; raises UnreadableError."""
    if content.startswith(_OLD):
        raise UnreadableError(0, f"This is an old .xls workbook, or one with a password. {_SAVE_AS}")
    _refuse_traps(content)
    from openpyxl import load_workbook  # noqa: PLC0415  a fifth of a second to load, which only workbooks need
    from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415

    try:
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        sheets = {sheet.title: table for sheet in book.worksheets if (table := _records(sheet)).records}
    except (
        InvalidFileException,
        KeyError,
        ValueError,
        SyntaxError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
    ) as error:
        raise UnreadableError(0, f"The workbook cannot be read: {type(error).__name__}. {_SAVE_AS}") from error
    if not sheets:
        raise UnreadableError(0, "The file is empty: no sheet of it has a value.")
    return _chosen(sheets, answers)


def _chosen(sheets: dict[str, Table], answers: Answers) -> tuple[str, Table]:
    if len(sheets) == 1:
        return next(iter(sheets.items()))
    options = tuple((title, f"{title}: {len(table.records):,} rows") for title, table in sheets.items())
    question = Question("sheet", "Which sheet of the workbook is meant?", options)
    chosen = question.answer(answers)
    title = chosen or options[0][0]
    sheets[title].question = None if chosen else question
    return title, sheets[title]


def _refuse_traps(content: bytes) -> None:
    """Refuses what is no plain workbook before anything of it is unpacked."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except zipfile.BadZipFile as error:
        raise UnreadableError(0, f"The file begins like a workbook and is none: it is broken. {_SAVE_AS}") from error
    names = {part.filename.lower() for part in parts}
    if not any(name.startswith("xl/") for name in names):
        raise UnreadableError(0, f"This is an archive, and no .xlsx workbook. {_SAVE_AS}")
    if any(name.endswith((".bin", ".xlsb")) and "vba" in name for name in names):
        raise UnreadableError(0, "The workbook has macros, which are not taken in here. Save it as .xlsx without them.")
    if any(part.flag_bits & 0x1 for part in parts):
        raise UnreadableError(0, f"The workbook has a password. {_SAVE_AS}")
    if sum(part.file_size for part in parts) > _MOST_UNPACKED:
        raise UnreadableError(0, f"The workbook unpacks to more than {_MOST_UNPACKED / 2**20:.0f} MB. Split it up.")


def _records(sheet: Any) -> Table:
    """The rows of a sheet that have a value, all as wide as the widest: a cell without a value is one that is there."""
    table, cells = Table("sheet"), 0
    for row in sheet.iter_rows(max_col=_MOST_COLUMNS):
        line, texts = _row(row)
        cells += len(texts)
        if cells > _MOST_CELLS:
            raise UnreadableError(line, f"The sheet has more than {_MOST_CELLS:,} cells. Split it up.")
        if texts:
            table.records.append((line, texts))
    width = max((len(texts) for _, texts in table.records), default=0)
    table.records = [(line, (*texts, *[""] * (width - len(texts)))) for line, texts in table.records]
    return table


def _row(row: tuple[Any, ...]) -> Record:
    texts = list(_texts(row))
    while texts and not texts[-1].strip():
        texts.pop()
    return next((cell.row for cell in row if getattr(cell, "row", None)), 0), tuple(texts)


def _texts(row: tuple[Any, ...]) -> Iterator[str]:
    for cell in row:
        yield "" if cell.value is None else _text(cell.value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ") if value.time() != time() else value.date().isoformat()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _number(value: float) -> str:
    """Plain digits, of 45 % too: its value is 0.45.

    A zero behind three decimals tells 1.234 from a thousand, for whoever reads the text.
    """
    number = Decimal(value) if isinstance(value, int) else Decimal(f"{value:.{_DIGITS}g}")
    if not number.is_finite():
        return str(value)
    text = f"{number:f}"
    return f"{text}0" if len(text.partition(".")[2]) == 3 else text
