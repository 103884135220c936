"""Trying again what a run could not solve, as a run of its own."""

from __future__ import annotations

from models_app.models import ModelPortfolio
from ordergen.accounts.models import User
from ordergen.core.errors import ConflictError
from rebalance_app.models import Rebalance
from rebalance_app.runs.launch import rebalance_launch
from rebalance_app.runs.selectors import failed_portfolio_ids, run_get


def rebalance_retry(*, by: User, rebalance_id: str, idempotency_key: str | None = None) -> Rebalance:
    """Starts a run over the portfolios that have no answer in this one, with its options and today's prices and model.

    What no longer follows the model is left out. Raises ConflictError while the run is going or when nothing is left,
    and what launching raises.
    """
    by.must("rebalance.launch")
    run = run_get(rebalance_id).run
    if run.is_active:
        raise ConflictError(f"Run #{run.number} is still going.")
    followers = set(ModelPortfolio.objects.filter(model_id=run.model_id).values_list("portfolio_id", flat=True))
    failed = [key for key in failed_portfolio_ids(rebalance_id) if key in followers]
    if not failed:
        raise ConflictError(f"Run #{run.number} has no failed portfolios that follow its model.")
    return rebalance_launch(
        by=by,
        model_id=run.model_id,
        portfolio_ids=failed,
        options=run.options,
        note=f"Failures of run #{run.number}",
        idempotency_key=idempotency_key,
    )
