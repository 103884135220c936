"""The path of a portfolio's weights: today's holdings, left alone, at the prices of every day."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from models_app.drift_index.live_drift import PortfolioView, PositionView
from models_app.investment_models import selectors
from models_app.models import ModelVersion
from models_app.portfolio.types import ZERO
from models_app.portfolios import charts
from models_app.sources import get_source

if TYPE_CHECKING:
    import pandas as pd

_NOT_IN_MODEL = (ZERO, ZERO, ZERO)
Steps = Sequence[tuple[ModelVersion, Mapping[str, tuple[Decimal, Decimal, Decimal]]]]


@dataclass(frozen=True)
class Panel:
    """One security over time: a figure, and the same in numbers. Weights are fractions, in floats, for looking at."""

    position: PositionView
    figure: charts.Figure
    weights: list[float | None]
    sides: list[str]
    n_versions: int

    @property
    def label(self) -> str:
        return f"Weight of {self.position.ticker} over time against its band. {self.words}"

    @property
    def words(self) -> str:
        known = [weight for weight in self.weights if weight is not None]
        if not known:
            return "It has no prices in this time."
        outside = sum(side != "" for side in self.sides)
        spread = f"Between {min(known):.2%} and {max(known):.2%}".replace("%", "\N{NO-BREAK SPACE}%")
        return f"{spread}; outside its band on {outside} of {len(known)} days."


def history_panels(
    view: PortfolioView, positions: Sequence[PositionView], days_back: int | None
) -> tuple[list[date], list[Panel]]:
    """The days with prices, ascending, and a panel for each of `lines`; both empty without a price history."""
    held = {position.security_id: position.drift.quantity for position in view.positions}
    newest = max((position.price_date for position in view.positions if position.price_date), default=None)
    since = newest - timedelta(days=days_back) if newest and days_back else None
    prices = get_source().price_history(held, since)
    if prices.empty:
        return [], []
    weights = weight_path(held, prices.reindex(columns=list(held)), view.drift.cash)
    days = list(weights.index)
    steps = selectors.target_history(view.model.pk) if view.model else []
    return days, [_panel(position, days, weights[position.security_id].tolist(), steps) for position in positions]


def weight_path(quantities: Mapping[str, Decimal], prices: pd.DataFrame, cash: Decimal) -> pd.DataFrame:
    """Weights over time of holdings that are left alone, in floats.

    prices: one row per date, one column per security. Returns the same shape; NaN where a price of the date is missing
    (for that security) or makes the market value unknown (for all).
    """
    held = np.array([float(quantities.get(name, ZERO)) for name in prices.columns])
    values = prices.astype(float) * held
    total = float(cash) + values.loc[:, held != 0].sum(axis=1, skipna=False)
    return values.div(total.where(total > 0), axis=0)


def _panel(position: PositionView, days: Sequence[date], weights: Sequence[float], steps: Steps) -> Panel:
    known = [None if math.isnan(weight) else weight for weight in weights]
    # A version saved after the last price counts from that day on: the corridor ends with what holds now.
    corridor = [
        (min(version.saved_at.date(), days[-1]), target, max(ZERO, target - low), target + high)
        for version, content in steps
        for target, low, high in [content.get(position.security_id, _NOT_IN_MODEL)]
    ]
    figure = charts.weight_history_chart(days, known, corridor)
    return Panel(position, figure, known, charts.sides(days, known, corridor), len(steps))
