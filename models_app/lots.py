"""Tax lots against the holdings that they make up. Where the two differ, what a sale gains is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from models_app.sources.base import Lots

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Shares of one security that its lots have, and that are held."""

    in_lots: Decimal
    held: Decimal

    def __str__(self) -> str:
        return f"{plain(self.in_lots)} in lots, {plain(self.held)} held"


def shares_in(lots: Lots) -> dict[str, Decimal]:
    """The shares of all lots of each security."""
    return {key: sum((lot.quantity for lot in some), ZERO) for key, some in lots.items()}


def mismatches(held: Mapping[str, Decimal], in_lots: Mapping[str, Decimal]) -> dict[str, Mismatch]:
    """By security id, wherever the lots of a portfolio do not add up to its holding; what is sold short has no lots."""
    return {
        key: Mismatch(in_lots.get(key, ZERO), held.get(key, ZERO))
        for key in sorted(held.keys() | in_lots.keys())
        if in_lots.get(key, ZERO) != max(ZERO, held.get(key, ZERO))
    }


def plain(quantity: Decimal) -> str:
    """1,250.5: without trailing zeros."""
    return f"{quantity.normalize():,f}"
