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

from models_app.portfolio.units import COLUMN_DIGITS, MONEY_LIMIT, MONEY_PLACES, TICK, WEIGHT_PLACES
from ordergen.core.csv import unguard

Parse = Callable[[str], Any]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_EXPONENT = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MAX_NUMBER_LENGTH = 40
_NOISE = Decimal("1e-9")
_DIGITS_OF_FLOATS = 16  # with which floats are written out whose last ones are noise
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
        value = unguard(cell.strip())
        if not shape.fullmatch(value):
            raise ValueError(f"is not an id: {description}")
        return value

    return parse


def number(cell: str) -> Decimal:
    """Parses plain digits with a point; no exponent, no separator of thousands, no NaN or infinity."""
    written = cell.strip()
    if len(written) > _MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(written):
        raise ValueError(_not_a_number(written))
    return Decimal(written) + 0  # no minus zero


def _not_a_number(written: str) -> str:
    if _EXPONENT.fullmatch(written):
        return "is written with an exponent, which leaves digits out: write it in full, as in 1234.56"
    if "%" in written:
        return "is a part in a hundred, and this column holds none: write a number, as in 1234.56"
    if "," in written:
        return "is not a number: write a decimal point and no separator of thousands, as in 1234.56"
    return "is not a number: write plain digits, as in 1234.56"


def weight(cell: str) -> Decimal:
    """Parses a fraction. What floats add far beyond its sixth decimal (0.30000000000000004) is dropped."""
    written = number(cell)
    rounded = round(written, WEIGHT_PLACES)
    return rounded.normalize() + 0 if written != rounded and abs(written - rounded) < _NOISE else written


def amount(*, positive: bool = False, negative: bool = True) -> Parse:
    """Parses a number that a money column holds exactly."""

    def parse(cell: str) -> Decimal:
        value = number(cell)
        if abs(value) >= MONEY_LIMIT:
            raise ValueError(f"is too large: at most {COLUMN_DIGITS - MONEY_PLACES} digits before the point")
        if value % TICK:
            value = _without_noise(value)
        if positive and value <= 0:
            raise ValueError("has to be above zero")
        if not negative and value < 0:
            raise ValueError("may not be below zero")
        return value

    return parse


def _without_noise(value: Decimal) -> Decimal:
    """What a program wrote that computes in floats (41.300000000000004), as it was meant; raises for other decimals."""
    rounded = round(value, MONEY_PLACES)
    if len(value.as_tuple().digits) >= _DIGITS_OF_FLOATS and abs(value - rounded) < _NOISE:
        return rounded
    raise ValueError(
        f"has more than {MONEY_PLACES} decimals, the most that is kept exactly: round it, here and elsewhere"
    )


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
    if day > timezone.localdate():
        raise ValueError("lies in the future")
    return day
