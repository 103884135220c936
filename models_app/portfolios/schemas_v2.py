"""The book as API v2 writes it, and the drift of one portfolio: decimals as strings, names beside ids."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import WithJsonSchema

from models_app.drift_index.live_drift import NO_BAND, POSITION_STATES, PortfolioView, PositionView
from models_app.drift_index.schemas_v2 import DriftSummary
from models_app.portfolios.tax_lots import HoldingLots
from models_app.sources.book_source import PriceInfo, SecurityInfo

PositionState = Annotated[str, WithJsonSchema({"type": "string", "enum": list(POSITION_STATES)})]


class SecurityOut(Schema):
    id: str
    ticker: str
    name: str
    price: Decimal | None
    price_date: date | None


class PriceOut(Schema):
    date: date
    close: Decimal


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


class DriftLine(Schema):
    security_id: str
    ticker: str
    name: str
    state: PositionState
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


def security_out(info: SecurityInfo, price: PriceInfo | None) -> dict[str, Any]:
    return {
        "id": info.id,
        "ticker": info.ticker,
        "name": info.name,
        "price": price and price.price,
        "price_date": price and price.date,
    }


def holding_out(
    security_id: str, quantity: Decimal, info: SecurityInfo | None, price: PriceInfo | None
) -> dict[str, Any]:
    return {
        "security_id": security_id,
        "ticker": info.ticker if info else security_id,
        "quantity": quantity,
        "price": price and price.price,
        "price_date": price and price.date,
        "value": price and price.price * quantity,
    }


def holding_lots_out(holding: HoldingLots) -> dict[str, Any]:
    names = ("reference", "acquired_on", "quantity", "cost")
    lots = [{name: getattr(lot, name) for name in names} | {"gain": gain} for lot, gain in holding.lot_gains]
    own = {name: getattr(holding, name) for name in ("security_id", "ticker", "held", "price", "cost", "gain")}
    return own | {"adds_up": holding.mismatch is None, "lots": lots}


def drift_out(view: PortfolioView) -> dict[str, Any]:
    more = {"trade_value": view.drift.trade_value, "trade_cost": view.drift.trade_cost}
    return _drift_summary(view) | more | {"positions": [_drift_line(position) for position in view.ranked]}


def _drift_summary(view: PortfolioView) -> dict[str, Any]:
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


def _drift_line(position: PositionView) -> dict[str, Any]:
    names = ("quantity", "price", "value", "weight", "target", "band_low", "band_high", "drift", "band_use")
    numbers = {name: getattr(position.drift, name) for name in (*names, "shares_to_target")}
    told = {
        "security_id": position.security_id,
        "ticker": position.ticker,
        "name": position.name,
        "state": position.state,
    }
    return told | {"price_date": position.price_date} | numbers
