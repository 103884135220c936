"""Bringing back what was lost: a worker that died, a message that never arrived, a run nobody ended.

    lapsed   | whoever held the lease is dead: the portfolio is queued again, alone, or fails at its last attempt
    unheard  | workers take what was sent after a message, or nothing: it is sent again
    undone   | nobody works at all, for the broker is down or the workers hang: the sweeper does a few portfolios itself

Every step is a conditional update, so any number of sweepers may run at once, and a message too many changes nothing.
There are few of those: what waits its turn behind a large run, for hours if need be, is not sent again for that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from ordergen.core.db import atomic
from rebalance_app.formats.sentences import sentence
from rebalance_app.models import ACTIVE, OUTCOMES, PortfolioRebalance, ProposalState, Rebalance
from rebalance_app.proposals.selectors import LONG
from rebalance_app.runs.launch import enqueue
from rebalance_app.runs.lifecycle import run_finish
from rebalance_app.solving.failures import worker_died

logger = logging.getLogger(__name__)
ALONE = 1 << 24  # chunks from here on hold one portfolio each, or few; a run has fewer chunks than that
NOT_SENT = datetime(1970, 1, 1, tzinfo=UTC)  # of what was queued again: earlier than any message
FEW = 5  # portfolios that the sweeper does itself before it sweeps again
SECOND_LOOK = 1.0  # seconds, in which a worker between two chunks takes the next one, or another stores its own


@dataclass(frozen=True)
class Swept:
    """What one sweep did, in portfolios and chunks."""

    requeued: int
    given_up: int
    resent: int


def sweep() -> Swept:
    """Looks once over every active run."""
    requeued = given_up = 0
    runs = list(Rebalance.objects.defer(*LONG).filter(state__in=ACTIVE).order_by("number"))
    for run in runs:
        _end_cancelled(run)
        given_up += _give_up(run)
        requeued += _requeue(run)
        run_finish(run.pk)
    resent = _resend(runs)
    if requeued or given_up or resent:
        logger.info("swept: %s portfolios queued again, %s given up, %s chunks sent again", requeued, given_up, resent)
    return Swept(requeued, given_up, resent)


def left_lying(*, again: bool = False) -> tuple[str, int] | None:
    """A run and a chunk of few portfolios that waits though it was told of, if nobody works; else None.

    `again`: the caller has just done some, and it need not be made sure anew that nobody works.
    """
    told = timezone.now() - timedelta(seconds=settings.RESEND_SECONDS / 2)
    rows = PortfolioRebalance.objects.filter(rebalance__state__in=ACTIVE)
    waiting = rows.filter(state=ProposalState.QUEUED, enqueued_at__lt=told).order_by("rebalance_id", "chunk")
    chunk = waiting.values_list("rebalance_id", "chunk").first()
    if chunk is None or (_reached() if again else _reached_surely()):
        return None
    logger.warning("no worker takes run %s, chunk %s: done by the sweeper", *chunk)
    return chunk[0], _few_of(*chunk)


def _few_of(run_id: str, chunk: int) -> int:
    """Some portfolios of a chunk in one of their own, so that a sweep comes between them and the rest."""
    queued = PortfolioRebalance.objects.filter(rebalance_id=run_id, chunk=chunk, state=ProposalState.QUEUED)
    few = list(queued.order_by("pk").only("pk")[:FEW])
    if not few:
        return chunk
    queued.filter(pk__in=[row.pk for row in few]).update(chunk=_alone(few[0]))
    return _alone(few[0])


def _lapsed(run: Rebalance) -> list[PortfolioRebalance]:
    rows = run.portfolios.filter(state=ProposalState.SOLVING, lease_until__lt=timezone.now())
    return list(rows.only("pk", "token", "attempt", "reason_code", "reason"))


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
    """A portfolio whose last attempt came to nothing fails; it has delayed no other, for it travelled alone.

    Why, its worker has noted where an exception ended the attempt; a worker that died could not.
    """
    given_up = 0
    for row in _lapsed(run):
        if row.attempt < settings.MAX_ATTEMPTS:
            continue
        died = worker_died(row.attempt)
        with atomic():
            n = _still_lapsed(row).update(
                state=ProposalState.FAILED,
                reason_code=row.reason_code or died.code,
                reason=row.reason or sentence(died),
                finished_at=timezone.now(),
                lease_until=None,
            )
            Rebalance.objects.filter(pk=run.pk).update(n_failed=F("n_failed") + n)
        given_up += n
    return given_up


def _requeue(run: Rebalance) -> int:
    """What lost its worker is queued again, each portfolio in a chunk of its own."""
    return sum(
        _still_lapsed(row).update(
            state=ProposalState.QUEUED, token="", chunk=_alone(row), lease_until=None, enqueued_at=NOT_SENT
        )
        for row in _lapsed(run)
    )


def _alone(row: PortfolioRebalance) -> int:
    """A chunk that no other row of the run can be given, by whichever sweeper: the end of an id counts up."""
    return ALONE + int(row.pk[-6:], 16)


def _still_lapsed(row: PortfolioRebalance) -> QuerySet[PortfolioRebalance]:
    """The row, unless somebody has it by now."""
    return PortfolioRebalance.objects.filter(
        pk=row.pk, token=row.token, state=ProposalState.SOLVING, lease_until__lt=timezone.now()
    )


def _resend(runs: Sequence[Rebalance]) -> int:
    """Sends lost messages again until the broker does not answer: to ask it for each run would take minutes."""
    old = timezone.now() - timedelta(seconds=settings.RESEND_SECONDS)
    waiting = PortfolioRebalance.objects.filter(rebalance__in=runs, state=ProposalState.QUEUED, enqueued_at__lt=old)
    if not waiting.exists():
        return 0
    lost = waiting.filter(enqueued_at__lte=_passed(old))
    resent = 0
    for run in runs:
        chunks = sorted(lost.filter(rebalance=run).order_by().values_list("chunk", flat=True).distinct())
        run.portfolios.filter(state=ProposalState.QUEUED, chunk__in=chunks).update(enqueued_at=timezone.now())
        if not enqueue(run.pk, chunks):
            break
        resent += len(chunks)
    return resent


def _passed(old: datetime) -> datetime:
    """What was sent until then was lost: workers have taken what was sent well after it, or take nothing."""
    reached = _reached_surely()
    if reached is None:
        return old
    return max(NOT_SENT, min(old, reached - timedelta(seconds=settings.RESEND_SECONDS)))


def _reached_surely() -> datetime | None:
    """`_reached`, and None only if nothing moves either: between two chunks a worker has none for a moment."""
    before = _progress()
    if reached := _reached():
        return reached
    time.sleep(SECOND_LOOK)
    return _reached() or (None if _progress() == before else NOT_SENT)


def _reached() -> datetime | None:
    """When the latest message was sent of those that workers are at; None: nobody is at work.

    At work is who took or renewed a lease a short while ago, and still has it. Leases are renewed between programmes,
    so a worker may be silent for as long as one of them takes.
    """
    silence = max(settings.RESEND_SECONDS, settings.OPTIMIZATION_TIMEOUT + settings.SOLVER_OVERHEAD_SECONDS)
    recent = timezone.now() + timedelta(seconds=max(0, settings.LEASE_SECONDS - silence))
    rows = PortfolioRebalance.objects.filter(state=ProposalState.SOLVING, lease_until__gt=recent)
    latest: datetime | None = rows.aggregate(latest=Max("enqueued_at"))["latest"]
    return latest


def _progress() -> list[tuple[object, ...]]:
    """How far each run is."""
    counters = (f"n_{name}" for name in OUTCOMES)
    return list(Rebalance.objects.filter(state__in=ACTIVE).order_by("number").values_list("number", *counters))
