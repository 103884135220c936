"""Reading what a service answered: whole and right, or refused by the service's name.

Nothing is skipped or repaired. An answer with one bad number may have others that only look good. Names that people
read are the exception: a blank one, or one with a line break in it, is no reason to trade nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NoReturn

from models_app.portfolio.units import MONEY_LIMIT
from ordergen.core.errors import Code, UnavailableError

_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)


class MalformedAnswerError(UnavailableError):
    """A service answered something that cannot be relied on; no part of it is used."""

    code = Code.MALFORMED_ANSWER


def loads(service: str, body: bytes) -> Any:
    """JSON with exact decimals; NaN, Infinity, a name given twice and what is cut short are refused."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"The {service} answered something that is not JSON: {error}.") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object of an answer. Every read says, when it refuses, which service answered what and where."""

    service: str
    where: str
    fields: Mapping[str, Any]

    def refuse(self, what: str) -> NoReturn:
        raise MalformedAnswerError(f"The {self.service} gave an answer that cannot be used: {self.where} {what}.")

    def text(self, name: str, most: int) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not 0 < len(value.strip()) <= most or not value.isprintable():
            self.refuse(f"has no {name} of 1 to {most} characters")
        return value.strip()

    def words(self, name: str, most: int) -> str:
        """A text for people, in one line and cut to length; empty where there is none."""
        value = self.fields.get(name) or ""
        if not isinstance(value, str):
            self.refuse(f"has no text as its {name}")
        return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:most].strip()

    def id(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.refuse(f"has no {name} of 24 characters")
        return value

    def amount(self, name: str, places: int) -> Decimal:
        """A finite number, given as a number or as its text, with at most so many decimal places."""
        value = self.fields.get(name)
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = Decimal(value)
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            self.refuse(f"has no number as its {name}")
        number = Decimal(value)
        if abs(number) >= MONEY_LIMIT or number != round(number, places):
            self.refuse(f"has {number:.40} as its {name}, which is too large or too long")
        return number

    def count(self, name: str) -> int:
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            self.refuse(f"has no count as its {name}")
        return value

    def day(self, name: str) -> date:
        try:
            return date.fromisoformat(self.text(name, 10))
        except ValueError:
            self.refuse(f"has no date as its {name}")

    def record(self, name: str) -> Record:
        return record(self.service, f"{self.where} {name}", self.fields.get(name))

    def records(self, name: str) -> list[Record]:
        return records(self.service, f"{self.where} {name}", self.fields.get(name))


def record(service: str, where: str, value: Any) -> Record:
    """`value` as an object."""
    if not isinstance(value, dict):
        raise MalformedAnswerError(f"The {service} gave an answer that cannot be used: {where} is no object.")
    return Record(service, where, value)


def records(service: str, where: str, value: Any) -> list[Record]:
    """`value` as a list of objects."""
    if not isinstance(value, list):
        raise MalformedAnswerError(f"The {service} gave an answer that cannot be used: {where} is no list.")
    return [record(service, f"{where} {at}", item) for at, item in enumerate(value)]


def unique(found: Iterable[tuple[str, Record]]) -> dict[str, Record]:
    """By key; a key that comes twice is refused."""
    by_key: dict[str, Record] = {}
    for key, line in found:
        if key in by_key:
            line.refuse(f"repeats {key}")
        by_key[key] = line
    return by_key
