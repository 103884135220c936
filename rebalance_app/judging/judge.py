"""What speaks against approving one order: codes and numbers, no sentences, nothing read.

    age          weekdays since the proposal; weekdays since the newest price, beside those it had at the launch
    price        |now - order's| / order's
    model        what is traded is to have another target or band, or the portfolio follows the model no more
    restriction  a security that may not be traded so any more, in such lots, or a portfolio that trades nothing

Each weighs *soft* (a person's reason overcomes it), *hard*, or *final*: hard, and no waiting mends it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any, Literal

from models_app.portfolio.types import Reason
from models_app.portfolio.units import WIDE
from rebalance_app.judging.lines import OrderLine
from rebalance_app.proposals.run_inputs import NO_PLACE, Band

Weight = Literal["soft", "hard", "final"]
WEEK, WEEKEND = 7, 5


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against an approval, and how much it weighs."""

    reason: Reason
    weight: Weight = "hard"

    @property
    def is_soft(self) -> bool:
        return self.weight == "soft"


def weekdays_between(earlier: date, later: date) -> int:
    """Weekdays after `earlier`, up to and with `later`: 1 from a Friday to the Monday after it. 0 where none is."""
    days = max((later - earlier).days, 0)
    weeks, rest = divmod(days, WEEK)
    return weeks * WEEKEND + sum((later - timedelta(back)).weekday() < WEEKEND for back in range(rest))


def age_objection(launched_on: date, today: date, *, soft: int, hard: int) -> Objection | None:
    """Whether a proposal is too old to be approved unasked, or at all; `soft` and `hard` are weekdays."""
    age = weekdays_between(launched_on, today)
    if age <= min(soft, hard):
        return None
    is_soft = age <= hard
    told = {"case": "soft" if is_soft else "hard", "weekdays": float(age), "most": float(hard)}
    return Objection(Reason("PROPOSAL_OLD", details=told), "soft" if is_soft else "final")


def price_age_objection(
    security_id: str, *, priced_on: date, priced_then: date, launched_on: date, today: date, soft: int
) -> Objection | None:
    """Whether the newest price is older than `soft` weekdays; hard where it was not as old at the launch.

    Whoever launched on old prices saw them; that nothing newer came in since is seen by nobody.
    """
    age, age_then = weekdays_between(priced_on, today), weekdays_between(priced_then, launched_on)
    if age <= soft:
        return None
    is_soft = age <= age_then
    told: dict[str, float | str] = {"case": "soft" if is_soft else "hard", "day": priced_on.isoformat()}
    told |= {"weekdays": float(age), "weekdays_then": float(age_then)}
    return Objection(Reason("PRICE_OLD", security_id, details=told), "soft" if is_soft else "hard")


def price_objection(order: OrderLine, price: Decimal | None, *, soft: Decimal, hard: Decimal) -> Objection | None:
    """Whether the newest price is too far from the order's; `soft` and `hard` are fractions of the order's."""
    if price is None:
        return Objection(Reason("MISSING_PRICE", order.security_id))
    with localcontext(WIDE):
        moved = abs(price - order.price)
        if moved <= min(soft, hard) * order.price:
            return None
        weight: Weight = "soft" if moved <= hard * order.price else "hard"
    said = {"price": price, "price_then": order.price}
    return Objection(Reason("PRICE_MOVED", order.security_id, said, {"case": weight}), weight)


@dataclass(frozen=True, slots=True)
class ModelNow:
    """A model as it is now, where that is not the version of a run; `version` None: it was deleted.

    Of `followers` there are those only that were asked for.
    """

    name: str
    version_then: int
    version: int | None = None
    targets: Mapping[str, Band] | None = None
    followers: frozenset[str] = frozenset()


def model_objection(
    model: ModelNow, portfolio_id: str, portfolio_name: str, traded: Collection[str], targets: Mapping[str, Band]
) -> Objection:
    """What a changed model means for a proposal that trades these securities; `targets` are those of its run."""
    told: dict[str, float | str] = {"model": model.name, "version_then": float(model.version_then)}
    if model.version is None:
        return Objection(Reason("MODEL_CHANGED", details=told | {"case": "deleted"}), "final")
    told["version"] = float(model.version)
    if portfolio_id not in model.followers:
        left = told | {"case": "left", "portfolio": portfolio_name}
        return Objection(Reason("MODEL_CHANGED", details=left), "final")
    for key in sorted(traded):
        now, then = (of.get(key, NO_PLACE) for of in (model.targets or {}, targets))
        if now != then:
            return Objection(Reason("MODEL_CHANGED", key, _bands(now, then), told | {"case": "line"}), "final")
    return Objection(Reason("MODEL_CHANGED", details=told | {"case": "version"}), "soft")


def _bands(now: Band, then: Band) -> dict[str, Decimal]:
    names = ("target", "low_drift", "high_drift")
    return dict(zip(names, now, strict=True)) | {f"{name}_then": value for name, value in zip(names, then, strict=True)}


def restriction_objection(order: OrderLine, then: Mapping[str, Any], now: Mapping[str, Any]) -> Objection | None:
    """Whether limits of the security that were set after the launch forbid the order. Both as `limits_now` has them."""
    case = "buy" if order.side == "BUY" else "sell"
    if now.get(f"can_{case}", True) is False:
        return Objection(Reason("RESTRICTED", order.security_id, details={"case": case}))
    lot = int(now.get("lot_size", 1))
    closes = order.side == "SELL" and order.quantity == int(order.quantity_before)  # an odd lot may leave in full
    if lot != then.get("lot_size", 1) and order.quantity % lot and not closes:
        numbers = {"quantity": Decimal(order.quantity), "lot_size": Decimal(lot)}
        return Objection(Reason("RESTRICTED", order.security_id, numbers, {"case": "lots"}))
    return None


def hold_objection(portfolio_name: str) -> Objection:
    """That the portfolio was put on hold after the launch: before it, nothing would have been proposed."""
    return Objection(Reason("RESTRICTED", details={"case": "hold", "portfolio": portfolio_name}))


def opposite_objection(security_id: str, *, side: str, quantity: int, run: int, portfolio: str, more: int) -> Objection:
    """That an order of the opposite side is open in the same security elsewhere, the first of 1 + `more`."""
    told: dict[str, float | str] = {"side": side, "run": float(run), "portfolio": portfolio, "more": float(more)}
    return Objection(Reason("OPPOSITE_OPEN", security_id, {"quantity": Decimal(quantity)}, told), "soft")
