"""Sending a batch to the order service, once: kept before it is asked, and never asked again for what is unclear.

    waiting -> asking    committed before the request, while the batch is ours
    asking  -> sent | refused | not sent | unclear     by the answer, if it is this order's own
    asking  -> unclear   by the sweeper, where whoever asked was lost
    unclear -> sent      by looking it up: exactly one order of the service fits; anything else is for a person

At most once by itself; once, or flagged for a person, after whatever broke.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from celery import current_app
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import OperationalError

from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import atomic
from ordergen.core.errors import ConflictError, InvalidInputError, NotFoundError
from ordergen.core.ids import object_id
from rebalance_app.judging.lines import OrderLine, lines_where
from rebalance_app.models import AttemptState, Batch, BatchOrder, Order, OrderState
from rebalance_app.order_states.move import orders_move
from rebalance_app.order_states.table import MOVES
from rebalance_app.orders.decide import MAX_COMMENT
from rebalance_app.sending.layouts import LINE, BatchLine
from rebalance_app.sending.order_service import AT_ONCE, KnownOrder, Outcome, ask, is_there, matching, orders_known

logger = logging.getLogger(__name__)
SEND_BATCH = "sending.send_batch"  # the task, by its name
LEASE = timedelta(seconds=90)  # longer than one request may take
QUIET = timedelta(seconds=30)  # until what is unclear is looked up, and between two looks
VERBS: Mapping[AttemptState, str] = {
    AttemptState.SENT: "sent",
    AttemptState.REFUSED: "refuse",
    AttemptState.NOT_SENT: "not_sent",
    AttemptState.UNCLEAR: "unclear",
}


def tell_sender(batch_id: str) -> None:
    """Once the batch is committed: a hint for a worker. Where the broker is down the sweeper sends it."""

    def hint() -> None:
        try:
            current_app.send_task(SEND_BATCH, (batch_id,))
        except (OperationalError, OSError) as error:
            logger.warning("broker unreachable, batch %s waits for the sweeper: %s", batch_id, error)

    transaction.on_commit(hint, robust=True)


def batch_send(batch_id: str) -> None:
    """Sends what of a batch waits, a few orders at a time; nothing while another sender has it. Safe to call again."""
    token, now = object_id(), timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    if not Batch.objects.filter(free, pk=batch_id).update(token=token, lease_until=now + LEASE):
        return
    batch = Batch.objects.get(pk=batch_id)
    while rows := _take(batch, token):
        asked_at = rows[0].asked_at or timezone.now()
        lines = _lines(rows)
        told = dict(zip(rows, ask([lines[row.pk] for row in rows], asked_at), strict=True))
        _keep(batch, told)
        if any(one.is_altered for one in told.values()) or {o.state for o in told.values()} == {AttemptState.NOT_SENT}:
            _stop(batch, next(iter(told.values())).said)
    Batch.objects.filter(pk=batch_id, token=token).update(lease_until=None)


def _take(batch: Batch, token: str) -> list[BatchOrder]:
    """The next orders, kept as being asked for; none where nothing waits or the batch is no longer ours."""
    now = timezone.now()
    with atomic():
        rows = list(batch.orders.filter(state=AttemptState.WAITING).order_by("place")[:AT_ONCE])
        ours = Batch.objects.filter(pk=batch.pk, token=token, lease_until__gt=now).update(lease_until=now + LEASE)
        if not rows or not ours:
            return []
        keys = [row.pk for row in rows]
        taken = BatchOrder.objects.filter(pk__in=keys, state=AttemptState.WAITING)
        if taken.update(state=AttemptState.ASKING, asked_at=now) != len(rows):
            raise ConflictError("another sender has this batch")
    return list(BatchOrder.objects.filter(pk__in=keys).order_by("place"))


def _lines(rows: Sequence[BatchOrder]) -> dict[str, BatchLine]:
    found = BatchOrder.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", *LINE)
    return {key: BatchLine(*line) for key, *line in found}


def _keep(batch: Batch, told: Mapping[BatchOrder, Outcome], *, by: User | None = None) -> None:
    """Keeps what is known of orders now, each only where it still was open: a late answer tells more than none."""
    groups: defaultdict[AttemptState, list[str]] = defaultdict(list)
    now = timezone.now()
    with recorded():
        for row, outcome in told.items():
            known = {AttemptState.ASKING, AttemptState.WAITING}
            if outcome.state != AttemptState.UNCLEAR:
                known.add(AttemptState.UNCLEAR)
            rows = BatchOrder.objects.filter(pk=row.pk, state__in=known)
            if rows.update(
                state=outcome.state, destination_id=outcome.destination_id, said=outcome.said, answered_at=now
            ):
                groups[outcome.state].append(row.order_id)
        for state, ids in groups.items():
            orders_move(VERBS[state], _movable(ids, VERBS[state]), known_at=now)
        if groups:
            counts = {state.value: ids for state, ids in groups.items()}
            words = ", ".join(f"{len(ids)} {state.label.lower()}" for state, ids in groups.items())
            record("batch.answered", batch, f"Batch #{batch.number}: {words}", by=by, detail={"orders": counts})
    for row, outcome in told.items():
        if outcome.is_altered:
            logger.critical("batch #%s, order %s: %s", batch.number, row.order_id, outcome.said)


def _movable(ids: Sequence[str], verb: str) -> list[OrderLine]:
    """Of these orders those that nobody has closed meanwhile."""
    return [line for line in lines_where(Q(pk__in=ids)) if line.state in MOVES[verb].origins]


def _stop(batch: Batch, why: str) -> None:
    """What still waits does not go out."""
    waiting = list(batch.orders.filter(state=AttemptState.WAITING))
    if waiting:
        _keep(batch, dict.fromkeys(waiting, Outcome(AttemptState.NOT_SENT, said=f"Not asked for: {why}"[:500])))


def sweep_sending() -> int:
    """Flags what was lost on the way, goes on with batches that nobody sends, looks up what is unclear.

    Returns how many orders changed. Any number of sweepers may do so at once.
    """
    if not is_there():
        return 0
    now = timezone.now()
    lost = list(BatchOrder.objects.filter(state=AttemptState.ASKING, asked_at__lt=now - LEASE).select_related("batch"))
    flagged = Outcome(AttemptState.UNCLEAR, said="Whoever asked for it was lost before the answer.")
    for batch, rows in _by_batch(lost).items():
        _keep(batch, dict.fromkeys(rows, flagged))
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    waiting = Batch.objects.filter(free, orders__state=AttemptState.WAITING, made_at__lt=now - QUIET).distinct()
    for batch in waiting.order_by("number"):
        batch_send(batch.pk)
    return len(lost) + look_up()


def look_up() -> int:
    """Asks the service for its orders, and settles what is unclear where exactly one of them fits."""
    now = timezone.now()
    unclear = BatchOrder.objects.filter(state=AttemptState.UNCLEAR, asked_at__lt=now - QUIET, destination_id="")
    rows = list(
        unclear.filter(answered_at__lt=now - QUIET).select_related("batch").order_by("asked_at", "place")[:1000]
    )
    if not rows:
        return 0
    BatchOrder.objects.filter(pk__in=[row.pk for row in rows]).update(answered_at=now)
    known = orders_known()
    if known is None:
        return 0
    taken = set(BatchOrder.objects.exclude(destination_id="").values_list("destination_id", flat=True))
    found = _settled(rows, [order for order in known if order.id not in taken])
    for batch, some in _by_batch(list(found)).items():
        _keep(batch, {row: found[row] for row in some})
    return len(found)


def _settled(rows: Sequence[BatchOrder], known: Sequence[KnownOrder]) -> dict[BatchOrder, Outcome]:
    lines = _lines(rows)
    fitting = {row: matching(lines[row.pk], row.asked_at, known) for row in rows if row.asked_at}
    times: defaultdict[str, int] = defaultdict(int)
    for orders in fitting.values():
        for order in orders:
            times[order.id] += 1
    return {
        row: Outcome(AttemptState.SENT, orders[0].id, "Found at the order service.")
        for row, orders in fitting.items()
        if len(orders) == 1 and times[orders[0].id] == 1
    }


def _by_batch(rows: Sequence[BatchOrder]) -> dict[Batch, list[BatchOrder]]:
    groups: defaultdict[Batch, list[BatchOrder]] = defaultdict(list)
    for row in rows:
        groups[row.batch].append(row)
    return dict(groups)


def unclear_settle(*, by: User, order_id: str, was_received: bool, reason: str, destination_id: str = "") -> None:
    """A person says whether the service has an order of which that is unclear, and why they know.

    One that it does not have may be sent again. Raises NotAllowedError (role), NotFoundError (nothing is unclear of
    it) and InvalidInputError (no reason).
    """
    by.must("order.decide")
    if not reason.strip() or len(reason) > MAX_COMMENT or "\0" in reason:
        raise InvalidInputError("Say how you know.", fields={"reason": "say how you know"})
    row = BatchOrder.objects.filter(order_id=order_id, state=AttemptState.UNCLEAR).select_related("batch").first()
    if row is None:
        raise NotFoundError("Nothing is unclear of this order.")
    state = AttemptState.SENT if was_received else AttemptState.NOT_SENT
    said = f"{by.username}: {reason.strip()}"[:500]
    _keep(row.batch, {row: Outcome(state, destination_id[:40], said)}, by=by)


def equal_to_open(orders: Sequence[OrderLine]) -> dict[str, str]:
    """Orders that equal one at the service, or one before them here: it could not tell them apart. By id, why not."""
    at_service = (OrderState.SENDING, OrderState.UNKNOWN, OrderState.SENT, OrderState.ACKNOWLEDGED)
    owners = {order.portfolio_id for order in orders}
    rows = Order.objects.filter(portfolio_id__in=owners, state__in=at_service)
    seen = set(rows.values_list("portfolio_id", "security_id", "side", "quantity"))
    refused = {}
    for order in orders:
        trade = (order.portfolio_id, order.security_id, order.side, order.quantity)
        if trade in seen:
            refused[order.pk] = (
                "An equal order of the portfolio is at the order service, which could not tell them apart."
            )
        seen.add(trade)
    return refused
