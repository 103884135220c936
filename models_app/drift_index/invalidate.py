"""Which rows of figures there are, and which of them a change has made old: written in the transaction of the change.

There is a row for each portfolio of the book and each model it follows, or one where it follows none. All writing of
these rows goes on one at a time, so that no row slips in between a change and its mark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from models_app.drift_index.document import STATES
from models_app.drift_index.live_drift import near_band
from models_app.models import DriftFigures, FiguresRefresh, InvestmentModel, ModelFigures, ModelPortfolio
from models_app.sources import get_source
from models_app.sources.book_source import BookSource
from ordergen.core.db import bulk_insert, bulk_update, in_batches, one_at_a_time
from ordergen.core.ids import object_id

Pair = tuple[str, str]  # a portfolio's id and a model's, "" for none
_FORMAT = 1  # rises with every change of what the figures mean
_NEW_ORDER = STATES.index("not_computed") * 10**6
_NAMES = ("portfolio_name", "portfolio_key", "model_name", "model_key")
_INSERTED = (
    "id", "portfolio_id", "model_id", *_NAMES, "changed", "state", "state_order", "low_cash", "n_unpriced", "unpriced",
    "told", "lines",
)  # fmt: skip


def basis() -> str:
    """What all figures rest on besides the book and the models; where it is another, they mean something else."""
    return f"{get_source().name} {near_band()} {_FORMAT}"


def has_basis() -> bool:
    return FiguresRefresh.objects.filter(basis=basis()).exists()


def hold_figures() -> None:
    """Inside a transaction: nobody else writes figures until it ends."""
    one_at_a_time("figures")


def invalidate(portfolio_ids: Collection[str] | None) -> str:
    """Inside the transaction of a change: marks the figures of these portfolios, or of all, as old; returns the mark.

    A book that other services keep is not asked for portfolios here: new ones come with the next look through it.
    """
    hold_figures()
    source, mark = get_source(), object_id()
    if source.is_remote:
        names = dict(_values(portfolio_ids, "portfolio_id", "portfolio_name"))
        _write_pairs(names, portfolio_ids, mark)
    elif portfolio_ids is None or not has_basis():
        invalidate_all(_names_of(source, None), mark)
    else:
        _write_pairs(_names_of(source, portfolio_ids), portfolio_ids, mark)
    return mark


def invalidate_all(names: Mapping[str, str], mark: str) -> None:
    """The same for a whole book with these portfolios (names by id); from now on the figures have the current basis."""
    _write_pairs(names, None, mark)
    FiguresRefresh.objects.update_or_create(pk="firm", defaults={"basis": basis()})


def _names_of(source: BookSource, portfolio_ids: Iterable[str] | None) -> dict[str, str]:
    return {key: info.name for key, info in source.portfolios(portfolio_ids).items()}


@dataclass(frozen=True)
class _Existing:
    pk: str
    names: tuple[str | None, ...]


def _write_pairs(names: Mapping[str, str], portfolio_ids: Collection[str] | None, mark: str) -> None:
    """Makes the rows of these portfolios what book and models say, and marks them and their models."""
    existing = {
        (portfolio_id, model_id): _Existing(pk, tuple(told))
        for pk, portfolio_id, model_id, *told in _values(portfolio_ids, "id", "portfolio_id", "model_id", *_NAMES)
    }
    wanted = _wanted(names, portfolio_ids)
    gone = [row.pk for pair, row in existing.items() if pair not in wanted]
    for batch in in_batches(gone):
        DriftFigures.objects.filter(pk__in=batch).delete()
    renamed = [
        (row.pk, *wanted[pair]) for pair, row in existing.items() if pair in wanted and wanted[pair] != row.names
    ]
    bulk_update(DriftFigures, _NAMES, renamed, {})
    new: Iterator[tuple[Any, ...]] = (
        (object_id(), *pair, *told, mark, "not_computed", _NEW_ORDER, "", 0, "", {}, b"")
        for pair, told in wanted.items()
        if pair not in existing
    )
    bulk_insert(DriftFigures, _INSERTED, new)
    for some in _slices(portfolio_ids):
        _rows(some).update(changed=mark)
    _invalidate_models({model_id for _, model_id in [*wanted, *existing] if model_id}, mark)


def _wanted(names: Mapping[str, str], portfolio_ids: Collection[str] | None) -> dict[Pair, tuple[str | None, ...]]:
    """The pairs there are to be, with what lists are sorted by."""
    models = dict(InvestmentModel.objects.values_list("pk", "name"))
    followed: dict[str, list[str]] = defaultdict(list)
    for some in _slices(portfolio_ids):
        rows = ModelPortfolio.objects.all() if some is None else ModelPortfolio.objects.filter(portfolio_id__in=some)
        for portfolio_id, model_id in rows.values_list("portfolio_id", "model_id"):
            followed[portfolio_id].append(model_id)
    return {
        (key, model_id): (name, name.lower(), models.get(model_id, ""), models[model_id].lower() if model_id else None)
        for key, name in names.items()
        for model_id in followed.get(key, [""])
    }


def _invalidate_models(model_ids: set[str], mark: str) -> None:
    """Each model that is there has its row, and no other."""
    known = set(ModelFigures.objects.filter(pk__in=model_ids).values_list("pk", flat=True))
    real = set(InvestmentModel.objects.filter(pk__in=model_ids).values_list("pk", flat=True))
    ModelFigures.objects.filter(pk__in=model_ids - real).delete()
    ModelFigures.objects.filter(pk__in=known & real).update(changed=mark)
    ModelFigures.objects.bulk_create(ModelFigures(model_id=key, changed=mark) for key in real - known)


def _slices(portfolio_ids: Collection[str] | None) -> Iterator[list[str] | None]:
    """The ids in lists short enough for a statement; one None for everything."""
    if portfolio_ids is None:
        yield None
    else:
        yield from in_batches(portfolio_ids)


def _rows(portfolio_ids: Collection[str] | None) -> QuerySet[DriftFigures]:
    rows = DriftFigures.objects.order_by()
    return rows if portfolio_ids is None else rows.filter(portfolio_id__in=portfolio_ids)


def _values(portfolio_ids: Collection[str] | None, *columns: str) -> Iterator[tuple[Any, ...]]:
    for some in _slices(portfolio_ids):
        yield from _rows(some).values_list(*columns)
