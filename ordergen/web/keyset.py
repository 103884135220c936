"""Paging by key, for every list: a page begins behind the row that the last one ended with, so any page costs the same.

order  a column and, among equals, a unique key: every row has a place of its own
read   from behind a place, one row more than the page takes
cut    that row off: it only says that there is more
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

T = TypeVar("T")
Shown = TypeVar("Shown")
Record = TypeVar("Record", bound=Model)


@dataclass(frozen=True)
class KeysetPage(Generic[T]):
    """Some rows, and the key that the next page begins behind; empty on the last page."""

    rows: Sequence[T]
    next: str = ""

    def showing(self, show: Callable[[T], Shown]) -> KeysetPage[Shown]:
        """The same page with each row as `show` makes it."""
        return KeysetPage([show(row) for row in self.rows], self.next)


@dataclass(frozen=True)
class Keyset:
    """The order of a list: by `column`, where one is asked for, then by the unique `key`; a "-" says falling."""

    key: str = "pk"
    column: str = ""

    @property
    def terms(self) -> tuple[str, ...]:
        """As `order_by` takes them."""
        return (self.column, self.key) if self.column else (self.key,)

    def behind(self, key: object, value: object = None) -> Q:
        """What comes behind the row with this key and this value of the column, among rows that have one."""
        further = _beyond(self.key, key)
        if not self.column:
            return further
        # The first condition says nothing new; by it a database sees where in an index of the column to begin.
        start = _beyond(self.column, value, inclusive=True)
        return start & (_beyond(self.column, value) | Q(**{_name(self.column): value}) & further)

    def behind_row(self, rows: QuerySet[Any], key: str) -> Q:
        """What comes behind the row with this key; nothing when there is no such row, or it has no value."""
        if not self.column:
            return self.behind(key)
        known = rows.model._default_manager.filter(pk=key)  # noqa: SLF001  typed for any table
        value = known.values_list(_name(self.column), flat=True).first()
        return Q(pk__in=()) if value is None else self.behind(key, value)


def _name(term: str) -> str:
    return term.removeprefix("-")


def _beyond(term: str, value: object, *, inclusive: bool = False) -> Q:
    lookup = ("lt" if term.startswith("-") else "gt") + ("e" if inclusive else "")
    return Q(**{f"{_name(term)}__{lookup}": value})


def read_page(rows: QuerySet[Record], by: Keyset, size: int, *, after: object = None) -> KeysetPage[Record]:
    """The `size` rows behind the key `after` in an order by key alone; the first ones without it."""
    found = rows if after is None else rows.filter(by.behind(after))
    return cut(found.order_by(*by.terms)[: size + 1], size, lambda row: str(getattr(row, _name(by.key))))


def cut(found: Iterable[T], size: int, key: Callable[[T], str]) -> KeysetPage[T]:
    """A page of what was found, which is one row more than the page takes where there is more."""
    rows = list(found)
    return KeysetPage(rows[:size], key(rows[size - 1]) if len(rows) > size else "")


def parts_behind(
    rows: QuerySet[Record], by: Keyset, place: tuple[Any, str] | None
) -> tuple[QuerySet[Record], QuerySet[Record]]:
    """Behind `place` (a value of the column and a key): the rows that have a value, in order, then those without.

    Two queries, because databases do not agree on where None goes, and so that each can walk along an index.
    """
    name = _name(by.column)
    known, unknown = rows.exclude(**{name: None}).order_by(*by.terms), rows.filter(**{name: None}).order_by("pk")
    if place is None:
        return known, unknown
    value, key = place
    if value is None:
        return known.none(), unknown.filter(pk__gt=key)
    return known.filter(by.behind(key, value)), unknown


def first_of(parts: Sequence[QuerySet[Record]], size: int) -> list[Record]:
    """The first rows of the parts, one after the other."""
    rows: list[Record] = []
    for part in parts:
        if len(rows) < size:
            rows += part[: size - len(rows)]
    return rows


def index_behind(rows: Iterable[T], identity: Callable[[T], str], after: str | None, *, gone: int) -> int:
    """Of rows in memory, where the one named `after` ends; `gone` when there is none."""
    return next((place for place, row in enumerate(rows, start=1) if identity(row) == after), gone)
