"""How the numbers of a column are written: which mark is the decimal one, and what stands around the digits.

A cell that has one reading only ("1.234,50", "40,25", "0.5", "1,234,567") decides for its column. Where every cell has
two ("1.234") the column is asked about, unless the file is written as documented, with a decimal point.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from models_app.reading.questions import Answers, Question
from models_app.reading.spelling import Cells, Pairs, Spelling

MARKS = {".": "decimal point", ",": "decimal comma"}
MISSING = frozenset({"-", "--", "---", "–", "—", "n/a", "na", "#n/a"})  # what brokers write for no number
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_TWO_READINGS = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")
_SPACES = " \u00a0\u2007\u2009\u202f"
_MINUS = "−–-"  # the last one stands at the end of a class of characters
# No GBX or GBp: pence are another unit, and a hundred times more of them.
_CODES = (
    "AUD|BRL|CAD|CHF|CNH|CNY|CZK|DKK|EUR|GBP|HKD|HUF|ILS|INR|ISK|JPY|KRW|MXN|MYR|NOK|NZD|PHP|PLN|RON|SAR|SEK|SGD|THB|TRY|"
    "TWD|USD|ZAR"
)
_MONEY = rf"(?:US\$|[A-Z]{{0,2}}\$|[€£¥₩₹₺₪]|(?:{_CODES})|kr\.?|zł|Kč|Fr\.?)"
_UNIT = r"(?:Stück|Stk\.?|St\.|shares?|units?|pcs\.?|aandelen|titres|azioni)"
_WRITTEN = re.compile(
    rf"(?P<open>\()?(?P<sign>[+{_MINUS}])?(?P<before>{_MONEY})?(?P<inner>[+{_MINUS}])?"
    rf"(?P<digits>[0-9.,'’`{_SPACES}]*[0-9][.,]?)"
    rf"(?P<per_cent>%)?(?P<after>{_MONEY}|{_UNIT})?(?P<behind>[{_MINUS}])?(?P<close>\))?"
)
_LEAN = re.compile(rf"(?<![0-9])[{_SPACES}]+|[{_SPACES}]+(?![0-9])")  # spaces that do not stand between digits
_LONGEST = 60


def _grouped(decimal: str, marks: str) -> re.Pattern[str]:
    """Digits with this decimal mark: in threes (or as India writes lakhs, with commas), or without groups."""
    other = "," if decimal == "." else "."
    groups = rf"[1-9][0-9]{{0,2}}(?:(?P<mark>[{re.escape(other)}{marks}])[0-9]{{3}}(?:(?P=mark)[0-9]{{3}})*)"
    lakhs = r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}" if decimal == "." else ""
    return re.compile(rf"(?P<whole>{groups}|[0-9]+{lakhs})?(?:{re.escape(decimal)}(?P<part>[0-9]*))?")


_SHAPES = {mark: _grouped(mark, f"'’`{_SPACES}") for mark in MARKS}


@dataclass(frozen=True)
class _Number:
    """One cell: its value by the decimal mark it would be written with, and the money that it names."""

    values: dict[str, str]
    money: str = ""
    is_share: bool = False  # written per cent


def number_spelling(
    column: str, cells: Cells, answers: Answers, *, is_documented: bool, is_weight: bool, may_be_empty: bool
) -> Spelling:
    """How the numbers of `column` are written.

    `is_documented`: the file is as our documentation says, so a point in plain digits is the decimal mark;
    `is_weight`: 45 % is 0.45.
    """
    texts = cells.filled
    if all(map(_PLAIN.fullmatch, texts)) and (is_documented or not any(map(_TWO_READINGS.fullmatch, texts))):
        return Spelling("whole numbers" if all(map(_is_whole, texts)) else MARKS["."])
    sure = {mark: next(((line, text) for line, text in cells.pairs if _decides(text) == mark), None) for mark in MARKS}
    if sure["."] and sure[","]:
        (line, _), (other_line, other) = sure[","], sure["."]
        message = f"has a decimal comma, and {other!r} in line {other_line} a decimal point: write one of the two"
        return Spelling("in two ways", contradiction=(line, message))
    if (mixed := _two_moneys(cells.pairs)) is not None:
        return Spelling("in two currencies", contradiction=mixed)
    decided = next((mark for mark in MARKS if sure[mark]), None)
    question = None
    if decided is None and (doubtful := [text for text in texts if len(set(_read(text).values.values())) > 1]):
        question = _ask(column, min(doubtful))
        decided = question.answer(answers)
        question = None if decided else question
    mark = decided or "."
    return Spelling(MARKS[mark], _plain(mark, is_weight=is_weight, may_be_empty=may_be_empty), question)


def _is_whole(text: str) -> bool:
    return "." not in text


def _ask(column: str, text: str) -> Question:
    values = _read(text).values
    options = tuple((mark, f"{name}: {text} is {values[mark]}") for mark, name in MARKS.items())
    return Question(f"decimal.{column}", f"Which is the decimal mark in {column}?", options)


def _plain(mark: str, *, is_weight: bool, may_be_empty: bool) -> Callable[[str], str]:
    def plain(cell: str) -> str:
        if may_be_empty and is_missing(cell):
            return ""
        number = _read(cell.strip())
        value = number.values.get(mark)
        if value is None or (number.is_share and not is_weight):
            return cell
        return f"{Decimal(value).scaleb(-2):f}" if number.is_share else value

    return plain


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no number."""
    return cell.strip().lower() in MISSING


def _decides(text: str) -> str | None:
    """The only decimal mark that the cell can have been written with; None where both can, or neither."""
    values = _read(text).values
    return next(iter(values)) if len(values) == 1 else None


def _two_moneys(cells: Pairs) -> tuple[int, str] | None:
    seen: dict[str, int] = {}
    for line, text in cells:
        if money := _read(text).money:
            seen.setdefault(money, line)
            if len(seen) > 1:
                first, second = seen
                return (
                    line,
                    f"is an amount in {second}, but line {seen[first]} has {first}; one column has one currency",
                )
    return None


@lru_cache(maxsize=65_536)
def _read(text: str) -> _Number:
    """Every reading of a cell; none where it is no number."""
    if len(text) > _LONGEST or (found := _WRITTEN.fullmatch(_LEAN.sub("", text))) is None:
        return _Number({})
    signs = [sign for sign in (found["sign"], found["inner"], found["behind"]) if sign]
    if bool(found["open"]) != bool(found["close"]) or len(signs) + bool(found["open"]) > 1:
        return _Number({})
    minus = "-" if found["open"] or (signs and signs[0] != "+") else ""
    before, after = found["before"] or "", found["after"] or ""
    values = {mark: f"{minus}{value}" for mark in MARKS if (value := _value(found["digits"], mark)) is not None}
    return _Number(values, before or ("" if re.fullmatch(_UNIT, after) else after), found["per_cent"] is not None)


def _value(digits: str, mark: str) -> str | None:
    """Plain digits with a point; None where the text cannot have been written with this decimal mark."""
    found = _SHAPES[mark].fullmatch(digits)
    if found is None or not (found["whole"] or found["part"]):
        return None
    whole = re.sub(r"[^0-9]", "", found["whole"] or "0")
    return f"{whole}.{found['part']}" if found["part"] else whole
