"""Making batches: approved orders leave once, by one guarded move, and the file can be had again as it was."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.db.models import Max
from django.utils import timezone

from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import bulk_insert
from ordergen.core.errors import InvalidInputError, NotFoundError
from ordergen.core.ids import object_id
from rebalance_app.formats.sentences import sentence
from rebalance_app.judging.judge import price_objection
from rebalance_app.judging.lines import OrderLine, orders_named
from rebalance_app.models import AttemptState, Batch, BatchOrder, Order, OrderState
from rebalance_app.order_states.move import orders_move
from rebalance_app.order_states.table import refusal_of
from rebalance_app.orders.decide import DecisionOutcome
from rebalance_app.sending.layouts import LAYOUTS, LINE, BatchHead, BatchLine, Layout
from rebalance_app.sending.order_service import is_there
from rebalance_app.sending.send import equal_to_open, tell_sender

MOST_ORDERS = 100_000  # of a batch
PIECE = 2_000  # orders of a file that are written at once


@dataclass
class Made(DecisionOutcome):
    """What came of making a batch: the batch, unless every order was left alone."""

    batch: Batch | None = None


def batch_make(*, by: User, order_ids: Sequence[str], layout: str) -> Made:
    """Lets approved orders leave together, once, and the batch is what left: in a file, or to be sent to a service.

    Orders that left before, or are not approved, or whose price has moved too far since, are left alone and said.
    Raises NotAllowedError (role), InvalidInputError (layout, none or too many orders), NotFoundError (an id nobody
    proposed), UnavailableError and ConflictError when somebody moved one of them meanwhile; nothing is written then.
    """
    by.must("order.decide")
    offered = layouts_offered()
    if layout not in offered:
        raise InvalidInputError("There is no such layout here.", fields={"layout": f"one of {', '.join(offered)}"})
    if not 1 <= len(set(order_ids)) <= MOST_ORDERS:
        raise InvalidInputError("Which orders?", fields={"order_ids": f"1 to {MOST_ORDERS:,} orders"})
    prices = _prices_now(order_ids)
    with recorded():
        orders = orders_named(order_ids)
        if missing := set(order_ids) - {order.pk for order in orders}:
            raise NotFoundError(f"No such order: {min(missing)}.")
        verb = "send" if LAYOUTS[layout].is_sent else "export"
        refused = {order.pk: why for order in orders if (why := _refused(order, verb, prices))}
        leaving = sorted((o for o in orders if o.pk not in refused), key=_sells_first)
        if LAYOUTS[layout].is_sent:
            refused |= equal_to_open(leaving)
            leaving = [order for order in leaving if order.pk not in refused]
        made = Made()
        made.add(len(leaving), refused)
        if leaving:
            made.batch = _write(by, leaving, LAYOUTS[layout])
        return made


def layouts_offered() -> dict[str, Layout]:
    """The layouts of this installation, by name: a service only where it has one."""
    return {name: layout for name, layout in LAYOUTS.items() if not layout.is_sent or is_there()}


def approved_order_ids(run_id: str) -> list[str]:
    """The orders of a run that can leave, by id."""
    rows = Order.objects.filter(rebalance_id=run_id, state=OrderState.APPROVED).order_by("pk")
    return list(rows.values_list("pk", flat=True)[: MOST_ORDERS + 1])


def _prices_now(order_ids: Sequence[str]) -> dict[str, Decimal]:
    """The newest prices of what is traded: read before the transaction, for another service may take its time."""
    securities = {order.security_id for order in orders_named(order_ids)}
    return {key: info.price for key, info in get_source().latest_prices(securities).items()}


def _refused(order: OrderLine, verb: str, prices: Mapping[str, Decimal]) -> str:
    if why := refusal_of(verb, order.state):
        return why
    hard = settings.PRICE_MOVED_HARD
    against = price_objection(order, prices.get(order.security_id), soft=hard, hard=hard)
    return sentence(against.reason, lambda _: order.ticker) if against else ""


def _sells_first(order: OrderLine) -> tuple[bool, str, str, str]:
    return (order.side == "BUY", order.portfolio_name, order.ticker, order.pk)


def _write(by: User, orders: Sequence[OrderLine], layout: Layout) -> Batch:
    now = timezone.now()
    orders_move("send" if layout.is_sent else "export", orders, known_at=now)
    last = Batch.objects.aggregate(last=Max("number"))["last"] or 0
    batch = Batch(number=last + 1, layout=layout.name, made_by=by, made_at=now, n_orders=len(orders))
    batch.save(force_insert=True)
    state = AttemptState.WAITING.value if layout.is_sent else ""
    rows = ((object_id(), batch.pk, order.pk, place, state, "", "") for place, order in enumerate(orders, start=1))
    bulk_insert(BatchOrder, ("id", "batch", "order", "place", "state", "destination_id", "said"), rows)
    batch.sha256 = batch_sha256(batch)
    Batch.objects.filter(pk=batch.pk).update(sha256=batch.sha256)
    of_runs: defaultdict[str, list[str]] = defaultdict(list)
    for order in orders:
        of_runs[order.rebalance_id].append(order.pk)
    detail = {"layout": layout.name, "sha256": batch.sha256, "runs": dict(of_runs)}
    what = "1 order" if len(orders) == 1 else f"{len(orders):,} orders"
    verb, told = ("sending", "to be sent") if layout.is_sent else ("exported", "left")
    record(f"batch.{verb}", batch, f"{what} {told} in batch #{batch.number}", by=by, detail=detail)
    if layout.is_sent:
        tell_sender(batch.pk)
    return batch


def batch_file(batch: Batch) -> Iterator[str]:
    """The file of a batch, piece by piece: the same every time, for what it is made of never changes."""
    head = BatchHead(batch.number, batch.made_at, batch.n_orders)
    return LAYOUTS[batch.layout].write(head, _pieces(batch))


def batch_fetch(*, by: User, batch: Batch) -> Iterator[str]:
    """The file for somebody who takes it, which is recorded: a batch leaves once, and whoever has it again is known."""
    by.must("order.decide")
    with recorded():
        record("batch.fetched", batch, f"The file of batch #{batch.number} was fetched", by=by)
    return batch_file(batch)


def batch_sha256(batch: Batch) -> str:
    """Of the whole file."""
    digest = hashlib.sha256()
    for piece in batch_file(batch):
        digest.update(piece.encode())
    return digest.hexdigest()


def _pieces(batch: Batch) -> Iterator[list[BatchLine]]:
    lines = BatchOrder.objects.filter(batch=batch).order_by("place")
    after = 0
    while some := list(lines.filter(place__gt=after).values_list(*LINE)[:PIECE]):
        yield [BatchLine(*row) for row in some]
        after = some[-1][0]
