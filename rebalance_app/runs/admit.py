"""Whether another run may begin. Work beyond what the workers can take waits in the database, but not without end."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.core.errors import OverloadedError, TooManyError
from rebalance_app.models import Rebalance
from rebalance_app.runs.progress import active_runs, n_open, seconds_for

UNKNOWN_SECONDS, LEAST_SECONDS, MOST_SECONDS = 30, 5, 3600


def admit(by: User, n_portfolios: int = 0) -> None:
    """Lets a run over so many portfolios begin, or raises TooManyError (of this person) or OverloadedError (of all).

    Whatever the limit of the installation, one run always fits in where nothing waits.
    """
    active = active_runs()
    own = [run for run in active if run.launched_by_id == by.pk]
    if len(own) >= settings.RUNS_PER_PERSON:
        raise TooManyError(
            f"You have {len(own)} run{'s' if len(own) > 1 else ''} under way, as many as one person may have: "
            "wait for one to end, or cancel one.",
            retry_after=_seconds(min(map(n_open, own), default=0), active),
        )
    waiting = sum(map(n_open, active))
    if waiting and waiting + n_portfolios > settings.MAX_QUEUED:
        raise OverloadedError(
            f"{waiting:,} portfolios wait for the workers already, and more than {settings.MAX_QUEUED:,} may not. "
            "Nothing was started; try again later.",
            retry_after=_seconds(waiting + n_portfolios - settings.MAX_QUEUED, active),
        )


def _seconds(portfolios: int, active: Sequence[Rebalance]) -> int:
    """When asking again makes sense: after so many portfolios, at the pace of now."""
    seconds = seconds_for(portfolios, active, timezone.now())
    return min(MOST_SECONDS, max(LEAST_SECONDS, UNKNOWN_SECONDS if seconds is None else seconds))
