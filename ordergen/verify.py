"""`ordergen verify`: what must hold in any database, checked again from the stored rows alone.

Each check is one promise, and yields a sentence for each row that breaks it. They are for a database at rest: a run in
the middle of its work is judged only by what it has finished.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Q

from models_app.models import ModelVersion
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link
from rebalance_app.facts import facts_of
from rebalance_app.models import (
    OPEN,
    Decision,
    Order,
    OrderState,
    PortfolioRebalance,
    PriceSnapshot,
    ProposalState,
    Rebalance,
    RunState,
)
from rebalance_app.recheck import proposal_faults
from rebalance_app.selectors import ANSWERED
from rebalance_app.services.approve import content_hash

Faults = Iterator[str]
ROWS_AT_ONCE = 500
SHOWN_FAULTS = 100
ZERO = Decimal(0)


def verify_all() -> dict[str, Any]:
    """Counts of what was looked at, and every fault found (the first hundred in words)."""
    facts_of.cache_clear()  # what is stored now, not what this process read before
    faults = [f"{name}: {fault}" for name, check in CHECKS.items() for fault in check()]
    return {
        "runs": Rebalance.objects.count(),
        "portfolios": PortfolioRebalance.objects.count(),
        "orders": Order.objects.count(),
        "decisions": Decision.objects.count(),
        "audit_events": AuditEvent.objects.count(),
        "violations": len(faults),
        "faults": faults[:SHOWN_FAULTS],
    }


def ended_runs_have_ended() -> Faults:
    """A run has as many rows as portfolios, and when it has ended all of them have (I1, I2)."""
    for run in Rebalance.objects.annotate(
        rows=Count("portfolios"), unfinished=Count("portfolios", filter=Q(portfolios__state__in=OPEN))
    ):
        if run.rows != run.n_portfolios:
            yield f"run #{run.number} has {run.rows} rows for {run.n_portfolios} portfolios"
        if run.unfinished and not run.is_active:
            yield f"run #{run.number} has ended with {run.unfinished} portfolios open"
        if run.state == RunState.COMPLETED and run.n_done != run.n_portfolios:
            yield f"run #{run.number} counts {run.n_done} of {run.n_portfolios} portfolios"


def states_agree() -> Faults:
    """How a run ended follows from what was asked of it, and what has ended says when and holds no lease (I2, I3)."""
    for run in Rebalance.objects.all():
        if run.is_active == (run.finished_at is not None):
            yield f"run #{run.number} is {run.state} and finished at {run.finished_at}"
        if run.state == RunState.COMPLETED and (run.cancel_requested or run.n_cancelled):
            yield f"run #{run.number} was cancelled and calls itself completed"
        if run.state == RunState.CANCELLED and not run.cancel_requested:
            yield f"run #{run.number} is cancelled, though nobody asked for it"
    ended = Q(finished_at__isnull=False, lease_until__isnull=True)
    wrong = PortfolioRebalance.objects.filter(
        Q(state__in=OPEN, finished_at__isnull=False) | ~Q(state__in=OPEN) & ~ended
    )
    for row in wrong.select_related("rebalance").defer("document"):
        yield f"run #{row.rebalance.number}, {row.portfolio_name} is {row.state} and finished at {row.finished_at}"


def attempts_are_limited() -> Faults:
    """No portfolio was tried more often than is allowed (I5)."""
    for row in PortfolioRebalance.objects.filter(attempt__gt=settings.MAX_ATTEMPTS).select_related("rebalance"):
        yield f"run #{row.rebalance.number}, {row.portfolio_name} was tried {row.attempt} times"


def counters_count() -> Faults:
    """What a run's counters say is what its rows say."""
    rows, orders = _by_run_and_state(PortfolioRebalance), _by_run_and_state(Order)
    for run in Rebalance.objects.all():
        for state in (*ANSWERED, "infeasible", "failed", "cancelled"):
            yield from _compare(run, state, rows[run.pk, state])
        for state in ("approved", "rejected", "superseded"):
            yield from _compare(run, state, orders[run.pk, state])
        yield from _compare(run, "orders", sum(orders[run.pk, state] for state in OrderState.values))


def _by_run_and_state(table: type[PortfolioRebalance | Order]) -> Counter[tuple[str, str]]:
    counts = table._default_manager.order_by().values_list("rebalance_id", "state").annotate(Count("pk"))  # noqa: SLF001
    return Counter({(run, state): n for run, state, n in counts})


def _compare(run: Rebalance, name: str, there: int) -> Faults:
    if (counted := getattr(run, f"n_{name}")) != there:
        yield f"run #{run.number} counts {counted} {name}, there are {there}"


def answers_are_right() -> Faults:
    """Shares, lots, cash, bands and every other limit, by the check that knows no solver (I7–I10)."""
    for row in _answered():
        orders = list(row.orders.all())
        yield from (f"{_name(row)}: {fault}" for fault in proposal_faults(row, orders))
        said = (row.document or {}).get("status")
        if (row.state == ProposalState.TIME_LIMIT) != (said == "time_limit" and bool(orders)):
            yield f"{_name(row)}: it is {row.state}, but the solver said {said}"


def figures_are_those_of_the_orders() -> Faults:
    """What a portfolio's row says in lists is what its document and its orders say."""
    for row in _answered():
        orders = list(row.orders.all())
        bought, sold = (sum((o.value for o in orders if o.side == side), ZERO) for side in ("BUY", "SELL"))
        if (row.n_orders, row.buy_value, row.sell_value) != (len(orders), bought, sold):
            yield f"{_name(row)}: its orders are {len(orders)}, buying for {bought} and selling for {sold}"
        if row.cash_before is None or row.cash_after != row.cash_before - bought + sold:
            yield f"{_name(row)}: cash after is {row.cash_after}"
        yield from (f"{_name(row)}: {order} is worth {order.value}" for order in orders if not _is_worth(order))


def _is_worth(order: Order) -> bool:
    return bool(order.value == order.quantity * order.price)


def _answered() -> Iterator[PortfolioRebalance]:
    rows = PortfolioRebalance.objects.filter(state__in=ANSWERED).select_related("rebalance").prefetch_related("orders")
    return rows.order_by("rebalance_id", "pk").iterator(chunk_size=ROWS_AT_ONCE)


def _name(row: PortfolioRebalance) -> str:
    return f"run #{row.rebalance.number}, {row.portfolio_name}"


def failures_propose_nothing() -> Faults:
    """Only an answer has orders: no failure, and nothing that was cancelled (I6, I10, I14)."""
    for order in Order.objects.exclude(proposal__state__in=ANSWERED).select_related("proposal"):
        yield f"{order} of {order.proposal}"


def prices_are_those_of_the_snapshot() -> Faults:
    """No snapshot was changed, and every order is at the price its run was launched on (I12, I14)."""
    for snapshot in PriceSnapshot.objects.iterator(chunk_size=1):
        if hashlib.sha256(json.dumps(snapshot.payload, sort_keys=True).encode()).hexdigest() != snapshot.sha256:
            yield f"snapshot {snapshot.pk} is not what it was"
    for order in Order.objects.order_by("rebalance_id", "pk").iterator(chunk_size=ROWS_AT_ONCE):
        known = facts_of(order.rebalance_id).prices.get(order.security_id)
        if order.price != known or order.price <= 0:
            yield f"order {order.pk} is at {order.price}, its run has {known}"


def four_eyes() -> Faults:
    """Nobody approved what they launched, and what was approved is what stands there (I21, I22)."""
    approvals = Decision.objects.filter(verdict="approved")
    for own in approvals.filter(decided_by=F("order__rebalance__launched_by")):
        yield f"decision {own.pk} is by who launched the run"
    for decision in approvals.select_related("order").iterator(chunk_size=1000):
        if decision.content_hash != content_hash(decision.order):
            yield f"order {decision.order_id} is not what was approved"


def orders_are_as_decided() -> Faults:
    """An order is approved or rejected exactly when somebody's last decision on it says so (I22)."""
    approved = Count("decisions", filter=Q(decisions__verdict="approved"))
    rejected = Count("decisions", filter=Q(decisions__verdict="rejected"))
    orders = Order.objects.annotate(approvals=approved, rejections=rejected)
    undecided = (OrderState.PROPOSED, OrderState.SUPERSEDED)
    for order in orders.filter(
        Q(state=OrderState.APPROVED) & ~Q(approvals=1, rejections=0)
        | Q(state=OrderState.REJECTED) & ~Q(rejections=1)
        | Q(state__in=undecided) & (Q(approvals__gt=0) | Q(rejections__gt=0))
    ):
        yield f"order {order.pk} is {order.state} with {order.approvals} approvals and {order.rejections} rejections"


def changes_are_recorded() -> Faults:
    """Each launch, cancellation and end of a run, and each version of a model, is on the trail once (I26)."""
    events = Counter(AuditEvent.objects.order_by().values_list("object_id", "action"))
    for run in Rebalance.objects.all():
        told = {
            "launched": (1, events[run.pk, "rebalance.launched"]),
            "cancelled": (int(run.cancel_requested), events[run.pk, "rebalance.cancelled"]),
            "ended": (
                int(not run.is_active),
                sum(events[run.pk, f"rebalance.{end}"] for end in ("finished", "stopped")),
            ),
            "hidden": (int(run.hidden_at is not None), events[run.pk, "rebalance.hidden"]),
        }
        yield from (f"run #{run.number} is recorded {n} times as {what}" for what, (due, n) in told.items() if due != n)
    for model_id, versions in ModelVersion.objects.order_by().values_list("model_id").annotate(Count("pk")):
        if versions != (recorded := events[model_id, "model.create"] + events[model_id, "model.update"]):
            yield f"model {model_id} has {versions} versions and {recorded} events"


def decisions_are_recorded() -> Faults:
    """The trail names exactly the orders that were decided on, by who decided (I26)."""
    told: Counter[tuple[str, str, str]] = Counter()
    for event in AuditEvent.objects.filter(action__in=("orders.approved", "orders.rejected")).iterator(chunk_size=100):
        verdict = event.action.removeprefix("orders.")
        told.update((order_id, verdict, event.actor_id) for order_id in event.detail.get("orders", ()))
    made = Counter(Decision.objects.values_list("order_id", "verdict", "decided_by_id"))
    for order_id, verdict, _ in (made - told) | (told - made):
        yield f"order {order_id}: {verdict} is not recorded as it was decided"


def audit_chain_is_whole() -> Faults:
    """No event was changed, taken out or put in (I27)."""
    if (seq := first_broken_link()) is not None:
        yield f"event {seq} does not follow from the one before"


CHECKS: dict[str, Callable[[], Faults]] = {
    check.__name__: check
    for check in (
        ended_runs_have_ended,
        states_agree,
        attempts_are_limited,
        counters_count,
        answers_are_right,
        figures_are_those_of_the_orders,
        failures_propose_nothing,
        prices_are_those_of_the_snapshot,
        four_eyes,
        orders_are_as_decided,
        changes_are_recorded,
        decisions_are_recorded,
        audit_chain_is_whole,
    )
}
