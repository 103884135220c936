"""Stopping a run: a service the book comes from is down, and every further portfolio would only fail like the first."""

from __future__ import annotations

import logging

from django.db.models import F
from django.utils import timezone

from ordergen.audit.services import record, recorded
from rebalance_app.models import OPEN, ProposalState, Rebalance, RunState

logger = logging.getLogger(__name__)


def run_stop(rebalance_id: str, *, first: str, why: str) -> None:
    """Ends an active run. The row `first` fails with the reason; what else is open ends as cancelled, without one.

    What other workers are solving at this moment is no longer theirs, so nothing is stored behind our back. Proposals
    that were stored before stay. Does nothing to a run that has ended.
    """
    now = timezone.now()
    with recorded():
        run = Rebalance.objects.get(pk=rebalance_id)
        if not run.is_active:
            return
        rows = run.portfolios.filter(state__in=OPEN)
        failed = rows.filter(pk=first).update(
            state=ProposalState.FAILED, reason_code="SERVICE_DOWN", reason=why[:500], finished_at=now, lease_until=None
        )
        cancelled = rows.update(state=ProposalState.CANCELLED, finished_at=now, lease_until=None)
        counters = {"n_failed": F("n_failed") + failed, "n_cancelled": F("n_cancelled") + cancelled}
        # The run after its rows, as where proposals are stored: a worker at that and we cannot block each other.
        Rebalance.objects.filter(pk=run.pk).update(state=RunState.STOPPED, finished_at=now, **counters)
        detail = {"why": why, "failed": failed, "cancelled": cancelled}
        record("rebalance.stopped", run, f"Run #{run.number} stopped: {why}", by=None, detail=detail)
    logger.warning("run #%s stopped: %s", run.number, why)
