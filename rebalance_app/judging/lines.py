"""Orders as deciding on them needs them; a million model instances would take gigabytes and minutes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q

from models_app.portfolio.units import WIDE
from ordergen.core.db import in_batches
from rebalance_app.models import Order


class OrderLine(NamedTuple):
    """The columns of an order that a decision reads, by their names."""

    pk: str
    rebalance_id: str
    proposal_id: str
    portfolio_id: str
    portfolio_name: str
    security_id: str
    ticker: str
    side: str
    quantity: int
    quantity_before: Decimal
    price: Decimal
    state: str
    quantity_done: int | None = None

    @property
    def value(self) -> Decimal:
        return WIDE.multiply(Decimal(self.quantity), self.price)


def lines_where(which: Q) -> list[OrderLine]:
    """The orders of a filter, by id."""
    return [OrderLine(*row) for row in Order.objects.filter(which).order_by("pk").values_list(*OrderLine._fields)]


def orders_named(order_ids: Iterable[str]) -> list[OrderLine]:
    """The orders with these ids that exist, each once, by id."""
    wanted = set(order_ids)
    return [line for batch in in_batches(wanted) for line in lines_where(Q(pk__in=batch))]


def lines_of(proposal_ids: Iterable[str], state: str) -> list[OrderLine]:
    """The orders of these proposals in one state."""
    return [line for batch in in_batches(set(proposal_ids)) for line in lines_where(Q(proposal__in=batch, state=state))]
