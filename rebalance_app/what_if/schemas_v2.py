"""What-if as API v2 reads and writes it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ninja import Field, Schema

from ordergen.apis.conventions import HexId, Strict
from rebalance_app.limits.schemas_v2 import FIELDS, OptionValues
from rebalance_app.proposals.schemas_v2 import CountedOrder
from rebalance_app.what_if.services import MAX_SCENARIOS, WhatIf


class WhatIfIn(Strict):
    portfolio_id: HexId
    model_id: HexId | None = Field(None, description="May be left out for a portfolio that follows one model")
    options: list[OptionValues] = Field(
        min_length=1,
        max_length=MAX_SCENARIOS,
        description="One scenario each, complete in itself; the limits in force narrow every one of them. " + FIELDS,
        examples=[[{}, {"mode": "within_bands"}, {"max_turnover": "0.05"}]],
    )


class ScenarioTrade(Schema):
    security_id: str
    ticker: str
    side: Literal["BUY", "SELL"]
    quantity: int
    price: Decimal
    value: Decimal


class Applied(Schema):
    value: Any
    level: Literal["run", "portfolio", "model"] = Field(description="Whose limit this is; `run` is the scenario itself")


class ScenarioOut(Schema):
    options: dict[str, Any]
    limits: dict[str, Applied] = Field(description="What held: of scenario, portfolio and model the narrower")
    status: Literal["optimal", "time_limit", "infeasible", "error"]
    method: Literal["separable", "milp"] | None
    reasons: list[dict[str, Any]] = Field(examples=[[{"code": "SHORT_OF_CASH", "message": "…", "security_id": None}]])
    objective: Decimal | None
    lower_bound: Decimal | None
    gap: Decimal | None
    binding: list[str]
    seconds: float
    orders: int | None
    traded: Decimal | None = Field(description="Buys plus sells, in money")
    turnover: Decimal | None = Field(description="Half of that over market value")
    cost: Decimal | None = Field(description="Of trading, at the scenario's rates")
    realised_gain: Decimal | None = Field(description="Of all sales, highest cost first; null where lots do not tell")
    drift_before: Decimal | None = Field(description="Σ|market value × target − value|, in money")
    drift_after: Decimal | None
    cash_after: Decimal | None = Field(description="Before the cost of trading")
    cash_after_costs: Decimal | None = Field(description="What that cost leaves of it")
    breaches_before: int
    breaches_left: int | None
    trades: list[ScenarioTrade]
    nearest: dict[str, Any] | None = Field(description="The nearest answer, where asked for and there is none")


class WhatIfOut(Schema):
    portfolio_id: str
    portfolio_name: str
    model_id: str
    model_name: str
    model_version: int
    taken_at: datetime
    market_value: Decimal | None
    cash_before: Decimal
    open_orders: list[CountedOrder] = Field(
        description="Orders on their way: counted as done in all figures, those before included"
    )
    scenarios: list[ScenarioOut]


def what_if_out(found: WhatIf) -> dict[str, Any]:
    return {
        "portfolio_id": found.portfolio_id,
        "portfolio_name": found.portfolio_name,
        "model_id": found.model.pk,
        "model_name": found.model.name,
        "model_version": found.model.version,
        "taken_at": found.taken_at,
        "market_value": found.before.market_value,
        "cash_before": found.before.cash,
        "open_orders": [one.to_json(found.prices) for one in found.coming],
        "scenarios": list(found.scenarios),
    }
