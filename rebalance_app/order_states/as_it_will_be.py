"""A portfolio as it will be once the orders on their way to it are done, beside how it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from models_app.drift_index.live_drift import PortfolioView, PositionView, portfolio_view
from models_app.sources import get_source
from rebalance_app.order_states.on_the_way import Coming, expected, on_their_way


@dataclass(frozen=True)
class ToBe:
    """What is on its way to a portfolio, and the portfolio with all of it done at today's prices."""

    coming: Sequence[Coming]
    prices: Mapping[str, Decimal]  # of today, that these orders are counted at; at their own where there is none
    view: PortfolioView

    @property
    def n_unclear(self) -> int:
        """Orders of which nobody knows how much the holdings show already: the view counts all that is not done."""
        return sum(one.is_unclear for one in self.coming)

    @cached_property
    def changes(self) -> Counter[str]:
        """By security id, shares that are to come, less those that are to go."""
        changes: Counter[str] = Counter()
        for one in self.coming:
            changes[one.order.security_id] += one.change
        return changes

    @cached_property
    def positions(self) -> dict[str, PositionView]:
        return {position.security_id: position for position in self.view.positions}


def as_it_will_be(now: PortfolioView) -> ToBe | None:
    """None where nothing is on its way, or the book knows no holdings of the portfolio."""
    if now.balances is None:
        return None
    coming = on_their_way({now.info.id: now.balances}).get(now.info.id)
    if not coming:
        return None
    quotes = get_source().latest_prices({one.order.security_id for one in coming})
    prices = {key: quote.price for key, quote in quotes.items()}
    balances = expected(now.balances, coming, prices)
    return ToBe(coming, prices, portfolio_view(now.info.id, now.model.pk if now.model else None, balances))
