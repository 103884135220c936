"""`ordergen verify`: what must hold in any database, checked again from the stored rows alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q

from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link
from rebalance_app import proposals
from rebalance_app.models import (
    OPEN,
    Decision,
    Order,
    OrderState,
    PortfolioRebalance,
    ProposalState,
    Rebalance,
    RunState,
)
from rebalance_app.services.approve import content_hash

Faults = Iterator[str]
ANSWERED = (ProposalState.SOLVED, ProposalState.NO_TRADES, ProposalState.TIME_LIMIT)


def verify_all() -> dict[str, Any]:
    """Counts of what was looked at, and every fault found (the first hundred in words)."""
    faults = [f"{name}: {fault}" for name, check in CHECKS.items() for fault in check()]
    return {
        "runs": Rebalance.objects.count(),
        "portfolios": PortfolioRebalance.objects.count(),
        "orders": Order.objects.count(),
        "decisions": Decision.objects.count(),
        "audit_events": AuditEvent.objects.count(),
        "violations": len(faults),
        "faults": faults[:100],
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


def counters_count() -> Faults:
    """What a run's counters say is what its rows say."""
    for run in Rebalance.objects.all():
        states = dict(run.portfolios.order_by().values_list("state").annotate(Count("pk")))
        states |= dict(run.orders.order_by().values_list("state").annotate(Count("pk")))
        for state in (*ANSWERED, "infeasible", "failed", "cancelled", "approved", "rejected", "superseded"):
            if getattr(run, f"n_{state}") != states.get(state, 0):
                yield f"run #{run.number} counts {getattr(run, f'n_{state}')} {state}, there are {states.get(state, 0)}"
        if run.n_orders != sum(states.get(state, 0) for state in OrderState.values):
            yield f"run #{run.number} counts {run.n_orders} orders"


def cash_and_shares_are_conserved() -> Faults:
    """Per portfolio: holdings before plus orders are holdings after, and cash moves by just what was traded (I7–I9)."""
    for row in PortfolioRebalance.objects.filter(state__in=ANSWERED).iterator(chunk_size=500):
        yield from _unbalanced(row)


def _unbalanced(row: PortfolioRebalance) -> Faults:
    assert row.document, "an answered portfolio has its document"
    orders = {order.security_id: order for order in row.orders.all()}
    cash = Decimal(row.document["cash_before"])
    for line in proposals.lines(row):
        order = orders.pop(line["security_id"], None)
        change = (order.quantity if order.side == "BUY" else -order.quantity) if order else 0
        if Decimal(line["quantity_before"]) + change != Decimal(line["quantity_after"]):
            yield f"{row.portfolio_name}: {line['ticker']} does not add up"
        if order:
            cash -= change * order.price
            if order.value != order.quantity * order.price:
                yield f"{row.portfolio_name}: the value of {order} is {order.value}"
    if orders:
        yield f"{row.portfolio_name}: {len(orders)} orders without a position"
    if cash != row.cash_after:
        yield f"{row.portfolio_name}: cash after is {cash}, not {row.cash_after}"


def failures_propose_nothing() -> Faults:
    """Only an answer has orders (I10)."""
    for order in Order.objects.exclude(proposal__state__in=ANSWERED).select_related("proposal"):
        yield f"{order} of {order.proposal}"


def four_eyes() -> Faults:
    """Nobody approved what they launched, and what was approved is what stands there (I21, I22)."""
    approvals = Decision.objects.filter(verdict="approved")
    for own in approvals.filter(decided_by=F("order__rebalance__launched_by")):
        yield f"decision {own.pk} is by who launched the run"
    for decision in approvals.select_related("order").iterator(chunk_size=1000):
        if decision.content_hash != content_hash(decision.order):
            yield f"order {decision.order_id} is not what was approved"
    for order in Order.objects.filter(state=OrderState.APPROVED).exclude(decisions__verdict="approved"):
        yield f"order {order.pk} is approved by nobody"


def audit_chain_is_whole() -> Faults:
    """No event was changed, taken out or put in (I27)."""
    if (seq := first_broken_link()) is not None:
        yield f"event {seq} does not follow from the one before"


CHECKS: dict[str, Callable[[], Faults]] = {
    check.__name__: check
    for check in (
        ended_runs_have_ended,
        counters_count,
        cash_and_shares_are_conserved,
        failures_propose_nothing,
        four_eyes,
        audit_chain_is_whole,
    )
}
