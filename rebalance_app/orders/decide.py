"""Approving and rejecting orders. Every door comes through here, so four-eyes holds for everyone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Literal, NamedTuple

from django.db import DatabaseError
from django.db.models import F, Q
from django.utils import timezone

from models_app.sources import get_source
from models_app.sources.book_source import Balances
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import bulk_insert, in_batches, is_busy, object_id
from ordergen.core.errors import ConflictError, InvalidInputError, NotFoundError, OrdergenError, PartlyDoneError
from rebalance_app.models import Decision, Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.proposals.run_inputs import has_gain_budget
from rebalance_app.proposals.stored import pack_lots

Verdict = Literal["approved", "rejected"]
DECISION_FIELDS = ("id", "order", "verdict", "decided_by", "decided_at", "comment", "content_hash")
SIGNED = ("pk", "rebalance_id", "portfolio_id", "security_id", "side", "quantity", "price")
MAX_COMMENT = 500
PORTFOLIOS_AT_ONCE = 200  # of a run, decided in one transaction: others wait for it, and it is kept in memory
MOST_NAMED = 1_000  # orders left alone that are named; of a large run the rest is only counted


@dataclass
class DecisionOutcome:
    """What came of a request: how many orders were decided, and how many were left alone for which reason."""

    n_decided: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # the first MOST_NAMED, each with its reason

    @property
    def n_skipped(self) -> int:
        return self.reasons.total()

    def add(self, n_decided: int, skipped: Mapping[str, str]) -> None:
        """Counts some more orders, those left alone by id."""
        self.n_decided += n_decided
        self.reasons.update(skipped.values())
        self.skipped += sorted(skipped.items())[: MOST_NAMED - len(self.skipped)]


class OrderLine(NamedTuple):
    """An order as deciding on it needs it; a million model instances would take gigabytes and minutes."""

    pk: str
    rebalance_id: str
    proposal_id: str
    portfolio_id: str
    security_id: str
    ticker: str
    side: str
    quantity: int
    quantity_before: Decimal
    price: Decimal
    state: str


def order_decide(*, by: User, order_ids: Sequence[str], verdict: Verdict, comment: str = "") -> DecisionOutcome:
    """Approves or rejects these orders; those that `by` may not decide on are skipped and said.

    Raises NotAllowedError (role), NotFoundError (an id nobody proposed), InvalidInputError (verdict or comment) and
    ConflictError when somebody else decided on one of them, or the book changed, meanwhile; nothing is written then.
    """
    _check(by, verdict, comment)
    wanted = dict.fromkeys(order_ids)
    book = _book([Q(pk__in=batch) for batch in in_batches(wanted)], verdict)
    with recorded():
        orders = [line for batch in in_batches(wanted) for line in _lines(Q(pk__in=batch))]
        if missing := wanted.keys() - {order.pk for order in orders}:
            raise NotFoundError(f"No such order: {min(missing)}.")
        decided = DecisionOutcome()
        together = _with_others(orders) if verdict == "approved" else orders
        decided.add(*_decide(by, orders, verdict, comment, book, together))
        return decided


def run_decide(
    *, by: User, run_id: str, verdict: Verdict, comment: str = "", expected_count: int | None = None
) -> DecisionOutcome:
    """Decides on every order of a run that still awaits a decision.

    That is all or nothing for PORTFOLIOS_AT_ONCE portfolios; a larger run is decided so many at a time. Whoever dies in
    the middle leaves the rest as it was: to ask again decides on that, and on nothing twice.
    `expected_count` is how many the person saw; where there are more or fewer now, ConflictError asks to look again.
    Raises what `order_decide` raises, and PartlyDoneError where something stops it after orders were decided.
    """
    _check(by, verdict, comment)
    run = Rebalance.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFoundError("No such run.")
    if refused := _policy(by, run.launched_by_id, OrderState.PROPOSED, verdict):
        return _refused(run, refused, expected_count)
    decided = DecisionOutcome()
    for at_once in _portfolios_awaiting(run):
        try:
            with_count = expected_count if not decided.n_decided and not decided.skipped else None
            decided.add(*_decide_portfolios(by, run, at_once, verdict, comment, with_count))
        except (OrdergenError, DatabaseError) as error:
            if not decided.n_decided or not (isinstance(error, OrdergenError) or is_busy(error)):
                raise
            why = error.message if isinstance(error, OrdergenError) else "The database is busy."
            raise PartlyDoneError(f"{why} Before that, {decided.n_decided:,} orders were {verdict}.") from error
    return decided


def _refused(run: Rebalance, why: str, expected_count: int | None) -> DecisionOutcome:
    """What awaits a decision in a run awaits it from others: it need not be read for that."""
    count = _count(run, expected_count)
    first = run.orders.filter(state=OrderState.PROPOSED).order_by("pk").values_list("pk", flat=True)[:MOST_NAMED]
    return DecisionOutcome(0, Counter({why: count}), [(key, why) for key in first])


def _count(run: Rebalance, expected_count: int | None) -> int:
    """How many orders of the run await a decision; raises ConflictError where that is not what somebody saw."""
    count = run.orders.filter(state=OrderState.PROPOSED).count()
    if expected_count not in (None, count):
        raise ConflictError(f"{count} orders await a decision, not {expected_count}: look again.")
    return count


def _portfolios_awaiting(run: Rebalance) -> Iterator[list[str]]:
    """The proposals of a run that have orders, PORTFOLIOS_AT_ONCE at a time; once at least, to see that none await."""
    proposals = iter(run.portfolios.filter(n_orders__gt=0).order_by("pk").values_list("pk", flat=True))
    yield list(islice(proposals, PORTFOLIOS_AT_ONCE))
    while at_once := list(islice(proposals, PORTFOLIOS_AT_ONCE)):
        yield at_once


def _decide_portfolios(
    by: User, run: Rebalance, proposal_ids: Sequence[str], verdict: Verdict, comment: str, expected_count: int | None
) -> tuple[int, Mapping[str, str]]:
    awaiting = Q(proposal__in=proposal_ids, state=OrderState.PROPOSED)
    book = _book([awaiting], verdict)
    with recorded():
        if expected_count is not None:
            _count(run, expected_count)
        orders = _lines(awaiting)
        return _decide(by, orders, verdict, comment, book, orders)


def why_not(user: User, order: Order, verdict: Verdict = "approved") -> str:
    """Why this person may not decide so on this order, in words; empty when they may.

    What can be told from the order alone; approving also looks at the book and at earlier approvals.
    """
    return _policy(user, order.rebalance.launched_by_id, order.state, verdict)


def _policy(user: User, launched_by_id: str | None, state: str, verdict: Verdict) -> str:
    if not user.can("order.decide"):
        return "Deciding on orders needs the role approver."
    if verdict == "approved" and launched_by_id == user.pk:
        return "You launched this run: another approver must decide."
    if state == OrderState.PROPOSED or (state == OrderState.APPROVED and verdict == "rejected"):
        return ""
    return f"It is {OrderState(state).label.lower()} already."


def content_hash(order: Order | OrderLine) -> str:
    """sha256 of what an approval signs: who trades what, which way, how much, at which price."""
    signed = {name: str(getattr(order, name)) for name in SIGNED}
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()


def _with_others(orders: Sequence[OrderLine]) -> list[OrderLine]:
    """The orders, and what else awaits a decision of the proposals that they are of."""
    chosen = {order.pk for order in orders}
    of_proposals = in_batches({order.proposal_id for order in orders})
    awaiting = (line for batch in of_proposals for line in _lines(Q(proposal__in=batch, state=OrderState.PROPOSED)))
    return [*orders, *(line for line in awaiting if line.pk not in chosen)]


def _lines(which: Q) -> list[OrderLine]:
    return [OrderLine(*row) for row in Order.objects.filter(which).order_by("pk").values_list(*OrderLine._fields)]


@dataclass(frozen=True)
class _Book:
    """What the portfolios of the orders own, read before the transaction because it may come from another service."""

    version: str
    portfolio_ids: frozenset[str]
    balances: Mapping[str, Balances]


def _book(which: Iterable[Q], verdict: str) -> _Book:
    """Only an approval is held against the book: a rejection needs no other service to answer."""
    source = get_source()
    version = source.data_version()  # first: a change while we read voids what we read
    orders = [Order.objects.filter(some).order_by().values_list("portfolio_id", flat=True).distinct() for some in which]
    ids = frozenset(key for some in orders for key in some)
    return _Book(version, ids, source.balances(ids) if verdict == "approved" else {})


def _decide(
    by: User,
    orders: Sequence[OrderLine],
    verdict: Verdict,
    comment: str,
    book: _Book,
    together: Sequence[OrderLine],
) -> tuple[int, Mapping[str, str]]:
    """How many were decided, and by id why the others were not; `together` is all that awaits of their proposals."""
    runs = Rebalance.objects.in_bulk({order.rebalance_id for order in orders})
    why = {
        order.pk: reason
        for order in orders
        if (reason := _policy(by, runs[order.rebalance_id].launched_by_id, order.state, verdict))
    }
    if verdict == "approved":
        if get_source().data_version() != book.version or not book.portfolio_ids.issuperset(
            order.portfolio_id for order in orders
        ):
            raise ConflictError("The book or the run changed at this moment: look again.")
        open_orders = [order for order in orders if order.pk not in why]
        why |= (
            _lots_changed(open_orders, runs)
            | _out_of_date(open_orders, together, book.balances)
            | _already_traded(open_orders, book.balances)
        )
    allowed = [order for order in orders if order.pk not in why]
    if allowed:
        _write(by, allowed, verdict, comment, runs)
    return len(allowed), why


def _check(by: User, verdict: str, comment: str) -> None:
    by.must("order.decide")
    if verdict not in ("approved", "rejected"):
        raise InvalidInputError("The verdict is approved or rejected.", fields={"verdict": "approved or rejected"})
    if len(comment) > MAX_COMMENT or "\0" in comment:
        message = f"at most {MAX_COMMENT} characters of text"
        raise InvalidInputError(f"A comment is {message}.", fields={"comment": message})
    if verdict == "rejected" and not comment.strip():
        raise InvalidInputError("Say why the orders are rejected.", fields={"comment": "say why"})


def _out_of_date(
    orders: Sequence[OrderLine], together: Sequence[OrderLine], now: Mapping[str, Balances]
) -> dict[str, str]:
    """Orders whose portfolio no longer holds what they were computed from, by order id.

    Where that is so of one order that awaits a decision, it is of all of its proposal, chosen with it or not: a buy
    counts on the cash of a sale.
    """
    cash: dict[str, Decimal | None] = {}
    for batch in in_batches({order.proposal_id for order in orders}):
        cash |= PortfolioRebalance.objects.filter(pk__in=batch).values_list("pk", "cash_before")
    moved: dict[str, str] = {}
    for order in together:
        if order.proposal_id in cash and order.state == OrderState.PROPOSED:
            reason = _moved(order, cash[order.proposal_id], now.get(order.portfolio_id))
            if reason:
                moved[order.proposal_id] = reason
    return {order.pk: moved[order.proposal_id] for order in orders if order.proposal_id in moved}


def _moved(order: OrderLine, cash_before: Decimal | None, balances: Balances | None) -> str:
    if balances is None:
        return "The book has no such portfolio any more."
    if balances.quantities.get(order.security_id, 0) != order.quantity_before:
        return f"The holding of {order.ticker} has changed since this was proposed: rebalance again."
    if cash_before is not None and balances.cash < cash_before:
        return "The portfolio has less cash than when this was proposed: rebalance again."
    return ""


def _lots_changed(orders: Sequence[OrderLine], runs: Mapping[str, Rebalance]) -> dict[str, str]:
    """Orders under a gain budget whose portfolio has other tax lots than they were computed from, by order id.

    Only a book of our own has lots, so this reads no other service; any other book leaves such orders out of date.
    """
    limited = {key for key, run in runs.items() if has_gain_budget(run.options, run.limits)}
    changed = set()
    for batch in in_batches({order.proposal_id for order in orders if order.rebalance_id in limited}):
        rows = PortfolioRebalance.objects.filter(pk__in=batch, document__has_key="lots")
        stored = {pk: (key, lots) for pk, key, lots in rows.values_list("pk", "portfolio_id", "document__lots")}
        now = get_source().tax_lots({portfolio_id for portfolio_id, _ in stored.values()})
        changed |= {pk for pk, (key, lots) in stored.items() if pack_lots(now.get(key, {})) != lots}
    message = "The tax lots of the portfolio have changed since this was proposed: rebalance again."
    return {order.pk: message for order in orders if order.proposal_id in changed}


def _already_traded(orders: Sequence[OrderLine], now: Mapping[str, Balances]) -> dict[str, str]:
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


def _write(
    by: User, orders: Sequence[OrderLine], verdict: Verdict, comment: str, runs: Mapping[str, Rebalance]
) -> None:
    now, comment = timezone.now(), comment.strip()
    for state, ids in _by_state(orders).items():
        changed = sum(
            Order.objects.filter(pk__in=batch, state=state).update(state=verdict) for batch in in_batches(ids)
        )
        if changed != len(ids):
            raise ConflictError("Somebody else decided on some of these orders meanwhile: look again.")
    bulk_insert(Decision, DECISION_FIELDS, _decisions(by, orders, verdict, comment, now))
    for run in sorted(runs.values(), key=lambda run: run.number):
        decided = [order for order in orders if order.rebalance_id == run.pk]
        if decided:
            _tell(by, run, decided, verdict, comment)


def _decisions(
    by: User, orders: Sequence[OrderLine], verdict: Verdict, comment: str, now: datetime
) -> Iterator[tuple[object, ...]]:
    return ((object_id(), order.pk, verdict, by.pk, now, comment, content_hash(order)) for order in orders)


def _tell(by: User, run: Rebalance, orders: Sequence[OrderLine], verdict: Verdict, comment: str) -> None:
    """Counts the decided orders of one run at the run, and records them."""
    withdrawn = sum(order.state == OrderState.APPROVED for order in orders)
    changes = {f"n_{verdict}": F(f"n_{verdict}") + len(orders)}
    if withdrawn:
        changes["n_approved"] = F("n_approved") - withdrawn
    Rebalance.objects.filter(pk=run.pk).update(**changes)
    detail = {"orders": [order.pk for order in orders], "comment": comment}
    record(f"orders.{verdict}", run, f"{len(orders)} orders of run #{run.number} {verdict}", by=by, detail=detail)


def _by_state(orders: Iterable[OrderLine]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for order in orders:
        groups.setdefault(order.state, []).append(order.pk)
    return groups
