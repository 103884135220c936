"""Closing approved orders: done outside, cancelled or lapsed, each with how much of it was done. Never unasked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.errors import InvalidInputError
from rebalance_app.judging.lines import OrderLine, orders_named
from rebalance_app.models import Rebalance
from rebalance_app.order_states.move import Movable, moves_keep, orders_move
from rebalance_app.order_states.table import MOVES, refusal_of
from rebalance_app.orders.decide import MAX_COMMENT, DecisionOutcome

VERBS: Mapping[str, str] = {"closed": "close", "cancelled": "cancel", "lapsed": "lapse"}  # by the state that follows
MAX_CLOSINGS = 100_000
_REASON = f"say why, in at most {MAX_COMMENT} characters"


@dataclass(frozen=True, slots=True)
class Closing:
    """What somebody says of one order. `outcome` is one of VERBS; without a quantity, `closed` is done in full.

    `quantity` is how much of the order was done in all; of a cancelled or lapsed one, without it, what was known.
    """

    order_id: str
    outcome: str
    quantity: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class ClosingsLook:
    """What closing would do: the orders by id, how much of each is done, which are left alone and why.

    `faults` are what cannot be, by place and field ("3.quantity"): with one, nothing is closed.
    """

    orders: Mapping[str, OrderLine] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def closings_look(closings: Sequence[Closing], reason: str) -> ClosingsLook:
    """What closing these orders would do, and everything that is wrong with it; nothing is written."""
    wanted = [closing.order_id for closing in closings]
    look = ClosingsLook({line.pk: line for line in orders_named(wanted)})
    if not 1 <= len(closings) <= MAX_CLOSINGS:
        look.faults[""] = f"1 to {MAX_CLOSINGS:,} orders"
    times = Counter(wanted)
    for at, closing in enumerate(closings):
        order = look.orders.get(closing.order_id)
        look.faults.update({f"{at}.{name}": why for name, why in _faults(closing, order, times, reason).items()})
        if order is None or closing.outcome not in VERBS:
            continue
        if why := refusal_of(VERBS[closing.outcome], order.state):
            look.refused[order.pk] = why
        elif fault := _beyond(order, closing):
            look.faults[f"{at}.quantity"] = fault
        else:
            look.done[order.pk] = _done(order, closing)
    return look


def _faults(closing: Closing, order: OrderLine | None, times: Mapping[str, int], reason: str) -> dict[str, str]:
    faults: dict[str, str] = {}
    if order is None:
        faults["order_id"] = "there is no such order"
    elif times[closing.order_id] > 1:
        faults["order_id"] = f"is named {times[closing.order_id]} times"
    if closing.outcome not in VERBS:
        faults["outcome"] = f"one of {', '.join(VERBS)}"
    text = closing.reason or reason
    if not text.strip() or len(text) > MAX_COMMENT or "\0" in text:
        faults["reason"] = _REASON
    return faults


def _beyond(order: OrderLine, closing: Closing) -> str:
    """What is wrong with the quantity, in words; empty where nothing is."""
    known = order.quantity_done or 0
    least, most = (max(known, 1), order.quantity) if closing.outcome == "closed" else (known, order.quantity - 1)
    if closing.quantity is None or least <= closing.quantity <= most:
        return ""
    told = f", of which {known:,} are known to be done" if known else ""
    return f"{least:,} to {most:,} of {order.side} {order.quantity:,} {order.ticker}{told}"


def _done(order: OrderLine, closing: Closing) -> int:
    if closing.quantity is not None:
        return closing.quantity
    return order.quantity if closing.outcome == "closed" else order.quantity_done or 0


def orders_close(
    *, by: User, closings: Sequence[Closing], reason: str = "", argument: str = "orders"
) -> DecisionOutcome:
    """Closes orders that were approved; those that are no longer, or never were, are skipped and said.

    `reason` is of those that bring none. Raises NotAllowedError (role), InvalidInputError at `argument`.place.field (an
    id nobody proposed or named twice, an outcome or a quantity that cannot be, no reason) and ConflictError when
    somebody else moved one of them meanwhile; nothing is written then.
    """
    by.must("order.decide")
    with recorded():
        look = closings_look(closings, reason)
        if look.faults:
            fields = {f"{argument}.{where}".rstrip("."): why for where, why in look.faults.items()}
            if not reason.strip() and any(where.endswith(".reason") for where in look.faults):
                fields = {"reason": _REASON} | fields
            where, why = next(iter(fields.items()))
            raise InvalidInputError(f"{where}: {why}.", fields=fields)
        for (outcome, why), keys in _grouped(closings, look, reason).items():
            done = {key: look.done[key] for key in keys}
            moved_with_event(VERBS[outcome], [look.orders[key] for key in keys], by=by, done=done, reason=why)
        closed = DecisionOutcome()
        closed.add(len(look.done), look.refused)
        return closed


def _grouped(closings: Sequence[Closing], look: ClosingsLook, reason: str) -> dict[tuple[str, str], list[str]]:
    """The orders of each outcome and reason."""
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for closing in closings:
        if closing.order_id in look.done:
            groups[closing.outcome, (closing.reason or reason).strip()].append(closing.order_id)
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
