"""What the workers have before them: how far each run is, how long that may take, and whether another may begin.

Times are measured, or not said. The counters of runs are read, a few rows however many portfolios there are; work
beyond what the workers can take waits in the database, but not without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.core.errors import OverloadedError, TooManyError
from rebalance_app.models import ACTIVE, ProposalState, Rebalance
from rebalance_app.proposals.selectors import LONG

MEASURED_SECONDS = 5.0  # before that, one chunk more or less doubles an estimate
STEPS = ((60, 5), (600, 15), (3600, 60))  # up to so many seconds, an estimate is said in steps of so many
LONGEST_STEP = 300
UNKNOWN_SECONDS, LEAST_SECONDS, MOST_SECONDS = 30, 5, 3600  # after which to ask again
UNATTENDED_AFTER = 3  # times the seconds after which a sweeper does the work itself


@dataclass(frozen=True)
class Segment:
    name: str
    count: int
    share: str
    words: str


@dataclass(frozen=True)
class RunProgress:
    """How far an active run is.

    `segments` are those of the bar in per cent. `portfolios_ahead` in `runs_ahead` come first, as long as nothing of
    this run is done. `seconds_left` is None until there is something to measure it by, and where nobody is at work
    (`is_unattended`).
    """

    segments: Sequence[Segment]
    quarter: int
    portfolios_ahead: int
    runs_ahead: int
    seconds_left: int | None
    is_started: bool
    is_unattended: bool


def run_progress(run: Rebalance, now: datetime) -> RunProgress:
    """From the counters of this run and of those before it that are still going."""
    parts = (
        ("solved", run.n_solved + run.n_time_limit, "solved"),
        ("idle", run.n_no_trades, "without trades"),
        ("failed", run.n_infeasible + run.n_failed, "failed"),
    )
    total = max(1, run.n_portfolios)
    segments = [Segment(name, n, f"{Decimal(100 * n) / total:.2f}", words) for name, n, words in parts if n]
    ahead = [] if run.n_done else [other for other in active_runs() if other.number < run.number and n_open(other)]
    n_ahead = sum(map(n_open, ahead))
    is_unattended = _is_unattended((ahead or [run])[0], now)
    left = None if is_unattended else seconds_for(n_ahead + n_open(run), ahead or [run], now)
    quarter = 25 * (4 * run.n_done // total)
    return RunProgress(segments, quarter, n_ahead, len(ahead), left, run.started_at is not None, is_unattended)


def _is_unattended(first: Rebalance, now: datetime) -> bool:
    """Whether the first run in line stands for so long that no worker and no sweeper can be running.

    A sweeper brings back a lapsed lease within seconds, and does itself what no worker begins.
    """
    long_ago = now - UNATTENDED_AFTER * timedelta(seconds=settings.RESEND_SECONDS)
    if first.started_at is None:
        return first.launched_at < long_ago
    return first.portfolios.filter(state=ProposalState.SOLVING, lease_until__lt=long_ago).exists()


def active_runs() -> list[Rebalance]:
    """The oldest first, which is how the workers take them."""
    return list(Rebalance.objects.defer(*LONG).filter(state__in=ACTIVE).order_by("number"))


def n_open(run: Rebalance) -> int:
    """Portfolios that have not ended."""
    return max(0, run.n_portfolios - run.n_done)


def seconds_for(portfolios: int, runs: Sequence[Rebalance], now: datetime) -> int | None:
    """How long so many portfolios take at the pace of `runs` so far; None while that cannot be told."""
    started = [run.started_at for run in runs if run.started_at]
    done = sum(run.n_done for run in runs if run.started_at)
    elapsed = (now - min(started)).total_seconds() if started else 0
    if not done or elapsed < MEASURED_SECONDS:
        return None
    return _rounded(portfolios * elapsed / done)


def _rounded(seconds: float) -> int:
    """No finer than it can be known, so that it does not flicker."""
    step = next((step for most, step in STEPS if seconds < most), LONGEST_STEP)
    return max(1, round(seconds / step)) * step


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
            retry_after=_ask_again_after(min(map(n_open, own), default=0), active),
        )
    waiting = sum(map(n_open, active))
    if waiting and waiting + n_portfolios > settings.MAX_QUEUED:
        raise OverloadedError(
            f"{waiting:,} portfolios wait for the workers already, and more than {settings.MAX_QUEUED:,} may not. "
            "Nothing was started; try again later.",
            retry_after=_ask_again_after(waiting + n_portfolios - settings.MAX_QUEUED, active),
        )


def _ask_again_after(portfolios: int, active: Sequence[Rebalance]) -> int:
    """In how many seconds: after so many portfolios, at the pace of now."""
    seconds = seconds_for(portfolios, active, timezone.now())
    return min(MOST_SECONDS, max(LEAST_SECONDS, UNKNOWN_SECONDS if seconds is None else seconds))
