"""Cancelling a run: what has not begun never starts, and what is being solved ends without orders."""

from __future__ import annotations

from django.db.models import F
from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.errors import ConflictError, NotFoundError
from rebalance_app.models import ACTIVE, ProposalState, Rebalance
from rebalance_app.runs.solve_chunk import run_finish, run_outcome


def rebalance_cancel(*, by: User, rebalance_id: str) -> Rebalance:
    """Cancels an active run. Proposals that were stored before stay as they are.

    Raises NotAllowedError, NotFoundError, and ConflictError when the run has ended already.
    """
    by.must("rebalance.launch")
    with recorded():
        asked = Rebalance.objects.filter(pk=rebalance_id, state__in=ACTIVE, cancel_requested=False).update(
            cancel_requested=True
        )
        run = Rebalance.objects.filter(pk=rebalance_id).first()
        if run is None:
            raise NotFoundError("No such run.")
        if not asked:
            raise ConflictError(f"Run #{run.number} is {run.get_state_display().lower()} already.")
        stopped = run.portfolios.filter(state=ProposalState.QUEUED).update(
            state=ProposalState.CANCELLED, finished_at=timezone.now()
        )
        Rebalance.objects.filter(pk=run.pk).update(n_cancelled=F("n_cancelled") + stopped)
        summary = f"Run #{run.number}: {stopped} portfolios not begun"
        record("rebalance.cancelled", run, summary, by=by, detail=run_outcome(run))
    run_finish(run.pk)
    run.refresh_from_db()
    return run
