"""CSV as every export of ours writes it, and cells that a spreadsheet would run as a formula made harmless."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

# A spreadsheet runs a cell that begins with one of these as a formula (ASVS 1.2.10, with the full-width forms).
FORMULA_STARTS = "=+-@\t\r\0＝＋－＠"
_GUARDABLE = re.compile(f"'*[{re.escape(FORMULA_STARTS)}]")
_GUARDED = re.compile(f"'+[{re.escape(FORMULA_STARTS)}]")


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV; texts of strangers go through `guard` first."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def guard(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would run it. `unguard` takes exactly that one off."""
    return f"'{text}" if _GUARDABLE.match(text) else text


def unguard(cell: str) -> str:
    """What `guard` was given."""
    return cell[1:] if _GUARDED.match(cell) else cell
