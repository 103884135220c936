"""How many orders are on their way to which portfolios: counted by the database, for lists and before a run.

What is on its way is what `on_the_way` says of one portfolio; here nothing of an order is read but where it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q, QuerySet, Sum

from models_app.sources import get_source
from ordergen.core.db import in_batches
from rebalance_app.models import Order, OrderState, Rebalance
from rebalance_app.order_states.on_the_way import FollowedOrder, followed, stated_since
from rebalance_app.order_states.table import ENDED, OPEN_ORDER

NAMED = 5  # portfolios of which the unclear order is named
COUNTED = 50_000  # open orders of the firm that are gone through to say how many portfolios are unclear


class Pending(NamedTuple):
    """Orders of one portfolio: on their way to it, unclear where its holdings were stated anew; approved earlier."""

    n: int = 0
    is_unclear: bool = False
    n_earlier: int = 0


def pending_of(portfolio_ids: Collection[str]) -> dict[str, Pending]:
    """By id of these portfolios, of those that have any such order."""
    stated = get_source().stated_at(portfolio_ids)
    found: dict[str, Pending] = {}
    for batch in in_batches(portfolio_ids):
        orders = Order.objects.filter(portfolio_id__in=batch)
        for key, n, first, n_earlier in _by_portfolio(orders):
            found[key] = Pending(n, stated_since(stated.get(key), first), n_earlier)
        for key, n in _not_shown_yet(orders, {key: stated.get(key) for key in batch}).items():
            found[key] = (had := found.get(key, Pending()))._replace(n=had.n + n)
    return found


def _by_portfolio(orders: QuerySet[Order]) -> QuerySet[Order, Any]:
    """Portfolio, orders on their way to it, when the one heard of the longest ago was, orders approved earlier."""
    is_earlier = Q(state=OrderState.APPROVED_EARLIER)
    grouped = orders.filter(state__in=OPEN_ORDER | {OrderState.APPROVED_EARLIER}).order_by().values_list("portfolio_id")
    return grouped.annotate(
        n=Count("pk", filter=~is_earlier),
        first=Min("known_at", filter=~is_earlier),
        n_earlier=Count("pk", filter=is_earlier),
    )


def _not_shown_yet(orders: QuerySet[Order], stated: Mapping[str, datetime | None]) -> Counter[str]:
    """By portfolio, ended orders of which something was done that its holdings do not show."""
    never = [key for key, at in stated.items() if at is None]
    moments = [at for at in stated.values() if at is not None]
    since = Q(portfolio_id__in=never) | (Q(known_at__gt=min(moments)) if moments else Q(pk__in=()))
    done = orders.filter(since, quantity_done__gt=0, state__in=ENDED).values_list("portfolio_id", "known_at")
    return Counter(key for key, at in done if (last := stated[key]) is None or (at is not None and at > last))


@dataclass(frozen=True)
class Standing:
    """Of some portfolios: how many have orders on their way, how many of those are unclear, how many approved earlier.

    `unclear` are the first such orders, of NAMED portfolios at most: runs leave these portfolios out.
    """

    n_pending: int
    n_unclear: int
    n_earlier: int
    unclear: Sequence[FollowedOrder]


def standing_of(portfolio_ids: Collection[str]) -> Standing:
    """How these portfolios stand before a run over them."""
    pending = pending_of(portfolio_ids)
    unclear = sorted(key for key, some in pending.items() if some.is_unclear)
    first: dict[str, FollowedOrder] = {}
    for order in followed(Q(portfolio_id__in=unclear[:NAMED], state__in=OPEN_ORDER)):
        first.setdefault(order.portfolio_id, order)
    return Standing(
        sum(some.n > 0 for some in pending.values()),
        len(unclear),
        sum(some.n_earlier > 0 for some in pending.values()),
        list(first.values()),
    )


class ToClearUp(NamedTuple):
    """What awaits a person's word, in portfolios and in orders."""

    n_unclear: int | None  # portfolios with an unclear order; None where too many orders are open to go through
    n_earlier: int  # orders approved earlier


def to_clear_up() -> ToClearUp:
    """Of the whole firm."""
    n_earlier = Order.objects.filter(state=OrderState.APPROVED_EARLIER).count()
    n_open = Rebalance.objects.aggregate(n=Sum("n_approved"))["n"] or 0
    if n_open > COUNTED:
        return ToClearUp(None, n_earlier)
    open_orders = Order.objects.filter(state__in=OPEN_ORDER).order_by().values_list("portfolio_id")
    first = dict(open_orders.annotate(first=Min("known_at"))) if n_open else {}
    stated = get_source().stated_at(first)
    return ToClearUp(sum(stated_since(stated.get(key), at) for key, at in first.items()), n_earlier)
