"""Moving orders: one guarded update for every door, and the counters of their runs with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from django.db.models import F, Value

from ordergen.core.db import bulk_insert, bulk_update, in_batches
from ordergen.core.errors import BrokenPromiseError, Code, ConflictError
from ordergen.core.ids import object_id
from rebalance_app.models import Order, OrderMove, OrderState, Rebalance
from rebalance_app.order_states.table import COUNTERS, MOVES

MOVED_MEANWHILE = "Somebody else moved some of these orders meanwhile: look again."
_FIELDS = ("id", "order", "state_before", "state_after", "moved_by", "moved_at", "quantity_done", "reason")


class Movable(Protocol):
    """An order, whichever way it was read."""

    @property
    def pk(self) -> str: ...
    @property
    def rebalance_id(self) -> str: ...
    @property
    def state(self) -> str: ...


def orders_move(
    verb: str, orders: Iterable[Movable], *, known_at: datetime, done: Mapping[str, int] | None = None
) -> None:
    """Moves orders that were read in this transaction, and counts them where they are now.

    `done` has, by order id, how much of each was done; without it that stays as it is. Call it inside a transaction
    that records the event. Raises ConflictError where one of them was moved since it was read; nothing is written then.
    """
    move = MOVES[verb]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    counts: Counter[tuple[str, str]] = Counter()
    for order in orders:
        if order.state not in move.origins:
            raise BrokenPromiseError(f"no order {order.state} is moved by {verb}: whoever calls has asked the table")
        groups[order.state].append(order.pk)
        counts[order.rebalance_id, order.state] += 1
    for state, ids in groups.items():
        if _update(ids, state, move.to, known_at, done) != len(ids):
            raise ConflictError(MOVED_MEANWHILE, code=Code.CHANGED_MEANWHILE)
    _count(counts, move.to)


def orders_stay(orders: Sequence[Movable], *, known_at: datetime) -> None:
    """Keeps that open orders were looked at and nothing further of them is done. Raises what `orders_move` raises."""
    for state in {order.state for order in orders}:
        ids = [order.pk for order in orders if order.state == state]
        if _update(ids, state, OrderState(state), known_at, None) != len(ids):
            raise ConflictError(MOVED_MEANWHILE, code=Code.CHANGED_MEANWHILE)


def _update(
    ids: Sequence[str], before: str, after: OrderState, known_at: datetime, done: Mapping[str, int] | None
) -> int:
    """How many of these orders were in the state `before`, and are moved."""
    if done is not None:
        rows = ((key, after.value, known_at, done[key]) for key in ids)
        return bulk_update(Order, ("state", "known_at", "quantity_done"), rows, {"state": before})
    some = (Order.objects.filter(pk__in=batch, state=before) for batch in in_batches(ids))
    return sum(orders.update(state=after, known_at=known_at) for orders in some)


def _count(counts: Mapping[tuple[str, str], int], to: OrderState) -> None:
    changes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (run_id, state), n in counts.items():
        changes[run_id][COUNTERS.get(OrderState(state), "")] -= n
        changes[run_id][COUNTERS.get(to, "")] += n
    for run_id in sorted(changes):  # in one order for everybody, so that no two wait for each other
        raised = {name: F(name) + Value(n) for name, n in changes[run_id].items() if name and n}
        if raised:
            Rebalance.objects.filter(pk=run_id).update(**raised)


def moves_keep(
    to: OrderState | None,
    orders: Iterable[Movable],
    *,
    by: str | None,
    at: datetime,
    done: Mapping[str, int],
    reason: str,
) -> None:
    """Keeps with each order what became of it, None: it stays as it is.

    An approval and a rejection keep their signed Decision instead.
    """
    rows = (
        (object_id(), o.pk, o.state, (to or OrderState(o.state)).value, by, at, done.get(o.pk), reason) for o in orders
    )
    bulk_insert(OrderMove, _FIELDS, rows)
