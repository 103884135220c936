"""How a proposal's answer was found, and what shaped it, in words for its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ALONE = {  # by mode: what the closed form does with one security
    "to_target": "takes the whole number nearest to its target that its band allows",
    "within_bands": "trades as little as brings it into its band",
    "only_breached": "is left alone inside its band, and outside takes the whole number nearest to its target that "
    "its band allows",
    "invest_cash": "takes the whole number nearest to its target that buying alone can reach",
    "raise_cash": "is left alone, for the cash asked for is there without a sale",
}
BINDING = {  # what the certificate calls it, and the limits that may be meant
    "cash_floor": ("min_cash", "min_cash_weight"),
    "cash_ceiling": ("max_cash", "max_cash_weight"),
    "turnover": ("max_turnover",),
    "max_trades": ("max_trades",),
    "gain_budget": ("gain_budget",),
    "min_trade": ("min_trade_value",),
}
BAND = "band:"


@dataclass(frozen=True)
class Limit:
    """A limit that held, whose it is, and whether the answer would be another without it."""

    name: str
    value: Any
    level: str
    has_shaped: bool


def limits_held(document: Mapping[str, Any]) -> list[Limit]:
    """The limits of a stored proposal, marked where they shaped it."""
    limits = document.get("limits") or {}
    shaping = {name for binding in document.get("binding") or () for name in _meant(binding, limits, document)}
    shaping |= {"hold"} & limits.keys()
    return [Limit(name, held["value"], held["level"], name in shaping) for name, held in limits.items()]


def bands_that_shaped(document: Mapping[str, Any]) -> frozenset[str]:
    """The securities that stand at the last whole number of their band, short of the nearest one to target."""
    return frozenset(name.removeprefix(BAND) for name in document.get("binding") or () if name.startswith(BAND))


def was_stopped_by_cash(document: Mapping[str, Any]) -> bool:
    """Whether cash that may not fall below zero shaped the answer: the floor where nobody asks for another."""
    given = document.get("limits") or {}
    return "cash_floor" in (document.get("binding") or ()) and not given.keys() & set(BINDING["cash_floor"])


def _meant(binding: str, limits: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Of an amount and a share that limit the same, the narrower; both where they are equal."""
    amounts = {name: _amount(name, limits, document) for name in BINDING.get(binding, ()) if name in limits}
    narrowest = (max if binding == "cash_floor" else min)(amounts.values(), default=None)
    return [name for name, amount in amounts.items() if amount == narrowest]


def _amount(name: str, limits: Mapping[str, Any], document: Mapping[str, Any]) -> Decimal:
    amount = Decimal(limits[name]["value"])
    return amount * Decimal(document.get("market_value") or 0) if name.endswith("_weight") else amount


def closed_form(document: Mapping[str, Any], restrictions: Iterable[Mapping[str, Any]]) -> str:
    """What the closed form did, true for the mode and for whatever else acts on one security at a time.

    `restrictions` are those of the securities that the portfolio holds or is to hold.
    """
    limits = {name: held["value"] for name, held in (document.get("limits") or {}).items()}
    if limits.get("hold"):
        return "Closed form: the portfolio is on hold, so nothing is traded."
    alone = ", ".join([ALONE[limits.get("mode") or "to_target"], *_qualified(limits, list(restrictions))])
    return (
        f"Closed form: each security by itself {alone}. No limit that ties securities together is broken by that, so "
        "it is the proven optimum."
    )


def _qualified(limits: Mapping[str, Any], restrictions: Sequence[Mapping[str, Any]]) -> list[str]:
    costs = [Decimal(limits.get(name) or 0) for name in ("cost_bps", "ticket_cost")]
    said = {
        "in whole lots": any(own.get("lot_size", 1) > 1 for own in restrictions),
        "as far as it may be bought and sold": any({"can_buy", "can_sell"} & own.keys() for own in restrictions),
        "with no order below the smallest one": Decimal(limits.get("min_trade_value") or 0) > 0,
        "with the cost of trading weighed in": any(costs),
        "bands being soft": bool(limits.get("soft_bands")),
    }
    return [words for words, is_so in said.items() if is_so]
