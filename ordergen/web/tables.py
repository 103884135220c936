"""Lists that sort by any column; the order, the filters and the place in the list live in the address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

from ordergen.core.errors import promised

T = TypeVar("T")
Record = TypeVar("Record", bound=Model)


@dataclass(frozen=True)
class Column(Generic[T]):
    """A heading, and what its cells sort by: `key` of rows in memory, `field` of rows in the database.

    A column with neither does not sort. Unknown values (None) go last in either direction. `first` is the direction of
    the first click.
    """

    name: str
    label: str
    key: Callable[[T], Any] | None = None
    numeric: bool = False
    first: str = ""  # "-" where the largest matters most
    field: str = ""

    @property
    def sorts(self) -> bool:
        return bool(self.key or self.field)


@dataclass(frozen=True)
class Heading:
    label: str
    href: str
    direction: str
    numeric: bool


@dataclass(frozen=True)
class Pages(Generic[T]):
    """Splits a list: `identity` names a row, so that the next page begins behind the last one's end."""

    identity: Callable[[T], str]
    size: int = 100


class Listed(Generic[T]):
    """What the address asks of a list, and headings that ask for another order."""

    def __init__(self, columns: Sequence[Column[T]], query: QueryDict, *, default: str, parameter: str) -> None:
        self._query, self._parameter, self._columns = query, parameter, columns
        asked = query.get(parameter, default)
        sortable = {column.name for column in columns if column.sorts}
        self.sort = asked if asked.lstrip("-") in sortable else default

    @property
    def is_descending(self) -> bool:
        return self.sort.startswith("-")

    @property
    def _column(self) -> Column[T]:
        """The one that is sorted by."""
        return next(column for column in self._columns if column.name == self.sort.lstrip("-"))

    @property
    def headings(self) -> list[Heading]:
        return [self._heading(column) for column in self._columns]

    def _heading(self, column: Column[T]) -> Heading:
        if not column.sorts:
            return Heading(column.label, "", "", column.numeric)
        current = self._column is column
        other = "" if self.is_descending else "-"
        href = self._href(**{self._parameter: (other if current else column.first) + column.name, "after": None})
        direction = ("descending" if self.is_descending else "ascending") if current else ""
        return Heading(column.label, href, direction, column.numeric)

    def _href(self, **changes: str | None) -> str:
        query = self._query.copy()
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None:
                query[name] = value
        return "?" + query.urlencode()


class Table(Listed[T]):
    """`rows` in memory in the order the address asks for, all or a page of them."""

    def __init__(
        self,
        rows: Sequence[T],
        columns: Sequence[Column[T]],
        query: QueryDict,
        *,
        default: str,
        parameter: str = "sort",
        pages: Pages[T] | None = None,
    ) -> None:
        super().__init__(columns, query, default=default, parameter=parameter)
        ordered = self._ordered(rows)
        start = self._start(ordered, pages) if pages else 0
        self.rows, self.total, self.first = ordered[start:], len(ordered), start + 1
        if pages:
            self.rows = self.rows[: pages.size]
        self.last = start + len(self.rows)
        self.next_href = self._href(after=pages.identity(self.rows[-1])) if pages and self.last < self.total else ""
        self.start_href = self._href(after=None) if start else ""

    def _ordered(self, rows: Sequence[T]) -> list[T]:
        key = promised(self._column.key, "only a column with a key is sorted by")
        known = [row for row in rows if key(row) is not None]
        unknown = [row for row in rows if key(row) is None]
        return sorted(known, key=key, reverse=self.is_descending) + unknown

    def _start(self, ordered: list[T], pages: Pages[T]) -> int:
        """The place behind the row that the last page ended with; the beginning when that row is gone."""
        after = self._query.get("after")
        return next((place for place, row in enumerate(ordered, start=1) if pages.identity(row) == after), 0)


class KeyedTable(Listed[Record]):
    """A page of rows in the database, found by the key of the row that the last page ended with.

    `found` are the rows of the list, `total` of them. When that last row is gone the list begins at the top.
    """

    def __init__(
        self,
        found: QuerySet[Record],
        columns: Sequence[Column[Record]],
        query: QueryDict,
        *,
        default: str,
        total: int,
        size: int = 100,
    ) -> None:
        super().__init__(columns, query, default=default, parameter="sort")
        field, after = self._column.field, query.get("after", "")[:24]
        pivot = found.model._default_manager.filter(pk=after).values_list(field, "pk").first() if after else None  # noqa: SLF001  typed for any table
        parts = parts_after(found, field, pivot, descending=self.is_descending)
        self.rows = first_of(parts, size + 1)
        has_more, self.rows, self.total = len(self.rows) > size, self.rows[:size], total
        left = sum(part.count() for part in parts) if pivot else total
        self.first = total - left + 1
        self.last = self.first + len(self.rows) - 1
        self.next_href = self._href(after=str(self.rows[-1].pk)) if has_more else ""
        self.start_href = self._href(after=None) if pivot else ""


def parts_after(
    found: QuerySet[Record], field: str, pivot: tuple[Any, str] | None, *, descending: bool
) -> tuple[QuerySet[Record], QuerySet[Record]]:
    """Behind `pivot` (a value of `field` and a key): the rows that have a value, in its order, then those without.

    Two queries, because databases do not agree on where None goes, and so that each can walk along an index.
    """
    known, unknown = found.exclude(**{field: None}), found.filter(**{field: None}).order_by("pk")
    sign, beyond = ("-", "lt") if descending else ("", "gt")
    known = known.order_by(f"{sign}{field}", f"{sign}pk")
    if pivot is None:
        return known, unknown
    value, key = pivot
    if value is None:
        return known.none(), unknown.filter(pk__gt=key)
    further = Q(**{f"{field}__{beyond}": value}) | Q(**{field: value, f"pk__{beyond}": key})
    return known.filter(further, **{f"{field}__{beyond}e": value}), unknown


def first_of(parts: Sequence[QuerySet[Record]], size: int) -> list[Record]:
    """The first rows of the parts, one after the other."""
    rows: list[Record] = []
    for part in parts:
        if len(rows) < size:
            rows += part[: size - len(rows)]
    return rows
