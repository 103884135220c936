"""Many documents at once, past Django's objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from django.db import IntegrityError, models
from pymongo import UpdateOne

from ordergen.core.mongo.errors import translated

DOCUMENTS_AT_ONCE = 1_000
_PLAIN = (models.CharField, models.IntegerField, models.FloatField, models.BooleanField)


def insert(connection: Any, model: type[models.Model], columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> int:
    """Inserts `rows`, values in the order of `columns`; what is not among them is None. Returns how many.

    Raises IntegrityError where None may not be: MongoDB itself would take it.
    """
    others = {field.column: _allowed(field, None) for field in model._meta.concrete_fields if field not in columns}  # noqa: SLF001
    names, kept = [column.column for column in columns], _kept(connection, columns)
    collection, written = connection.get_collection(model._meta.db_table), 0  # noqa: SLF001
    documents = ({**others, **dict(zip(names, kept(row), strict=True))} for row in rows)
    while batch := list(islice(documents, DOCUMENTS_AT_ONCE)):
        with translated():
            collection.insert_many(batch, session=connection.session)
        written += len(batch)
    return written


def update(
    connection: Any,
    model: type[models.Model],
    changed: Sequence[Any],
    rows: Iterable[tuple[Any, ...]],
    where: Mapping[Any, Any],
) -> int:
    """Sets the columns `changed` of rows given as (primary key, value, …), where `where` holds. Returns of how many."""
    conditions = dict(zip((c.column for c in where), _kept(connection, list(where))(where.values()), strict=True))
    key: Any = model._meta.pk.column  # noqa: SLF001
    names, kept = [c.column for c in changed], _kept(connection, changed)
    changes = (
        UpdateOne({key: row[0], **conditions}, {"$set": dict(zip(names, kept(row[1:]), strict=True))}) for row in rows
    )
    collection, matched = connection.get_collection(model._meta.db_table), 0  # noqa: SLF001
    while batch := list(islice(changes, DOCUMENTS_AT_ONCE)):
        with translated():
            matched += collection.bulk_write(batch, ordered=False, session=connection.session).matched_count
    return matched


def _kept(connection: Any, columns: Sequence[Any]) -> Any:
    """What makes of the values of a row those that MongoDB keeps, as Django's own insert would."""
    converts = [None if _is_plain(column) else column.get_db_prep_save for column in columns]

    def kept(values: Iterable[Any]) -> Iterator[Any]:
        for column, value, convert in zip(columns, values, converts, strict=True):
            yield _allowed(column, value if convert is None else convert(value, connection))

    return kept


def _allowed(column: Any, value: Any) -> Any:
    if value is None and not column.null:
        raise IntegrityError(f"{column.model._meta.db_table}.{column.column} may not be empty")  # noqa: SLF001
    return value


def _is_plain(column: Any) -> bool:
    return isinstance(column.target_field if column.is_relation else column, _PLAIN)
