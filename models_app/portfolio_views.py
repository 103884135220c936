"""Reading pages of portfolios: the list ranked by band use, one portfolio's drift, its drift over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from models_app import charts, selectors
from models_app.drift import Line, PortfolioView, book_drift, portfolio_view
from models_app.lots import portfolio_lots, unrealised_gain
from models_app.path import Panel, history_panels
from models_app.tables import Column, Pages, Table
from ordergen.http import SignedInRequest

ZERO = Decimal(0)
STATES = ("breach", "near", "in_band", "unpriced", "unknown", "no_model")
CHART_ROWS = 40
PANELS = 6  # securities drawn over time when none is named
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
    )
}

ATTENTION = ("breach", "near", "low_cash", "unpriced", "no_model", "unknown")
RARE = {"no_model", "unknown"}  # shown only where there is one, so that the tiles account for every portfolio

PORTFOLIO_COLUMNS: tuple[Column[PortfolioView], ...] = (
    Column("name", "Portfolio", lambda view: view.info.name.lower()),
    Column("model", "Model", lambda view: view.model.name.lower() if view.model else None),
    Column("state", "State", lambda view: (STATES.index(view.state), -view.drift.breaches)),
    Column("worst", "Worst", lambda view: view.worst.ticker if view.worst else None),
    Column("drift", "Drift pp", lambda view: view.worst_drift, numeric=True, first="-"),
    Column("bullet", "Band use"),
    Column("use", "%", lambda view: view.weight_of_rank if view.model else None, numeric=True, first="-"),
    Column("total", "Total drift %", lambda view: view.drift.total_drift_weight, numeric=True, first="-"),
    Column("cash", "Cash %", lambda view: view.drift.cash_weight, numeric=True),
    Column("value", "Value", lambda view: view.drift.market_value, numeric=True, first="-"),
    Column("acts", "Actions"),
)
MODEL_PORTFOLIO_COLUMNS = tuple(column for column in PORTFOLIO_COLUMNS if column.name != "model")


def counts_of(views: Sequence[PortfolioView]) -> dict[str, int]:
    """How many portfolios each filter of the list keeps."""
    return {name: sum(_passes(view, name) for view in views) for name in FILTERS}


def attention(views: Sequence[PortfolioView]) -> list[dict[str, Any]]:
    """The tiles of the dashboard: what somebody should look at, with its count."""
    counts = counts_of(views)
    return [vars(FILTERS[name]) | {"count": counts[name]} for name in ATTENTION if counts[name] or name not in RARE]


def _passes(view: PortfolioView, state: str) -> bool:
    return view.has_low_cash if state == "low_cash" else view.state == state


@login_required
@require_safe
def portfolios(request: SignedInRequest) -> HttpResponse:
    """Portfolios by band use; `?q=` part of a name, `?model=` an id, `?state=` one of FILTERS."""
    request.user.must("book.read")
    everything = book_drift()
    scope = _in_scope(everything, request.GET)
    state = request.GET.get("state", "")
    shown = [view for view in scope if _passes(view, state)] if state in FILTERS else scope
    table = Table(shown, PORTFOLIO_COLUMNS, request.GET, default="-use", pages=Pages(_identity))
    context = {
        "table": table,
        "n_all": len(everything),
        "q": request.GET.get("q", ""),
        "state": state if state in FILTERS else "",
        "state_word": FILTERS[state].word if state in FILTERS else "",
        "state_words": [(name, filter_.word) for name, filter_ in FILTERS.items()],
        "model_id": request.GET.get("model", ""),
        "models": {view.model.pk: view.model.name for view in everything if view.model},
        "tiles": _tiles(scope, request.GET, state),
    }
    return render(request, "portfolios/list.html", context)


def _tiles(scope: Sequence[PortfolioView], query: QueryDict, chosen: str) -> list[dict[str, Any]]:
    counts = counts_of(scope)
    return [
        vars(filter_) | {"count": counts[name], "href": _href(query, state=None if name == chosen else name)}
        for name, filter_ in FILTERS.items()
        if counts[name] or name == chosen or name not in RARE
    ]


def _identity(view: PortfolioView) -> str:
    return f"{view.info.id}-{view.model.pk}" if view.model else view.info.id


def _in_scope(views: list[PortfolioView], query: QueryDict) -> list[PortfolioView]:
    text, model_id = query.get("q", "").strip().lower(), query.get("model", "")
    return [
        view
        for view in views
        if text in view.info.name.lower() and (not model_id or (view.model and view.model.pk == model_id))
    ]


def _href(query: QueryDict, **changes: str | None) -> str:
    changed = query.copy()
    for name, value in {"after": None, **changes}.items():
        changed.pop(name, None)
        if value:
            changed[name] = value
    return "?" + changed.urlencode()


LINE_COLUMNS: tuple[Column[Line], ...] = (
    Column("ticker", "Security", lambda line: line.ticker),
    Column("quantity", "Quantity", lambda line: line.drift.quantity, numeric=True, first="-"),
    Column("price", "Price", lambda line: line.drift.price, numeric=True, first="-"),
    Column("value", "Value", lambda line: line.drift.value, numeric=True, first="-"),
    Column("weight", "Weight %", lambda line: line.drift.weight, numeric=True, first="-"),
    Column("target", "Target %", lambda line: line.drift.target, numeric=True, first="-"),
    Column("band", "Band %", lambda line: line.drift.band_low, numeric=True, first="-"),
    Column("drift", "Drift pp", lambda line: line.drift.drift, numeric=True, first="-"),
    Column("bullet", "Band use"),
    Column(
        "use", "%", lambda line: line.weight_of_rank if line.band_use is not None else None, numeric=True, first="-"
    ),
    Column("shares", "To target", lambda line: line.drift.shares_to_target, numeric=True, first="-"),
    Column("state", "State", lambda line: line.state),
)


@login_required
@require_safe
def portfolio(request: SignedInRequest, portfolio_id: str) -> HttpResponse:
    """One portfolio against its model: drift by position as a chart and as a table, and what reaching target takes."""
    request.user.must("book.read")
    view = portfolio_view(portfolio_id, request.GET.get("model") or None)
    holdings = portfolio_lots(portfolio_id)
    cash_target = 1 - sum((line.drift.target for line in view.lines), ZERO)
    weight = view.drift.cash_weight
    context = _frame(view, request.GET) | {
        "table": Table(view.lines, LINE_COLUMNS, request.GET, default="-use"),
        "cash_target": cash_target,
        "cash_drift": None if weight is None else weight - cash_target,
        "commission": Decimal(settings.COMMISSION_RATE),
        "holdings": holdings,
        "unrealised_gain": unrealised_gain(holdings),
    }
    return render(request, "portfolios/detail.html", context | _drift_figure(view, whole="all" in request.GET))


def _frame(view: PortfolioView, query: QueryDict) -> dict[str, Any]:
    """What both pages of a portfolio show around their content."""
    dates = {line.price_date for line in view.lines if line.price_date}
    return {
        "view": view,
        "followed": selectors.model_of_portfolio(view.info.id),
        "model_suffix": f"?model={view.model.pk}" if view.model and "model" in query else "",
        "prices_as_of": max(dates, default=None),
        "oldest_price": min(dates, default=None),
    }


def _drift_figure(view: PortfolioView, *, whole: bool) -> dict[str, Any]:
    known = [line for line in view.ranked if line.drift.drift is not None]
    shown = known if whole else known[:CHART_ROWS]
    if not shown:
        return {}
    history = reverse("portfolio_history", args=[view.info.id])
    model = f"&model={view.model.pk}" if view.model else ""
    links = {line.security_id: f"{history}?security={line.security_id}{model}" for line in shown}
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
    """What today's holdings, left alone, would have weighed since; `?security=` one line, `?range=` of SPANS."""
    request.user.must("book.read")
    view = portfolio_view(portfolio_id, request.GET.get("model") or None)
    asked = request.GET.get("range", "")
    span = asked if asked in SPANS else DEFAULT_SPAN
    chosen = [line for line in view.ranked if line.security_id == request.GET.get("security")]
    lines = chosen or view.ranked[:PANELS]
    days, panels = history_panels(view, lines, SPANS[span].days)
    context = _frame(view, request.GET) | {
        "panels": panels,
        "n_panels": min(PANELS, len(view.lines)),
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
        Column(f"w{place}", panel.line.ticker, weight_in(place), numeric=True, first="-")
        for place, panel in enumerate(panels)
    ]
    return Table(rows, columns, query, default="-day", pages=Pages(lambda row: row.day.isoformat(), 60))
