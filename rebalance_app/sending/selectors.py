"""Reading batches for the pages and API v2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ordergen.core.errors import NotFoundError
from ordergen.web.keyset import Keyset, KeysetPage, read_page
from rebalance_app.models import AttemptState, Batch, BatchOrder, Order, OrderState

PAGE_SIZE = 50


def batch_list(*, before: int | None = None) -> KeysetPage[Batch]:
    """Batches, the latest first."""
    return read_page(Batch.objects.select_related("made_by"), Keyset("-number"), PAGE_SIZE, after=before)


def batch_get(batch_id: str) -> Batch:
    """Raises NotFoundError."""
    batch = Batch.objects.select_related("made_by").filter(pk=batch_id).first()
    if batch is None:
        raise NotFoundError(f"There is no batch {batch_id[:40]}.")
    return batch


def batch_orders(batch: Batch, *, after: int = 0) -> KeysetPage[BatchOrder]:
    """The orders of a batch in its order, a page of them."""
    orders = BatchOrder.objects.filter(batch=batch).select_related("order__rebalance")
    return read_page(orders, Keyset("place"), PAGE_SIZE, after=after or None)


def batch_unclear(batch: Batch) -> list[BatchOrder]:
    """The first of its orders of which a person has to say whether the service has them."""
    unclear = BatchOrder.objects.filter(batch=batch, state=AttemptState.UNCLEAR).select_related("order")
    return list(unclear.order_by("place")[:PAGE_SIZE])


def batch_states(batch: Batch) -> Mapping[str, int]:
    """How many of its orders are in which state now, by label."""
    states = Order.objects.filter(batch_orders__batch=batch).order_by().values_list("state", flat=True)
    return {OrderState(state).label: count for state, count in Counter(states.iterator()).most_common()}
