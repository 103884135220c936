"""Models as API v1 reads and writes them. Types and shapes only: what a model may say is in `rules`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.models import InvestmentModel
from ordergen.apis.json import Body
from ordergen.core.times import zulu

_PLAIN_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,2})?", re.ASCII)
_LARGEST_EXPONENT = 40  # arithmetic on 1e1000000 would take for ever
_LARGEST_INTEGER = 2**31 - 1  # of a database column


def read_number(value: object) -> Decimal:
    """A JSON number or a string that spells one; nothing else, least of all true, NaN or "1_000"."""
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        return Decimal(value.strip())
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_LARGEST_EXPONENT:
        return Decimal(value)
    if isinstance(value, Decimal) and abs(value.adjusted()) <= _LARGEST_EXPONENT:
        return value
    raise PydanticCustomError("decimal_parsing", "Input should be a valid decimal")


def read_integer(value: object) -> int:
    """A whole JSON number or a string of digits; a boolean is neither."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,10}", value, re.ASCII):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise PydanticCustomError("int_parsing", "Input should be a valid integer")


def _in_utc(given: datetime) -> datetime:
    if given.tzinfo is None:
        return given.replace(tzinfo=UTC)
    try:
        return given.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("In UTC this date lies outside the years 1 to 9999") from error


Number = Annotated[
    Decimal,
    BeforeValidator(read_number),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["0.05"]}),
]
Version = Annotated[int, BeforeValidator(read_integer), Field(gt=0, le=_LARGEST_INTEGER)]

Instant = Annotated[datetime, AfterValidator(_in_utc)]
PortfolioKey = Annotated[str, AfterValidator(str.lower)]

# Documented as it should be, checked by the routes themselves: the contract wants 400 for a bad id in a path.
PathId = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{24}$"})]


class PositionIn(Body):
    security_id: str = Field(examples=["0000000000000000000000A1"])
    target: Number
    low_drift: Number
    high_drift: Number

    def to_draft(self) -> PositionDraft:
        return PositionDraft(self.security_id, self.target, self.low_drift, self.high_drift)


class ModelIn(Body):
    name: str = Field(examples=["Balanced"])
    positions: list[PositionIn] = []
    portfolios: list[PortfolioKey] = Field(examples=[["68a0c0ffee0000000000beef"]])

    def to_draft(self) -> ModelDraft:
        return ModelDraft(self.name, tuple(position.to_draft() for position in self.positions), tuple(self.portfolios))


class ModelPut(ModelIn):
    """A full replacement: what is left out becomes empty."""

    version: Version
    last_rebalance_date: Instant | None = None


class PortfoliosIn(Body):
    portfolios: list[PortfolioKey] = Field(examples=[["68a0c0ffee0000000000beef"]])


class PositionOut(Schema):
    security_id: str
    target: str
    low_drift: str
    high_drift: str


class ModelOut(Schema):
    model_id: str
    name: str
    positions: list[PositionOut]
    portfolios: list[str]
    last_rebalance_date: str | None
    version: int


def model_body(model: InvestmentModel, content: dict[str, Any]) -> dict[str, Any]:
    """A model as v1 shows it; `content` is the document of its current version, with decimals as they were written."""
    return {
        "model_id": model.pk,
        "name": model.name,
        "positions": content["positions"],
        "portfolios": content["portfolios"],
        "last_rebalance_date": model.last_rebalance_at and zulu(model.last_rebalance_at),
        "version": model.version,
    }
