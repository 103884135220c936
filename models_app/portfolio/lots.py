"""Tax lots: which a sale takes, the highest cost first, and what it gains by them. Exact."""

from collections.abc import Iterable, Mapping
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
