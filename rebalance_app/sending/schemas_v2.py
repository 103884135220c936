"""Batches as API v2 reads and writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Field, Schema

from ordergen.apis.conventions import HexId, Strict
from rebalance_app.models import Batch
from rebalance_app.orders.schemas_v2 import Skipped, decided_out
from rebalance_app.sending.services import Made

MAX_ORDERS = 5_000


class BatchIn(Strict):
    order_ids: list[HexId] | None = Field(None, min_length=1, max_length=MAX_ORDERS)
    run_id: HexId | None = Field(None, description="Instead: every approved order of this run")
    layout: Literal["orders", "broker", "fix44", "globeco"] = "orders"


class BatchOut(Schema):
    id: str
    number: int
    layout: str
    made_by: str
    made_at: datetime
    n_orders: int
    sha256: str = Field(description="Of the file")


class BatchMade(Schema):
    batch: BatchOut | None = Field(description="Null where every order was left alone")
    n_decided: int = Field(description="Orders that left")
    n_skipped: int
    reasons: dict[str, int]
    skipped: list[Skipped]


def batch_out(batch: Batch) -> dict[str, Any]:
    names = ("number", "layout", "made_at", "n_orders", "sha256")
    return {"id": batch.pk, "made_by": batch.made_by.username} | {name: getattr(batch, name) for name in names}


def made_out(made: Made) -> dict[str, Any]:
    return {"batch": batch_out(made.batch) if made.batch else None} | decided_out(made)
