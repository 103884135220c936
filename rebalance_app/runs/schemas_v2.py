"""Runs as API v2 reads and writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ninja import Field, Schema

from ordergen.apis.conventions import HexId, Strict
from rebalance_app.limits.schemas_v2 import FIELDS, OptionValues
from rebalance_app.models import Rebalance, RunState

MAX_PORTFOLIOS = 1_000


class RunIn(Strict):
    model_id: HexId
    portfolio_ids: list[HexId] | None = Field(
        None, min_length=1, max_length=MAX_PORTFOLIOS, description="Null: every portfolio that follows the model"
    )
    options: OptionValues = Field(
        {}, description=f"As of `ordergen solve`; decimals as strings. {FIELDS}", examples=[{"min_cash": "100.00"}]
    )
    note: str = Field("", max_length=500)
    open_orders: Literal["net", "leave_out"] = Field(
        "net", description="About orders on their way: count them as done, or leave their portfolios out"
    )


class RunOut(Schema):
    id: str
    number: int
    state: RunState
    model_id: str
    model_name: str
    model_version: int
    launched_by: str | None
    launched_at: datetime
    finished_at: datetime | None
    cancel_requested: bool
    options: dict[str, Any]
    open_orders: Literal["net", "leave_out", "ignore"] = Field(
        description="`ignore`: launched through API v1, or before orders were followed"
    )
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


def run_out(run: Rebalance) -> dict[str, Any]:
    names = ("number", "state", "model_id", "model_name", "model_version", "launched_at", "finished_at")
    more = ("cancel_requested", "options", "open_orders", "note", "n_portfolios", "n_done", "n_orders", "n_awaiting")
    return {
        "id": run.pk,
        **{name: getattr(run, name) for name in names + more},
        "launched_by": run.launched_by.username if run.launched_by else None,
        "outcomes": run.outcomes,
    }
