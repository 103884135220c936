"""How the days of a column are written. 13/02/2026 proves the order of its column; 02/03/2026 alone is asked about.

2026-02-13, 13 February 2026 and Feb 13, 2026 have one meaning, and so has any of them with a time of day behind it.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from operator import itemgetter

from django.utils import timezone

from models_app.reading.questions import Answers, Question
from models_app.reading.spelling import Cells, Pairs, Spelling

_DOCUMENTED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(
    r"(?P<day>.*?[0-9])(?:[T;]|,?\s+)(?P<clock>[0-9]{6}|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:\s?[AaPp]\.?[Mm]\.?)?)"
    r"\s?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})?"
)
_COMPACT = re.compile(r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})")
_YEAR_FIRST = re.compile(r"(?P<y>[0-9]{4})(?P<mark>[-/. ])(?P<m>[0-9]{1,2})(?P=mark)(?P<d>[0-9]{1,2})")
_YEAR_LAST = re.compile(r"(?P<a>[0-9]{1,2})(?P<mark>[-/.]|\. ?)(?P<b>[0-9]{1,2})(?P=mark)(?P<c>[0-9]{4}|[0-9]{2})")
_DAY_NAME_YEAR = re.compile(
    r"(?:[^\W\d]+\.?, ?)?(?P<d>[0-9]{1,2})(?:st|nd|rd|th|\.)?[ -]?(?P<name>[^\W\d]+)\.?,?[ -](?P<y>[0-9]{4})"
)
_NAME_DAY_YEAR = re.compile(
    r"(?:[^\W\d]+\.?, ?)?(?P<name>[^\W\d]+)\.?[ -](?P<d>[0-9]{1,2})(?:st|nd|rd|th)?,?[ -](?P<y>[0-9]{4})"
)
_ORDERS = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}
_LONGEST = 60


def day_spelling(column: str, cells: Cells, answers: Answers) -> Spelling:
    """How the days of `column` are written."""
    if all(map(_DOCUMENTED.fullmatch, cells.filled)):
        return Spelling("year-month-day")
    first_lines = {text: line for line, text in reversed(cells.pairs)}
    by_mark: dict[tuple[str, int], Pairs] = defaultdict(list)
    for text, line in sorted(first_lines.items(), key=itemgetter(1)):
        if (parts := _parts(_without_clock(text))) and _possible([(line, text)]):  # 31/02/2026 is no day at all
            by_mark[parts[0]].append((line, text))
    orders: dict[tuple[str, int], str] = {}
    question = None
    for mark, group in by_mark.items():
        possible = _possible(group)
        if not possible:
            return Spelling("in two ways", contradiction=_contradiction(group))
        if len(possible) == 1 and mark[1] == 4:
            orders[mark] = possible[0]
            continue
        given = answers.get(f"order.{column}")
        if given is not None and given in _valid(group):
            orders[mark] = given
            continue
        orders[mark] = possible[0]
        question = question or _ask(column, _telling(group, possible), possible)
    told = "; ".join(dict.fromkeys(_ORDERS[order] for order in orders.values())) or "one meaning each"
    return Spelling(told, _plain(orders), question)


def _plain(orders: dict[tuple[str, int], str]) -> Callable[[str], str]:
    @lru_cache(maxsize=4096)
    def plain(cell: str) -> str:
        text = _without_clock(cell)
        parts = _parts(text)
        day = _ordered(parts[1], orders[parts[0]]) if parts and parts[0] in orders else _one_meaning(text)
        return day.isoformat() if day else cell

    return plain


def _without_clock(cell: str) -> str:
    """The day alone. A time with a zone is another day elsewhere, unless it is midnight: then it stands for the day."""
    text = cell.strip()[:_LONGEST]
    found = _CLOCK.fullmatch(text)
    if found is None or (found["zone"] and found["clock"].strip("0:.") != ""):
        return text
    return found["day"]


def _parts(text: str) -> tuple[tuple[str, int], tuple[int, int, int]] | None:
    """Of a day in numbers with the year at its end: its mark and the digits of its year; the three numbers."""
    if (found := _YEAR_LAST.fullmatch(text)) is None:
        return None
    return (found["mark"], len(found["c"])), (int(found["a"]), int(found["b"]), int(found["c"]))


def _ordered(numbers: tuple[int, int, int], order: str) -> date | None:
    by_letter = dict(zip(order, numbers, strict=True))
    year = by_letter["y"]
    if year < 100:  # of two centuries the one that is not in the future
        year += 2000 if year + 2000 <= timezone.localdate().year else 1900
    return _day(year, by_letter["m"], by_letter["d"])


def _day(year: int, month: int, day: int) -> date | None:
    if not (1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]):
        return None
    return date(year, month, day)


def _valid(group: Pairs) -> dict[str, list[date]]:
    """By each order in which every cell is a day, the days."""
    parts = [found for _, text in group if (found := _parts(_without_clock(text)))]
    by_order = {order: [_ordered(numbers, order) for _, numbers in parts] for order in _ORDERS}
    return {order: [day for day in days if day] for order, days in by_order.items() if all(days)}


def _possible(group: Pairs) -> list[str]:
    """The orders in which every cell is a day; of two that make the same of each cell, the first."""
    found: dict[str, list[date]] = {}
    for order, days in _valid(group).items():
        if days not in found.values():
            found[order] = days
    return list(found)


def _contradiction(group: Pairs) -> tuple[int, str]:
    first_line, first = group[0]
    for line, text in group:
        if not _possible([(first_line, first), (line, text)]):
            return line, f"is no day in the order in which {first!r} in line {first_line} is one"
    line, text = next(cell for cell in group if len(_possible([cell])) == 1)
    other_line, _ = next(cell for cell in group if not _possible([(line, text), cell]))
    return other_line, f"is no day in the order in which {text!r} in line {line} is one"


def _telling(group: Pairs, possible: list[str]) -> str:
    """A cell that the possible orders read differently."""
    return next((text for _, text in group if len(_possible([(0, text)])) >= len(possible)), group[0][1])


def _ask(column: str, text: str, possible: list[str]) -> Question:
    parts = _parts(_without_clock(text))
    read = {order: parts and _ordered(parts[1], order) for order in possible}
    options = tuple((order, f"{_ORDERS[order]}: {text} is {day.day} {day:%B %Y}") for order, day in read.items() if day)
    return Question(f"order.{column}", f"In which order are the days in {column} written?", options)


def _one_meaning(text: str) -> date | None:
    """A day that can be read in one way only, whatever its column holds."""
    if found := _COMPACT.fullmatch(text) or _YEAR_FIRST.fullmatch(text):
        return _day(int(found["y"]), int(found["m"]), int(found["d"]))
    if found := _DAY_NAME_YEAR.fullmatch(text) or _NAME_DAY_YEAR.fullmatch(text):
        month = _MONTHS.get(found["name"].casefold())
        return _day(int(found["y"]), month, int(found["d"])) if month else None
    return None


def _by_name(names: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, line in enumerate(names, start=1) for name in line.split()}


# Long and short, in English, German, French, Spanish, Italian, Dutch and Portuguese. No name means two months.
_MONTHS = _by_name(
    (
        "january jan januar jänner janvier janv enero ene gennaio gen januari janeiro",
        "february feb februar février févr febrero febbraio februari fevereiro fev",
        "march mar märz mrz mars marzo maart mrt março",
        "april apr avril avr abril abr aprile",
        "may mai mayo maggio mag mei maio",
        "june jun juni juin junio giugno giu junho",
        "july jul juli juillet juil julio luglio lug julho",
        "august aug août agosto ago augustus",
        "september sep sept septembre septiembre settembre set setembro",
        "october oct oktober okt octobre octubre ottobre ott outubro out",
        "november nov novembre noviembre novembro",
        "december dec dezember dez décembre déc diciembre dic dicembre dezembro",
    )
)
