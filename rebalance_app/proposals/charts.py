"""Figures of the rebalance pages: rows in, Plotly figures as dictionaries out. Pure.

Colours are names of the style sheet's variables; static/charts.js looks them up, so a chart follows the theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import Any

from rebalance_app.proposals.selectors import ProposalLine

MOST_ROWS = 40
LEAST_REACH = 1.0  # percentage points to either side
ROW_HEIGHT = 24
OVERSIZE = 2.5  # a drift this many times the widest band is drawn at the edge, with its value
COLOURS = {"BUY": "var(--buy)", "SELL": "var(--sell)", None: "var(--muted)"}
SHAPES = {"BUY": "triangle-up", "SELL": "triangle-down", None: "circle"}


def chart_rows(lines: Sequence[ProposalLine]) -> list[ProposalLine]:
    """What the chart shows: lines that are traded or stay outside their band, the largest move first."""
    known = [line for line in lines if line.drift_before is not None and (line.side or line.is_outside)]
    return sorted(known, key=_move, reverse=True)[:MOST_ROWS]


def before_after(lines: Sequence[ProposalLine]) -> dict[str, Any]:
    """Each row's own band around its target, and the drift before (ring) and after (filled) in percentage points."""
    rows = chart_rows(lines)
    reach = _reach(rows)
    return {
        "data": [_bands(rows), _moves(rows, reach), _rings(rows, reach), _points_after(rows, reach)],
        "layout": {
            "barmode": "overlay",
            "xaxis": {"title": {"text": "drift from target, percentage points"}, "range": [-reach, reach]},
            "yaxis": {"autorange": "reversed", "showgrid": False, "ticks": "", "fixedrange": True, "type": "category"},
            "shapes": [_target_line()],
            "annotations": _labels(rows, reach),
        },
    }


def height(lines: Sequence[ProposalLine]) -> int:
    """Of the chart, in pixels."""
    return 70 + ROW_HEIGHT * max(3, len(chart_rows(lines)))


def _move(line: ProposalLine) -> Decimal:
    before, after = line.drift_before or Decimal(0), line.drift_after
    return abs(before) if after is None else abs(after - before)


def _points(value: Decimal | None) -> float | None:
    return None if value is None else float(value * 100)


def _reach(rows: Sequence[ProposalLine]) -> float:
    """Half the width of the axis: room for every band, and for drifts up to a few times the widest of them."""
    bands = [float(max(row.low_drift, row.high_drift) * 100) for row in rows]
    drifts = [abs(d) for row in rows for d in (_points(row.drift_before), _points(row.drift_after)) if d is not None]
    widest = max([LEAST_REACH, *bands])
    return 1.25 * max(widest, min(max(drifts, default=0.0), OVERSIZE * widest))


def _clipped(value: float | None, reach: float) -> float | None:
    return None if value is None else max(-reach * 0.97, min(reach * 0.97, value))


def _bands(rows: Sequence[ProposalLine]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": [row.ticker for row in rows],
        "base": [float(-row.low_drift * 100) for row in rows],
        "x": [float((row.low_drift + row.high_drift) * 100) for row in rows],
        "width": 0.6,
        "marker": {"color": "var(--band)", "line": {"color": "var(--control)", "width": 1}},
        "hoverinfo": "skip",
    }


def _moves(rows: Sequence[ProposalLine], reach: float) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[str | None] = []
    for row in rows:
        x += [_clipped(_points(row.drift_before), reach), _clipped(_points(row.drift_after), reach), None]
        y += [row.ticker, row.ticker, None]
    line = {"color": "var(--muted)", "width": 1.5}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def _markers(
    rows: Sequence[ProposalLine], values: Sequence[Decimal | None], reach: float, marker: Any
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [_clipped(_points(value), reach) for value in values],
        "y": [row.ticker for row in rows],
        "marker": marker,
        "customdata": [_told(row) for row in rows],
        "hovertemplate": HOVER,
    }


def _rings(rows: Sequence[ProposalLine], reach: float) -> dict[str, Any]:
    edge = {"color": "var(--muted)", "width": 2}
    marker = {"symbol": "circle", "size": 9, "color": "var(--surface)", "line": edge}
    return _markers(rows, [row.drift_before for row in rows], reach, marker)


def _points_after(rows: Sequence[ProposalLine], reach: float) -> dict[str, Any]:
    shapes, colours = [SHAPES[row.side] for row in rows], [COLOURS[row.side] for row in rows]
    marker = {"symbol": shapes, "size": 11, "color": colours}
    return _markers(rows, [row.drift_after for row in rows], reach, marker)


HOVER = (
    "<b>%{customdata[0]}</b> %{customdata[1]}<br>Drift %{customdata[2]} → %{customdata[3]}"
    "<br>Band %{customdata[4]}<br>%{customdata[5]}<extra></extra>"
)


def _told(row: ProposalLine) -> list[str]:
    """What hovering says; names are escaped, for Plotly reads a little HTML in them."""
    trade = f"{row.side} {row.trade_quantity:,}" if row.side else "no trade"
    band = f"{row.band_low * 100:.2f} – {row.band_high * 100:.2f} %"
    return [escape(row.ticker), escape(row.name), _pp(row.drift_before), _pp(row.drift_after), band, trade]


def _pp(value: Decimal | None) -> str:
    return "unknown" if value is None else f"{value * 100:+.2f} pp".replace("-", "\N{MINUS SIGN}")


def _labels(rows: Sequence[ProposalLine], reach: float) -> list[dict[str, Any]]:
    """The value beside each point that lies beyond the axis."""
    return [_label(row) for row in rows if abs(_points(row.drift_before) or 0.0) > reach]


def _label(row: ProposalLine) -> dict[str, Any]:
    right = (row.drift_before or Decimal(0)) > 0
    return {
        "x": 1 if right else 0,
        "xref": "paper",
        "y": row.ticker,
        "text": f"{_pp(row.drift_before)} {'▶' if right else '◀'}",
        "showarrow": False,
        "xanchor": "right" if right else "left",
        "yanchor": "bottom",
        "font": {"size": 11, "color": "var(--sell)" if right else "var(--buy)"},
    }


def _target_line() -> dict[str, Any]:
    pen = {"color": "var(--tick)", "width": 1.5}
    return {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": pen}
