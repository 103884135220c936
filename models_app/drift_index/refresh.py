"""Bringing the drift index up to date in the background: one process at a time, whatever goes wrong with a row.

    lease | look through the book, if that is due | rows with a mark, some at a time | models with a mark

A process that dies leaves marks behind, and a lease that lapses. Two who refresh do not do the same work, and it would
do no harm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min, Q
from django.utils import timezone

from models_app.drift_index.invalidate import basis, has_basis, hold_figures, invalidate_all
from models_app.drift_index.recompute import OutdatedRow, outdated_rows, recompute_rows, sum_up_models
from models_app.models import DriftFigures, FiguresRefresh, ModelFigures
from models_app.sources import get_source
from models_app.sources.parse import MalformedAnswerError
from ordergen.core.db import atomic
from ordergen.core.errors import UnavailableError
from ordergen.core.ids import made_at, object_id

logger = logging.getLogger(__name__)
REFRESH_TASK = "figures.refresh"  # sent by name: what sends it lies below the tasks
ROWS_AT_A_TIME = 250
MOST_TOLD = 500  # characters of a fault, as long as its column
MOST_TRIES = 40  # of some rows: 16 find one among 250 that is refused
LEASE = timedelta(seconds=60)  # a chunk takes a second, and from other services no longer than their deadline
REST_AFTER_FAULT = timedelta(seconds=30)
PATIENCE = timedelta(seconds=10)  # so long the sweeper leaves the work to the workers
SWEEP_SLICE = 2.0  # seconds that the sweeper gives at a time, so that lost runs do not wait for it
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Trouble:
    """All that goes wrong in one refresh, once for each row: what is told of it, and the errors nobody expected."""

    told: dict[str, str] = field(default_factory=dict)
    unexpected: dict[str, Exception] = field(default_factory=dict)

    @contextmanager
    def noted(self, key: str = "", name: str = "") -> Iterator[None]:
        """Notes what goes wrong inside: with that row, or without a name in all. What is no row's fault is raised."""
        try:
            yield
        except Exception as error:
            if name and _is_outage(error):
                raise
            self.note(error, key, name)

    def note(self, error: Exception, key: str = "", name: str = "") -> None:
        """Of the row with this key, a portfolio's or a model's; or of what ended the refresh."""
        key = key or f"#{len(self.told)}"
        if isinstance(error, UnavailableError):
            self.told[key] = error.message
            return
        if name:
            error.add_note(f"while the figures of {name} were computed")
        self.told[key] = f"{name}: {_told(error)}" if name else _told(error)
        self.unexpected[key] = error

    def fault(self) -> str:
        """In as few words as a page has room for."""
        first, *others = self.told.values() or [""]
        more = f" And {len(others)} more, which the log tells." if others else ""
        return first[: MOST_TOLD - len(more)] + more


def refresh(seconds: float | None = None) -> int:
    """Refreshes what is marked, for `seconds` at most; returns how many rows: 0 while another process is at it.

    Raises an ExceptionGroup with everything that nobody expected, once what it did not touch is computed.
    """
    token = object_id()
    if not _claim(token):
        return 0
    deadline = None if seconds is None else time.monotonic() + seconds
    done, trouble = 0, _Trouble()
    with trouble.noted():
        _look_through()
        while (deadline is None or time.monotonic() < deadline) and (rows := outdated_rows(ROWS_AT_A_TIME)):
            computed = _refresh_apart(rows, deadline, trouble)
            done += computed
            if not computed or not _renew(token):
                break
        _sum_up_apart(trouble)
    with trouble.noted():  # else the lease lapses by itself
        _release(token, trouble)
    if trouble.unexpected:
        raise ExceptionGroup("the figures could not be refreshed", list(trouble.unexpected.values()))
    if done and not trouble.told and seconds is None and outdated_rows(1):  # a change whose hint found us still at it
        done += refresh()
    return done


def note_fault(error: Exception) -> None:
    """Says on the pages why figures are old; the next refresh that goes well takes it back."""
    FiguresRefresh.objects.update_or_create(pk="firm", defaults={"fault": _told(error)[:MOST_TOLD]})


def is_left_lying() -> bool:
    """Whether something waits that workers have had the time to take up."""
    since = waiting_since()
    return since is not None and timezone.now() - since > PATIENCE


def waiting_since() -> datetime | None:
    """When the oldest change came that figures do not know, or a look through the book fell due; None: all is done."""
    if not are_kept():
        return None
    oldest = [table.objects.aggregate(mark=Min("changed"))["mark"] for table in (DriftFigures, ModelFigures)]
    since = [made_at(mark) for mark in oldest if mark]
    due = _look_due()
    return min(since + ([due] if due and due <= timezone.now() else []), default=None)


def are_kept() -> bool:
    """Whether this installation has figures at all: a book that does not tell of its changes may be left unwatched."""
    return not get_source().is_remote or bool(settings.FIGURES_SECONDS)


def _look_due() -> datetime | None:
    """When the book is to be looked through; only one that does not tell of its changes needs it again and again."""
    last = FiguresRefresh.objects.filter(basis=basis()).values_list("listed_at", flat=True).first()
    if last is None:
        return None if has_basis() else _LONG_AGO
    return last + timedelta(seconds=settings.FIGURES_SECONDS) if get_source().is_remote else None


def _claim(token: str) -> bool:
    FiguresRefresh.objects.get_or_create(pk="firm")
    now = timezone.now()
    free = FiguresRefresh.objects.filter(Q(lease_until=None) | Q(lease_until__lt=now))
    return bool(free.update(token=token, lease_until=now + LEASE))


def _renew(token: str) -> bool:
    return bool(FiguresRefresh.objects.filter(token=token).update(lease_until=timezone.now() + LEASE))


def _release(token: str, trouble: _Trouble) -> None:
    for told in trouble.told.values():
        logger.warning("the figures could not be refreshed: %s", told)
    rest = timezone.now() + REST_AFTER_FAULT if trouble.told else None
    FiguresRefresh.objects.filter(token=token).update(token="", lease_until=rest, fault=trouble.fault())


def _look_through() -> None:
    """Finds every portfolio, and marks everything: where the figures rest on something else, or by the clock."""
    due = _look_due()
    if due is None or due > timezone.now() or (has_basis() and _is_being_looked_through()):
        return
    source = get_source()
    names = {key: info.name for key, info in source.portfolios().items()} if source.is_remote else {}
    with atomic():
        hold_figures()
        if not source.is_remote:
            names = {key: info.name for key, info in source.portfolios().items()}
        invalidate_all(names, object_id())
        FiguresRefresh.objects.update(listed_at=timezone.now())


def _is_being_looked_through() -> bool:
    """Whether rows still wait since the last look."""
    listed_at = FiguresRefresh.objects.values_list("listed_at", flat=True).get()
    oldest = DriftFigures.objects.aggregate(mark=Min("changed"))["mark"]
    return bool(oldest and listed_at and made_at(oldest) <= listed_at)


def _is_outage(error: Exception) -> bool:
    """Whether the database or a service is down, which is no portfolio's fault in particular."""
    return isinstance(error, DatabaseError | UnavailableError) and not isinstance(error, MalformedAnswerError)


def _told(error: Exception) -> str:
    return f"The figures could not be computed: {type(error).__name__}: {error}"


def _refresh_apart(rows: Sequence[OutdatedRow], deadline: float | None, trouble: _Trouble) -> int:
    """`recompute_rows`, where one portfolio that cannot be computed keeps no other waiting; returns how many were.

    That its service answers wrongly for it, or that computing it raises what nobody expected, is noted in `trouble`.
    Such rows are found by halving. They stay marked, behind all others.
    """
    left, done = [rows], 0
    for _ in range(MOST_TRIES):
        if not left:
            break
        some = left.pop()
        try:
            done += recompute_rows(some, deadline)
        except Exception as error:
            if _is_outage(error):
                raise
            halves = _halves(some)
            left += halves
            if halves:
                logger.info("the figures of %s rows are tried by halves: %r", len(some), error)
            else:
                trouble.note(error, some[0].pk, some[0].portfolio_name)
    return done


def _sum_up_apart(trouble: _Trouble) -> None:
    """`sum_up_models` for all that are marked, where one that cannot be summed up keeps no other waiting."""
    for figures in ModelFigures.objects.exclude(changed=None):
        with trouble.noted(figures.pk, f"model {figures.pk}"):
            sum_up_models([figures])


def _halves(rows: Sequence[OutdatedRow]) -> list[Sequence[OutdatedRow]]:
    """The rows in two parts, the first one last; none of one row, which waits behind all others from now on."""
    half = len(rows) // 2
    if half:
        return [rows[half:], rows[:half]]
    DriftFigures.objects.filter(pk=rows[0].pk, changed=rows[0].mark).update(changed=object_id())
    return []
