"""What a run was launched on: its model's targets and its prices, as they stood then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

from django.conf import settings

from models_app.models import ModelVersion
from models_app.portfolio.batch import are_plain_securities
from models_app.portfolio.types import ZERO, Options, Position, RebalanceProblem, TaxLot
from models_app.sources.book_source import Balances
from rebalance_app.limits.levels import merged
from rebalance_app.models import OpenOrders, Rebalance

Quote = Mapping[str, str | None]
Band = tuple[Decimal, Decimal, Decimal]
NO_PLACE: Band = (ZERO, ZERO, ZERO)  # of a security that is held but not in the model


@dataclass(frozen=True)
class RunInputs:
    """By security id, `quotes` has ticker, name, price and its date, `targets` has target, low and high drift."""

    quotes: Mapping[str, Quote]
    targets: Mapping[str, Band]
    options: Mapping[str, Any] = field(default_factory=dict)  # of the run, as JSON
    limits: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # model, portfolios, securities: see Rebalance
    open_orders: str = OpenOrders.IGNORE.value  # what is done about orders that are on their way

    @cached_property
    def stale(self) -> frozenset[str]:
        """Securities whose last price is too far behind the newest of the book to trade on."""
        dates = {key: date.fromisoformat(quote["date"]) for key, quote in self.quotes.items() if quote["date"]}
        if not dates:
            return frozenset()
        oldest = max(dates.values()) - timedelta(days=settings.PRICE_MAX_AGE_DAYS)
        return frozenset(key for key, day in dates.items() if day < oldest)

    @cached_property
    def prices(self) -> dict[str, Decimal]:
        """By security id, of those that have one."""
        return {key: Decimal(quote["price"]) for key, quote in self.quotes.items() if quote["price"] is not None}

    @cached_property
    def plain_securities(self) -> frozenset[str]:
        """Securities that arrays can hold."""
        return frozenset(key for key in self.quotes if are_plain_securities([self.position(key, ZERO)]))

    def ticker(self, security_id: str) -> str:
        return (self.quotes.get(security_id) or {}).get("ticker") or security_id

    def name(self, security_id: str) -> str:
        return (self.quotes.get(security_id) or {}).get("name") or ""

    def outside(self, balances: Balances) -> list[str]:
        """What is held though the model does not have it, by id."""
        return sorted(key for key in balances.quantities if key not in self.targets)

    def position(
        self, security_id: str, quantity: Decimal, lots: Sequence[TaxLot] = (), on_order: Decimal = ZERO
    ) -> Position:
        band, price = self.targets.get(security_id, NO_PLACE), self.prices.get(security_id)
        own = self.restrictions.get(security_id, {})
        return Position(security_id, quantity, price, *band, on_order=on_order, lots=tuple(lots), **own)

    @cached_property
    def restrictions(self) -> Mapping[str, Mapping[str, Any]]:
        """By security id, lot_size, can_buy and can_sell where they are not the usual."""
        return self.limits.get("securities", {})

    @cached_property
    def usual_options(self) -> tuple[Options, dict[str, str]]:
        """The options of every portfolio that has no limits of its own, and the level each comes from."""
        return self._options({})

    def options_of(self, portfolio_id: str) -> tuple[Options, dict[str, str]]:
        """The options of one portfolio: of run, portfolio and model the narrower; and the level each comes from."""
        own = self.limits.get("portfolios", {}).get(portfolio_id)
        return self._options(own) if own else self.usual_options

    def _options(self, own: Mapping[str, Any]) -> tuple[Options, dict[str, str]]:
        return merged({"run": self.options, "portfolio": own, "model": self.limits.get("model", {})})

    @cached_property
    def has_gain_budget(self) -> bool:
        """Whether any portfolio of the run has to keep its gains within a budget."""
        return has_gain_budget(self.options, self.limits)

    def needs_lots(self, portfolio_id: str) -> bool:
        """Whether this portfolio has such a budget, and may sell at all."""
        options, _ = self.options_of(portfolio_id)
        return options.gain_budget is not None and not options.hold

    def problem(self, portfolio_id: str, balances: Balances) -> RebalanceProblem:
        """The model's securities in the model's order, then what else is held."""
        options, _ = self.options_of(portfolio_id)
        held, lots, coming = balances.quantities, balances.lots or {}, balances.on_order
        ids = [*self.targets, *self.outside(balances)]
        positions = [self.position(key, held.get(key, ZERO), lots.get(key, ()), coming.get(key, ZERO)) for key in ids]
        return RebalanceProblem(portfolio_id, balances.cash, tuple(positions), options)


def has_gain_budget(options: Mapping[str, Any], limits: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the options of a run, or the limits that it froze, limit the gains of any portfolio."""
    levels = (options, limits.get("model", {}), *limits.get("portfolios", {}).values())
    return any(level.get("gain_budget") is not None for level in levels)


@lru_cache(maxsize=16)
def inputs_of(run_id: str) -> RunInputs:
    """What a run was launched on. It never changes, so each process reads it once."""
    run = Rebalance.objects.select_related("snapshot").get(pk=run_id)
    content = ModelVersion.objects.get(model_id=run.model_id, version=run.model_version).content
    targets = {
        line["security_id"]: (Decimal(line["target"]), Decimal(line["low_drift"]), Decimal(line["high_drift"]))
        for line in content["positions"]
    }
    return RunInputs(run.snapshot.payload, targets, run.options, run.limits, run.open_orders)
