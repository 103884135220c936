"""The book, models and drift as API v2 writes them: decimals as strings, names beside ids."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from ninja import Field, Schema

from models_app.drift_index.live_drift import NO_BAND, ZERO, Line, PortfolioView
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.investment_models.selectors import ModelSize, size_of
from models_app.investment_models.versions import FIELDS, Change
from models_app.models import DriftFigures, InvestmentModel, ModelVersion
from models_app.portfolios.tax_lots import HoldingLots
from models_app.sources.base import PriceInfo, SecurityInfo
from ordergen.apis.conventions import DecimalText, HexId, Page, SecurityId, Strict

MAX_ROWS = 1_000  # positions or portfolios in one body; the rules are narrower


class PositionIn(Strict):
    security_id: SecurityId = Field(examples=["0000000000000000000000A1"])
    target: DecimalText = Field(examples=["0.05"])
    low_drift: DecimalText = Field(examples=["0.01"])
    high_drift: DecimalText = Field(examples=["0.02"])


class ModelIn(Strict):
    name: str = Field(examples=["Balanced"])
    positions: list[PositionIn] = Field([], max_length=MAX_ROWS)
    portfolios: list[HexId] = Field(max_length=10 * MAX_ROWS, examples=[["68a0c0ffee0000000000beef"]])
    reason: str = Field("", max_length=500, description="Why; kept with the version")

    def to_draft(self) -> ModelDraft:
        rows = (PositionDraft(row.security_id, row.target, row.low_drift, row.high_drift) for row in self.positions)
        return ModelDraft(self.name, tuple(rows), tuple(self.portfolios))


class PositionOut(Schema):
    security_id: str
    target: str
    low_drift: str
    high_drift: str


class ModelSummary(Schema):
    id: str
    name: str
    version: int
    n_positions: int
    n_portfolios: int
    target_sum: Decimal
    created_at: datetime
    updated_at: datetime
    last_rebalance_at: datetime | None


class ModelOut(ModelSummary):
    positions: list[PositionOut]
    portfolios: list[str]


class VersionSummary(Schema):
    version: int
    saved_by: str | None
    saved_at: datetime
    reason: str


class VersionOut(VersionSummary):
    name: str
    positions: list[PositionOut]
    portfolios: list[str]


class ChangeOut(Schema):
    what: Literal["name", "position", "portfolio"]
    kind: Literal["added", "removed", "changed"]
    id: str = Field(description="Of the security or portfolio; empty for the name")
    old: PositionOut | str | None
    new: PositionOut | str | None


class DiffOut(Schema):
    from_version: int
    to_version: int
    changes: list[ChangeOut]


class SecurityOut(Schema):
    id: str
    ticker: str
    name: str
    price: Decimal | None
    price_date: date | None


class NamedOut(Schema):
    id: str
    name: str


class HoldingOut(Schema):
    security_id: str
    ticker: str
    quantity: Decimal
    price: Decimal | None
    price_date: date | None
    value: Decimal | None


class LotOut(Schema):
    reference: str
    acquired_on: date
    quantity: Decimal
    cost: Decimal = Field(description="Of one share")
    gain: Decimal | None = Field(description="What selling all of it at the latest price would gain")


class HoldingLotsOut(Schema):
    security_id: str
    ticker: str
    held: Decimal
    price: Decimal | None
    adds_up: bool = Field(description="Whether the lots add up to the holding; else its gain is unknown")
    cost: Decimal | None = Field(description="Of all lots together")
    gain: Decimal | None
    lots: list[LotOut] = Field(description="The one acquired first coming first")


class PortfolioOut(NamedOut):
    cash: Decimal
    market_value: Decimal | None = Field(description="Null while a holding has no price")
    models: list[NamedOut]
    holdings: list[HoldingOut]


class DriftSummary(Schema):
    """A portfolio against a model; weights are fractions of market value, band use 1 is the edge of the band."""

    portfolio_id: str
    portfolio_name: str
    model_id: str | None
    model_name: str | None
    state: str = Field(examples=["breach"])
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

    state: str = Field(examples=["breach"], description="`not_computed`: there are no figures yet")
    as_of: datetime | None = Field(description="When it was computed")
    is_outdated: bool = Field(description="Whether something has changed since")


class FiguresPage(Page[DriftFigure]):
    """A page of figures, and how old the oldest of all are."""

    as_of: datetime | None = Field(description="All figures were true at this instant")
    n_outdated: int = Field(description="Portfolios for which something has changed since they were computed")
    is_refreshing: bool
    fault: str | None = Field(description="Why the last refresh ended before its end")


class DriftLine(Schema):
    security_id: str
    ticker: str
    name: str
    state: str
    quantity: Decimal
    price: Decimal | None
    price_date: date | None
    value: Decimal | None
    weight: Decimal | None
    target: Decimal
    band_low: Decimal
    band_high: Decimal
    drift: Decimal | None
    band_use: Decimal | None
    shares_to_target: int | None


class DriftOut(DriftSummary):
    trade_value: Decimal | None
    trade_cost: Decimal | None
    positions: list[DriftLine]


def model_summary(model: InvestmentModel, size: ModelSize) -> dict[str, Any]:
    return {
        "id": model.pk,
        "name": model.name,
        "version": model.version,
        "n_positions": size.n_positions,
        "n_portfolios": size.n_portfolios,
        "target_sum": size.target_sum.normalize(),
        "created_at": model.created_at,
        "updated_at": model.updated_at,
        "last_rebalance_at": model.last_rebalance_at,
    }


def model_out(model: InvestmentModel, draft: ModelDraft) -> dict[str, Any]:
    return model_summary(model, size_of(draft)) | _content(draft)


def version_summary(version: ModelVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "saved_by": version.saved_by.username if version.saved_by else None,
        "saved_at": version.saved_at,
        "reason": version.reason,
    }


def version_out(version: ModelVersion, draft: ModelDraft) -> dict[str, Any]:
    return version_summary(version) | {"name": draft.name} | _content(draft)


def change_out(change: Change) -> dict[str, Any]:
    old, new = (_position(side) if isinstance(side, PositionDraft) else side for side in (change.old, change.new))
    return {"what": change.what, "kind": change.kind, "id": change.subject, "old": old, "new": new}


def security_out(info: SecurityInfo, price: PriceInfo | None) -> dict[str, Any]:
    return {
        "id": info.id,
        "ticker": info.ticker,
        "name": info.name,
        "price": price and price.price,
        "price_date": price and price.date,
    }


def drift_summary(view: PortfolioView) -> dict[str, Any]:
    drift = view.drift
    return {
        "portfolio_id": view.info.id,
        "portfolio_name": view.info.name,
        "model_id": view.model and view.model.pk,
        "model_name": view.model and view.model.name,
        "state": view.state,
        "market_value": drift.market_value,
        "cash": drift.cash,
        "cash_weight": drift.cash_weight,
        "total_drift": drift.total_drift,
        "total_drift_weight": drift.total_drift_weight,
        "band_use": None if view.band_use == NO_BAND else view.band_use,
        "breaches": drift.breaches,
        "trades_to_target": drift.trades,
    }


def holding_lots_out(holding: HoldingLots) -> dict[str, Any]:
    names = ("reference", "acquired_on", "quantity", "cost")
    lots = [{name: getattr(lot, name) for name in names} | {"gain": gain} for lot, gain in holding.lot_gains]
    own = {name: getattr(holding, name) for name in ("security_id", "ticker", "held", "price", "cost", "gain")}
    return own | {"adds_up": holding.mismatch is None, "lots": lots}


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


def drift_out(view: PortfolioView) -> dict[str, Any]:
    more = {"trade_value": view.drift.trade_value, "trade_cost": view.drift.trade_cost}
    return drift_summary(view) | more | {"positions": [_drift_line(line) for line in view.ranked]}


def _drift_line(line: Line) -> dict[str, Any]:
    names = ("quantity", "price", "value", "weight", "target", "band_low", "band_high", "drift", "band_use")
    numbers = {name: getattr(line.drift, name) for name in (*names, "shares_to_target")}
    told = {"security_id": line.security_id, "ticker": line.ticker, "name": line.name, "state": line.state}
    return told | {"price_date": line.price_date} | numbers


def _content(draft: ModelDraft) -> dict[str, Any]:
    return {"positions": [_position(row) for row in draft.positions], "portfolios": list(draft.portfolios)}


def _position(row: PositionDraft) -> dict[str, str]:
    return {"security_id": row.security_id} | {name: f"{getattr(row, name).normalize():f}" for name in FIELDS}
