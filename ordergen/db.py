"""What differs by database, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from bson import ObjectId
from django.db import connection, models, transaction

ROWS_PER_STATEMENT = 10_000


def object_id() -> str:
    """A new record id: 24 hex characters, ascending in time."""
    return str(ObjectId())


def atomic() -> AbstractContextManager[None]:
    """A transaction; on commit everything inside is there, else nothing is."""
    return transaction.atomic()


def one_at_a_time(name: str) -> None:
    """Inside a transaction: waits until no other transaction holds `name`, and holds it until the end of this one.

    SQLite's IMMEDIATE transactions already run one after another, so only PostgreSQL needs to be asked.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [name])


def bulk_insert(model: type[models.Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Inserts `rows` (values in the order of `fields`) by the fastest way the database has; returns how many.

    COPY on PostgreSQL, one prepared statement run many times on SQLite. Neither fills in defaults nor sends signals:
    every column that has no default in the database is to be named. Values are converted as the ORM would.
    """
    columns = [model._meta.get_field(name) for name in fields]  # noqa: SLF001  the documented way to a model's fields
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001
    names = ", ".join(connection.ops.quote_name(str(column.column)) for column in columns)  # type: ignore[union-attr]
    if connection.vendor == "postgresql":
        return _copy(f"COPY {table} ({names}) FROM STDIN", columns, rows)
    marks = ", ".join(["%s"] * len(columns))
    return _execute_many(f"INSERT INTO {table} ({names}) VALUES ({marks})", columns, rows)  # noqa: S608  our own names


def in_batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    """`values` in lists short enough for the parameters of one statement."""
    remaining = iter(values)
    while batch := list(islice(remaining, ROWS_PER_STATEMENT)):
        yield batch


def _prepared(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    converters = [column.get_db_prep_save for column in columns]
    for row in rows:
        yield [convert(value, connection) for convert, value in zip(converters, row, strict=True)]


def _copy(statement: str, columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> int:
    written = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for written, row in enumerate(_prepared(columns, rows), start=1):  # noqa: B007  the count outlives the loop
            copy.write_row(row)
    return written


def _execute_many(statement: str, columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> int:
    written = 0
    with connection.cursor() as cursor:
        for batch in in_batches(_prepared(columns, rows)):
            cursor.executemany(statement, batch)
            written += len(batch)
    return written
