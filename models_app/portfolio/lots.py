"""Tax lots: which a sale takes, the highest cost first, what it gains by them, and whether they add up. Exact."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from .types import ZERO, RebalanceProblem, TaxLot
from .units import EXACT

Sold = list[tuple[TaxLot, Decimal]]


def lots_sold(lots: Iterable[TaxLot], shares: Decimal) -> Sold:
    """The lots that a sale of `shares` takes, each with the shares taken from it; of equal costs the first first."""
    sold: Sold = []
    left = shares
    for lot in sorted(lots, key=lambda lot: lot.cost, reverse=True):
        if taken := min(left, lot.quantity):
            sold.append((lot, taken))
            left -= taken
    return sold


def gain(sold: Sold, price: Decimal) -> Decimal:
    """Σ shares·(price − cost)."""
    with localcontext(EXACT):
        return sum((shares * (price - lot.cost) for lot, shares in sold), ZERO)


def realised_gain(problem: RebalanceProblem, after: Mapping[str, Decimal]) -> Decimal | None:
    """The gain of all sales that lead to the quantities `after`; None where the lots do not cover what is sold."""
    total = ZERO
    with localcontext(EXACT):
        for p in problem.positions:
            shares = max(ZERO, p.quantity - after[p.security_id])
            sold = lots_sold(p.lots, shares)
            if sum((taken for _, taken in sold), ZERO) != shares:
                return None
            total += gain(sold, p.price or ZERO)
    return total


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Shares of one security that its lots have, and that are held."""

    in_lots: Decimal
    held: Decimal

    def __str__(self) -> str:
        in_lots, held = (f"{quantity.normalize():,f}" for quantity in (self.in_lots, self.held))
        return f"{in_lots} in lots, {held} held"


def shares_in(lots: Mapping[str, Sequence[TaxLot]]) -> dict[str, Decimal]:
    """The shares of all lots of each security."""
    return {key: sum((lot.quantity for lot in some), ZERO) for key, some in lots.items()}


def mismatches(held: Mapping[str, Decimal], in_lots: Mapping[str, Decimal]) -> dict[str, Mismatch]:
    """By security id, where the lots of a portfolio do not add up to its holding; what is sold short has no lots."""
    return {
        key: Mismatch(in_lots.get(key, ZERO), held.get(key, ZERO))
        for key in sorted(held.keys() | in_lots.keys())
        if in_lots.get(key, ZERO) != max(ZERO, held.get(key, ZERO))
    }
