"""Closing orders, and what holdings show of them, as API v2 reads and writes it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ninja import Field, Schema

from ordergen.apis.conventions import HexId, Strict
from rebalance_app.closing.fits import Fit, Fits, Showing
from rebalance_app.closing.services import Closing
from rebalance_app.models import OrderState

MAX_ORDERS = 5_000


class ClosingIn(Strict):
    order_id: HexId
    outcome: Literal["closed", "cancelled", "lapsed"]
    quantity: int | None = Field(
        None, description="Shares done in all. Null: all of a closed order, else what is known"
    )
    reason: str = Field("", max_length=500, description="Where it is not the reason of them all")


class ClosingsIn(Strict):
    orders: list[ClosingIn] = Field(min_length=1, max_length=MAX_ORDERS)
    reason: str = Field("", max_length=500, description="Needed where an order brings none of its own")


class FitOut(Schema):
    order_id: str
    run_id: str
    portfolio_id: str
    portfolio_name: str
    security_id: str
    ticker: str
    side: Literal["BUY", "SELL"]
    quantity: int
    state: OrderState
    held: Decimal
    stated_at: datetime
    shows: Showing
    quantity_done: int = Field(description="Of the order, in all, as far as that can be told")
    why: str = Field(description="Why an order does not fit")


class FitsOut(Schema):
    counts: dict[str, int] = Field(examples=[{"done": 12, "partly_done": 1, "not_done": 3, "does_not_fit": 1}])
    seen: str = Field(description="Stands for all of them; a confirmation names it")
    items: list[FitOut] = Field(description="The first 200")


class ConfirmationIn(Strict):
    seen: str = Field(max_length=64)


class Confirmed(Schema):
    counts: dict[str, int]


def closings_in(payload: ClosingsIn) -> list[Closing]:
    return [Closing(one.order_id, one.outcome, one.quantity, one.reason) for one in payload.orders]


def _fit_out(fit: Fit) -> dict[str, Any]:
    order = fit.order
    of_order = ("portfolio_id", "portfolio_name", "security_id", "ticker", "side", "quantity", "state")
    return {
        "order_id": order.pk,
        "run_id": order.rebalance_id,
        **{name: getattr(order, name) for name in of_order},
        **{name: getattr(fit, name) for name in ("held", "stated_at", "shows", "why")},
        "quantity_done": fit.done,
    }


def fits_out(fits: Fits) -> dict[str, Any]:
    return {"counts": dict(fits.counts), "seen": fits.seen, "items": [_fit_out(fit) for fit in fits.shown]}
