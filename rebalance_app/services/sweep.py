"""Bringing back what was lost: a worker that died, a message that never arrived, a run nobody ended.

Every step is a conditional update, so any number of sweepers may run at once, and a message too many changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from ordergen.db import atomic
from rebalance_app.models import OPEN, PortfolioRebalance, ProposalState, Rebalance, RunState
from rebalance_app.services.launch import enqueue
from rebalance_app.services.solve import run_finish

logger = logging.getLogger(__name__)
RESEND_SECONDS = 30
ACTIVE = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class Swept:
    """What one sweep did, in portfolios and chunks."""

    requeued: int
    given_up: int
    resent: int


def sweep() -> Swept:
    """Looks once over every active run."""
    requeued = given_up = resent = 0
    for run in Rebalance.objects.filter(state__in=ACTIVE):
        _end_cancelled(run)
        given_up += _give_up(run)
        requeued += _requeue(run)
        resent += _resend(run)
        run_finish(run.pk)
    if requeued or given_up or resent:
        logger.info("swept: %s portfolios queued again, %s given up, %s chunks sent again", requeued, given_up, resent)
    return Swept(requeued, given_up, resent)


def _lapsed(run: Rebalance) -> list[PortfolioRebalance]:
    rows = run.portfolios.filter(state=ProposalState.SOLVING, lease_until__lt=timezone.now())
    return list(rows.only("pk", "token", "attempt"))


def _end_cancelled(run: Rebalance) -> None:
    """What a cancelled run left behind, queued or with a dead worker, ends as cancelled."""
    if not run.cancel_requested:
        return
    lost = Q(state=ProposalState.SOLVING, lease_until__lt=timezone.now())
    with atomic():
        n = run.portfolios.filter(lost | Q(state=ProposalState.QUEUED)).update(
            state=ProposalState.CANCELLED, finished_at=timezone.now(), lease_until=None
        )
        Rebalance.objects.filter(pk=run.pk).update(n_cancelled=F("n_cancelled") + n)


def _give_up(run: Rebalance) -> int:
    """A portfolio that lost its worker for the last time fails; it has delayed no other, for it travelled alone."""
    given_up = 0
    for row in _lapsed(run):
        if row.attempt < settings.MAX_ATTEMPTS:
            continue
        with atomic():
            n = _still_lapsed(row).update(
                state=ProposalState.FAILED,
                reason_code="POISON",
                reason=f"Its worker died {row.attempt} times. Rebalance it alone and look at the worker's log.",
                finished_at=timezone.now(),
                lease_until=None,
            )
            Rebalance.objects.filter(pk=run.pk).update(n_failed=F("n_failed") + n)
        given_up += n
    return given_up


def _requeue(run: Rebalance) -> int:
    """What lost its worker is queued again, each portfolio in a chunk of its own."""
    requeued = 0
    free = (run.portfolios.aggregate(last=Max("chunk"))["last"] or 0) + 1
    long_ago = timezone.now() - timedelta(seconds=2 * RESEND_SECONDS)
    for row in _lapsed(run):
        n = _still_lapsed(row).update(
            state=ProposalState.QUEUED, token="", chunk=free, lease_until=None, enqueued_at=long_ago
        )
        requeued += n
        free += n
    return requeued


def _still_lapsed(row: PortfolioRebalance) -> QuerySet[PortfolioRebalance]:
    """The row, unless somebody has it by now."""
    return PortfolioRebalance.objects.filter(
        pk=row.pk, token=row.token, state=ProposalState.SOLVING, lease_until__lt=timezone.now()
    )


def _resend(run: Rebalance) -> int:
    """Chunks whose message is old are sent again, unless the workers are visibly at this run."""
    now = timezone.now()
    due = now - timedelta(seconds=RESEND_SECONDS)
    alone = run.portfolios.filter(state=ProposalState.QUEUED, attempt__gt=0, enqueued_at__lt=due)
    waiting = run.portfolios.filter(state=ProposalState.QUEUED, enqueued_at__lt=due)
    chunks = set((alone if _progressing(run) else waiting).values_list("chunk", flat=True))
    if chunks:
        run.portfolios.filter(state=ProposalState.QUEUED, chunk__in=chunks).update(enqueued_at=now)
        enqueue(run.pk, sorted(chunks))
    return len(chunks)


def _progressing(run: Rebalance) -> bool:
    """Whether a lease was taken or renewed in the last half minute."""
    recent = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS - RESEND_SECONDS)
    return run.portfolios.filter(state__in=OPEN, lease_until__gt=recent).exists()
