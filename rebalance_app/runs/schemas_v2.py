"""Runs, proposals, orders and decisions as API v2 writes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ordergen.apis.conventions import HexId, Strict
from rebalance_app.models import Decision, LimitSet, Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.proposals import stored as proposals
from rebalance_app.what_if.services import MAX_SCENARIOS, WhatIf

COUNTERS = ("solved", "no_trades", "time_limit", "infeasible", "failed", "cancelled")
MAX_PORTFOLIOS = 1_000
MAX_ORDERS = 5_000
Verdict = Literal["approved", "rejected"]
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


class RunIn(Strict):
    model_id: HexId
    portfolio_ids: list[HexId] | None = Field(
        None, min_length=1, max_length=MAX_PORTFOLIOS, description="Null: every portfolio that follows the model"
    )
    options: OptionValues = Field(
        {}, description=f"As of `ordergen solve`; decimals as strings. {FIELDS}", examples=[{"min_cash": "100.00"}]
    )
    note: str = Field("", max_length=500)


class LimitsIn(Strict):
    values: OptionValues = Field(
        description="All limits of the subject; what is not named is lifted. Decimals as strings, weights as "
        "fractions. " + FIELDS,
        examples=[{"min_cash": "500.00", "max_turnover": "0.10"}],
    )
    reason: str = Field(max_length=500, examples=["Mandate of 2026-11-01"])


class WhatIfIn(Strict):
    portfolio_id: HexId
    model_id: HexId | None = Field(None, description="May be left out for a portfolio that follows one model")
    options: list[OptionValues] = Field(
        min_length=1,
        max_length=MAX_SCENARIOS,
        description="One scenario each, complete in itself; the limits in force narrow every one of them. " + FIELDS,
        examples=[[{}, {"mode": "within_bands"}, {"max_turnover": "0.05"}]],
    )


class DecisionsIn(Strict):
    order_ids: list[HexId] = Field(min_length=1, max_length=MAX_ORDERS)
    verdict: Verdict
    comment: str = Field("", max_length=500, description="Needed for a rejection")


class RunDecisionIn(Strict):
    verdict: Verdict
    comment: str = Field("", max_length=500, description="Needed for a rejection")
    expected_count: int = Field(ge=0, description="How many orders you saw awaiting a decision; 409 if that changed")


class OrderFilter(Schema):
    run_id: HexId | None = None
    portfolio_id: HexId | None = None
    state: OrderState | None = None


class LimitsOut(Schema):
    scope: Scope
    subject_id: str
    values: dict[str, Any] = Field(examples=[{"min_cash": "500.00"}])
    reason: str
    set_by: str | None = Field(description="Null where nothing was ever set")
    set_at: datetime | None


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
    cash_after: Decimal | None
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
    scenarios: list[ScenarioOut]


class RunOut(Schema):
    id: str
    number: int
    state: str = Field(examples=["running"])
    model_id: str
    model_name: str
    model_version: int
    launched_by: str | None
    launched_at: datetime
    finished_at: datetime | None
    cancel_requested: bool
    options: dict[str, Any]
    note: str
    n_portfolios: int
    n_done: int
    outcomes: dict[str, int] = Field(description="Portfolios by outcome", examples=[{"solved": 98, "infeasible": 2}])
    n_orders: int
    n_awaiting: int


class ProgressOut(Schema):
    portfolios_ahead: int = Field(description="Portfolios of earlier runs that come first, while none of this is done")
    runs_ahead: int
    seconds_left: int | None = Field(description="About; null while there is nothing to measure it by")


class RunDetail(RunOut):
    progress: ProgressOut | None = Field(description="Null once the run has ended")


class ProposalSummary(Schema):
    run_id: str
    portfolio_id: str
    portfolio_name: str
    state: str
    reason_code: str
    reason: str
    method: str
    n_orders: int
    buy_value: Decimal
    sell_value: Decimal
    market_value: Decimal | None
    cash_before: Decimal | None
    cash_after: Decimal | None
    drift_before: Decimal | None
    drift_after: Decimal | None
    band_use_before: Decimal | None
    band_use_after: Decimal | None


class ProposalOut(ProposalSummary):
    document: dict[str, Any] | None = Field(
        description="Positions before and after, certificate, reasons; under a gain budget the realised gain, each "
        "position's part of it and the tax lots sold, and all lots it was computed from"
    )


class OrderOut(Schema):
    id: str
    run_id: str
    portfolio_id: str
    portfolio_name: str
    security_id: str
    ticker: str
    side: Literal["BUY", "SELL"]
    quantity: int
    price: Decimal
    value: Decimal
    weight_before: Decimal
    weight_after: Decimal
    reason: str = Field(examples=["BREACH_OVER"])
    state: str = Field(examples=["proposed"])


class DecisionOut(Schema):
    verdict: str
    decided_by: str
    decided_at: datetime
    comment: str
    content_hash: str


class OrderDetail(OrderOut):
    realised_gain: Decimal | None = Field(description="Of a sale under a gain budget")
    decisions: list[DecisionOut]


class Skipped(Schema):
    order_id: str
    reason: str


class Decided(Schema):
    n_decided: int
    n_skipped: int = Field(description="Orders left alone")
    reasons: dict[str, int] = Field(
        description="Why, each with how many orders: four-eyes, decided before, out of date",
        examples=[{"You launched this run: another approver must decide.": 12}],
    )
    skipped: list[Skipped] = Field(description="The first 1,000 of them by id, each with the reason")


def run_out(run: Rebalance) -> dict[str, Any]:
    names = ("number", "state", "model_id", "model_name", "model_version", "launched_at", "finished_at")
    more = ("cancel_requested", "options", "note", "n_portfolios", "n_done", "n_orders", "n_awaiting")
    return {
        "id": run.pk,
        **{name: getattr(run, name) for name in names + more},
        "launched_by": run.launched_by.username if run.launched_by else None,
        "outcomes": {name: getattr(run, f"n_{name}") for name in COUNTERS},
    }


def limits_out(scope: str, subject_id: str, limits: LimitSet | None) -> dict[str, Any]:
    return {
        "scope": scope,
        "subject_id": subject_id,
        "values": limits.values if limits else {},
        "reason": limits.reason if limits else "",
        "set_by": limits.set_by.username if limits else None,
        "set_at": limits.set_at if limits else None,
    }


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
        "scenarios": list(found.scenarios),
    }


def proposal_summary(row: PortfolioRebalance) -> dict[str, Any]:
    names = (name for name in ProposalSummary.model_fields if name != "run_id")
    return {"run_id": row.rebalance_id} | {name: getattr(row, name) for name in names}


def proposal_out(row: PortfolioRebalance) -> dict[str, Any]:
    document = None if row.document is None else {**row.document, "positions": proposals.lines(row)}
    return proposal_summary(row) | {"document": document}


def order_out(order: Order) -> dict[str, Any]:
    names = (name for name in OrderOut.model_fields if name not in {"id", "run_id"})
    return {"id": order.pk, "run_id": order.rebalance_id} | {name: getattr(order, name) for name in names}


def decision_out(decision: Decision) -> dict[str, Any]:
    names = ("verdict", "decided_at", "comment", "content_hash")
    return {"decided_by": decision.decided_by.username} | {name: getattr(decision, name) for name in names}
