"""Drift as API v2 writes it, and the drift index in particular."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from ninja import Field, Schema

from models_app.drift_index.document import DriftState
from models_app.models import DriftFigures
from models_app.portfolio.types import ZERO
from ordergen.apis.conventions import Page


class DriftSummary(Schema):
    """A portfolio against a model; weights are fractions of market value, band use 1 is the edge of the band."""

    portfolio_id: str
    portfolio_name: str
    model_id: str | None
    model_name: str | None
    state: DriftState
    market_value: Decimal | None
    cash: Decimal | None
    cash_weight: Decimal | None
    total_drift: Decimal | None
    total_drift_weight: Decimal | None
    band_use: Decimal | None = Field(description="The largest; null where a drift has no band at all")
    breaches: int | None = Field(description="Null where nothing was computed yet")
    trades_to_target: int | None


class DriftFigure(DriftSummary):
    """The same as last computed; fractions to six decimals."""

    state: DriftState = Field(description="`not_computed`: there are no figures yet")
    as_of: datetime | None = Field(description="When it was computed")
    is_outdated: bool = Field(description="Whether something has changed since")


class FiguresPage(Page[DriftFigure]):
    """A page of figures, and how old the oldest of all are."""

    as_of: datetime | None = Field(description="All figures were true at this instant")
    n_outdated: int = Field(description="Portfolios for which something has changed since they were computed")
    is_refreshing: bool
    fault: str | None = Field(description="Why the last refresh ended before its end")


def figures_out(row: DriftFigures) -> dict[str, Any]:
    told, worst = row.told, row.told.get("worst")
    use = Decimal(worst["use"]) if worst else ZERO
    same = ("market_value", "cash", "cash_weight", "total_drift")
    return {name: told.get(name) for name in same} | {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "model_id": row.model_id or None,
        "model_name": row.model_name or None,
        "state": row.state,
        "total_drift_weight": told.get("total_weight"),
        "band_use": None if use.is_infinite() or row.computed_at is None else abs(use),
        "breaches": told.get("breaches"),
        "trades_to_target": told.get("trades"),
        "as_of": row.computed_at,
        "is_outdated": row.is_old,
    }
