"""Targets and bands in whole numbers, so that no comparison is ever made in floating point.

Values are counted in *minor units*: 1 unit of money = 10**places of them, where `places` is chosen for a portfolio so
that quantity × price and market value × weight are whole. Weights and prices of any finite length are exact. Floors and
ceilings are taken of integers, because in floating point they are wrong at one exact band edge in five.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .types import Position, ProblemError
from .units import ceil_div, most_decimals, scaled


@dataclass(frozen=True, slots=True)
class Scale:
    """Decimals of prices, quantities and weights; minor units have their sum, or more where an amount needs it."""

    price: int
    quantity: int
    weight: int
    places: int


def scale_of(
    positions: Sequence[Position], amounts: Iterable[Decimal | None], weights: Iterable[Decimal | None] = ()
) -> Scale:
    """The coarsest scale on which these positions with their tax lots, amounts of money and weights are whole."""
    lots = [lot for p in positions for lot in p.lots]
    price = most_decimals([*(p.price for p in positions), *(lot.cost for lot in lots)])
    quantity = most_decimals([*(p.quantity for p in positions), *(lot.quantity for lot in lots)])
    weight = most_decimals({w for p in positions for w in (p.target, p.low_drift, p.high_drift)} | {*weights})
    return Scale(price, quantity, weight, max(price + quantity, most_decimals(amounts)) + weight)


def total_value(positions: Iterable[Position], cash: Decimal, s: Scale) -> int:
    """Market value in minor units; what has no price is worth nothing."""
    held = sum(scaled(p.price, s.price) * scaled(p.quantity, s.quantity) for p in positions if p.price)
    units: int = 10 ** (s.places - s.price - s.quantity)
    return scaled(cash, s.places) + held * units


@dataclass(frozen=True, slots=True)
class SteppedPosition:
    """One position in minor units. A trade of k steps (buys positive) makes its value `held + k·step`.

    lot     shares in a step: 1 where a position to be sold out has an odd lot, which leaves with it
    """

    step: int
    held: int
    target: int
    low: int
    high: int
    lot: int

    @property
    def sold_out(self) -> bool:
        """Whether its band leaves no room for any holding."""
        return self.high <= 0


def steps_of(p: Position, market_value: int, s: Scale) -> SteppedPosition:
    """The position against target and band, weights of `market_value`. Raises ProblemError where it has no price."""
    if p.price is None:
        raise ProblemError("price", f"{p.security_id} has no price")
    weights = p.target, p.low_drift, p.high_drift
    target, low, high = (market_value * scaled(w, s.weight) // 10**s.weight for w in weights)
    share = scaled(p.price, s.places)
    held = share * scaled(p.quantity, s.quantity) // 10**s.quantity
    odd = held % (share * p.lot_size) >= share
    lot = 1 if target + high <= 0 and odd else p.lot_size
    return SteppedPosition(share * lot, held, target, target - low, target + high, lot)


def band(held: int, step: int, low: int, high: int) -> tuple[int, int]:
    """max(0, MV(t − l)) ≤ p·u ≤ MV(t + h): first and last step; none where the first is beyond the last."""
    return ceil_div(max(0, low) - held, step), (high - held) // step


def sold_out(held: int, step: int) -> tuple[int, int]:
    """0 ≤ p·u < p: what has no room in its band goes; of a fraction of a share, the fraction stays."""
    least = ceil_div(-held, step)
    return least, least


def band_interval(at: SteppedPosition) -> tuple[int, int]:
    """First and last steps that the band permits."""
    return sold_out(at.held, at.step) if at.sold_out else band(at.held, at.step, at.low, at.high)
