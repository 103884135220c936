"""Drift, the one definition: actual weight − target weight, signed, as a fraction of market value.

Band use puts it on the scale of its own band: drift above target over the high drift, drift below over the low drift,
so +1 and −1 are the band's edges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .bands import scale_of, steps_of, total_value
from .nearest import nearest_trade
from .types import NEAR, ZERO, Position
from .units import DIVIDE, WIDE

if TYPE_CHECKING:
    import pandas as pd

State = Literal["in_band", "near", "breach_over", "breach_under", "not_in_model", "unpriced", "unknown"]


@dataclass(frozen=True, slots=True)
class BandPlace:
    """Where a weight lies against its band. `band_use` is None with `no_band` where that side of the band is 0 wide."""

    drift: Decimal
    band_use: Decimal | None
    no_band: bool


@dataclass(frozen=True, slots=True)
class PositionDrift:
    """One position against its target. Money in `value`, fractions of market value elsewhere, whole shares to trade.

    `weight`, `drift` and `band_use` are None where the market value is unknown or not above 0; `value` and
    `shares_to_target` where they cannot be known. `state` "unknown" is a priced position of such a portfolio.
    """

    security_id: str
    quantity: Decimal
    price: Decimal | None
    value: Decimal | None
    weight: Decimal | None
    target: Decimal
    band_low: Decimal
    band_high: Decimal
    drift: Decimal | None
    band_use: Decimal | None
    no_band: bool
    state: State
    shares_to_target: int | None


@dataclass(frozen=True, slots=True)
class PortfolioDrift:
    """A portfolio against its model.

    `total_drift` is Σ|MV·t − p·u| in money, `total_drift_weight` the same over market value.
    `market_value` and what follows from it are None while a held position has no price.
    """

    positions: tuple[PositionDrift, ...]
    market_value: Decimal | None
    cash: Decimal
    cash_weight: Decimal | None
    total_drift: Decimal | None
    total_drift_weight: Decimal | None
    worst_band_use: Decimal | None
    worst_security_id: str | None
    breaches: int
    trades: int
    trade_value: Decimal | None
    trade_cost: Decimal | None


def position_drift(weight: Decimal, target: Decimal, low: Decimal, high: Decimal) -> BandPlace:
    """Drift and band use of a weight; all four are fractions of market value."""
    drift = WIDE.subtract(weight, target)
    side = high if drift > 0 else low
    if drift == 0:
        return BandPlace(drift, ZERO, no_band=False)
    if side == 0:
        return BandPlace(drift, None, no_band=True)
    return BandPlace(drift, DIVIDE.divide(drift, side), no_band=False)


def _has_price(p: Position) -> bool:
    return p.price is not None and p.price.is_finite() and p.price > 0


def value_of(p: Position) -> Decimal | None:
    """Quantity × price, exact; 0 for nothing held; None for a holding without a valid price."""
    if p.quantity == 0:
        return ZERO
    return WIDE.multiply(p.quantity, p.price or ZERO) if _has_price(p) else None


def market_value(positions: Sequence[Position], cash: Decimal) -> Decimal | None:
    """Cash plus the value of all holdings, exact; None when a holding has no valid price."""
    total = cash
    for p in positions:
        value = value_of(p)
        if value is None:
            return None
        total = WIDE.add(total, value)
    return total


def _in_model(p: Position) -> bool:
    return bool(p.target or p.low_drift or p.high_drift)


def _edge_state(value: Decimal, mv: Decimal, p: Position) -> State | None:
    """Breach, compared without a division, so that an exact edge is inside."""
    if value > WIDE.multiply(mv, WIDE.add(p.target, p.high_drift)):
        return "breach_over"
    if value < WIDE.multiply(mv, WIDE.subtract(p.target, p.low_drift)):
        return "breach_under"
    return None


def _state(p: Position, mv: Decimal | None, place: BandPlace | None, near: Decimal) -> State:
    value = value_of(p)
    if not _has_price(p):
        return "unpriced"
    if mv is None or value is None or place is None:
        return "unknown"
    if not _in_model(p) and p.quantity:
        return "not_in_model"
    breach = _edge_state(value, mv, p)
    if breach:
        return breach
    return "near" if place.band_use and abs(place.band_use) >= near else "in_band"  # on target is near no edge


def shares_to_target(positions: Sequence[Position], cash: Decimal) -> dict[str, int]:
    """Whole shares to trade, signed, for each priced position; empty when the market value is unknown or below 0."""
    mv = market_value(positions, cash)
    if mv is None or mv < 0:
        return {}
    priced = [p for p in positions if _has_price(p)]
    scale = scale_of(priced, [cash])
    value = total_value(priced, cash, scale)
    steps = {p.security_id: steps_of(p, value, scale) for p in priced}
    return {key: nearest_trade(at) * at.lot for key, at in steps.items()}


def _position(p: Position, mv: Decimal | None, shares: int | None, near: Decimal) -> PositionDrift:
    value = value_of(p)
    weight = None if mv is None or mv <= 0 or value is None else DIVIDE.divide(value, mv)
    place = None if weight is None else position_drift(weight, p.target, p.low_drift, p.high_drift)
    return PositionDrift(
        security_id=p.security_id,
        quantity=p.quantity,
        price=p.price,
        value=value,
        weight=weight,
        target=p.target,
        band_low=max(ZERO, p.target - p.low_drift),
        band_high=p.target + p.high_drift,
        drift=place.drift if place else None,
        band_use=place.band_use if place else None,
        no_band=bool(place and place.no_band),
        state=_state(p, mv, place, near),
        shares_to_target=shares,
    )


def _total_drift(positions: Sequence[Position], mv: Decimal | None) -> Decimal | None:
    if mv is None:
        return None
    total = ZERO
    for p in positions:
        total = WIDE.add(total, abs(WIDE.subtract(WIDE.multiply(mv, p.target), value_of(p) or ZERO)))
    return total


def _worst(rows: Sequence[PositionDrift]) -> PositionDrift | None:
    """The row with the largest band use; a drift where there is no band at all ranks above every number."""
    known = [r for r in rows if r.drift]
    return max(known, key=lambda r: (r.no_band, abs(r.band_use or ZERO), abs(r.drift or ZERO)), default=None)


def _trade_value(rows: Sequence[PositionDrift]) -> Decimal:
    total = ZERO
    for r in rows:
        total = WIDE.add(total, WIDE.multiply(abs(Decimal(r.shares_to_target or 0)), r.price or ZERO))
    return total


def portfolio_drift(
    positions: Sequence[Position], cash: Decimal, *, commission_rate: Decimal = ZERO, near: Decimal = NEAR
) -> PortfolioDrift:
    """The drift of every position and of the portfolio; `commission_rate` is a fraction of traded value.

    `near` is the band use from which a position inside its band counts as near its edge.
    """
    mv = market_value(positions, cash)
    shares = shares_to_target(positions, cash)
    rows = tuple(_position(p, mv, shares.get(p.security_id), near) for p in positions)
    total, worst = _total_drift(positions, mv), _worst(rows)
    traded = _trade_value(rows) if mv is not None else None
    positive = mv if mv is not None and mv > 0 else None
    return PortfolioDrift(
        positions=rows,
        market_value=mv,
        cash=cash,
        cash_weight=DIVIDE.divide(cash, positive) if positive else None,
        total_drift=total,
        total_drift_weight=DIVIDE.divide(total, positive) if positive and total is not None else None,
        worst_band_use=worst.band_use if worst else None,
        worst_security_id=worst.security_id if worst else None,
        breaches=sum(r.state in {"breach_over", "breach_under", "not_in_model"} for r in rows),
        trades=sum(bool(r.shares_to_target) for r in rows),
        trade_value=traded,
        trade_cost=None if traded is None else WIDE.multiply(traded, commission_rate),
    )


def drift_path(
    quantities: Mapping[str, Decimal], prices: "pd.DataFrame", targets: Mapping[str, Decimal], cash: Decimal = ZERO
) -> "pd.DataFrame":
    """Drift over time of holdings that are left alone, in floats, for charts.

    prices: one row per date, one column per security. Returns the same shape: weight − target; NaN where a price of the
    date is missing (for that security) or makes the market value unknown (for all).
    """
    held = np.array([float(quantities.get(name, ZERO)) for name in prices.columns])
    aims = np.array([float(targets.get(name, ZERO)) for name in prices.columns])
    return prices.astype(float).pipe(lambda table: _weights(table, held, float(cash)) - aims)


def _weights(table: "pd.DataFrame", held: "np.ndarray[Any, Any]", cash: float) -> "pd.DataFrame":
    values = table * held
    total = cash + values.loc[:, held != 0].sum(axis=1, skipna=False)
    return values.div(total.where(total > 0), axis=0)
