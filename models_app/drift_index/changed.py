"""What a writer of book or models calls, inside its transaction, so that everybody learns of the change."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from models_app.drift_index.invalidate import invalidate
from models_app.drift_index.recompute import recompute_at_once
from models_app.drift_index.refresh import REFRESH_TASK, are_kept, note_fault
from models_app.models import DriftFigures
from models_app.sources import get_source
from ordergen.audit.services import take_turn
from ordergen.core.db import atomic
from ordergen.core.ids import object_id
from ordergen.core.models import Setting

logger = logging.getLogger(__name__)
FEW = 300  # portfolios whose figures are computed with the change, so that the next page shows them
_gathered: ContextVar[set[str] | None] = ContextVar("gathered", default=None)


def book_changed(portfolio_ids: Collection[str] | None = None) -> None:
    """Gives the book a new version. Call it inside the transaction that changes securities, prices or portfolios.

    `portfolio_ids` are all that the change can concern; without them it concerns everybody.
    """
    Setting.objects.update_or_create(name="book_version", defaults={"value": object_id()})
    _tell(portfolio_ids)


def models_changed(portfolio_ids: Collection[str]) -> None:
    """Call it inside the transaction that changes a model, with its portfolios from before and after."""
    gathered = _gathered.get()
    if gathered is None:
        _tell(portfolio_ids)
    else:
        gathered.update(portfolio_ids)


@contextmanager
def models_changed_together() -> Iterator[None]:
    """What changes models inside does so as one change, told of at the end."""
    gathered: set[str] = set()
    token = _gathered.set(gathered)
    try:
        yield
    finally:
        _gathered.reset(token)
    _tell(gathered)


def _tell(portfolio_ids: Collection[str] | None) -> None:
    # Who saves a model has the turn to record before the figures; an import that took them the other way round would
    # wait for it and be waited for.
    take_turn()
    mark = invalidate(portfolio_ids)
    marked = DriftFigures.objects.filter(changed=mark)
    if not get_source().is_remote and marked.count() <= FEW:
        _recompute_with_it(mark)
    if are_kept() and marked.exists():
        transaction.on_commit(_hint, robust=True)  # the change stands, whatever becomes of a hint


def _recompute_with_it(mark: str) -> None:
    """Computes figures inside the change. Where that fails they stay marked for a worker; the change itself stands."""
    try:
        with atomic():  # a savepoint, for on PostgreSQL an error spoils everything since the last one
            recompute_at_once(mark)
    except Exception as error:
        if transaction.get_rollback():  # nor is there a savepoint any more (a lost connection): the change is lost too
            raise
        logger.exception("figures could not be computed with the change that made them old, and wait for a worker")
        note_fault(error)


def _hint() -> None:
    """Tells a worker. When the broker is down the marks wait, and the sweeper finds them."""
    try:
        current_app.send_task(REFRESH_TASK)
    except (OperationalError, OSError) as error:
        logger.warning("broker unreachable, the figures wait for the sweeper: %s", error)
