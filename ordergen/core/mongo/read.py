"""What Django's queries cannot ask of MongoDB, or only slowly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import models

from ordergen.core.mongo.errors import translated


def newest_of_each(
    connection: Any, model: type[models.Model], names: tuple[str, str, str], keys: Sequence[str]
) -> Iterator[tuple[str, Any, Any]]:
    """See `newest_of_each` of ordergen/core/db.py. `names` are those of the foreign key, the order and the value.

    Sorted as an index has them and of each group the first: MongoDB jumps from group to group.
    """
    columns: list[Any] = [model._meta.get_field(name) for name in names]  # noqa: SLF001
    of, by, value = columns
    pipeline = [
        {"$match": {of.column: {"$in": list(keys)}}},
        {"$sort": {of.column: -1, by.column: -1}},
        {"$group": {"_id": f"${of.column}", **{c.column: {"$first": f"${c.column}"} for c in (by, value)}}},
    ]
    with translated():
        for found in connection.get_collection(model._meta.db_table).aggregate(pipeline, session=connection.session):  # noqa: SLF001
            yield found["_id"], *(_read(connection, column, found[column.column]) for column in (value, by))


def _read(connection: Any, column: Any, value: Any) -> Any:
    """The value of a field as Django reads it."""
    read = column.get_col(column.model._meta.db_table)  # noqa: SLF001
    for convert in (*connection.ops.get_db_converters(read), *column.get_db_converters(connection)):
        value = convert(value, read, connection)
    return value
