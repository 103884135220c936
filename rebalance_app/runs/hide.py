"""Deleting a run through API v1: it disappears there, and stays readable everywhere else for ever."""

from __future__ import annotations

from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.errors import ConflictError, NotFoundError
from rebalance_app.models import Rebalance

V1_VERSION = 1  # a stored rebalance never changes, so its version in API v1 is always this


def rebalance_hide(*, by: User, rebalance_id: str, version: int) -> None:
    """Takes an ended run out of API v1.

    Raises NotAllowedError, NotFoundError (also when it is hidden already), and ConflictError for another version or
    a run that is still going.
    """
    by.must("rebalance.launch")
    with recorded():
        run = Rebalance.objects.filter(pk=rebalance_id, hidden_at__isnull=True).first()
        if run is None:
            raise NotFoundError(f"Rebalance {rebalance_id} not found")
        if version != V1_VERSION:
            raise ConflictError(f"Version conflict: expected {V1_VERSION}, got {version}")
        if run.is_active:
            raise ConflictError(f"Run #{run.number} is still {run.get_state_display().lower()}: cancel it first.")
        if Rebalance.objects.filter(pk=run.pk, hidden_at__isnull=True).update(hidden_at=timezone.now()):
            record("rebalance.hidden", run, f"Run #{run.number} hidden from API v1", by=by)
