"""Writing what a worker found: results, orders and the run's counters in one transaction, all or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from django.db.models import Count, F
from django.utils import timezone

from ordergen.db import atomic, bulk_insert, bulk_update
from rebalance_app.models import Order, OrderState, PortfolioRebalance, ProposalState, Rebalance
from rebalance_app.services.propose import ORDER_FIELDS, PROPOSAL_FIELDS, Proposal


def proposals_store(run: Rebalance, token: str, proposals: Sequence[Proposal]) -> None:
    """Stores the proposals of the rows that are still ours under `token`; what is not is thrown away whole.

    A run that was cancelled meanwhile takes no more proposals: its portfolios end as cancelled, without orders.
    """
    if not proposals:
        return
    with atomic():
        if Rebalance.objects.filter(pk=run.pk, cancel_requested=True).exists():
            _cancel(run, token, proposals)
            return
        written = _write(token, proposals)
        counts = Counter(f"n_{proposal.values['state']}" for proposal in written)
        _supersede(run, [proposal.row.portfolio_id for proposal in written if proposal.is_answer])
        counts["n_orders"] = bulk_insert(Order, ORDER_FIELDS, chain.from_iterable(p.orders for p in written))
        Rebalance.objects.filter(pk=run.pk).update(**{name: F(name) + n for name, n in counts.items()})


def _write(token: str, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
    """Writes the rows that are still ours, and returns their proposals."""
    now = timezone.now()
    rows = ((p.row.pk, *(p.values[name] for name in PROPOSAL_FIELDS), now, None) for p in proposals)
    fields = (*PROPOSAL_FIELDS, "finished_at", "lease_until")
    ours = {"token": token, "state": ProposalState.SOLVING.value}
    if bulk_update(PortfolioRebalance, fields, rows, ours) == len(proposals):
        return proposals
    written = PortfolioRebalance.objects.filter(token=token, finished_at=now, pk__in=[p.row.pk for p in proposals])
    keys = set(written.values_list("pk", flat=True))
    return [proposal for proposal in proposals if proposal.row.pk in keys]


def _cancel(run: Rebalance, token: str, proposals: Sequence[Proposal]) -> None:
    rows = PortfolioRebalance.objects.filter(
        pk__in=[proposal.row.pk for proposal in proposals], token=token, state=ProposalState.SOLVING
    )
    n = rows.update(state=ProposalState.CANCELLED, finished_at=timezone.now(), lease_until=None)
    Rebalance.objects.filter(pk=run.pk).update(n_cancelled=F("n_cancelled") + n)


def _supersede(run: Rebalance, portfolio_ids: Sequence[str]) -> None:
    """Orders that nobody has decided on give way to the newer proposal, so that no portfolio is traded twice."""
    earlier = Order.objects.filter(portfolio_id__in=portfolio_ids, state=OrderState.PROPOSED).exclude(rebalance=run)
    counts = list(earlier.order_by().values_list("rebalance").annotate(Count("pk")))
    if not counts:
        return
    earlier.update(state=OrderState.SUPERSEDED)
    for rebalance_id, count in counts:
        Rebalance.objects.filter(pk=rebalance_id).update(n_superseded=F("n_superseded") + count)
