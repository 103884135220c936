"""Reading pages of models: the list, one model, its history."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from models_app.drift_index import read as drift_index
from models_app.drift_index.document import NO_FIGURES, PositionFigures
from models_app.drift_index.read import ModelStand
from models_app.investment_models import selectors
from models_app.investment_models.rules import ModelTotals, totals
from models_app.investment_models.versions import ModelChange, changes, draft_of
from models_app.models import InvestmentModel, ModelPosition, ModelVersion
from models_app.portfolio.types import ZERO
from models_app.portfolios.views import MODEL_PORTFOLIO_COLUMNS
from models_app.sources import get_source
from models_app.sources.book_source import PriceInfo, SecurityInfo
from ordergen.core.errors import NotFoundError
from ordergen.web.http import SignedInRequest
from ordergen.web.tables import Column, KeyedTable, Pages, Table

MODEL_COLUMNS: tuple[Column[ModelStand], ...] = (
    Column("name", "Model", lambda row: row.model.name.lower()),
    Column("version", "Version", lambda row: row.model.version, numeric=True, first="-"),
    Column("target", "Σ target %", lambda row: row.totals.target, numeric=True, first="-"),
    Column("cash", "Cash %", lambda row: row.totals.cash, numeric=True),
    Column("positions", "Positions", lambda row: row.totals.n_positions, numeric=True, first="-"),
    Column("portfolios", "Portfolios", lambda row: row.n_followers, numeric=True, first="-"),
    Column("value", "Value", lambda row: row.market_value, numeric=True, first="-"),
    Column("breach", "In breach", lambda row: row.n_breach, numeric=True, first="-"),
    Column("worst", "Worst", lambda row: row.worst["ticker"] if row.worst else None),
    Column("bullet", "Band use"),
    Column("use", "%", lambda row: row.use, numeric=True, first="-"),
    Column("rebalanced", "Last rebalance", lambda row: row.model.last_rebalance_at, first="-"),
    Column("acts", "Actions"),
)


@login_required
@require_safe
def models(request: SignedInRequest) -> HttpResponse:
    """Every model, the one with most breaches first; `?q=` searches names and tickers."""
    request.user.must("book.read")
    stands = drift_index.model_stands(InvestmentModel.objects.order_by("name"))
    text = request.GET.get("q", "").strip().lower()
    if text:
        holders = _models_holding(text)
        stands = [row for row in stands if text in row.model.name.lower() or row.model.pk in holders]
    table = Table(stands, MODEL_COLUMNS, request.GET, default="-breach", pages=Pages(lambda row: row.model.pk))
    context = {"table": table, "q": text, "n_models": len(stands), "freshness": drift_index.freshness()}
    return render(request, "modelling/list.html", context)


def _models_holding(text: str) -> frozenset[str]:
    """Models with a security whose ticker is `text`."""
    ids = {known.id for known in get_source().find_securities(text[:100], 20) if known.ticker.lower() == text}
    return frozenset(ModelPosition.objects.filter(security_id__in=ids).values_list("model_id", flat=True))


@dataclass(frozen=True)
class PositionSummary:
    """One position of a model, with how the model's portfolios stand in it."""

    security_id: str
    info: SecurityInfo | None
    price: PriceInfo | None
    target: Decimal
    low: Decimal
    high: Decimal
    stand: PositionFigures

    @property
    def ticker(self) -> str:
        return self.info.ticker if self.info else self.security_id

    @property
    def lowest(self) -> Decimal:
        return max(ZERO, self.target - self.low)

    @property
    def highest(self) -> Decimal:
        return self.target + self.high


POSITION_COLUMNS: tuple[Column[PositionSummary], ...] = (
    Column("ticker", "Security", lambda row: row.ticker),
    Column("target", "Target %", lambda row: row.target, numeric=True, first="-"),
    Column("low", "Low pp", lambda row: row.low, numeric=True, first="-"),
    Column("high", "High pp", lambda row: row.high, numeric=True, first="-"),
    Column("band", "Band %", lambda row: row.lowest, numeric=True, first="-"),
    Column("price", "Price", lambda row: row.price.price if row.price else None, numeric=True, first="-"),
    Column("date", "Price of", lambda row: row.price.date if row.price else None),
    Column("over", "Over", lambda row: row.stand.n_over, numeric=True, first="-"),
    Column("under", "Under", lambda row: row.stand.n_under, numeric=True, first="-"),
    Column("median", "Median drift pp", lambda row: row.stand.median_drift, numeric=True, first="-"),
)


@login_required
@require_safe
def model(request: SignedInRequest, model_id: str) -> HttpResponse:
    """One model: its positions with their bands, and the portfolios that follow it with their drift."""
    request.user.must("book.read")
    found = selectors.model_get(model_id)
    (stand,) = drift_index.model_stands([found])
    positions = Table(_positions(stand), POSITION_COLUMNS, request.GET, default="-target", parameter="order")
    context = {
        "model": found,
        "stand": stand,
        "freshness": drift_index.freshness(model_id),
        "positions": positions,
        "segments": [(p.ticker, p.target) for p in positions.rows],
        "portfolios": KeyedTable(
            drift_index.rows_of(model_id), MODEL_PORTFOLIO_COLUMNS, request.GET, default="-use", total=stand.n_known
        ),
        "missing": drift_index.portfolios_missing(model_id) if stand.n_known != stand.n_followers else [],
        "is_remote": get_source().is_remote,
        "last": ModelVersion.objects.filter(model_id=model_id).select_related("saved_by").first(),
    }
    return render(request, "modelling/detail.html", context)


def _positions(stand: drift_index.ModelStand) -> list[PositionSummary]:
    source, ids = get_source(), [p.security_id for p in stand.positions]
    infos, prices = source.securities(ids), source.latest_prices(ids)
    return [
        PositionSummary(
            p.security_id, infos.get(p.security_id), prices.get(p.security_id),
            p.target, p.low_drift, p.high_drift, stand.in_each.get(p.security_id, NO_FIGURES),
        )
        for p in stand.positions
    ]  # fmt: skip


@dataclass(frozen=True)
class VersionRow:
    """A saved version with what it changed of the one before."""

    version: ModelVersion
    sums: ModelTotals
    made: list[ModelChange]

    def count(self, what: str, kind: str) -> int:
        return sum(change.what == what and change.kind == kind for change in self.made)

    @property
    def words(self) -> str:
        """Such as "2 securities changed, 1 removed; 1 portfolio added"."""
        told = ["renamed"] if any(change.what == "name" for change in self.made) else []
        for what, noun in (("position", ("security", "securities")), ("portfolio", ("portfolio", "portfolios"))):
            counts = [(kind, self.count(what, kind)) for kind in ("changed", "added", "removed")]
            told += [f"{count} {noun[count != 1]} {kind}" for kind, count in counts if count]
        return ", ".join(told)


@login_required
@require_safe
def model_history(request: SignedInRequest, model_id: str) -> HttpResponse:
    """Every version: when, who, why, what. The history of a deleted model can still be read."""
    request.user.must("book.read")
    versions = selectors.model_versions(model_id)
    drafts = [draft_of(version.content) for version in versions]
    rows = [
        VersionRow(version, totals(draft.positions), list(changes(before, draft)) if before else [])
        for version, draft, before in zip(versions, drafts, [*drafts[1:], None], strict=True)
    ]
    current = InvestmentModel.objects.filter(pk=model_id).first()
    context = {"model": current, "model_id": model_id, "name": drafts[0].name, "rows": rows}
    return render(request, "modelling/history.html", context)


@login_required
@require_safe
def model_diff(request: SignedInRequest, model_id: str) -> HttpResponse:
    """What changed from version `?a=` to version `?b=`; without them, what the last save changed."""
    request.user.must("book.read")
    newest = selectors.model_versions(model_id)[0].version
    new_number = _version(request.GET.get("b", ""), newest)
    old_number = _version(request.GET.get("a", ""), max(1, new_number - 1))
    old, before = selectors.model_version(model_id, old_number)
    new, after = selectors.model_version(model_id, new_number)
    made = list(changes(before, after))
    context = {
        "model_id": model_id, "name": after.name, "old": old, "new": new, "newest": newest,
        "before": totals(before.positions), "after": totals(after.positions), "n_unchanged": _unchanged(made, after),
        "current": InvestmentModel.objects.filter(pk=model_id).first(),
    }  # fmt: skip
    return render(request, "modelling/diff.html", context | _named(made))


def _version(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise NotFoundError(f"There is no version {text[:40]}.")
    return int(text)


def _unchanged(made: list[ModelChange], after: Any) -> int:
    return len(after.positions) - sum(change.what == "position" and change.new is not None for change in made)


def _named(made: list[ModelChange]) -> dict[str, Any]:
    """The changes by kind of thing, with names in place of ids."""
    source = get_source()
    positions = [change for change in made if change.what == "position"]
    portfolios = [change for change in made if change.what == "portfolio"]
    securities = source.securities([change.subject for change in positions])
    names = source.portfolios([change.subject for change in portfolios])
    weights = [
        side.target for c in positions for side in (c.old, c.new) if side is not None and hasattr(side, "target")
    ]
    return {
        "positions": [(change, securities.get(change.subject)) for change in positions],
        "portfolio_changes": [(change, names.get(change.subject)) for change in portfolios],
        "name_change": next((change for change in made if change.what == "name"), None),
        "most": max(weights, default=ZERO),
    }
