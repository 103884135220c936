"""Options and limits as API v2 reads and writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ordergen.apis.conventions import Strict
from rebalance_app.models import LimitSet

Scope = Literal["model", "portfolio", "security"]


def _read_option(value: object) -> object:
    """One verdict at the option's own name, where a union would name each of its types beneath it."""
    if value is None or isinstance(value, str | int):
        return value
    raise PydanticCustomError("option", 'Input should be a text, a whole number, true, false or null; "0.5", not 0.5')


Option = Annotated[
    Any,
    BeforeValidator(_read_option),
    WithJsonSchema({"anyOf": [{"type": name} for name in ("string", "integer", "boolean", "null")]}),
]
OptionValues = dict[str, Option]
FIELDS = "Every name with its type, unit and default: [Help](/help/problems/#options)."


class LimitsIn(Strict):
    values: OptionValues = Field(
        description="All limits of the subject; what is not named is lifted. Decimals as strings, weights as "
        "fractions. " + FIELDS,
        examples=[{"min_cash": "500.00", "max_turnover": "0.10"}],
    )
    reason: str = Field(max_length=500, examples=["Mandate of 2026-11-01"])


class LimitsPatch(Strict):
    values: OptionValues = Field(
        min_length=1,
        description="The limits to set, or with null to lift; the others stay. " + FIELDS,
        examples=[{"min_cash": "500.00", "max_turnover": None}],
    )
    reason: str = Field(max_length=500, examples=["Mandate of 2026-11-01"])


class LimitsOut(Schema):
    scope: Scope
    subject_id: str
    values: dict[str, Any] = Field(examples=[{"min_cash": "500.00"}])
    reason: str
    set_by: str | None = Field(description="Null where nothing was ever set")
    set_at: datetime | None


def limits_out(scope: str, subject_id: str, limits: LimitSet | None) -> dict[str, Any]:
    return {
        "scope": scope,
        "subject_id": subject_id,
        "values": limits.values if limits else {},
        "reason": limits.reason if limits else "",
        "set_by": limits.set_by.username if limits else None,
        "set_at": limits.set_at if limits else None,
    }
