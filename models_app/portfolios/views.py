"""Reading pages of portfolios: dashboard, the list ranked by band use, one portfolio's drift, its drift over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from models_app.drift_index import read as drift_index
from models_app.drift_index.live_drift import PortfolioView, PositionView, portfolio_view
from models_app.investment_models import selectors
from models_app.models import DriftFigures, InvestmentModel
from models_app.portfolio.types import ZERO
from models_app.portfolios import charts
from models_app.portfolios.over_time import Panel, history_panels
from models_app.portfolios.tax_lots import portfolio_lots, unrealised_gain
from ordergen.web.http import SignedInRequest
from ordergen.web.tables import Column, KeyedTable, Pages, Table

CHART_ROWS = 40
PANELS = 6  # securities drawn over time when none is named
QUEUE_LENGTH = 12  # portfolios on the dashboard
DEFAULT_SPAN = "1y"


@dataclass(frozen=True)
class Span:
    words: str
    days: int | None


SPANS = {"3m": Span("3 months", 92), "1y": Span("1 year", 366), "all": Span("All", None)}


@dataclass(frozen=True)
class Filter:
    """A state that the list can be narrowed to, and how its tile looks."""

    name: str
    word: str
    icon: str
    tone: str
    hint: str


FILTERS = {
    filter_.name: filter_
    for filter_ in (
        Filter("breach", "Breach", "warning", "danger", "outside a band"),
        Filter("near", "Near", "half", "warn", "close to an edge of a band"),
        Filter("low_cash", "Low cash", "down", "warn", "below 2.5 %, or overdrawn"),
        Filter("unpriced", "Unpriced", "hatch", "info", "a price is missing"),
        Filter("in_band", "In band", "dot", "ok", "nothing to do"),
        Filter("no_model", "No model", "ring", "", "follows no model"),
        Filter("unknown", "No value", "hatch", "info", "no weight can be told"),
        Filter("not_computed", "Not computed", "clock", "info", "figures are still to come"),
    )
}

ATTENTION = ("breach", "near", "low_cash", "unpriced", "no_model", "unknown", "not_computed")
RARE = {"no_model", "unknown", "not_computed"}  # tiles are shown only where there is one, so that they add up

PORTFOLIO_COLUMNS: tuple[Column[DriftFigures], ...] = (
    Column("name", "Portfolio", field="portfolio_key"),
    Column("model", "Model", field="model_key"),
    Column("state", "State", field="state_order"),
    Column("worst", "Worst", field="worst_ticker"),
    Column("drift", "Drift pp", numeric=True, first="-", field="drift"),
    Column("bullet", "Band use"),
    Column("use", "%", numeric=True, first="-", field="use"),
    Column("total", "Total drift %", numeric=True, first="-", field="total"),
    Column("cash", "Cash %", numeric=True, field="cash"),
    Column("value", "Value", numeric=True, first="-", field="value"),
    Column("acts", "Actions"),
)
MODEL_PORTFOLIO_COLUMNS = tuple(column for column in PORTFOLIO_COLUMNS if column.name != "model")
QUEUE_COLUMNS = tuple(column for column in PORTFOLIO_COLUMNS if column.name not in {"state", "total"})


@login_required
@require_safe
def dashboard(request: SignedInRequest) -> HttpResponse:
    """What needs attention: counts that are links, the portfolios that lean most on their bands, breaches by model."""
    request.user.must("book.read")
    counts, freshness = drift_index.counts(drift_index.rows_of()), drift_index.freshness()
    leaning = drift_index.rows_of().filter(state__in=("breach", "near"))
    n_leaning = counts.of("breach") + counts.of("near")
    queue = KeyedTable(leaning, QUEUE_COLUMNS, request.GET, default="-use", total=n_leaning, size=QUEUE_LENGTH)
    by_model = sorted(
        drift_index.model_stands(InvestmentModel.objects.all()), key=lambda row: (-row.n_breach, row.model.name)
    )
    context = {
        "tiles": _attention(counts),
        "freshness": freshness,
        "n_views": counts.total,
        "n_checked": n_leaning + counts.of("in_band"),
        "queue": queue.rows,
        "headings": queue.headings,
        "n_leaning": n_leaning,
        "by_model": by_model,
        "most_breaches": max((row.n_breach for row in by_model), default=0),
        "n_unpriced_securities": len(drift_index.unpriced_securities()),
        "prices_as_of": drift_index.prices_of(),
        "never_rebalanced": [row for row in by_model if row.model.last_rebalance_at is None],
    }
    return render(request, "portfolios/dashboard.html", context)


def _attention(counts: drift_index.Counts) -> list[dict[str, Any]]:
    """The tiles of what somebody should look at, with its count."""
    shown = [name for name in ATTENTION if counts.of(name) or name not in RARE]
    return [vars(FILTERS[name]) | {"count": counts.of(name)} for name in shown]


@login_required
@require_safe
def portfolios(request: SignedInRequest) -> HttpResponse:
    """Portfolios by band use; `?q=` part of a name, `?model=` an id, `?state=` one of FILTERS."""
    request.user.must("book.read")
    scope = _in_scope(request.GET)
    counts = drift_index.counts(scope)
    asked = request.GET.get("state", "")
    state = asked if asked in FILTERS else ""
    freshness = drift_index.freshness()
    context = {
        "table": KeyedTable(
            drift_index.in_state(scope, state), PORTFOLIO_COLUMNS, request.GET,
            default="-use", total=counts.of(state) if state else counts.total,
        ),
        "freshness": freshness,
        "n_all": freshness.n,
        "q": request.GET.get("q", ""),
        "state": state,
        "state_word": FILTERS[state].word if state else "",
        "state_words": [(name, filter_.word) for name, filter_ in FILTERS.items()],
        "model_id": request.GET.get("model", ""),
        "models": dict(InvestmentModel.objects.values_list("pk", "name")),
        "tiles": _tiles(counts, request.GET, state),
    }  # fmt: skip
    return render(request, "portfolios/list.html", context)


def _tiles(counts: drift_index.Counts, query: QueryDict, chosen: str) -> list[dict[str, Any]]:
    return [
        vars(filter_) | {"count": counts.of(name), "href": _href(query, state=None if name == chosen else name)}
        for name, filter_ in FILTERS.items()
        if counts.of(name) or name == chosen or name not in RARE
    ]


def _in_scope(query: QueryDict) -> QuerySet[DriftFigures]:
    rows = drift_index.rows_of(query.get("model", "")[:24])
    text = query.get("q", "").strip().lower()
    return rows.filter(portfolio_key__contains=text[:300]) if text else rows


def _href(query: QueryDict, **changes: str | None) -> str:
    changed = query.copy()
    for name, value in {"after": None, **changes}.items():
        changed.pop(name, None)
        if value:
            changed[name] = value
    return "?" + changed.urlencode()


POSITION_COLUMNS: tuple[Column[PositionView], ...] = (
    Column("ticker", "Security", lambda position: position.ticker),
    Column("quantity", "Quantity", lambda position: position.drift.quantity, numeric=True, first="-"),
    Column("price", "Price", lambda position: position.drift.price, numeric=True, first="-"),
    Column("value", "Value", lambda position: position.drift.value, numeric=True, first="-"),
    Column("weight", "Weight %", lambda position: position.drift.weight, numeric=True, first="-"),
    Column("target", "Target %", lambda position: position.drift.target, numeric=True, first="-"),
    Column("band", "Band %", lambda position: position.drift.band_low, numeric=True, first="-"),
    Column("drift", "Drift pp", lambda position: position.drift.drift, numeric=True, first="-"),
    Column("bullet", "Band use"),
    Column(
        "use",
        "%",
        lambda position: position.sort_key if position.band_use is not None else None,
        numeric=True,
        first="-",
    ),
    Column("shares", "To target", lambda position: position.drift.shares_to_target, numeric=True, first="-"),
    Column("state", "State", lambda position: position.state),
)


@login_required
@require_safe
def portfolio(request: SignedInRequest, portfolio_id: str) -> HttpResponse:
    """One portfolio against its model: drift by position as a chart and as a table, and what reaching target takes."""
    request.user.must("book.read")
    view = portfolio_view(portfolio_id, request.GET.get("model") or None)
    holdings = portfolio_lots(portfolio_id)
    cash_target = 1 - sum((position.drift.target for position in view.positions), ZERO)
    weight = view.drift.cash_weight
    context = _frame(view, request.GET) | {
        "table": Table(view.positions, POSITION_COLUMNS, request.GET, default="-use"),
        "cash_target": cash_target,
        "cash_drift": None if weight is None else weight - cash_target,
        "commission": Decimal(settings.COMMISSION_RATE),
        "holdings": holdings,
        "unrealised_gain": unrealised_gain(holdings),
    }
    return render(request, "portfolios/detail.html", context | _drift_figure(view, whole="all" in request.GET))


def _frame(view: PortfolioView, query: QueryDict) -> dict[str, Any]:
    """What both pages of a portfolio show around their content."""
    dates = {position.price_date for position in view.positions if position.price_date}
    return {
        "view": view,
        "followed": selectors.models_of_portfolio(view.info.id),
        "model_suffix": f"?model={view.model.pk}" if view.model and "model" in query else "",
        "prices_as_of": max(dates, default=None),
        "oldest_price": min(dates, default=None),
    }


def _drift_figure(view: PortfolioView, *, whole: bool) -> dict[str, Any]:
    known = [position for position in view.ranked if position.drift.drift is not None]
    shown = known if whole else known[:CHART_ROWS]
    if not shown:
        return {}
    history = reverse("portfolio_history", args=[view.info.id])
    model = f"&model={view.model.pk}" if view.model else ""
    links = {position.security_id: f"{history}?security={position.security_id}{model}" for position in shown}
    return {
        "figure": charts.drift_chart(shown, links),
        "figure_height": charts.drift_height(len(shown)),
        "figure_label": f"Drift of {view.info.name} by position against each band; the table below has the figures",
        "n_clipped": charts.n_clipped(shown),
        "n_left_out": len(known) - len(shown),
    }


@login_required
@require_safe
def portfolio_history(request: SignedInRequest, portfolio_id: str) -> HttpResponse:
    """What today's holdings, left alone, would have weighed since; `?security=` one of them, `?range=` of SPANS."""
    request.user.must("book.read")
    view = portfolio_view(portfolio_id, request.GET.get("model") or None)
    asked = request.GET.get("range", "")
    span = asked if asked in SPANS else DEFAULT_SPAN
    chosen = [position for position in view.ranked if position.security_id == request.GET.get("security")]
    positions = chosen or view.ranked[:PANELS]
    days, panels = history_panels(view, positions, SPANS[span].days)
    context = _frame(view, request.GET) | {
        "panels": panels,
        "n_panels": min(PANELS, len(view.positions)),
        "panel_height": 420 if chosen else 240,
        "chosen": chosen[0].security_id if chosen else "",
        "span": span,
        "spans": [(name, known.words) for name, known in SPANS.items()],
        "n_versions": panels[0].n_versions if panels else 0,
        "table": _day_table(days, panels, request.GET) if days else None,
    }
    return render(request, "portfolios/history.html", context)


@dataclass(frozen=True)
class DayRow:
    day: date
    cells: tuple[tuple[float | None, str], ...]  # a weight and its side, "over", "under" or nothing, by panel


def _day_table(days: Sequence[date], panels: Sequence[Panel], query: QueryDict) -> Table[DayRow]:
    def weight_in(place: int) -> Callable[[DayRow], float | None]:
        return lambda row: row.cells[place][0]

    rows = [DayRow(day, tuple((panel.weights[n], panel.sides[n]) for panel in panels)) for n, day in enumerate(days)]
    day: Column[DayRow] = Column("day", "Day", lambda row: row.day, first="-")
    columns = [day] + [
        Column(f"w{place}", panel.position.ticker, weight_in(place), numeric=True, first="-")
        for place, panel in enumerate(panels)
    ]
    return Table(rows, columns, query, default="-day", pages=Pages(lambda row: row.day.isoformat(), 60))
