"""Computing the figures that a change has made old, of some rows and of models.

    read their marks ─> read the book ─> compute ─> write, where the mark is still the one that was read

A change while we compute sets another mark, so what we write is never taken for more than it is.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from operator import itemgetter

from django.utils import timezone

from models_app.drift_index.document import BYTES_PER_LINE, DriftDocument, document_of, documents_at_once, positions_of
from models_app.drift_index.invalidate import hold_figures
from models_app.drift_index.live_drift import read_inputs, view_of
from models_app.investment_models import selectors
from models_app.investment_models.rules import ModelDraft
from models_app.investment_models.selectors import ModelRow
from models_app.models import DriftFigures, InvestmentModel, ModelFigures
from models_app.portfolio.types import ZERO
from models_app.portfolio.units import WIDE
from models_app.sources import get_source
from models_app.sources.book_source import PortfolioInfo
from ordergen.core.db import atomic, bulk_update
from ordergen.core.ids import object_id

AT_ONCE_SECONDS = 1.0  # that a person who saves waits for
SUMMED_AT_ONCE = 2_000  # portfolios of a model whose sums are made anew meanwhile
_WRITTEN = (
    "state", "state_order", "low_cash", "worst_ticker", "drift", "use", "total", "cash", "value", "prices_of",
    "n_unpriced", "unpriced", "lines", "told", "model_version", "computed_at", "changed",
)  # fmt: skip


@dataclass(frozen=True)
class OutdatedRow:
    """What of a row says what is to be computed."""

    pk: str
    portfolio_id: str
    portfolio_name: str
    model_id: str
    mark: str | None


def outdated_rows(limit: int | None, mark: str | None = None) -> list[OutdatedRow]:
    """The rows that wait longest, those of a model together."""
    rows = DriftFigures.objects.exclude(changed=None) if mark is None else DriftFigures.objects.filter(changed=mark)
    values = rows.values_list("pk", "portfolio_id", "portfolio_name", "model_id", "changed")
    return [OutdatedRow(*row) for row in values.order_by("changed", "model_id", "pk")[:limit]]


def recompute_at_once(mark: str) -> None:
    """Inside the transaction that set `mark`: computes the figures it made old, as far as that goes quickly."""
    models = list(ModelFigures.objects.filter(changed=mark).values_list("pk", flat=True))
    recompute_rows(outdated_rows(None, mark), time.monotonic() + AT_ONCE_SECONDS)
    small = [key for key in models if DriftFigures.objects.filter(model_id=key).count() <= SUMMED_AT_ONCE]
    sum_up_models(list(ModelFigures.objects.filter(pk__in=small)))


def recompute_rows(rows: Sequence[OutdatedRow], deadline: float | None = None) -> int:
    """Computes these rows and writes those whose mark has not changed meanwhile; returns how many were computed.

    After the deadline only what arrays answer for, which takes no time, is still computed; the others stay marked.
    """
    as_of = timezone.now()
    computed = _compute(rows, deadline)
    by_mark: dict[str | None, list[tuple[object, ...]]] = defaultdict(list)
    for row, document, version in computed:
        columns = document.columns() | {"model_version": version, "computed_at": as_of, "changed": None}
        by_mark[row.mark].append((row.pk, *(columns[name] for name in _WRITTEN)))
    with atomic():
        hold_figures()
        for mark, values in by_mark.items():
            bulk_update(DriftFigures, _WRITTEN, values, {"changed": mark})
        touched = {row.model_id for row in rows}
        ModelFigures.objects.filter(pk__in=touched).update(changed=object_id())
    return len(computed)


def _compute(
    rows: Sequence[OutdatedRow], deadline: float | None
) -> list[tuple[OutdatedRow, DriftDocument, int | None]]:
    models = _model_rows({row.model_id for row in rows if row.model_id})
    known = [row for row in rows if not row.model_id or row.model_id in models]  # or its model was deleted just now
    infos = {row.portfolio_id: PortfolioInfo(row.portfolio_id, row.portfolio_name) for row in known}
    inputs = read_inputs(get_source(), [(infos[row.portfolio_id], models.get(row.model_id)) for row in known])
    quick = {
        key: documents_at_once(model, [row.portfolio_id for row in known if row.model_id == key], inputs)
        for key, model in models.items()
    }
    found = []
    for row in known:
        model = models.get(row.model_id)
        document = quick.get(row.model_id, {}).get(row.portfolio_id)
        if document is None:
            if deadline is not None and time.monotonic() > deadline:
                continue
            document = document_of(view_of(infos[row.portfolio_id], model, inputs), model)
        found.append((row, document, model.model.version if model else None))
    return found


def _model_rows(model_ids: Iterable[str]) -> dict[str, ModelRow]:
    """The models with their positions, without the portfolios."""
    models = list(InvestmentModel.objects.filter(pk__in=model_ids))
    positions = selectors.model_positions(m.pk for m in models)
    return {m.pk: ModelRow(m, ModelDraft(m.name, tuple(positions[m.pk]), ())) for m in models}


def sum_up_models(marked: Sequence[ModelFigures]) -> None:
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
