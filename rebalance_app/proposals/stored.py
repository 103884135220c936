"""A stored proposal, read back in full.

A proposal stores quantities only: the model's in the model's order, then what else was held. Targets, prices and names
stand once with the run, and weights, drift and the side of each trade follow from them by the one definition of drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import repeat
from typing import Any

from models_app.portfolio.drift import PositionDrift, portfolio_drift
from models_app.portfolio.lots import gain, lots_sold
from models_app.portfolio.types import Position, TaxLot
from models_app.portfolio.units import MILLIONTH
from models_app.sources.book_source import Lots
from rebalance_app.models import PortfolioRebalance
from rebalance_app.proposals.order_reasons import order_reason
from rebalance_app.proposals.run_inputs import RunInputs, inputs_of

Stored = int | str


def pack(before: Sequence[Decimal], after: Sequence[Decimal] | None, outside: Sequence[str]) -> dict[str, Any]:
    """The quantities of a proposal as its document keeps them; `outside` names the securities beyond the model's."""
    return {
        "before": [stored(quantity) for quantity in before],
        "after": None if after is None else [stored(quantity) for quantity in after],
        "outside": list(outside),
    }


def stored(quantity: Decimal) -> Stored:
    """A whole quantity as a number, a fractional one as text: exact in JSON either way."""
    return int(quantity) if quantity == int(quantity) else format(quantity, "f")


def pack_lots(lots: Lots) -> dict[str, list[list[str]]]:
    """The tax lots of a proposal with a gain budget, as its document keeps them: all it was computed from."""
    return {
        key: [
            [lot.reference, str(lot.acquired_on or ""), *(f"{n.normalize():f}" for n in (lot.quantity, lot.cost))]
            for lot in some
        ]
        for key, some in sorted(lots.items())
        if some
    }


def read_lots(document: Mapping[str, Any]) -> dict[str, list[TaxLot]] | None:
    """What `pack_lots` packed; None where no gain budget was in force."""
    if "lots" not in document:
        return None
    return {
        key: [
            TaxLot(Decimal(quantity), Decimal(cost), date.fromisoformat(day) if day else None, reference)
            for reference, day, quantity, cost in some
        ]
        for key, some in document["lots"].items()
    }


def counted_changes(open_orders: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """By security id, what orders that a proposal counted as done change of its holding: bought, less sold."""
    changes: Counter[str] = Counter()
    for one in open_orders:
        changes[one["security_id"]] += one["quantity"] if one["side"] == "BUY" else -one["quantity"]
    return changes


def lines(row: PortfolioRebalance) -> list[dict[str, Any]]:
    """Every position before and after: decimals as strings, what is unknown as None.

    Keys: security_id ticker name price quantity_before quantity_after target low_drift high_drift weight_before
    weight_after band_use_before band_use_after state_before state_after side trade_quantity reason; where orders on
    their way are counted, on_their_way: the shares of quantity_before that were not held, negative where more was; and
    of a sale under a gain budget realised_gain and lots_sold: what it gains, and by which tax lots.
    """
    if not row.document or not row.document.get("quantities"):
        return []
    inputs, quantities = inputs_of(row.rebalance_id), row.document["quantities"]
    ids = [*inputs.targets, *quantities["outside"]]
    before = [inputs.position(key, _read(held)) for key, held in zip(ids, quantities["before"], strict=True)]
    was = portfolio_drift(before, Decimal(row.document["cash_before"])).positions
    lots = read_lots(row.document)
    told = [_line(inputs, *pair) for pair in zip(before, was, _after(before, row.document), strict=True)]
    if changes := counted_changes(row.document.get("open_orders", ())):
        told = [line | {"on_their_way": changes[line["security_id"]]} for line in told]
    return told if lots is None else [line | _gains(line, lots.get(line["security_id"], [])) for line in told]


def _gains(line: Mapping[str, Any], lots: Sequence[TaxLot]) -> dict[str, Any]:
    """The gain of a line's sale, and the lots sold, each with its own."""
    if line["side"] != "SELL":
        return {"realised_gain": None, "lots_sold": []}
    price, sold = Decimal(line["price"]), lots_sold(lots, Decimal(line["trade_quantity"]))
    told = [
        {
            "reference": lot.reference,
            "acquired_on": lot.acquired_on and lot.acquired_on.isoformat(),
            "quantity": text(shares),
            "cost": text(lot.cost),
            "gain": text(gain([(lot, shares)], price)),
        }
        for lot, shares in sold
    ]
    return {"realised_gain": text(gain(sold, price)), "lots_sold": told}


def _after(before: Sequence[Position], document: dict[str, Any]) -> Sequence[PositionDrift | None]:
    after = document["quantities"]["after"]
    if after is None:
        return list(repeat(None, len(before)))
    positions = [replace(p, quantity=_read(quantity)) for p, quantity in zip(before, after, strict=True)]
    return portfolio_drift(positions, Decimal(document["cash_after"])).positions


def _read(quantity: Stored) -> Decimal:
    return Decimal(quantity)


def _line(inputs: RunInputs, position: Position, was: PositionDrift, then: PositionDrift | None) -> dict[str, Any]:
    change = then.quantity - position.quantity if then else Decimal(0)
    side = ("BUY" if change > 0 else "SELL") if change else None
    return {
        "security_id": position.security_id,
        "ticker": inputs.ticker(position.security_id),
        "name": inputs.name(position.security_id),
        "price": text(position.price),
        "quantity_before": text(position.quantity),
        "quantity_after": text(then.quantity if then else None),
        "target": text(position.target),
        "low_drift": text(position.low_drift),
        "high_drift": text(position.high_drift),
        "weight_before": text(was.weight, MILLIONTH),
        "weight_after": text(then.weight if then else None, MILLIONTH),
        "band_use_before": text(was.band_use, MILLIONTH),
        "band_use_after": text(then.band_use if then else None, MILLIONTH),
        "state_before": was.state,
        "state_after": then.state if then else None,
        "side": side,
        "trade_quantity": int(abs(change)) if change else None,
        "reason": order_reason(was, change) if change else None,
    }


def text(number: Decimal | None, unit: Decimal | None = None) -> str | None:
    """A decimal as JSON carries it; None stays None."""
    if number is None:
        return None
    return format(number.quantize(unit) if unit else number, "f")
