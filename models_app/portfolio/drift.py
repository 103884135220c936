"""Drift, the one definition: actual weight − target weight, signed, as a fraction of market value.

Band use puts it on the scale of its own band: drift above target over the high drift, drift below over the low drift,
so +1 and −1 are the band's edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal

from .bands import scale_of, steps_of, total_value
from .nearest import nearest_trade
from .types import NEAR, ZERO, Position
from .units import DIVIDE, WIDE

State = Literal["in_band", "near", "breach_over", "breach_under", "not_in_model", "unpriced", "unknown"]


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
    state: State
    shares_to_target: int | None

    @property
    def no_band(self) -> bool:
        """Whether it has drifted to a side where its band is 0 wide."""
        return bool(self.drift) and self.band_use is None


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
    breaches: int
    trades: int
    trade_value: Decimal | None
    trade_cost: Decimal | None


def band_use_of(drift: Decimal, low: Decimal, high: Decimal) -> Decimal | None:
    """The signed band use of a drift, all in fractions of market value; None where that side of the band is 0 wide."""
    if drift == 0:
        return ZERO
    side = high if drift > 0 else low
    return DIVIDE.divide(drift, side) if side else None


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


def _state(p: Position, mv: Decimal | None, use: Decimal | None, near: Decimal) -> State:
    value = value_of(p)
    if not _has_price(p):
        return "unpriced"
    if mv is None or mv <= 0 or value is None:
        return "unknown"
    if not _in_model(p) and p.quantity:
        return "not_in_model"
    breach = _edge_state(value, mv, p)
    if breach:
        return breach
    return "near" if use and abs(use) >= near else "in_band"  # on target is near no edge


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
    drift = None if weight is None else WIDE.subtract(weight, p.target)
    use = None if drift is None else band_use_of(drift, p.low_drift, p.high_drift)
    return PositionDrift(
        security_id=p.security_id,
        quantity=p.quantity,
        price=p.price,
        value=value,
        weight=weight,
        target=p.target,
        band_low=max(ZERO, p.target - p.low_drift),
        band_high=p.target + p.high_drift,
        drift=drift,
        band_use=use,
        state=_state(p, mv, use, near),
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
    with localcontext(WIDE):
        return sum((abs(r.shares_to_target or 0) * (r.price or ZERO) for r in rows), ZERO)


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
        breaches=sum(r.state in {"breach_over", "breach_under", "not_in_model"} for r in rows),
        trades=sum(bool(r.shares_to_target) for r in rows),
        trade_value=traded,
        trade_cost=None if traded is None else WIDE.multiply(traded, commission_rate),
    )
