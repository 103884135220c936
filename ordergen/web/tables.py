"""Lists that sort by any column; the order, the filters and the place in the list live in the address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import QueryDict

from ordergen.core.errors import promised
from ordergen.web.keyset import Keyset, KeysetPage, cut, first_of, index_behind, parts_behind

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
class SortLink:
    """A heading by itself: the order that a click asks for, and how the column is sorted now, as aria-sort says it.

    `ask` is empty where the click undoes the sorting, None where so many rows cannot be sorted by it.
    """

    ask: str | None
    direction: str


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
        page, start = KeysetPage(ordered), 0
        if pages:
            start = index_behind(ordered, pages.identity, query.get("after"), gone=0)  # else from the top
            page = cut(ordered[start:], pages.size, pages.identity)
        self.rows, self.total, self.first = page.rows, len(ordered), start + 1
        self.last = start + len(self.rows)
        self.next_href = self._href(after=page.next) if page.next else ""
        self.start_href = self._href(after=None) if start else ""

    def _ordered(self, rows: Sequence[T]) -> list[T]:
        key = promised(self._column.key, "only a column with a key is sorted by")
        known = [row for row in rows if key(row) is not None]
        unknown = [row for row in rows if key(row) is None]
        return sorted(known, key=key, reverse=self.is_descending) + unknown


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
        place = found.model._default_manager.filter(pk=after).values_list(field, "pk").first() if after else None  # noqa: SLF001  typed for any table
        sign = "-" if self.is_descending else ""
        parts = parts_behind(found, Keyset(f"{sign}pk", f"{sign}{field}"), place)
        page = cut(first_of(parts, size + 1), size, lambda row: str(row.pk))
        self.rows, self.total = page.rows, total
        left = sum(part.count() for part in parts) if place else total
        self.first = total - left + 1
        self.last = self.first + len(self.rows) - 1
        self.next_href = self._href(after=page.next) if page.next else ""
        self.start_href = self._href(after=None) if place else ""
