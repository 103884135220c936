"""Reading pages of portfolios: the list ranked by band use, one portfolio's drift, its drift over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from models_app import charts, selectors
from models_app.drift import Line, PortfolioView, book_drift, portfolio_view
from models_app.http import SignedInRequest
from models_app.sources import get_source
from models_app.tables import Column, Table
from rebalance_app.domain.drift import drift_path

ZERO = Decimal(0)
STATES = ("breach", "near", "in_band", "unpriced", "no_model")
FILTERS = (*STATES, "low_cash")
CHART_ROWS = 40
PANELS = 6  # securities drawn over time when none is named
RANGES = {"3m": 92, "1y": 366, "all": None}

PORTFOLIO_COLUMNS: tuple[Column[PortfolioView], ...] = (
    Column("name", "Portfolio", lambda view: view.info.name.lower()),
    Column("model", "Model", lambda view: view.model.name.lower() if view.model else None),
    Column("state", "State", lambda view: STATES.index(view.state)),
    Column("worst", "Worst", lambda view: view.worst.ticker if view.worst else None),
    Column("drift", "Drift pp", lambda view: view.worst_drift, numeric=True, first="-"),
    Column("bullet", "Band use"),
    Column("use", "%", lambda view: view.band_use if view.model else None, numeric=True, first="-"),
    Column("breaches", "Breaches", lambda view: view.drift.breaches, numeric=True, first="-"),
    Column("total", "Total drift %", lambda view: view.drift.total_drift_weight, numeric=True, first="-"),
    Column("cash", "Cash %", lambda view: view.drift.cash_weight, numeric=True),
    Column("value", "Value", lambda view: view.drift.market_value, numeric=True, first="-"),
    Column("acts", "Actions"),
)
MODEL_PORTFOLIO_COLUMNS = tuple(column for column in PORTFOLIO_COLUMNS if column.name != "model")


def counts_of(views: Sequence[PortfolioView]) -> dict[str, int]:
    """How many portfolios each filter of the list keeps."""
    return {name: sum(_passes(view, name) for view in views) for name in FILTERS}


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
    table = Table(shown, PORTFOLIO_COLUMNS, request.GET, default="-use", identity=_identity)
    context = {
        "table": table,
        "counts": counts_of(scope),
        "n_scope": len(scope),
        "n_all": len(everything),
        "q": request.GET.get("q", ""),
        "state": state if state in FILTERS else "",
        "model_id": request.GET.get("model", ""),
        "models": {view.model.pk: view.model.name for view in everything if view.model},
        "tiles": [(name, _href(request.GET, state=None if name == state else name)) for name in FILTERS],
    }
    return render(request, "portfolios/list.html", context)


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
    Column("use", "%", lambda line: line.rank if line.band_use is not None else None, numeric=True, first="-"),
    Column("shares", "To target", lambda line: line.drift.shares_to_target, numeric=True, first="-"),
    Column("trade", "Value to trade", lambda line: abs(line.trade_value or ZERO), numeric=True, first="-"),
    Column("state", "State", lambda line: line.state),
)


@login_required
@require_safe
def portfolio(request: SignedInRequest, portfolio_id: str) -> HttpResponse:
    """One portfolio against its model: drift by position as a chart and as a table, and what reaching target takes."""
    request.user.must("book.read")
    view = portfolio_view(portfolio_id, request.GET.get("model") or None)
    table = Table(view.lines, LINE_COLUMNS, request.GET, default="-use", page_size=10_000)
    context = _frame(view) | {"table": table, "n_priced": len(view.lines) - len(view.unpriced)}
    context["cash_target"] = 1 - sum((line.drift.target for line in view.lines), ZERO)
    return render(request, "portfolios/detail.html", context | _drift_figure(view, whole="all" in request.GET))


def _frame(view: PortfolioView) -> dict[str, Any]:
    """What both pages of a portfolio show around their content."""
    dates = {line.price_date for line in view.lines if line.price_date}
    return {
        "view": view,
        "followed": selectors.model_of_portfolio(view.info.id),
        "prices_as_of": max(dates, default=None),
        "oldest_price": min(dates, default=None),
    }


def _drift_figure(view: PortfolioView, *, whole: bool) -> dict[str, Any]:
    known = [line for line in view.ranked if line.drift.drift is not None]
    shown = known if whole else known[:CHART_ROWS]
    if not shown:
        return {}
    history = reverse("portfolio_history", args=[view.info.id])
    links = {line.security_id: f"{history}?security={line.security_id}" for line in shown}
    return {
        "figure": charts.drift_chart(shown, links),
        "figure_height": charts.drift_height(len(shown)),
        "n_clipped": charts.n_clipped(shown),
        "n_left_out": len(known) - len(shown),
    }


@dataclass(frozen=True)
class Panel:
    """One security over time: a figure and the same numbers in words."""

    line: Line
    figure: charts.Figure
    weights: list[float | None]
    n_outside: int

    @property
    def known(self) -> list[float]:
        return [weight for weight in self.weights if weight is not None]

    @property
    def lowest(self) -> float | None:
        return min(self.known, default=None)

    @property
    def highest(self) -> float | None:
        return max(self.known, default=None)


@login_required
@require_safe
def portfolio_history(request: SignedInRequest, portfolio_id: str) -> HttpResponse:
    """What today's holdings, left alone, would have weighed since; `?security=` one line, `?range=` of RANGES."""
    request.user.must("book.read")
    view = portfolio_view(portfolio_id, request.GET.get("model") or None)
    span = request.GET.get("range", "1y") if request.GET.get("range") in RANGES else "1y"
    chosen = request.GET.get("security", "")
    lines = [line for line in view.ranked if line.security_id == chosen] or view.ranked[:PANELS]
    days, panels = _panels(view, lines, span)
    context = _frame(view) | {
        "days": days,
        "panels": panels,
        "chosen": chosen if len(lines) == 1 else "",
        "span": span,
        "ranges": [(name, _href(request.GET, range=name)) for name in RANGES],
        "rows": list(zip(days, *(panel.weights for panel in panels), strict=True))[::-1],
    }
    return render(request, "portfolios/history.html", context)


def _panels(view: PortfolioView, lines: Sequence[Line], span: str) -> tuple[list[date], list[Panel]]:
    source, length = get_source(), RANGES[span]
    held = {line.security_id: line.drift.quantity for line in view.lines}
    newest = max((line.price_date for line in view.lines if line.price_date), default=None)
    since = newest - timedelta(days=length) if newest and length else None
    prices = source.price_history(held, since).reindex(columns=list(held))
    weights = drift_path(held, prices, {}, view.drift.cash)
    days = list(weights.index)
    steps = selectors.target_history(view.model.pk) if view.model else []
    return days, [_panel(line, days, weights[line.security_id].tolist(), steps) for line in lines]


def _panel(line: Line, days: list[date], weights: list[float], steps: list[Any]) -> Panel:
    known = [None if math.isnan(weight) else weight for weight in weights]
    corridor = [
        (version.saved_at.date(), target, max(ZERO, target - low), target + high)
        for version, content in steps
        for target, low, high in [content.get(line.security_id, (ZERO, ZERO, ZERO))]
    ]
    figure = charts.weight_history_chart(days, known, corridor)
    outside = sum(weight is not None for trace in figure["data"][-2:] for weight in trace["y"])
    return Panel(line, figure, known, outside)
