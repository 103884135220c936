"""From the bytes of a CSV file to rows of values. Strict: what cannot be read without guessing is a problem.

read_rows:  bytes | decode | csv records | header -> columns | cells -> FileRow
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.conf import settings

from models_app.files.kinds import FileColumn, FileKind
from models_app.imports.import_progress import ImportProgress
from models_app.imports.plan import FileProblems
from ordergen.core.errors import InvalidInputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE_AS = "Save it as UTF-8 (in a spreadsheet: “CSV UTF-8”) and try again."


@dataclass(slots=True)
class FileRow:
    """One record: the line it begins on, and its values by column; None where a cell was empty."""

    line: int
    values: dict[str, Any]


def read_bytes(file: BinaryIO) -> bytes:
    """The whole file; refused after reading one byte more than settings.IMPORT_MAX_BYTES."""
    content = file.read(settings.IMPORT_MAX_BYTES + 1)
    if len(content) > settings.IMPORT_MAX_BYTES:
        raise InvalidInputError(too_large_message(), fields={"file": too_large_message()})
    return content


def too_large_message() -> str:
    return (
        f"The file is larger than {settings.IMPORT_MAX_BYTES / 2**20:.0f} MB, the most one import takes. Split it up."
    )


def read_rows(content: bytes, kind: FileKind, problems: FileProblems, progress: ImportProgress) -> list[FileRow]:
    """The rows that could be read; everything else is in `problems`, by line."""
    text = _decode(content, problems)
    records = _records(text, problems)
    _, header = next(records, (1, []))
    columns = _columns(header, kind, problems) if text else []
    if not columns:
        return []
    counted = progress.each("Reading rows", records, text.count("\n"))
    rows = [row for line, cells in counted if (row := _row(line, cells, columns, problems))]
    if not rows and not problems.count:
        problems.add(0, "", "", "The file has a header and no rows.")
    return rows


def _decode(content: bytes, problems: FileProblems) -> str:
    """The text of the file; empty, with a problem, where it is not UTF-8 without NUL."""
    if not content.removeprefix(codecs.BOM_UTF8).strip():
        problems.add(0, "", "", "The file is empty.")
    elif content.startswith(_UTF16):
        problems.add(1, "", "", f"The file is UTF-16. {_SAVE_AS}")
    elif (at := content.find(b"\0")) >= 0:
        problems.add(
            _line_of(content, at), "", "", f"Byte {at + 1} is a NUL: this is no text file, or UTF-16. {_SAVE_AS}"
        )
    else:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            what = f"Byte {error.start + 1} (0x{content[error.start]:02X}) is not UTF-8; the file may be Latin-1."
            problems.add(_line_of(content, error.start), "", "", f"{what} {_SAVE_AS}")
    return ""


def _line_of(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _records(text: str, problems: FileProblems) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each record that is not blank, up to the first one whose quotes do not match."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error:
        problems.add(line, "", "", "The quotes of this row do not match; the rest of the file cannot be read.")


def _columns(header: list[str], kind: FileKind, problems: FileProblems) -> list[FileColumn]:
    """The file's columns in its own order; empty, with problems, when the header is not that of `kind`."""
    names = [name.strip().lower() for name in header]
    if len(names) == 1 and (other := next((mark for mark in ";\t|" if mark in names[0]), None)):
        problems.add(1, "", names[0], f"Columns are separated by {other!r} here; separate them by commas.")
        return []
    before = problems.count
    expected = f"The columns are {', '.join(kind.header)}."
    for name, times in Counter(names).items():
        if name not in kind.header:
            problems.add(1, name or "(no name)", "", f"is not a column of {kind.name}. {expected}")
        elif times > 1:
            problems.add(1, name, "", f"stands {times} times in the header.")
    for column in kind.columns:
        if column.required and column.name not in names:
            problems.add(1, column.name, "", f"is missing from the header. {expected}")
    return [kind.column(name) for name in names] if problems.count == before else []


def _row(line: int, cells: list[str], columns: list[FileColumn], problems: FileProblems) -> FileRow | None:
    if len(cells) != len(columns):
        hint = " A comma inside a number or a name needs quotes around it." if len(cells) > len(columns) else ""
        problems.add(line, "", "", f"has {len(cells)} cells; the header has {len(columns)}.{hint}")
        return None
    values: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        if not cell.strip():
            values[column.name] = None
            if not column.may_be_empty:
                problems.add(line, column.name, "", "is empty")
            continue
        try:
            values[column.name] = column.parse(cell)
        except ValueError as error:
            problems.add(line, column.name, cell, str(error))
    return FileRow(line, values) if _is_whole(values, columns) else None


def _is_whole(values: dict[str, Any], columns: list[FileColumn]) -> bool:
    return all(column.name in values and (column.may_be_empty or values[column.name] is not None) for column in columns)
