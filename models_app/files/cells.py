"""One cell of a CSV file: from text to a value, or a ValueError whose message tells the user what to write instead."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils import timezone

from models_app.portfolio.units import COLUMN_DIGITS, MONEY_LIMIT, MONEY_PLACES, TICK
from ordergen.core.csv import unguard

Parse = Callable[[str], Any]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAX_NUMBER_LENGTH = 40
_FIRST_YEAR = 1900


def text(max_length: int) -> Parse:
    """Parses text of at most `max_length` characters: spaces around it dropped, the export's apostrophe taken off."""

    def parse(cell: str) -> str:
        value = unguard(cell.strip()).strip()
        if len(value) > max_length:
            raise ValueError(f"has {len(value)} characters; {max_length} is the most")
        if not value.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in value):
            raise ValueError("contains a line break or another control character")
        return value

    return parse


def record_id(pattern: str, description: str) -> Parse:
    shape = re.compile(pattern)

    def parse(cell: str) -> str:
        if not shape.fullmatch(cell.strip()):
            raise ValueError(f"is not an id: {description}")
        return cell.strip()

    return parse


def number(cell: str) -> Decimal:
    """Parses plain digits with a point; no exponent, no separator of thousands, no NaN or infinity."""
    written = cell.strip()
    if len(written) > _MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(written):
        raise ValueError(_not_a_number(written))
    return Decimal(written) + 0  # no minus zero


def _not_a_number(written: str) -> str:
    if "," in written:
        return "is not a number: write a decimal point and no separator of thousands, as in 1234.56"
    return "is not a number: write plain digits, as in 1234.56"


def amount(*, positive: bool = False, negative: bool = True) -> Parse:
    """Parses a number that a money column holds exactly."""

    def parse(cell: str) -> Decimal:
        value = number(cell)
        if abs(value) >= MONEY_LIMIT:
            raise ValueError(f"is too large: at most {COLUMN_DIGITS - MONEY_PLACES} digits before the point")
        if value % TICK:
            raise ValueError(f"has more than {MONEY_PLACES} decimals")
        if positive and value <= 0:
            raise ValueError("has to be above zero")
        if not negative and value < 0:
            raise ValueError("may not be below zero")
        return value

    return parse


@lru_cache(maxsize=4096)
def iso_date(cell: str) -> date:
    """Parses a day like 2026-11-20."""
    if _DATE.fullmatch(cell.strip()):
        with contextlib.suppress(ValueError):  # 2026-02-30 looks like a day
            return date.fromisoformat(cell.strip())
    raise ValueError("is not a date: write year-month-day, as in 2026-11-20")


def past_date(cell: str) -> date:
    """Parses a day like 2026-11-20, from 1900 on, that is not in the future."""
    day = iso_date(cell)
    if day.year < _FIRST_YEAR:
        raise ValueError(f"lies before {_FIRST_YEAR}")
    if day > timezone.now().date():
        raise ValueError("lies in the future")
    return day
