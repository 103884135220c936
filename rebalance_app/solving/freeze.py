"""What a run is launched on: its options, the limits in force and the prices, all as they are at one moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone

from models_app.models import InvestmentModel
from models_app.sources.book_source import BookSource, PriceInfo, SecurityInfo
from ordergen.core.errors import Code, InvalidInputError
from rebalance_app.limits.services import limits_now, options_read, refuse_unknowable_gains
from rebalance_app.models import PriceSnapshot


class UnpricedModelError(InvalidInputError):
    """Nothing in the model has a price; API v1 answers this as an upstream fault."""

    code = Code.UNPRICED_MODEL


def checked_options(
    options: Mapping[str, Any] | None, argument: str = "options", *, reserve_costs: bool = True
) -> dict[str, Any]:
    """Options as JSON keeps them, without those not given; `reserve_costs` where they do not say.

    Raises InvalidInputError at `argument`.name of one that makes no sense.
    """
    given = {key: value for key, value in (options or {}).items() if value not in (None, "")}
    given = {"time_limit": settings.OPTIMIZATION_TIMEOUT, "reserve_costs": reserve_costs} | given
    if options_read(given, argument).time_limit > settings.OPTIMIZATION_TIMEOUT:
        message = f"at most {settings.OPTIMIZATION_TIMEOUT} seconds on this installation"
        raise InvalidInputError(f"The time limit is {message}.", fields={f"{argument}.time_limit": message})
    return given


def limits_in_force(model: InvestmentModel, names: Mapping[str, str], snapshot: PriceSnapshot) -> dict[str, Any]:
    """The limits in force now of everything the run touches: frozen with it, as its prices are."""
    own, portfolios = limits_now("model", [model.pk]).get(model.pk, {}), limits_now("portfolio", names)
    refuse_unknowable_gains(own, *portfolios.values())
    return {"model": own, "portfolios": portfolios, "securities": limits_now("security", snapshot.payload)}


def prices_now(source: BookSource, model: InvestmentModel) -> PriceSnapshot:
    """All prices known now, unsaved; one snapshot serves every portfolio of the run."""
    securities = source.securities()
    prices = source.latest_prices(securities)
    targeted = set(model.positions.values_list("security_id", flat=True))
    if not targeted:
        raise InvalidInputError(f"{model.name} has no positions: rebalancing would sell everything. Add one first.")
    if not targeted & prices.keys():
        raise UnpricedModelError(
            f"None of the {len(targeted)} securities of {model.name} has a price. Import prices first."
        )
    payload = {key: _quote(info, prices.get(key)) for key, info in securities.items()}
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
    return PriceSnapshot(source=source.name, fetched_at=timezone.now(), sha256=digest, payload=payload)


def _quote(info: SecurityInfo, price: PriceInfo | None) -> dict[str, str | None]:
    return {
        "ticker": info.ticker,
        "name": info.name,
        "price": str(price.price) if price else None,
        "date": price.date.isoformat() if price else None,
    }
