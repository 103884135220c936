"""Closing approved orders: done outside, cancelled or lapsed, each with how much of it was done. Never unasked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import in_batches
from ordergen.core.errors import InvalidInputError, NotFoundError
from rebalance_app.models import Order, Rebalance
from rebalance_app.order_states.move import Movable, moves_keep, orders_move
from rebalance_app.order_states.table import MOVES, refusal_of
from rebalance_app.orders.decide import MAX_COMMENT, DecisionOutcome
from rebalance_app.orders.lines import OrderLine, lines_where

VERBS: Mapping[str, str] = {"closed": "close", "cancelled": "cancel", "lapsed": "lapse"}  # by the state that follows
MAX_CLOSINGS = 100_000


@dataclass(frozen=True, slots=True)
class Closing:
    """What somebody says of one order. `outcome` is one of VERBS; without a quantity, `closed` is done in full.

    `quantity` is how much of the order was done in all; of a cancelled or lapsed one, without it, what was known.
    """

    order_id: str
    outcome: str
    quantity: int | None = None
    reason: str = ""


def orders_close(
    *, by: User, closings: Sequence[Closing], reason: str = "", argument: str = "orders"
) -> DecisionOutcome:
    """Closes orders that were approved; those that are no longer, or never were, are skipped and said.

    `reason` is of those that bring none. Raises NotAllowedError (role), NotFoundError (an id nobody proposed),
    InvalidInputError at `argument`.place.field (an outcome or a quantity that cannot be, no reason, an order named
    twice) and ConflictError when somebody else moved one of them meanwhile; nothing is written then.
    """
    by.must("order.decide")
    _check(closings, reason, argument)
    with recorded():
        found = _read(closings)
        closed = DecisionOutcome()
        refused = {c.order_id: why for c in closings if (why := refusal_of(VERBS[c.outcome], found[c.order_id].state))}
        told = {
            c.order_id: (c, _done(found[c.order_id], c, f"{argument}.{at}"))
            for at, c in enumerate(closings)
            if c.order_id not in refused
        }
        for (outcome, why), keys in _grouped(told, reason).items():
            done = {key: told[key][1] for key in keys}
            moved_with_event(VERBS[outcome], [found[key] for key in keys], by=by, done=done, reason=why)
        closed.add(len(told), refused)
        return closed


def _check(closings: Sequence[Closing], reason: str, argument: str) -> None:
    faults: dict[str, str] = {}
    seen: set[str] = set()
    if not 1 <= len(closings) <= MAX_CLOSINGS:
        faults[argument] = f"1 to {MAX_CLOSINGS:,} orders"
    for at, closing in enumerate(closings):
        where = f"{argument}.{at}"
        if closing.outcome not in VERBS:
            faults[f"{where}.outcome"] = f"one of {', '.join(VERBS)}"
        if closing.order_id in seen:
            faults[f"{where}.order_id"] = "named twice"
        text = closing.reason or reason
        if not text.strip() or len(text) > MAX_COMMENT or "\0" in text:
            faults[f"{where}.reason" if closing.reason else "reason"] = f"say why, in at most {MAX_COMMENT} characters"
        seen.add(closing.order_id)
    if faults:
        name, message = next(iter(faults.items()))
        raise InvalidInputError(f"{name}: {message}.", fields=faults)


def _read(closings: Sequence[Closing]) -> dict[str, OrderLine]:
    wanted = [closing.order_id for closing in closings]
    found = {line.pk: line for batch in in_batches(wanted) for line in lines_where(Q(pk__in=batch))}
    if missing := [key for key in wanted if key not in found]:
        raise NotFoundError(f"No such order: {missing[0]}.")
    return found


def _done(order: OrderLine, closing: Closing, where: str) -> int:
    """How much of the order was done, as said or, where that is plain, as known."""
    known = order.quantity_done or 0
    if closing.quantity is None:
        return order.quantity if closing.outcome == "closed" else known
    least, most = (max(known, 1), order.quantity) if closing.outcome == "closed" else (known, order.quantity - 1)
    if not least <= closing.quantity <= most:
        of = f"{order.side} {order.quantity:,} {order.ticker}"
        message = f"{least:,} to {most:,} of {of}" + (f", of which {known:,} are known to be done" if known else "")
        raise InvalidInputError(f"Closing as {closing.outcome} takes {message}.", fields={f"{where}.quantity": message})
    return closing.quantity


def _grouped(told: Mapping[str, tuple[Closing, int]], reason: str) -> dict[tuple[str, str], list[str]]:
    """The orders of each outcome and reason."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key, (closing, _) in told.items():
        groups[closing.outcome, (closing.reason or reason).strip()].append(key)
    return dict(groups)


def moved_with_event(
    verb: str,
    orders: Sequence[Movable],
    *,
    by: User,
    done: Mapping[str, int],
    reason: str,
    known_at: datetime | None = None,
) -> None:
    """Moves these orders, keeps with each what became of it, and records one event for each of their runs.

    `known_at`: the moment as of which `done` is known, where that is not now.
    """
    now = timezone.now()
    moves_keep(MOVES[verb].to, orders, by=by.pk, at=now, done=done, reason=reason)
    orders_move(verb, orders, known_at=known_at or now, done=done)
    record_moves(MOVES[verb].to.value, orders, by=by, done=done, reason=reason)


def record_moves(action: str, orders: Sequence[Movable], *, by: User, done: Mapping[str, int], reason: str) -> None:
    """One event `orders.<action>` for each run of these orders, with how much of each is done."""
    of_runs: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for order in orders:
        of_runs[order.rebalance_id][order.pk] = done[order.pk]
    for run in Rebalance.objects.filter(pk__in=list(of_runs)).only("pk", "number").order_by("number"):
        told = of_runs[run.pk]
        count = "1 order" if len(told) == 1 else f"{len(told):,} orders"
        what = action.replace("_", " ")
        record(
            f"orders.{action}",
            run,
            f"{count} of run #{run.number} {what}",
            by=by,
            detail={"orders": told, "comment": reason},
        )


def open_order_ids(run_id: str) -> list[str]:
    """The orders of a run that can be closed, by id."""
    rows = Order.objects.filter(rebalance_id=run_id, state__in=MOVES["close"].origins).order_by("pk")
    return list(rows.values_list("pk", flat=True))
