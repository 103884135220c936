"""A column that keeps a decimal as it was delivered, on every database."""

from __future__ import annotations

from decimal import Context, Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.exceptions import ValidationError
from django.db import connection, models

from ordergen.core.errors import promised

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor

    _DecimalField = models.DecimalField[Any, Any]
else:
    _DecimalField = models.DecimalField

_AS_A_DOUBLE = Context(prec=15)  # the digits that SQLite's decimal columns kept


def plain(number: Decimal) -> str:
    """The one text of a number: no exponent, no zero behind the last decimal, and zero without a sign."""
    if not number:
        return "0"
    whole, _, fraction = format(number, "f").partition(".")
    return f"{whole}.{fraction}" if (fraction := fraction.rstrip("0")) else whole


class ExactDecimalField(_DecimalField):
    """A decimal that comes back with every digit it was given, and is spelled alike on every database.

    PostgreSQL keeps it as numeric and MongoDB as Decimal128, both exact. SQLite has only doubles, of which 15 digits
    are; there it is text in the one spelling of `plain`, so that equal numbers are equal texts: `exact` and `in` find
    them. What does not fit (NaN, infinity, digits beyond the field's) is a ValidationError, never rounded, and so is a
    float, which is not the number that somebody wrote. PostgreSQL's numeric has no precision here: that would round
    without a word, and have the whole table written anew to become another.

    Text has no order of numbers: on SQLite, sort and compare by a float beside it, or in Python. Only comparing with
    zero is right there too, for a sign comes before all digits. A sum made by SQLite is a double, and refused.
    """

    def get_internal_type(self) -> str:
        """Text to Django where it is text to the database, lest it cast it to a number."""
        return "TextField" if connection.vendor == "sqlite" else "DecimalField"

    def db_type(self, connection: Any) -> str | None:
        return "numeric" if connection.vendor == "postgresql" else super().db_type(connection)

    @cached_property
    def whole_below(self) -> int:
        """Whole numbers on this side of it, of either sign, a driver may be given as they are, even for text."""
        return int(10 ** (self.max_digits - self.decimal_places))

    def to_python(self, value: Any) -> Decimal | None:
        if isinstance(value, float):
            raise ValidationError(self.error_messages["invalid"], code="invalid", params={"value": value})
        number: Decimal | None = super().to_python(value)
        return number

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: ARG002  Django's
        """Also what bulk_insert writes, on every database."""
        if value is None or hasattr(value, "as_sql"):
            return value
        text = self.canonical(value)
        if connection.vendor == "sqlite":
            return text
        return connection.ops.adapt_decimalfield_value(Decimal(text), self.max_digits, self.decimal_places)

    def from_db_value(self, value: Any, _expression: Any, connection: Any) -> Decimal | None:
        if value is None:
            return None
        if connection.vendor != "sqlite":
            return Decimal(plain(value))
        if not isinstance(value, str):
            raise TypeError(f"SQLite computed {value!r} in floats: compute with the {self.name} in Python.")
        return Decimal(value)

    def canonical(self, value: Any) -> str:
        """The text of `value`; raises ValidationError unless the column holds it exactly."""
        most_whole = self.max_digits - self.decimal_places
        number = promised(self.to_python(value), "none is written as NULL, and has no text")
        if number and not -self.decimal_places <= number.adjusted() < most_whole:
            self._refuse(number)  # before a huge exponent is written out
        text = plain(number)
        if len(text.partition(".")[2]) > self.decimal_places:
            self._refuse(number)
        return text

    def _refuse(self, number: Decimal) -> NoReturn:
        whole, places = self.max_digits - self.decimal_places, self.decimal_places
        holds = f"{self.name} holds exactly: {whole} digits before the point and {places} behind it"
        raise ValidationError(f"{number:.40} is more than {holds}.", code="too_many_digits")


def respell(schema_editor: BaseDatabaseSchemaEditor, model: type[models.Model], name: str) -> None:
    """In a migration, after a decimal column became exact: its texts in their one spelling.

    SQLite wrote the doubles out when it copied the table. How is for its version to say: with an exponent, or with
    digits beyond those that a double keeps.
    """
    if schema_editor.connection.vendor != "sqlite":
        return
    field, key = model._meta.get_field(name), model._meta.pk  # noqa: SLF001  the documented way to a model's fields
    if not isinstance(field, ExactDecimalField):
        raise TypeError(f"{name} of {model.__name__} is no exact decimal")
    names = (model._meta.db_table, str(field.column), str(key.column))  # noqa: SLF001
    table, column, pk = map(schema_editor.quote_name, names)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"SELECT {column}, {pk} FROM {table} WHERE {column} GLOB '*[.eE]*'")  # noqa: S608  our own names
        spelled = ((_from_double(field, text), text, row) for text, row in cursor)
        wrong = [(right, row) for right, text, row in spelled if right != text]
        cursor.executemany(f"UPDATE {table} SET {column} = %s WHERE {pk} = %s", wrong)  # noqa: S608


def _from_double(field: ExactDecimalField, text: str) -> str:
    return field.canonical(round(_AS_A_DOUBLE.create_decimal(text), field.decimal_places))
