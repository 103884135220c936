"""Orders and decisions as API v2 reads and writes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic import WithJsonSchema

from models_app.drift_index.live_drift import PortfolioView
from models_app.portfolios.schemas_v2 import DriftOut, drift_out
from ordergen.apis.conventions import HexId, Instant, SecurityId, Strict
from rebalance_app.judging.book_now import Verdict
from rebalance_app.models import Decision, Order, OrderMove, OrderState
from rebalance_app.order_states.as_it_will_be import ToBe
from rebalance_app.orders.decide import DecisionOutcome
from rebalance_app.orders.selectors import OrderView, last_decision
from rebalance_app.proposals.order_reasons import REASONS
from rebalance_app.proposals.schemas_v2 import CountedOrder

MAX_ORDERS = 5_000
OrderReason = Annotated[str, WithJsonSchema({"type": "string", "enum": list(REASONS)})]


class DecisionsIn(Strict):
    order_ids: list[HexId] = Field(min_length=1, max_length=MAX_ORDERS)
    verdict: Verdict
    comment: str = Field("", max_length=500, description="Needed for a rejection, and to approve what takes a reason")


class RunDecisionIn(Strict):
    verdict: Verdict
    comment: str = Field("", max_length=500, description="Needed for a rejection, and to approve what takes a reason")
    expected_count: int = Field(ge=0, description="How many orders you saw awaiting a decision; 409 if that changed")


class OrderFilter(Schema):
    run_id: HexId | None = None
    model_id: HexId | None = None
    portfolio_id: HexId | None = None
    security_id: SecurityId | None = None
    state: OrderState | None = None
    side: Literal["BUY", "SELL"] | None = None
    proposed_from: Instant | None = Field(None, description="The first second in which they were proposed")
    proposed_before: Instant | None = Field(None, description="The second after the last one")


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
    reason: OrderReason
    state: OrderState
    quantity_done: int | None = Field(description="Of the quantity; null while nobody said anything of it")
    known_at: datetime | None = Field(description="When it was approved, or what came of it last known")
    decided_by: str | None = Field(description="Who decided on it last")
    decided_at: datetime | None
    comment: str | None = Field(description="Of that decision")


class MoveOut(Schema):
    """What became of an order after it was decided on."""

    state_before: OrderState
    state_after: OrderState
    moved_by: str | None = Field(description="Null: no person did")
    moved_at: datetime
    quantity_done: int | None = Field(description="Of the order, in all")
    reason: str


class DecisionOut(Schema):
    verdict: Verdict
    decided_by: str
    decided_at: datetime
    comment: str
    content_hash: str


class OrderDetail(OrderOut):
    realised_gain: Decimal | None = Field(description="Of a sale under a gain budget")
    decisions: list[DecisionOut]
    moves: list[MoveOut] = Field(description="After the decisions, the first first")
    open_orders: list[CountedOrder] = Field(description="On their way when it was proposed, and counted as done then")


class OnTheirWay(Schema):
    """A portfolio as it will be once the orders on their way to it are done."""

    portfolio_id: str
    open_orders: list[CountedOrder] = Field(description="Approved, and not shown by its holdings yet")
    drift: DriftOut | None = Field(description="With all of them done, at today's prices; null where there are none")


class Skipped(Schema):
    order_id: str
    reason: str


class Decided(Schema):
    n_decided: int
    n_skipped: int = Field(description="Orders left alone")
    n_outdated: int = Field(description="Of those, orders refused for good, which are outdated now: rebalance again")
    reasons: dict[str, int] = Field(
        description="Why, each with how many orders: four-eyes, decided before, out of date, a price, the cash floor",
        examples=[{"You launched this run: another approver must decide.": 12}],
    )
    skipped: list[Skipped] = Field(description="The first 1,000 of them by id, each with the reason")


def order_out(order: Order) -> dict[str, Any]:
    """Of an order that was read WITH_DECISIONS."""
    told = {"id": order.pk, "run_id": order.rebalance_id} | _decided(last_decision(order))
    return told | {name: getattr(order, name) for name in OrderOut.model_fields if name not in told}


def _decided(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return dict.fromkeys(("decided_by", "decided_at", "comment"))
    by, at = decision.decided_by.username, decision.decided_at
    return {"decided_by": by, "decided_at": at, "comment": decision.comment}


def order_detail_out(view: OrderView) -> dict[str, Any]:
    more = {"realised_gain": view.realised_gain, "open_orders": view.counted}
    record = {"decisions": map(decision_out, view.decisions), "moves": map(move_out, view.moves)}
    return order_out(view.order) | more | {name: list(entries) for name, entries in record.items()}


def on_their_way_out(now: PortfolioView, to_be: ToBe | None) -> dict[str, Any]:
    orders = [one.to_json(to_be.prices) for one in to_be.coming] if to_be else []
    return {"portfolio_id": now.info.id, "open_orders": orders, "drift": drift_out(to_be.view) if to_be else None}


def move_out(move: OrderMove) -> dict[str, Any]:
    names = (name for name in MoveOut.model_fields if name != "moved_by")
    by = move.moved_by.username if move.moved_by else None
    return {"moved_by": by} | {name: getattr(move, name) for name in names}


def decision_out(decision: Decision) -> dict[str, Any]:
    names = ("verdict", "decided_at", "comment", "content_hash")
    return {"decided_by": decision.decided_by.username} | {name: getattr(decision, name) for name in names}


def decided_out(outcome: DecisionOutcome) -> dict[str, Any]:
    skipped = [{"order_id": order_id, "reason": reason} for order_id, reason in outcome.skipped]
    counts = {"n_decided": outcome.n_decided, "n_skipped": outcome.n_skipped, "n_outdated": outcome.n_outdated}
    return counts | {"reasons": dict(outcome.reasons), "skipped": skipped}
