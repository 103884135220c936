"""CSV as every export of ours writes it, and cells that a spreadsheet would run as a formula made harmless."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

BYTE_ORDER_MARK = "\ufeff"  # at the head of a file: without it spreadsheets take UTF-8 for an older encoding

# A spreadsheet runs a cell that begins with one of these as a formula (ASVS 1.2.10, with the full-width forms).
FORMULA_STARTS = "=+-@\t\r\0＝＋－＠"
# And it makes something else of these: 0005 is 5, 1E5 is 100,000, MAR1 and 3-4 are days, true is TRUE (or WAHR).
_MONTHS = (
    "jan|ene|gen|fe[bv]|fév|m[aä]r|mrz|maa|a[pv]r|abr|avr|ma[iyg]|mei|ju[nil]|giu|lug|aug|ago|aoû|sep|set|o[ck]t|ott|out|"
    "nov|de[cz]|di[cz]|déc"
)
_CONVERTED = re.compile(
    rf"""(?:0[0-9]+|[0-9]{{12,}}
    |[0-9][0-9.,:/\ \-]*[.,:/\ \-][0-9.,:/\ \-]*%?|[0-9]+%
    |[0-9.,]*[0-9][.,]?e[+-]?[0-9]+
    |[0-9:.\ ]*[0-9]\ ?[ap]\.?m?\.?
    |(?:{_MONTHS})[a-zéûä]{{0,7}}\.?[,\ /-]*[0-9][0-9,\ /-]*
    |[0-9]{{1,4}}[.\ /-]*(?:{_MONTHS})[a-zéûä]{{0,7}}\.?[,\ /-]*[0-9]{{0,4}}
    |[$€£¥][0-9.,\ ]+|[0-9.,\ ]+[$€£¥]|\([0-9.,]+\)
    |true|false|wahr|falsch|vrai|faux|vero|falso|verdadero|verdadeiro|waar|onwaar)""",
    re.IGNORECASE | re.VERBOSE,
)


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV; texts of strangers go through `guard` first."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def guard(text: str) -> str:
    """`text` with an apostrophe before it where a spreadsheet would run it, or make a number, a day or a truth of it.

    `unguard` takes exactly that one off.
    """
    return f"'{text}" if _needs_guard(text.lstrip("'")) else text


def unguard(cell: str) -> str:
    """What `guard` was given."""
    return cell[1:] if cell.startswith("'") and _needs_guard(cell.lstrip("'")) else cell


def _needs_guard(text: str) -> bool:
    return text.startswith(tuple(FORMULA_STARTS)) or _CONVERTED.fullmatch(text) is not None
