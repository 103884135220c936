"""Orders and decisions as API v2 reads and writes them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ninja import Field, Schema

from ordergen.apis.conventions import HexId, Strict
from rebalance_app.judging.book_now import Verdict
from rebalance_app.models import Decision, Order, OrderState
from rebalance_app.orders.decide import DecisionOutcome

MAX_ORDERS = 5_000


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
    portfolio_id: HexId | None = None
    state: OrderState | None = None


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
    n_outdated: int = Field(description="Of those, orders refused for good, which are outdated now: rebalance again")
    reasons: dict[str, int] = Field(
        description="Why, each with how many orders: four-eyes, decided before, out of date, a price, the cash floor",
        examples=[{"You launched this run: another approver must decide.": 12}],
    )
    skipped: list[Skipped] = Field(description="The first 1,000 of them by id, each with the reason")


def order_out(order: Order) -> dict[str, Any]:
    names = (name for name in OrderOut.model_fields if name not in {"id", "run_id"})
    return {"id": order.pk, "run_id": order.rebalance_id} | {name: getattr(order, name) for name in names}


def decision_out(decision: Decision) -> dict[str, Any]:
    names = ("verdict", "decided_at", "comment", "content_hash")
    return {"decided_by": decision.decided_by.username} | {name: getattr(decision, name) for name in names}


def decided_out(outcome: DecisionOutcome) -> dict[str, Any]:
    skipped = [{"order_id": order_id, "reason": reason} for order_id, reason in outcome.skipped]
    counts = {"n_decided": outcome.n_decided, "n_skipped": outcome.n_skipped, "n_outdated": outcome.n_outdated}
    return counts | {"reasons": dict(outcome.reasons), "skipped": skipped}
