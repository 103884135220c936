"""What is on its way to portfolios: approved orders, as far as their holdings do not show them yet.

    open   what is not done yet is to come; what is done too, until the holdings are stated anew
    ended  what was done is to come, until the holdings are stated anew

Where holdings were stated anew after an open order was last heard of, nobody knows how much of it they show: it is
*unclear*, and a person says what became of it. A holding that happens to fit moves no order by itself.

A statement may be of the day before, or of the cash alone, and a service may book a trade days later. Where holdings
that were stated SOON after the last order of a security ended are still as before it, though some of it was done, that
order is *unclear* too: ordered again, it would be done twice. So it is while of holdings and cash only one was stated
since: the shares would be there, and their price too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import NamedTuple

from django.db.models import Q

from models_app.portfolio.types import ZERO
from models_app.portfolio.units import WIDE
from models_app.sources.book_source import Balances
from ordergen.core.db import in_batches
from ordergen.core.errors import promised
from rebalance_app.models import Order
from rebalance_app.order_states.table import ENDED, OPEN_ORDER

SOON = timedelta(days=4)  # a weekend and a day
TOGETHER = timedelta(hours=12)  # holdings and cash that are stated within a morning belong together


def stated_since(stated_at: datetime | None, known_at: datetime | None) -> bool:
    """Whether holdings were stated anew after what is known of an order: an open one is unclear then."""
    return stated_at is not None and known_at is not None and stated_at > known_at


class FollowedOrder(NamedTuple):
    """An order that was approved, by the names of its columns."""

    pk: str
    rebalance_id: str
    rebalance__number: int
    proposal_id: str
    portfolio_id: str
    portfolio_name: str
    security_id: str
    ticker: str
    side: str
    quantity: int
    quantity_before: Decimal
    quantity_done: int | None
    price: Decimal
    state: str
    known_at: datetime | None  # None only of what was approved earlier

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_ORDER

    @property
    def done(self) -> int:
        return self.quantity_done or 0

    @property
    def rest(self) -> int:
        """What is not done of an open order."""
        return self.quantity - self.done if self.is_open else 0

    def is_shown_by(self, balances: Balances) -> bool:
        """Whether the holdings were stated after, or with, what is known of the order."""
        return None not in (balances.stated_at, self.known_at) and balances.stated_at >= self.known_at  # type: ignore[operator]

    def is_unclear(self, balances: Balances) -> bool:
        """Whether it is not known how much of it the holdings show."""
        return self.is_open and stated_since(balances.stated_at, self.known_at)

    def is_missing_in(self, balances: Balances) -> bool:
        """Whether it ended with some of it done, and holdings that were stated soon after it are as before it."""
        if self.is_open or not self.done or self.known_at is None or not self.is_shown_by(balances):
            return False
        held = balances.quantities.get(self.security_id, ZERO)
        stated_at = promised(balances.stated_at, "the holdings show it, so they were stated")
        return held == self.quantity_before and stated_at - self.known_at < SOON

    def is_half_stated_in(self, balances: Balances) -> bool:
        """Whether some of it is done, and of holdings and cash only one was stated since: the other lacks it."""
        if not self.done or self.known_at is None or not self.is_shown_by(balances):
            return False
        whole_at, latest = balances.stated_whole_at, promised(balances.stated_at, "it shows the order")
        return whole_at is None or (whole_at < self.known_at and latest - whole_at > TOGETHER)

    def to_come(self, balances: Balances) -> int:
        """Shares that the holdings do not show yet, by what is known."""
        return self.rest + (0 if self.is_shown_by(balances) else self.done)

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.ticker} of run #{self.rebalance__number}"


class Coming(NamedTuple):
    """Shares of an order that the holdings do not show, as far as is known."""

    order: FollowedOrder
    shares: int
    is_unclear: bool
    is_half_stated: bool = False  # and unclear for that

    @property
    def change(self) -> int:
        """What it does to the holding, in shares."""
        return self.shares if self.order.side == "BUY" else -self.shares

    def price(self, prices: Mapping[str, Decimal]) -> Decimal:
        """What a share of it is counted at: of `prices`, or the order's own where there is none."""
        return prices.get(self.order.security_id, self.order.price)

    def to_json(self, prices: Mapping[str, Decimal]) -> dict[str, str | int | bool]:
        """As a proposal keeps what it counted, and at which price."""
        of = self.order
        return {
            "id": of.pk,
            "run": of.rebalance__number,
            "security_id": of.security_id,
            "ticker": of.ticker,
            "side": of.side,
            "quantity": self.shares,
            "price": f"{self.price(prices):f}",
            "is_unclear": self.is_unclear,
        }


def on_their_way(balances: Mapping[str, Balances]) -> dict[str, list[Coming]]:
    """By portfolio what is on its way to it, the order approved first coming first."""
    stated = [owned.stated_at for owned in balances.values() if owned.stated_at is not None]
    since = Q(known_at__gt=min(stated) - SOON) if len(stated) == len(balances) and stated else Q()
    which = Q(state__in=OPEN_ORDER) | Q(quantity_done__isnull=False) & since
    found = {}
    for key, orders in _by_portfolio(balances, which).items():
        owned = balances[key]
        missing = {order.pk for order in _last_of_each(orders) if order.is_missing_in(owned)}
        coming = [_coming(order, owned, is_missing=order.pk in missing) for order in orders]
        if some := [one for one in coming if one.shares or one.is_unclear]:
            found[key] = some
    return found


def _coming(order: FollowedOrder, owned: Balances, *, is_missing: bool) -> Coming:
    is_half = order.is_half_stated_in(owned)
    return Coming(order, order.to_come(owned), order.is_unclear(owned) or is_missing or is_half, is_half)


def _last_of_each(orders: Iterable[FollowedOrder]) -> Iterable[FollowedOrder]:
    """The order of each security that was heard of last."""
    return {order.security_id: order for order in orders}.values()


def _by_portfolio(portfolio_ids: Iterable[str], which: Q) -> dict[str, list[FollowedOrder]]:
    found: defaultdict[str, list[FollowedOrder]] = defaultdict(list)
    for batch in in_batches(portfolio_ids):
        for order in followed(which & Q(portfolio_id__in=batch)):
            found[order.portfolio_id].append(order)
    return dict(found)


def followed(which: Q) -> Iterator[FollowedOrder]:
    """The approved orders of a filter, the first approved first."""
    rows = Order.objects.filter(which, state__in=OPEN_ORDER | ENDED).order_by("known_at", "pk")
    return (FollowedOrder(*row) for row in rows.values_list(*FollowedOrder._fields))


def expected(balances: Balances, coming: Iterable[Coming], prices: Mapping[str, Decimal]) -> Balances:
    """The portfolio as it will be when these orders are done, at `prices`, or at an order's own where there is none.

    What is bought and not there yet counts as held, and is named in `on_order`, for it cannot be sold.
    """
    quantities, on_order, cash = dict(balances.quantities), dict(balances.on_order), balances.cash
    with localcontext(WIDE):
        for one in coming:
            key, change = one.order.security_id, Decimal(one.change)
            quantities[key] = quantities.get(key, ZERO) + change
            cash -= change * one.price(prices)
            if change > 0:
                on_order[key] = on_order.get(key, ZERO) + change
    held = {key: quantity for key, quantity in quantities.items() if quantity}
    return replace(balances, cash=cash, quantities=held, on_order={k: n for k, n in on_order.items() if k in held})
