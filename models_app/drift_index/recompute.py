"""Computing the figures that a change has made old: in the background, or at once where they are few.

    refresh:      lease | look through the book, if that is due | rows with a mark, some at a time | models with a mark
    some rows:    read their marks ─> read the book ─> compute ─> write, where the mark is still the one that was read

A change while we compute sets another mark, so what we write is never taken for more than it is; a process that dies
leaves marks behind, and a lease that lapses. Two who refresh do not do the same work, and it would do no harm.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import itemgetter

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min, Q
from django.utils import timezone

from models_app.drift_index.document import BYTES_PER_LINE, Figures, figures_at_once, figures_of, positions_of
from models_app.drift_index.invalidate import basis, has_basis, hold_figures, mark_everything
from models_app.drift_index.live_drift import read_facts, view_of
from models_app.investment_models import selectors
from models_app.investment_models.rules import ModelDraft
from models_app.investment_models.selectors import ModelRow
from models_app.models import DriftFigures, FiguresRefresh, InvestmentModel, ModelFigures
from models_app.portfolio.types import ZERO
from models_app.portfolio.units import WIDE
from models_app.sources import get_source
from models_app.sources.base import PortfolioInfo
from models_app.sources.parse import MalformedAnswerError
from ordergen.core.db import atomic, bulk_update, made_at, object_id
from ordergen.core.errors import UnavailableError

logger = logging.getLogger(__name__)
ROWS_AT_A_TIME = 250
MOST_TOLD = 500  # characters of a fault, as long as its column
MOST_TRIES = 40  # of some rows: 16 find one among 250 that is refused
LEASE = timedelta(seconds=60)  # a chunk takes a second, and from other services no longer than their deadline
REST_AFTER_FAULT = timedelta(seconds=30)
PATIENCE = timedelta(seconds=10)  # so long the sweeper leaves the work to the workers
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
AT_ONCE_SECONDS = 1.0  # that a person who saves waits for
SUMMED_AT_ONCE = 2_000  # portfolios of a model whose sums are made anew meanwhile
SWEEP_SLICE = 2.0  # seconds that the sweeper gives at a time, so that lost runs do not wait for it
_WRITTEN = (
    "state", "state_order", "low_cash", "worst_ticker", "drift", "use", "total", "cash", "value", "prices_of",
    "n_unpriced", "unpriced", "lines", "told", "model_version", "computed_at", "changed",
)  # fmt: skip


@dataclass(frozen=True)
class _Row:
    """What of a row says what is to be computed."""

    pk: str
    portfolio_id: str
    portfolio_name: str
    model_id: str
    mark: str | None


@dataclass(frozen=True)
class _Trouble:
    """All that goes wrong in one refresh, once for each row: what is told of it, and the errors nobody expected."""

    told: dict[str, str] = field(default_factory=dict)
    unexpected: dict[str, Exception] = field(default_factory=dict)

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
    try:
        _look_through()
        while (deadline is None or time.monotonic() < deadline) and (rows := _marked(ROWS_AT_A_TIME)):
            computed = _refresh_apart(rows, deadline, trouble)
            done += computed
            if not computed or not _renew(token):
                break
        _sum_up_apart(trouble)
    except Exception as error:  # noqa: BLE001  it is told, and raised below unless a service is down
        trouble.note(error)
    try:
        _release(token, trouble)
    except DatabaseError as error:  # the lease lapses by itself
        trouble.note(error)
    if trouble.unexpected:
        raise ExceptionGroup("the figures could not be refreshed", list(trouble.unexpected.values()))
    if done and not trouble.told and seconds is None and _marked(1):  # a change whose hint found us still at it
        done += refresh()
    return done


def note_fault(error: Exception) -> None:
    """Says on the pages why figures are old; the next refresh that goes well takes it back."""
    FiguresRefresh.objects.update_or_create(pk="firm", defaults={"fault": _told(error)[:MOST_TOLD]})


def refresh_at_once(mark: str) -> None:
    """Inside the transaction that set `mark`: computes the figures it made old, as far as that goes quickly."""
    models = list(ModelFigures.objects.filter(changed=mark).values_list("pk", flat=True))
    refresh_rows(_marked(None, mark), time.monotonic() + AT_ONCE_SECONDS)
    small = [key for key in models if DriftFigures.objects.filter(model_id=key).count() <= SUMMED_AT_ONCE]
    refresh_models(list(ModelFigures.objects.filter(pk__in=small)))


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
        mark_everything(names, object_id())
        FiguresRefresh.objects.update(listed_at=timezone.now())


def _is_being_looked_through() -> bool:
    """Whether rows still wait since the last look."""
    listed_at = FiguresRefresh.objects.values_list("listed_at", flat=True).get()
    oldest = DriftFigures.objects.aggregate(mark=Min("changed"))["mark"]
    return bool(oldest and listed_at and made_at(oldest) <= listed_at)


def _marked(limit: int | None, mark: str | None = None) -> list[_Row]:
    """The rows that wait longest, those of a model together."""
    rows = DriftFigures.objects.exclude(changed=None) if mark is None else DriftFigures.objects.filter(changed=mark)
    values = rows.values_list("pk", "portfolio_id", "portfolio_name", "model_id", "changed")
    return [_Row(*row) for row in values.order_by("changed", "model_id", "pk")[:limit]]


def _told(error: Exception) -> str:
    return f"The figures could not be computed: {type(error).__name__}: {error}"


def _refresh_apart(rows: Sequence[_Row], deadline: float | None, trouble: _Trouble) -> int:
    """`refresh_rows`, where one portfolio that cannot be computed keeps no other waiting; returns how many were.

    That its service answers wrongly for it, or that computing it raises what nobody expected, is noted in `trouble`.
    Such rows are found by halving. They stay marked, behind all others.
    """
    left, done = [rows], 0
    for _ in range(MOST_TRIES):
        if not left:
            break
        some = left.pop()
        try:
            done += refresh_rows(some, deadline)
        except Exception as error:
            if isinstance(error, DatabaseError | UnavailableError) and not isinstance(error, MalformedAnswerError):
                raise  # no portfolio's fault in particular
            halves = _halves(some)
            left += halves
            if halves:
                logger.info("the figures of %s rows are tried by halves: %r", len(some), error)
            else:
                trouble.note(error, some[0].pk, some[0].portfolio_name)
    return done


def _sum_up_apart(trouble: _Trouble) -> None:
    """`refresh_models` for all that are marked, where one that cannot be summed up keeps no other waiting."""
    for figures in ModelFigures.objects.exclude(changed=None):
        try:
            refresh_models([figures])
        except (UnavailableError, DatabaseError):
            raise  # no model's fault in particular
        except Exception as error:  # noqa: BLE001  raised by who called us, once the others are done
            trouble.note(error, figures.pk, f"model {figures.pk}")


def _halves(rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    """The rows in two parts, the first one last; none of one row, which waits behind all others from now on."""
    half = len(rows) // 2
    if half:
        return [rows[half:], rows[:half]]
    DriftFigures.objects.filter(pk=rows[0].pk, changed=rows[0].mark).update(changed=object_id())
    return []


def refresh_rows(rows: Sequence[_Row], deadline: float | None = None) -> int:
    """Computes these rows and writes those whose mark has not changed meanwhile; returns how many were computed.

    After the deadline only what arrays answer for, which takes no time, is still computed; the others stay marked.
    """
    as_of = timezone.now()
    computed = _compute(rows, deadline)
    by_mark: dict[str | None, list[tuple[object, ...]]] = defaultdict(list)
    for row, figures, version in computed:
        columns = figures.columns() | {"model_version": version, "computed_at": as_of, "changed": None}
        by_mark[row.mark].append((row.pk, *(columns[name] for name in _WRITTEN)))
    with atomic():
        hold_figures()
        for mark, values in by_mark.items():
            bulk_update(DriftFigures, _WRITTEN, values, {"changed": mark})
        touched = {row.model_id for row in rows}
        ModelFigures.objects.filter(pk__in=touched).update(changed=object_id())
    return len(computed)


def _compute(rows: Sequence[_Row], deadline: float | None) -> list[tuple[_Row, Figures, int | None]]:
    models = _model_rows({row.model_id for row in rows if row.model_id})
    known = [row for row in rows if not row.model_id or row.model_id in models]  # or its model was deleted just now
    infos = {row.portfolio_id: PortfolioInfo(row.portfolio_id, row.portfolio_name) for row in known}
    facts = read_facts(get_source(), [(infos[row.portfolio_id], models.get(row.model_id)) for row in known])
    quick = {
        key: figures_at_once(model, [row.portfolio_id for row in known if row.model_id == key], facts)
        for key, model in models.items()
    }
    found = []
    for row in known:
        model = models.get(row.model_id)
        figures = quick.get(row.model_id, {}).get(row.portfolio_id)
        if figures is None:
            if deadline is not None and time.monotonic() > deadline:
                continue
            figures = figures_of(view_of(infos[row.portfolio_id], model, facts), model)
        found.append((row, figures, model.model.version if model else None))
    return found


def _model_rows(model_ids: Iterable[str]) -> dict[str, ModelRow]:
    """The models with their positions, without the portfolios."""
    models = list(InvestmentModel.objects.filter(pk__in=model_ids))
    positions = selectors.model_positions(m.pk for m in models)
    return {m.pk: ModelRow(m, ModelDraft(m.name, tuple(positions[m.pk]), ())) for m in models}


def refresh_models(marked: Sequence[ModelFigures]) -> None:
    """Sums up models whose portfolios have new figures, where none came since."""
    models = _model_rows([figures.pk for figures in marked])
    for figures in marked:
        if figures.pk not in models:  # deleted after the last of its portfolios had left the book
            ModelFigures.objects.filter(pk=figures.pk).delete()
            continue
        told = _summed_up(models[figures.pk])
        ModelFigures.objects.filter(pk=figures.pk, changed=figures.changed).update(told=told, changed=None)


def _summed_up(row: ModelRow) -> dict[str, object]:
    """The known values and, by security id, portfolios over, portfolios under, and the median drift."""
    positions = row.draft.positions
    values, packed, worst, most = [], [], None, 0.0
    rows = DriftFigures.objects.filter(model_id=row.model.pk).exclude(computed_at=None).order_by()
    columns = ("model_version", "told", "use", "lines")
    for version, told, use, lines in rows.values_list(*columns).iterator(chunk_size=2_000):
        worst, most = max((worst, most), (told["worst"], use or 0.0), key=itemgetter(1))
        values.append(Decimal(told["market_value"] or 0))
        if version == row.model.version and len(lines) == BYTES_PER_LINE * len(positions):  # it may change meanwhile
            packed.append(bytes(lines))
    stands = positions_of(packed, len(positions))
    return {
        "market_value": f"{reduce(WIDE.add, values, ZERO):f}",
        "worst": worst,
        "use": most,
        "positions": {
            p.security_id: [s.n_over, s.n_under, None if s.median_drift is None else str(s.median_drift)]
            for p, s in zip(positions, stands, strict=True)
        },
    }
