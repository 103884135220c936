"""Lists that sort by any column; the order, the filters and the place in the list live in the address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.http import QueryDict

T = TypeVar("T")


@dataclass(frozen=True)
class Column(Generic[T]):
    """A heading, and what its cells sort by; without `key` the column does not sort.

    Unknown values (None) go last in either direction. `first` is the direction of the first click.
    """

    name: str
    label: str
    key: Callable[[T], Any] | None = None
    numeric: bool = False
    first: str = ""  # "-" where the largest matters most


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


class Table(Generic[T]):
    """`rows` in the order the address asks for, all or a page of them, with headings that ask for another order."""

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
        self._query, self._parameter, self._columns = query, parameter, columns
        asked = query.get(parameter, default)
        sortable = {column.name for column in columns if column.key}
        self.sort = asked if asked.lstrip("-") in sortable else default
        ordered = self._ordered(rows)
        start = self._start(ordered, pages) if pages else 0
        self.rows, self.total, self.first = ordered[start:], len(ordered), start + 1
        if pages:
            self.rows = self.rows[: pages.size]
        self.last = start + len(self.rows)
        self.next_href = self._href(after=pages.identity(self.rows[-1])) if pages and self.last < self.total else ""
        self.start_href = self._href(after=None) if start else ""

    def _ordered(self, rows: Sequence[T]) -> list[T]:
        name, descending = self.sort.lstrip("-"), self.sort.startswith("-")
        key = next(column.key for column in self._columns if column.name == name)
        assert key is not None, "only a column with a key is sorted by"
        known = [row for row in rows if key(row) is not None]
        unknown = [row for row in rows if key(row) is None]
        return sorted(known, key=key, reverse=descending) + unknown

    def _start(self, ordered: list[T], pages: Pages[T]) -> int:
        """The place behind the row that the last page ended with; the beginning when that row is gone."""
        after = self._query.get("after")
        return next((place for place, row in enumerate(ordered, start=1) if pages.identity(row) == after), 0)

    @property
    def headings(self) -> list[Heading]:
        return [self._heading(column) for column in self._columns]

    def _heading(self, column: Column[T]) -> Heading:
        if not column.key:
            return Heading(column.label, "", "", column.numeric)
        current = self.sort.lstrip("-") == column.name
        other = "" if self.sort.startswith("-") else "-"
        href = self._href(**{self._parameter: (other if current else column.first) + column.name, "after": None})
        direction = ("descending" if self.sort.startswith("-") else "ascending") if current else ""
        return Heading(column.label, href, direction, column.numeric)

    def _href(self, **changes: str | None) -> str:
        query = self._query.copy()
        for name, value in changes.items():
            query.pop(name, None)
            if value is not None:
                query[name] = value
        return "?" + query.urlencode()
