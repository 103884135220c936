"""Tax lots against the holdings that they make up. Where the two differ, what a sale gains is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from models_app.portfolio.lots import gain
from models_app.portfolio.types import ZERO, TaxLot
from models_app.sources import get_source


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


@dataclass(frozen=True)
class HoldingLots:
    """One holding with its lots, the one acquired first coming first; `mismatch` where they do not add up to it."""

    security_id: str
    ticker: str
    name: str
    held: Decimal
    price: Decimal | None
    lots: Sequence[TaxLot]
    mismatch: Mismatch | None

    @property
    def cost(self) -> Decimal | None:
        """What the holding was bought for; None where its lots do not tell."""
        return None if self.mismatch else sum((lot.quantity * lot.cost for lot in self.lots), ZERO)

    @property
    def gain(self) -> Decimal | None:
        """What selling all of it would gain; None without a price, or where its lots do not tell."""
        if self.mismatch or self.price is None:
            return None
        return gain([(lot, lot.quantity) for lot in self.lots], self.price)

    @property
    def lot_gains(self) -> list[tuple[TaxLot, Decimal | None]]:
        """Each lot with what selling all of it would gain."""
        return [(lot, None if self.price is None else gain([(lot, lot.quantity)], self.price)) for lot in self.lots]


def portfolio_lots(portfolio_id: str) -> list[HoldingLots]:
    """The long holdings of a portfolio by ticker, with their lots; empty where the book has no lots of it at all."""
    source = get_source()
    lots = source.tax_lots([portfolio_id]).get(portfolio_id)
    if not lots:
        return []
    balances = source.balances([portfolio_id]).get(portfolio_id)
    held = balances.quantities if balances else {}
    wrong = mismatches(held, shares_in(lots))
    ids = {key for key, quantity in held.items() if quantity > 0} | lots.keys()
    securities, prices = source.securities(ids), source.latest_prices(ids)
    return [
        HoldingLots(
            key,
            info.ticker,
            info.name,
            held.get(key, ZERO),
            prices[key].price if key in prices else None,
            lots.get(key, ()),
            wrong.get(key),
        )
        for key, info in securities.items()
    ]


def unrealised_gain(holdings: Sequence[HoldingLots]) -> Decimal | None:
    """Of all these holdings together, which are long; None as soon as that of one is unknown."""
    gains = [holding.gain for holding in holdings]
    known = [value for value in gains if value is not None]
    return sum(known, ZERO) if len(known) == len(gains) else None
