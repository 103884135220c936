"""Writing what a worker found: results, orders and the run's counters in one transaction, all or nothing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

from django.db import DatabaseError, connection
from django.db.models import Count, F, QuerySet
from django.utils import timezone

from ordergen.audit.services import keep_turns_waiting
from ordergen.core.db import atomic, bulk_insert, bulk_update, is_busy
from ordergen.core.errors import BrokenPromiseError
from rebalance_app.models import Order, OrderState, PortfolioRebalance, ProposalState, Rebalance
from rebalance_app.order_states.table import AWAITING
from rebalance_app.proposals.document import ORDER_FIELDS, PROPOSAL_FIELDS, Proposal
from rebalance_app.runs.selectors import DECIDED

logger = logging.getLogger(__name__)
TRIES = 3  # each waits for a lock as long as the database lets it, and all together less than a lease


def proposals_store(run: Rebalance, token: str, proposals: Sequence[Proposal]) -> None:
    """Stores the proposals of the rows that are still ours under `token`; what is not is thrown away whole.

    A run that was cancelled meanwhile takes no more proposals: its portfolios end as cancelled, without orders. A
    database that is busy is asked again, within the lease: what was solved is not solved anew for that.
    """
    if not proposals:
        return
    for left in reversed(range(TRIES)):
        try:
            _store(run, token, proposals)
        except _CancelledError:
            claim_cancel(run, token)
            return
        except DatabaseError as error:
            if not left or not is_busy(error):
                raise
            logger.warning("run #%s: the database is busy, storing again: %s", run.number, error)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        else:
            return


def _store(run: Rebalance, token: str, proposals: Sequence[Proposal]) -> None:
    with atomic():
        if replaces := _others_await(run) and _earlier(run, proposals).exists():
            keep_turns_waiting()  # before any row is locked; nobody decides on those orders meanwhile
        written = _write(token, proposals)
        counts = Counter(f"n_{proposal.values['state']}" for proposal in written)
        superseded = _supersede(run, written) if replaces else {}
        counts["n_orders"] = bulk_insert(Order, ORDER_FIELDS, chain.from_iterable(p.orders for p in written))
        _count(run, counts, superseded)


def claim_cancel(run: Rebalance, token: str) -> None:
    """Ends what is still ours of a run that was cancelled."""
    ours = PortfolioRebalance.objects.filter(rebalance=run, token=token, state=ProposalState.SOLVING)
    with atomic():
        n = ours.update(state=ProposalState.CANCELLED, finished_at=timezone.now(), lease_until=None)
        Rebalance.objects.filter(pk=run.pk).update(n_cancelled=F("n_cancelled") + n)


class _CancelledError(Exception):
    """Somebody cancelled the run while its proposals were written; they are rolled back."""


def _count(run: Rebalance, counts: Counter[str], superseded: Mapping[str, int]) -> None:
    """Raises the counters of a run that nobody has cancelled, and of the earlier ones whose orders gave way.

    Last, because from here on their rows are locked: the oldest first, so that no two workers wait for each other.
    """
    for earlier in Rebalance.objects.filter(pk__in=superseded).only("pk").order_by("number"):
        Rebalance.objects.filter(pk=earlier.pk).update(n_superseded=F("n_superseded") + superseded[earlier.pk])
    changes = {name: F(name) + n for name, n in counts.items()}
    if not Rebalance.objects.filter(pk=run.pk, cancel_requested=False).update(**changes):
        raise _CancelledError


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


def _others_await(run: Rebalance) -> bool:
    """Whether other runs have undecided orders at all, by their counters: mostly the orders need not be asked."""
    return Rebalance.objects.exclude(pk=run.pk).filter(n_orders__gt=DECIDED).exists()


def _earlier(run: Rebalance, proposals: Sequence[Proposal]) -> QuerySet[Order]:
    """Orders of other runs for the portfolios that have an answer now, which nobody has decided on."""
    answered = [proposal.row.portfolio_id for proposal in proposals if proposal.is_answer]
    return Order.objects.filter(portfolio_id__in=answered, state__in=AWAITING).exclude(rebalance=run)


def _supersede(run: Rebalance, proposals: Sequence[Proposal]) -> dict[str, int]:
    """Orders that nobody has decided on give way to the newer proposal, so that no portfolio is traded twice.

    Returns how many of which runs. They are found by their portfolios and by nothing else: asked for those of one run,
    a database without statistics looks through all open orders of that run, for every chunk anew.
    """
    earlier = _earlier(run, proposals)
    counts = dict(earlier.order_by().values_list("rebalance_id").annotate(Count("pk")))
    superseded = earlier.update(state=OrderState.SUPERSEDED)
    if superseded != sum(counts.values()):
        raise BrokenPromiseError("nobody decides meanwhile, and no other worker has these portfolios")
    return counts
