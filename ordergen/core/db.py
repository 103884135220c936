"""What differs by database, and nothing else."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.models import Aggregate, Case, CharField, Func, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual
from django.utils import timezone

from ordergen.core.errors import BrokenPromiseError, BusyError, CannotWriteNowError, DiskFullError, promised
from ordergen.core.exact_decimal import ExactDecimalField

Record = TypeVar("Record", bound=models.Model)
ROWS_PER_STATEMENT = 10_000
_BEHIND_ALL = "g"  # keys are hexadecimal
_SQLITE_BUSY = (5, 6)  # SQLITE_BUSY and SQLITE_LOCKED
# SQLITE_FULL, and what it says where the file system lets it write no more, or not let the file beside it grow.
_SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_POSTGRES_FULL = "53100"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Of PostgreSQL: connection lost, too many connections, shutting down; a lock not had, a deadlock, writers in conflict.
_POSTGRES_BUSY = ("08", "53", "57P", "55P03", "40")


def _mongo() -> Any:
    """The connection where it is to a MongoDB (ordergen/core/mongo/base.py), else None."""
    return connection if connection.vendor == "mongodb" else None


def this_moment() -> datetime:
    """The present moment as the database keeps it, which is what a signature over it has to say."""
    moment = timezone.now()
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) if _mongo() else moment


def answers() -> bool:
    """Whether the database is there; asks it."""
    try:
        if mongo := _mongo():
            mongo.ensure_connection()
            return bool(mongo.is_usable())
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError:
        return False
    return True


def promises() -> str:
    """What an operator has to know of the promises that this database keeps; empty where it keeps all."""
    mongo = _mongo()
    if mongo is None or mongo.has_transactions:
        return ""
    return (
        "this MongoDB is no replica set and has no transactions: a single document is written whole or not at all, but "
        "a change of several may stay half done when a process dies. Make it a replica set, one server is enough."
    )


def atomic() -> AbstractContextManager[None]:
    """A transaction; on commit everything inside is there, else nothing is."""
    return transaction.atomic()


@contextmanager
def as_of_one_moment() -> Iterator[None]:
    """All that is read inside is as it was at the first read, and nobody who writes waits for it.

    Not by `atomic`, whose transactions lock all others out on SQLite. Inside of one this changes nothing.
    """
    if connection.in_atomic_block:
        yield
        return
    if mongo := _mongo():
        with mongo.as_of_one_moment():
            yield
        return
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if is_postgres else "BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def one_at_a_time(name: str, *, shared: bool = False) -> None:
    """Inside a transaction: waits until no other transaction holds `name`, and holds it until the end of this one.

    Any number may hold it `shared`, while nobody holds it alone; on MongoDB nobody shares. SQLite's IMMEDIATE
    transactions already run one after another, and need not be asked.
    """
    if mongo := _mongo():
        mongo.one_at_a_time(name)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
            cursor.execute(f"SELECT {lock}(hashtext(%s))", [name])


@contextmanager
def held_alone(name: str) -> Iterator[None]:
    """Outside of transactions, which there may be several of inside: no other process holds `name` until the end.

    Raises OperationalError on PostgreSQL where somebody else holds it for longer than we wait for any lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
            try:
                yield
            finally:
                cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [name])
        return
    with Path(settings.STATE_DIR, f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Columns(Func):
    """Several columns compared as one: `(a, b) >= (1, 2)`."""

    function = ""
    template = "(%(expressions)s)"
    output_field = CharField()


def in_a_row(
    rows: QuerySet[Record], column: str, value: str, *, after: str = "", before: str = "", is_rising: bool = True
) -> QuerySet[Record]:
    """Rows whose `column` is `value`, in the order of the key, from behind the key `after`: an index has them in a row.

    Of rising ones those below `before`, where it is given.

    Bounds and order name both its columns. Were the one merely equal to `value` (so `rows` may not say that already),
    PostgreSQL might walk the primary key instead and throw away all other rows, which takes as long as the table is.
    MongoDB does not, and compares no two columns as one.
    """
    sign = "" if is_rising else "-"
    if _mongo():
        behind = {f"pk__{'gt' if is_rising else 'lt'}": after} if after else {}
        ahead = {"pk__lt": before} if before and is_rising else {}
        return rows.filter(**{column: value}, **behind, **ahead).order_by(f"{sign}{column}", f"{sign}pk")
    first, last = (after, before or _BEHIND_ALL) if is_rising else ("", after or _BEHIND_ALL)
    place = _Columns(column, "pk")
    found = rows.filter(
        GreaterThanOrEqual(place, _Columns(Value(value), Value(first))),
        LessThanOrEqual(place, _Columns(Value(value), Value(last))),
    )
    return found.exclude(pk=after).order_by(f"{sign}{column}", f"{sign}pk")


def newest_of_each(
    rows: QuerySet[Any], of: str, keys: Iterable[str], *, by: str, value: str
) -> Iterator[tuple[str, Any, Any]]:
    """Of the rows that point by `of` to each of `keys`, the one with the highest `by`: (key, its `value`, its `by`).

    Two index seeks for each key: a maximum over all would read the whole history. MongoDB would look through all rows
    for each key, and is asked otherwise (ordergen/core/mongo/read.py).
    """
    for batch in in_batches(dict.fromkeys(keys)):
        if mongo := _mongo():
            yield from mongo.newest_of_each(rows.model, of, batch, by, value)
            continue
        newest = rows.filter(**{of: OuterRef("pk")}).order_by(f"-{by}")
        subjects = rows.model._meta.get_field(of).related_model._default_manager.order_by().filter(pk__in=batch)  # noqa: SLF001
        found = subjects.annotate(its=Subquery(newest.values(value)[:1]), at=Subquery(newest.values(by)[:1]))
        yield from (row for row in found.values_list("pk", "its", "at") if row[2] is not None)


class Joined(Aggregate):
    """The texts of some rows as one, with the second expression between them."""

    function = "STRING_AGG"
    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="GROUP_CONCAT", **context)

    def as_mql_expr(self, compiler: Any, connection: Any, **_options: Any) -> Any:
        """MongoDB gives a list, with None for what the filter leaves out."""
        text: Any = self.source_expressions[0]
        wanted: Any = Case(When(self.filter, then=text)) if self.filter else text
        return {"$push": wanted.as_mql(compiler, connection, as_expr=True)}

    def convert_value(self, value: Any, _expression: Any, _connection: Any) -> Any:
        if not isinstance(value, list):
            return value
        between: Any = self.source_expressions[1]
        return str(between.value).join(text for text in value if text is not None)


@contextmanager
def along_an_index() -> Iterator[None]:
    """Queries inside find their order in an index; they never sort.

    PostgreSQL's statistics are older than the last run, or missing. From them a million orders can look like so few
    that reading and sorting all of them for a page of fifty seems cheaper.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off")
        yield


def refusal(error: BaseException | None) -> CannotWriteNowError | None:
    """What to tell whoever asked for what the database, or the disk, could not do now; None for any other error."""
    if _is_full(error):
        return DiskFullError()
    return BusyError() if is_busy(error) else None


def _is_full(error: BaseException | None) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    if getattr(cause, "sqlite_errorcode", None) in _SQLITE_FULL:
        return True
    return getattr(cause, "sqlstate", None) == _POSTGRES_FULL


def is_busy(error: BaseException | None) -> bool:
    """Whether the database only could not now (a lock, a deadlock, no connection), so that trying again may help."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else None
    if (code := getattr(cause, "sqlite_errorcode", None)) is not None:
        return code & 0xFF in _SQLITE_BUSY
    if mongo := _mongo():
        return isinstance(error, DatabaseError) and bool(mongo.is_busy(error))
    if connection.vendor != "postgresql" or not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(cause, "sqlstate", None)  # none: it did not even answer
    return state is None or (state.startswith(_POSTGRES_BUSY) and state != _POSTGRES_FULL)


def bulk_insert(model: type[models.Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Inserts `rows` (values in the order of `fields`) by the fastest way the database has; returns how many.

    COPY on PostgreSQL, one prepared statement run many times on SQLite, documents on MongoDB. None of them fills in
    defaults or sends signals: every column that has no default in the database is to be named. A Decimal (or its text)
    is to have no more places than its column, which only an ExactDecimalField looks after itself; a foreign key is
    given as the key.
    """
    columns = [model._meta.get_field(name) for name in fields]  # noqa: SLF001  the documented way to a model's fields
    if mongo := _mongo():
        _must_be_in_a_transaction()
        return int(mongo.bulk_insert(model, columns, rows))
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001
    names = ", ".join(connection.ops.quote_name(str(column.column)) for column in columns)  # type: ignore[union-attr]
    if connection.vendor == "postgresql":
        return _copy(f"COPY {table} ({names}) FROM STDIN", _prepared(columns, rows))
    marks = ", ".join(["?"] * len(columns))
    return _execute_many(f"INSERT INTO {table} ({names}) VALUES ({marks})", _prepared(columns, rows))  # noqa: S608


def bulk_update(
    model: type[models.Model], fields: Sequence[str], rows: Iterable[tuple[Any, ...]], where: Mapping[str, Any]
) -> int:
    """Sets `fields` of many rows, each given as (primary key, value, …), but only where `where` still holds.

    Returns how many rows were changed: fewer than given when some no longer were as `where` says.
    """
    if mongo := _mongo():
        _must_be_in_a_transaction()
        get = model._meta.get_field  # noqa: SLF001
        return int(mongo.bulk_update(model, list(map(get, fields)), rows, {get(name): where[name] for name in where}))
    columns = [model._meta.get_field(name) for name in (*fields, model._meta.pk.name, *where)]  # noqa: SLF001
    quoted = [connection.ops.quote_name(str(column.column)) for column in columns]  # type: ignore[union-attr]
    mark = "%s" if connection.vendor == "postgresql" else "?"
    changes = ", ".join(f"{name} = {mark}" for name in quoted[: len(fields)])
    conditions = " AND ".join(f"{name} = {mark}" for name in quoted[len(fields) :])
    table = connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001
    values = ((*row[1:], row[0], *where.values()) for row in rows)
    return _execute_many(f"UPDATE {table} SET {changes} WHERE {conditions}", _prepared(columns, values))  # noqa: S608


def in_batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    """`values` in lists short enough for the parameters of one statement."""
    remaining = iter(values)
    while batch := list(islice(remaining, ROWS_PER_STATEMENT)):
        yield batch


# What the drivers take as it is; the ORM's conversion of these costs more than the insert itself.
_PLAIN = (models.CharField, models.IntegerField, models.DecimalField, models.FloatField, models.BooleanField)


def _prepared(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    """The rows with dates, JSON and the like converted as the ORM would."""
    special = [
        (at, column.get_db_prep_save, getattr(column, "whole_below", 0))
        for at, column in enumerate(columns)
        if not _is_plain(column.target_field if column.is_relation else column)
    ]
    return _converted(special, rows) if special else rows


def _is_plain(column: Any) -> bool:
    return isinstance(column, _PLAIN) and not isinstance(column, ExactDecimalField)


def _converted(special: Sequence[tuple[int, Any, int]], rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Rows with what each conversion makes of the value at its place, but for whole numbers below its bound.

    Rows often carry the very same moment; what was converted for the row before is not converted again.
    """
    before: dict[int, Any] = {}
    done: dict[int, Any] = {}
    database = connections[DEFAULT_DB_ALIAS]  # itself, for `connection` looks it up at every touch
    for row in rows:
        values: list[Any] = []
        for at, convert, whole_below in special:
            value = row[at]
            if type(value) is int and -whole_below < value < whole_below:
                continue  # as most holdings are, by the million
            if at not in before or value is not before[at]:
                before[at], done[at] = value, convert(value, database)
            values = values or list(row)
            values[at] = done[at]
        yield values or row


def _must_be_in_a_transaction() -> None:
    if not connection.in_atomic_block:
        raise BrokenPromiseError("half a batch must never stay: it is written in a transaction")


def _copy(statement: str, rows: Iterable[Sequence[Any]]) -> int:
    """Errors are Django's: its cursor wraps those of its own methods only, and COPY is none."""
    written = 0
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for written, row in enumerate(rows, start=1):  # noqa: B007  the count outlives the loop
            copy.write_row(row)
    return written


def _execute_many(statement: str, rows: Iterable[Sequence[Any]]) -> int:
    """Past Django's cursor, which would translate the marks of each batch; errors are Django's all the same."""
    _must_be_in_a_transaction()
    native = promised(connection.connection, "a transaction has a connection")
    with connection.wrap_database_errors:
        cursor = native.cursor()
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)
