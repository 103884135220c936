"""Approving and rejecting orders. Every door comes through here, so four-eyes holds for everyone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from django.db.models import F, QuerySet
from django.utils import timezone

from models_app.sources import get_source
from models_app.sources.base import Balances
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.db import bulk_insert, in_batches, object_id
from ordergen.errors import ConflictError, InvalidInputError, NotFoundError
from rebalance_app.models import Decision, Order, OrderState, Rebalance

Verdict = Literal["approved", "rejected"]
DECISION_FIELDS = ("id", "order", "verdict", "decided_by", "decided_at", "comment", "content_hash")
SIGNED = ("pk", "rebalance_id", "portfolio_id", "security_id", "side", "quantity", "price")
MAX_COMMENT = 500


@dataclass(frozen=True)
class Decided:
    """What came of a request: how many orders were decided, and which were left alone, each with the reason."""

    n_decided: int
    skipped: tuple[tuple[str, str], ...]


def order_decide(*, by: User, order_ids: Sequence[str], verdict: Verdict, comment: str = "") -> Decided:
    """Approves or rejects these orders; those that `by` may not decide on are skipped and said.

    Raises NotAllowedError (role), NotFoundError (an id nobody proposed), InvalidInputError (verdict or comment) and
    ConflictError when somebody else decided on one of them, or the book changed, meanwhile; nothing is written then.
    """
    _check(by, verdict, comment)
    wanted = dict.fromkeys(order_ids)
    book = _book([Order.objects.filter(pk__in=batch) for batch in in_batches(wanted)], verdict)
    with recorded():
        orders = [o for batch in in_batches(wanted) for o in _decidable(Order.objects.filter(pk__in=batch))]
        if missing := wanted.keys() - {order.pk for order in orders}:
            raise NotFoundError(f"No such order: {min(missing)}.")
        return _decide(by, orders, verdict, comment, book)


def run_decide(
    *, by: User, rebalance_id: str, verdict: Verdict, comment: str = "", expected_count: int | None = None
) -> Decided:
    """Decides on every order of a run that still awaits a decision.

    `expected_count` is how many the person saw; where there are more or fewer now, ConflictError asks to look again.
    """
    _check(by, verdict, comment)
    run = Rebalance.objects.filter(pk=rebalance_id).first()
    if run is None:
        raise NotFoundError("No such run.")
    book = _book([run.orders.filter(state=OrderState.PROPOSED)], verdict)
    with recorded():
        orders = list(_decidable(run.orders.filter(state=OrderState.PROPOSED)))
        if expected_count is not None and expected_count != len(orders):
            raise ConflictError(f"{len(orders)} orders await a decision, not {expected_count}: look again.")
        return _decide(by, orders, verdict, comment, book)


def why_not(user: User, order: Order, verdict: Verdict = "approved") -> str:
    """Why this person may not decide so on this order, in words; empty when they may.

    What can be told from the order alone; approving also looks at the book and at earlier approvals.
    """
    if not user.can("order.decide"):
        return "Deciding on orders needs the role approver."
    if verdict == "approved" and order.rebalance.launched_by_id == user.pk:
        return "You launched this run: another approver must decide."
    if order.state == OrderState.PROPOSED or (order.state == OrderState.APPROVED and verdict == "rejected"):
        return ""
    return f"It is {OrderState(order.state).label.lower()} already."


def content_hash(order: Order) -> str:
    """sha256 of what an approval signs: who trades what, which way, how much, at which price."""
    signed = {name: str(getattr(order, name)) for name in SIGNED}
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()


def _decidable(orders: QuerySet[Order]) -> QuerySet[Order]:
    return orders.select_related("rebalance", "proposal").defer("proposal__document").order_by("pk")


@dataclass(frozen=True)
class _Book:
    """What the portfolios of the orders own, read before the transaction because it may come from another service."""

    version: str
    portfolio_ids: frozenset[str]
    balances: Mapping[str, Balances]


def _book(orders: Iterable[QuerySet[Order]], verdict: str) -> _Book:
    """Only an approval is held against the book: a rejection needs no other service to answer."""
    source = get_source()
    version = source.data_version()  # first: a change while we read voids what we read
    ids = frozenset(key for some in orders for key in some.values_list("portfolio_id", flat=True))
    return _Book(version, ids, source.balances(ids) if verdict == "approved" else {})


def _decide(by: User, orders: Sequence[Order], verdict: Verdict, comment: str, book: _Book) -> Decided:
    why = {order.pk: reason for order in orders if (reason := why_not(by, order, verdict))}
    if verdict == "approved":
        if get_source().data_version() != book.version or not book.portfolio_ids.issuperset(
            o.portfolio_id for o in orders
        ):
            raise ConflictError("The book or the run changed at this moment: look again.")
        why = _out_of_date(orders, book.balances) | _already_traded(orders, book.balances) | why
    allowed = [order for order in orders if order.pk not in why]
    if allowed:
        _write(by, allowed, verdict, comment)
    return Decided(len(allowed), tuple(sorted(why.items())))


def _check(by: User, verdict: str, comment: str) -> None:
    by.must("order.decide")
    if verdict not in ("approved", "rejected"):
        raise InvalidInputError("The verdict is approved or rejected.", fields={"verdict": "approved or rejected"})
    if len(comment) > MAX_COMMENT or "\0" in comment:
        message = f"at most {MAX_COMMENT} characters of text"
        raise InvalidInputError(f"A comment is {message}.", fields={"comment": message})
    if verdict == "rejected" and not comment.strip():
        raise InvalidInputError("Say why the orders are rejected.", fields={"comment": "say why"})


def _out_of_date(orders: Sequence[Order], now: Mapping[str, Balances]) -> dict[str, str]:
    """Orders whose portfolio no longer holds what they were computed from, by order id."""
    return {order.pk: reason for order in orders if (reason := _moved(order, now.get(order.portfolio_id)))}


def _moved(order: Order, balances: Balances | None) -> str:
    if balances is None:
        return "The book has no such portfolio any more."
    if balances.quantities.get(order.security_id, 0) != order.quantity_before:
        return f"The holding of {order.ticker} has changed since this was proposed: rebalance again."
    if order.proposal.cash_before is not None and balances.cash < order.proposal.cash_before:
        return "The portfolio has less cash than when this was proposed: rebalance again."
    return ""


def _already_traded(orders: Sequence[Order], now: Mapping[str, Balances]) -> dict[str, str]:
    """Orders of portfolios with approved orders of another run that the holdings do not show yet, by order id.

    Both were computed from the same holdings and would spend the same cash, whichever securities they trade.
    """
    under_way: dict[str, dict[str, int]] = {}
    for batch in in_batches({order.portfolio_id for order in orders}):
        approved = Order.objects.filter(portfolio_id__in=batch, state=OrderState.APPROVED).order_by("pk")
        columns = ("portfolio_id", "security_id", "quantity_before", "rebalance_id", "rebalance__number")
        for portfolio_id, security_id, before, run_id, number in approved.values_list(*columns):
            if portfolio_id in now and now[portfolio_id].quantities.get(security_id, 0) == before:
                under_way.setdefault(portfolio_id, {})[run_id] = number
    return {
        order.pk: f"Run #{number} has approved orders that the holdings do not show yet: reject those first."
        for order in orders
        for run_id, number in under_way.get(order.portfolio_id, {}).items()
        if run_id != order.rebalance_id
    }


def _write(by: User, orders: Sequence[Order], verdict: Verdict, comment: str) -> None:
    now = timezone.now()
    for state, group in _by_state(orders).items():
        batches = in_batches(order.pk for order in group)
        changed = sum(Order.objects.filter(pk__in=batch, state=state).update(state=verdict) for batch in batches)
        if changed != len(group):
            raise ConflictError("Somebody else decided on some of these orders meanwhile: look again.")
    rows = ((object_id(), o.pk, verdict, by.pk, now, comment.strip(), content_hash(o)) for o in orders)
    bulk_insert(Decision, DECISION_FIELDS, rows)
    withdrawn = Counter(order.rebalance_id for order in orders if order.state == OrderState.APPROVED)
    for run, count in sorted(Counter(order.rebalance for order in orders).items(), key=lambda item: item[0].number):
        changes = {f"n_{verdict}": F(f"n_{verdict}") + count}
        if withdrawn[run.pk]:
            changes["n_approved"] = F("n_approved") - withdrawn[run.pk]
        Rebalance.objects.filter(pk=run.pk).update(**changes)
        detail = {"orders": [o.pk for o in orders if o.rebalance_id == run.pk], "comment": comment.strip()}
        record(f"orders.{verdict}", run, f"{count} orders of run #{run.number} {verdict}", by=by, detail=detail)


def _by_state(orders: Iterable[Order]) -> Mapping[str, list[Order]]:
    groups: dict[str, list[Order]] = {}
    for order in orders:
        groups.setdefault(order.state, []).append(order)
    return groups
