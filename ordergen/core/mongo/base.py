"""Django's transactions on MongoDB, and what else the product asks of a database that is not the same everywhere.

MongoDB's backend makes Django's `atomic` a no-op and has another one of its own, by which neither `on_commit` nor any
library that says `atomic` knows of a transaction. Here Django's drives the session: everything written inside is there
on commit, else nothing is. There are no savepoints, so what fails in a block within another undoes the outer one too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from typing import Any

from bson import Decimal128
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import format_number
from django.db.utils import NotSupportedError, OperationalError
from django_mongodb_backend import base, schema
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ordergen.core.mongo import read, write
from ordergen.core.mongo.errors import translated
from ordergen.core.mongo.locks import LockHeldError, Locks

_MAYBE_COMMITTED = "UnknownTransactionCommitResult"
_CONFLICT = "TransientTransactionError"  # nothing of the transaction is there; another try may do
COMMIT_SECONDS = 30.0  # until an unclear answer to a commit is given up


class DatabaseOperations(base.DatabaseOperations):  # type: ignore[misc]  # the backend has no types
    def adapt_decimalfield_value(
        self, value: Decimal | None, max_digits: int | None = None, decimal_places: int | None = None
    ) -> Decimal128 | None:
        """With the places of its column, as other databases keep it; the backend would keep more, or fewer."""
        text = format_number(value, max_digits, decimal_places)
        return None if text is None else Decimal128(text)


class SchemaEditor(schema.DatabaseSchemaEditor):  # type: ignore[misc]  # the backend has no types
    def add_index(self, model: type[models.Model], index: models.Index, **options: Any) -> None:
        """An index of some rows is one of all where MongoDB's partial indexes do not take its condition."""
        try:
            super().add_index(model, index, **options)
        except NotSupportedError:
            if index.condition is None:
                raise
            whole = index.clone()
            whole.condition = None
            super().add_index(model, whole, **options)


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc]  # the backend has no types
    """The `connection` where DATABASE_URL names a MongoDB."""

    ops_class = DatabaseOperations
    SchemaEditorClass = SchemaEditor
    # Django's own, in place of the backend's that know only the backend's own transactions.
    set_autocommit = BaseDatabaseWrapper.set_autocommit
    on_commit = BaseDatabaseWrapper.on_commit

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.locks = Locks(self)

    @cached_property
    def has_transactions(self) -> bool:
        """Whether the server is one of a replica set or of a sharded cluster."""
        with translated():
            return bool(self.features._supports_transactions)  # noqa: SLF001  the backend's name for exactly this

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A client, which connects only when it is asked something: here, so that whoever is not there is said so."""
        client = super().get_new_connection(conn_params)
        with translated():
            client.admin.command("ping")
        return client

    def is_usable(self) -> bool:
        try:
            self.connection.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit or not self.has_transactions:
            return
        with translated():
            self.session = self.connection.start_session()
            self.session.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority"))

    def _commit(self) -> None:
        try:
            if self.session:
                self._commit_session()
        finally:
            self._end()

    def _commit_session(self) -> None:
        """Asks again for as long as the answer is unclear: a commit that was carried out is only said so again."""
        deadline = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                with translated():
                    self.session.commit_transaction()
            except OperationalError as error:
                if not _has_label(error, _MAYBE_COMMITTED):
                    raise
                if time.monotonic() > deadline:
                    told = "MongoDB did not say whether the change was carried out: look before you repeat it"
                    raise OperationalError(told) from None
            else:
                return

    def _rollback(self) -> None:
        try:
            if self.session and self.session.in_transaction:
                with translated():
                    self.session.abort_transaction()
        finally:
            self._end()

    def _end(self) -> None:
        session, self.session = self.session, None
        try:
            if session:
                session.end_session()
        finally:
            self.locks.release()

    # What ordergen/core/db.py asks for.

    def one_at_a_time(self, name: str) -> None:
        self.locks.take(name, seconds=settings.LOCK_SECONDS)
        if not self.in_atomic_block:  # there is no end of a transaction to hold it until
            self.locks.release()

    @contextmanager
    def as_of_one_moment(self) -> Iterator[None]:
        """A session that reads as of its first read; a server by itself has none, and reads what is there."""
        if not self.has_transactions:
            yield
            return
        self.ensure_connection()
        with self.connection.start_session(snapshot=True) as session:
            self.session = session
            try:
                yield
            finally:
                self.session = None

    def is_busy(self, error: BaseException) -> bool:
        """Whether another try may help: a lock not had, writers in conflict, or a server that did not answer."""
        is_lost = isinstance(error.__cause__, ConnectionFailure)
        return isinstance(error, LockHeldError) or is_lost or _has_label(error, _CONFLICT)

    def newest_of_each(
        self, model: type[models.Model], of: str, keys: Sequence[str], by: str, value: str
    ) -> Iterator[tuple[str, Any, Any]]:
        return read.newest_of_each(self, model, (of, by, value), keys)

    def bulk_insert(self, model: type[models.Model], columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> int:
        return write.insert(self, model, columns, rows)

    def bulk_update(
        self,
        model: type[models.Model],
        changed: Sequence[Any],
        rows: Iterable[tuple[Any, ...]],
        where: Mapping[Any, Any],
    ) -> int:
        return write.update(self, model, changed, rows, where)


def _has_label(error: BaseException, label: str) -> bool:
    cause = error.__cause__
    return isinstance(cause, PyMongoError) and cause.has_error_label(label)
