"""Rows in, Plotly figures as dictionaries out. Pure. Colours are names of CSS variables, which charts.js resolves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from typing import Any

import numpy as np

from models_app.drift_index.live_drift import PositionView
from ordergen.web.templatetags.figures import band_use as band_use_words
from ordergen.web.templatetags.figures import bare_percent, money, pp, quantity

Figure = dict[str, Any]
Corridor = Sequence[tuple[date, Decimal, Decimal, Decimal]]  # from this day on: target, lowest, highest weight

ROW_PITCH = 22
LEAST_REACH = 1.0  # percentage points; a calm portfolio is not drawn as if it were in trouble
_LOOK = {
    "over": ("var(--sell)", "triangle-down"),
    "not_in_model": ("var(--sell)", "x"),
    "under": ("var(--buy)", "triangle-up"),
    "near": ("var(--warn)", "circle"),
}
_CALM = ("var(--muted)", "circle")


def points(value: Decimal | None) -> float:
    """A fraction in percentage points, for a chart and nothing else."""
    return round(float(value or 0) * 100, 4)


def drift_height(n_rows: int) -> int:
    return n_rows * ROW_PITCH + 64


def drift_chart(positions: Sequence[PositionView], links: Mapping[str, str]) -> Figure:
    """Each position's drift against its own band, in percentage points, in the order given.

    The axis reaches as far as the bands and nine drifts in ten; what lies beyond is drawn at its edge as an open arrow.
    Rows outside their band carry their figures at the right. `links` is where a click on a mark leads, by security id.
    """
    known = [position for position in positions if position.drift.drift is not None]
    reach = _reach(known)
    rows = list(range(len(known)))
    return {
        "data": [_bands(known, rows), _targets(rows), _marks(known, rows, reach, links)],
        "layout": {
            "barmode": "overlay",
            "bargap": 0.38,
            "shapes": [_connector(position, row, reach) for position, row in zip(known, rows, strict=True)],
            "annotations": [
                _label(position, row) for position, row in zip(known, rows, strict=True) if _is_breach(position)
            ],
            "margin": {"l": 8, "r": 128, "t": 8, "b": 44},
            "xaxis": {
                "range": [-reach * 1.04, reach * 1.04],
                "title": {"text": "drift, percentage points", "font": {"size": 11.5, "color": "var(--muted)"}},
                "zeroline": False,
                "tickformat": ".2~f",
            },
            "yaxis": {
                "range": [len(known) - 0.4, -0.6],
                "tickvals": rows,
                "ticktext": [escape(position.ticker) for position in known],
                "showgrid": False,
                "zeroline": False,
            },
        },
    }


def n_clipped(positions: Sequence[PositionView]) -> int:
    """How many marks `drift_chart` draws at the edge."""
    known = [position for position in positions if position.drift.drift is not None]
    return sum(abs(points(position.drift.drift)) > _reach(known) for position in known)


def _reach(positions: Sequence[PositionView]) -> float:
    drifts = [abs(points(position.drift.drift)) for position in positions]
    edges = [points(max(-_low(position), _high(position))) for position in positions]
    if not drifts:
        return LEAST_REACH
    return float(max(LEAST_REACH, 1.1 * float(np.percentile(drifts, 90)), 1.1 * float(np.percentile(edges, 90))))


def _low(position: PositionView) -> Decimal:
    return position.drift.band_low - position.drift.target


def _high(position: PositionView) -> Decimal:
    return position.drift.band_high - position.drift.target


def _is_breach(position: PositionView) -> bool:
    return position.state in {"over", "under", "not_in_model"}


def _bands(positions: Sequence[PositionView], rows: Sequence[int]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": rows,
        "base": [points(_low(position)) for position in positions],
        "x": [points(_high(position) - _low(position)) for position in positions],
        "marker": {"color": "var(--band)", "line": {"width": 1, "color": "var(--control)"}},
        "hoverinfo": "skip",
    }


def _targets(rows: Sequence[int]) -> dict[str, Any]:
    mark = {"symbol": "line-ns", "size": 15, "line": {"width": 2, "color": "var(--tick)"}}
    return {"type": "scatter", "mode": "markers", "y": rows, "x": [0] * len(rows), "marker": mark, "hoverinfo": "skip"}


def _connector(position: PositionView, row: int, reach: float) -> dict[str, Any]:
    colour, _ = _LOOK.get(position.state, _CALM)
    end = max(-reach, min(reach, points(position.drift.drift)))
    return {"type": "line", "x0": 0, "x1": end, "y0": row, "y1": row, "line": {"color": colour, "width": 2}}


def _marks(
    positions: Sequence[PositionView], rows: Sequence[int], reach: float, links: Mapping[str, str]
) -> dict[str, Any]:
    drifts = [points(position.drift.drift) for position in positions]
    looks = [_LOOK.get(position.state, _CALM) for position in positions]
    return {
        "type": "scatter",
        "mode": "markers",
        "y": rows,
        "x": [max(-reach, min(reach, drift)) for drift in drifts],
        "cliponaxis": False,
        "marker": {
            "size": [8 if look is _CALM else 11 for look in looks],
            "symbol": [_arrow(drift, reach) or symbol for drift, (_, symbol) in zip(drifts, looks, strict=True)],
            "color": [colour for colour, _ in looks],
            "line": {"width": 1.5, "color": [colour for colour, _ in looks]},
        },
        "hovertext": [_hover(position) for position in positions],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "customdata": [[links.get(position.security_id, "")] for position in positions],
    }


def _arrow(drift: float, reach: float) -> str:
    """Beyond the axis: an open arrow that points to where the mark really is."""
    if abs(drift) <= reach:
        return ""
    return "triangle-right-open" if drift > 0 else "triangle-left-open"


def _hover(position: PositionView) -> str:
    drift = position.drift
    parts = [
        f"<b>{escape(position.ticker)}</b> {escape(position.name)}",
        f"weight {bare_percent(drift.weight)} % · target {bare_percent(drift.target)} %",
        f"band {bare_percent(drift.band_low)} – {bare_percent(drift.band_high)} %",
        f"drift {pp(drift.drift)} · {_use(position)} of its band",
        f"value {money(drift.value)}",
    ]
    if position.side:
        parts.append(f"to target: {position.side.lower()} {quantity(position.n_shares)}")
    return "<br>".join(parts)


def _use(position: PositionView) -> str:
    return str(band_use_words(position.band_use))


def _label(position: PositionView, row: int) -> dict[str, Any]:
    colour, _ = _LOOK[position.state]
    words = "no band" if position.drift.no_band else _use(position)
    return {
        "xref": "paper",
        "x": 1,
        "xanchor": "left",
        "xshift": 6,
        "y": row,
        "showarrow": False,
        "text": f"{pp(position.drift.drift)} · {words}",
        "font": {"size": 11, "color": colour},
    }


def weight_history_chart(days: Sequence[date], weights: Sequence[float | None], corridor: Corridor) -> Figure:
    """One security's weight over time, in per cent, against the stepped corridor that its model allowed.

    Days outside the corridor are drawn thicker in the colour of their side; days without a price are gaps.
    """
    percents = [None if weight is None else weight * 100 for weight in weights]
    outside = sides(days, weights, corridor)
    over, under = (
        [weight if side == which else None for weight, side in zip(percents, outside, strict=True)]
        for which in ("over", "under")
    )
    traces = [
        *_ribbon(days, corridor),
        {
            "y": percents,
            "line": {"width": 1.5, "color": "var(--text)"},
            "hovertemplate": "%{x|%-d %b %Y}: %{y:.2f} %<extra></extra>",
        },
        _marked(over, "var(--sell)"),
        _marked(under, "var(--buy)"),
    ]
    shared = {"type": "scatter", "mode": "lines", "x": [day.isoformat() for day in days], "connectgaps": False}
    return {
        "data": [shared | trace for trace in traces],
        "layout": {
            "hovermode": "x",
            "margin": {"l": 8, "r": 12, "t": 8, "b": 28},
            "yaxis": {"ticksuffix": " %", "range": _padded(trace["y"] for trace in traces)},
            "xaxis": {"type": "date"},
        },
    }


def _padded(lines: Iterable[Sequence[float | None]]) -> list[float]:
    """An axis with a little room beyond the lowest and the highest value, so that no band ends at its frame."""
    known = [value for line in lines for value in line if value is not None]
    if not known:
        return [0.0, 1.0]
    room = max(0.1, 0.08 * (max(known) - min(known)))
    return [max(0.0, min(known) - room), max(known) + room]


def _ribbon(days: Sequence[date], corridor: Corridor) -> list[dict[str, Any]]:
    """Lowest weight, highest weight with the band filled between them, target: each a line of steps.

    They reach a little beyond the last day, so that a step on that day can be seen.
    """
    beyond = [*days, days[-1] + max(timedelta(days=1), (days[-1] - days[0]) / 30)]
    steps = [_allowed(day, corridor) for day in beyond]
    target, lowest, highest = ([step[place] if step else None for step in steps] for place in range(3))
    edge = {"shape": "hv", "width": 1, "color": "var(--control)"}
    aim = {"shape": "hv", "width": 1.5, "dash": "dot", "color": "var(--tick)"}
    shared = {"x": [day.isoformat() for day in beyond], "hoverinfo": "skip"}
    return [
        shared | {"y": lowest, "line": edge},
        shared | {"y": highest, "line": edge, "fill": "tonexty", "fillcolor": "var(--band)"},
        shared | {"y": target, "line": aim},
    ]


def _marked(weights: list[float | None], colour: str) -> dict[str, Any]:
    look = {"line": {"width": 3, "color": colour}, "marker": {"size": 4, "color": colour}}
    return {"y": weights, "mode": "lines+markers", "hoverinfo": "skip"} | look


def _allowed(day: date, corridor: Corridor) -> tuple[float, float, float] | None:
    """Target, lowest and highest weight in per cent on `day`; before the first step, what the first one says."""
    if not corridor:
        return None
    current = corridor[0]
    for step in corridor:
        if step[0] <= day:
            current = step
    return points(current[1]), points(current[2]), points(current[3])


def sides(days: Sequence[date], weights: Sequence[float | None], corridor: Corridor) -> list[str]:
    """For each day "over" or "under" where the weight lay outside the corridor, else nothing."""
    return [_side(weight, _allowed(day, corridor)) for day, weight in zip(days, weights, strict=True)]


def _side(weight: float | None, allowed: tuple[float, float, float] | None) -> str:
    if weight is None or allowed is None:
        return ""
    _, lowest, highest = allowed
    return "over" if weight * 100 > highest else "under" if weight * 100 < lowest else ""
