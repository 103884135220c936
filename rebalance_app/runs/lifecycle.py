"""What becomes of a run after its launch: it ends, is cancelled, stopped, tried again, or hidden from API v1."""

from __future__ import annotations

import logging
from functools import reduce
from operator import add

from django.db.models import F, QuerySet
from django.utils import timezone

from models_app.models import InvestmentModel, ModelPortfolio
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.errors import Code, ConflictError, NotFoundError
from rebalance_app.models import ACTIVE, OPEN, OUTCOMES, ProposalState, Rebalance, RunState
from rebalance_app.proposals.selectors import run_get
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.selectors import failed_portfolio_ids

logger = logging.getLogger(__name__)
V1_VERSION = 1  # a stored rebalance never changes, so its version in API v1 is always this


def run_finish(run_id: str) -> None:
    """Ends a run whose portfolios have all ended; does nothing otherwise, or the second time."""
    if not _all_done().filter(pk=run_id).exists():
        return
    with recorded():
        run = Rebalance.objects.get(pk=run_id)
        state = RunState.CANCELLED if run.cancel_requested else RunState.COMPLETED
        now = timezone.now()
        if _all_done().filter(pk=run.pk).update(state=state, finished_at=now):
            InvestmentModel.objects.filter(pk=run.model_id).update(last_rebalance_at=now)
            ended = f"Run #{run.number} {state.label.lower()}"
            record("rebalance.finished", run, ended, by=None, detail=_outcome(run))


def _all_done() -> QuerySet[Rebalance]:
    """Active runs without a portfolio that is still open."""
    done = reduce(add, (F(f"n_{state}") for state in OUTCOMES))
    return Rebalance.objects.filter(state__in=ACTIVE, n_portfolios__lte=done)


def _outcome(run: Rebalance) -> dict[str, int]:
    """What a run counts, as the trail keeps it."""
    return run.outcomes | {"orders": run.n_orders}


def run_cancel(*, by: User, run_id: str) -> Rebalance:
    """Cancels an active run. Proposals that were stored before stay as they are.

    Raises NotAllowedError, NotFoundError, and ConflictError when the run has ended already.
    """
    by.must("rebalance.launch")
    with recorded():
        asked = Rebalance.objects.filter(pk=run_id, state__in=ACTIVE, cancel_requested=False).update(
            cancel_requested=True
        )
        run = Rebalance.objects.filter(pk=run_id).first()
        if run is None:
            raise NotFoundError("No such run.")
        if not asked:
            message = f"Run #{run.number} is {run.get_state_display().lower()} already."
            raise ConflictError(message, code=Code.RUN_ENDED)
        stopped = run.portfolios.filter(state=ProposalState.QUEUED).update(
            state=ProposalState.CANCELLED, finished_at=timezone.now()
        )
        Rebalance.objects.filter(pk=run.pk).update(n_cancelled=F("n_cancelled") + stopped)
        summary = f"Run #{run.number}: {stopped} portfolios not begun"
        record("rebalance.cancelled", run, summary, by=by, detail=_outcome(run))
    run_finish(run.pk)
    run.refresh_from_db()
    return run


def run_stop(run_id: str, *, first: str, why: str) -> None:
    """Ends an active run. The row `first` fails with the reason; what else is open ends as cancelled, without one.

    What other workers are solving at this moment is no longer theirs, so nothing is stored behind our back. Proposals
    that were stored before stay. Does nothing to a run that has ended.
    """
    now = timezone.now()
    with recorded():
        run = Rebalance.objects.get(pk=run_id)
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


def run_retry(*, by: User, run_id: str, idempotency_key: str | None = None) -> Rebalance:
    """Starts a run over the portfolios that have no answer in this one, with its options and today's prices and model.

    It leaves out what has orders on their way where this run did, and counts those otherwise. What no longer follows
    the model is left out. Raises ConflictError while the run is going or when nothing is left, and what launching
    raises.
    """
    by.must("rebalance.launch")
    run = run_get(run_id)
    if run.is_active:
        raise ConflictError(f"Run #{run.number} is still going.", code=Code.RUN_ACTIVE)
    followers = set(ModelPortfolio.objects.filter(model_id=run.model_id).values_list("portfolio_id", flat=True))
    failed = [key for key in failed_portfolio_ids(run_id) if key in followers]
    if not failed:
        message = f"Run #{run.number} has no failed portfolios that follow its model."
        raise ConflictError(message, code=Code.NOTHING_TO_RETRY)
    return run_launch(
        by=by,
        model_id=run.model_id,
        portfolio_ids=failed,
        options=run.options,
        note=f"Failures of run #{run.number}",
        open_orders=run.open_orders_again,
        idempotency_key=idempotency_key,
        reserve_costs=False,  # a run that says nothing of it kept none
    )


def run_hide(*, by: User, run_id: str, version: int) -> None:
    """Takes an ended run out of API v1.

    Raises NotAllowedError, NotFoundError (also when it is hidden already), and ConflictError for another version or
    a run that is still going.
    """
    by.must("rebalance.launch")
    with recorded():
        run = Rebalance.objects.filter(pk=run_id, hidden_at__isnull=True).first()
        if run is None:
            raise NotFoundError(f"Rebalance {run_id} not found")
        if version != V1_VERSION:
            raise ConflictError(f"Version conflict: expected {V1_VERSION}, got {version}")
        if run.is_active:
            raise ConflictError(f"Run #{run.number} is still {run.get_state_display().lower()}: cancel it first.")
        if Rebalance.objects.filter(pk=run.pk, hidden_at__isnull=True).update(hidden_at=timezone.now()):
            record("rebalance.hidden", run, f"Run #{run.number} hidden from API v1", by=by)
