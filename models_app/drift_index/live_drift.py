"""Drift of a portfolio against its model, from the book as it is now, by the one definition: `portfolio.drift`.

A portfolio that follows several models has one view for each. Lists of many are made from the drift index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import get_args

from django.conf import settings

from models_app.investment_models import selectors
from models_app.investment_models.rules import MAX_TARGET_SUM, PositionDraft
from models_app.investment_models.selectors import ModelRow
from models_app.models import InvestmentModel
from models_app.portfolio.drift import PortfolioDrift, PositionDrift, State, market_value, portfolio_drift
from models_app.portfolio.types import ZERO, Position
from models_app.portfolio.units import MILLIONTH
from models_app.sources import get_source
from models_app.sources.book_source import Balances, BookSource, PortfolioInfo, PriceInfo, SecurityInfo
from ordergen.core.errors import NotFoundError

# Models leave at least 5 % in cash, and whole shares a little more or less than that: half of it is low.
LOW_CASH = (1 - MAX_TARGET_SUM) / 2
NO_BAND = Decimal("Infinity")  # ranks a drift without any band above every number, and reads as "> 999 %"
_STATE = {"breach_over": "over", "breach_under": "under"}
POSITION_STATES = tuple(_STATE.get(state, state) for state in get_args(State))
_NOTHING = Balances(ZERO, {})


@dataclass(frozen=True)
class PositionView:
    """One position with what a page says of it."""

    drift: PositionDrift
    ticker: str
    name: str
    price_date: date | None
    in_model: bool

    @property
    def security_id(self) -> str:
        return self.drift.security_id

    @property
    def state(self) -> str:
        """The word of the page's vocabulary."""
        return _STATE.get(self.drift.state, self.drift.state)

    @property
    def band_use(self) -> Decimal | None:
        """Signed; infinite where the drift has no band to use."""
        if self.drift.no_band and self.drift.drift:
            return NO_BAND.copy_sign(self.drift.drift)
        return self.drift.band_use

    @property
    def rank(self) -> Decimal:
        return abs(self.band_use) if self.band_use is not None else Decimal(-1)

    @property
    def sort_key(self) -> tuple[Decimal, Decimal]:
        """What lists sort by: band use, and among equals (such as all that have no band) the larger drift."""
        return self.rank, abs(self.drift.drift or ZERO)

    @property
    def side(self) -> str:
        """BUY or SELL, as the way to the target asks; empty when nothing is to be traded."""
        shares = self.drift.shares_to_target or 0
        return "BUY" if shares > 0 else "SELL" if shares < 0 else ""

    @property
    def n_shares(self) -> int:
        return abs(self.drift.shares_to_target or 0)


@dataclass(frozen=True)
class PortfolioView:
    """A portfolio against one model (None: it follows none, and only its value is known)."""

    info: PortfolioInfo
    model: InvestmentModel | None
    drift: PortfolioDrift
    positions: tuple[PositionView, ...]
    balances: Balances | None  # None: the book has none yet

    @property
    def has_balances(self) -> bool:
        return self.balances is not None

    @cached_property
    def ranked(self) -> list[PositionView]:
        """Its positions, the largest band use first."""
        by_name = sorted(self.positions, key=lambda position: position.ticker)
        return sorted(by_name, key=lambda position: position.sort_key, reverse=True)

    @cached_property
    def worst(self) -> PositionView | None:
        ranked = self.ranked
        return ranked[0] if ranked and ranked[0].rank > 0 else None

    @property
    def band_use(self) -> Decimal:
        return self.worst.rank if self.worst else ZERO

    @cached_property
    def unpriced(self) -> list[PositionView]:
        """Positions that need a price to be held or bought and have none."""
        return [position for position in self.positions if position.drift.price is None]

    @cached_property
    def state(self) -> str:
        """breach, near, in_band, no_model, unpriced (a missing price leaves it open) or unknown (worth nothing)."""
        if self.model is None:
            return "no_model"
        if self.drift.market_value is not None and self.drift.market_value <= 0:
            return "unknown"
        if self.drift.breaches:
            return "breach"
        if self.drift.market_value is None or self.unpriced:
            return "unpriced"
        return "near" if any(position.state == "near" for position in self.positions) else "in_band"

    @property
    def low_cash_word(self) -> str:
        return low_cash_word(self.drift.cash, self.drift.cash_weight)


def low_cash_word(cash: Decimal, weight: Decimal | None) -> str:
    """How a page warns of little cash: "negative", "low" or nothing."""
    return "negative" if cash < 0 else "low" if weight is not None and weight < LOW_CASH else ""


def near_band() -> Decimal:
    """The band use from which a position counts as near its edge."""
    return Decimal(settings.NEAR_BAND).quantize(MILLIONTH)


def portfolio_view(portfolio_id: str, model_id: str | None = None, balances: Balances | None = None) -> PortfolioView:
    """One portfolio against `model_id`, or the most recently created of its models.

    With `balances` as if it owned these, else as the book says.

    Raises NotFoundError for a portfolio the book does not know, or a model that it does not follow.
    """
    source = get_source()
    info = source.portfolios([portfolio_id]).get(portfolio_id)
    if info is None:
        raise NotFoundError(f"The book has no portfolio {portfolio_id[:40]}.")
    followed = selectors.models_of_portfolio(portfolio_id)
    chosen = [model for model in followed if model_id in (None, model.pk)]
    if model_id and not chosen:
        raise NotFoundError(f"{info.name} does not follow a model {model_id[:40]}.")
    row = ModelRow(chosen[0], selectors.model_draft(chosen[0])) if chosen else None
    return view_of(info, row, read_inputs(source, [(info, row)], {info.id: balances} if balances else None))


@dataclass(frozen=True)
class DriftInputs:
    """What the book says, read once for many portfolios."""

    balances: Mapping[str, Balances]
    securities: Mapping[str, SecurityInfo]
    prices: Mapping[str, PriceInfo]


def read_inputs(
    source: BookSource,
    pairs: Collection[tuple[PortfolioInfo, ModelRow | None]],
    owned: Mapping[str, Balances] | None = None,
) -> DriftInputs:
    """All that the drift of these pairs depends on; `owned` instead of what the book says that they own."""
    balances = source.balances({info.id for info, _ in pairs}) if owned is None else owned
    wanted = {key for held in balances.values() for key in held.quantities}
    wanted |= {p.security_id for _, row in pairs if row for p in row.draft.positions}
    return DriftInputs(balances, source.securities(wanted), source.latest_prices(wanted))


def view_of(info: PortfolioInfo, row: ModelRow | None, inputs: DriftInputs) -> PortfolioView:
    """One portfolio against one model."""
    balances, prices = inputs.balances.get(info.id), inputs.prices
    held = balances or _NOTHING
    targets = {p.security_id: p for p in row.draft.positions} if row else {}
    positions = [
        position_of(key, held.quantities.get(key, ZERO), targets.get(key), prices.get(key))
        for key in [*targets, *(held.quantities.keys() - targets.keys())]
    ]
    if row is None:
        return PortfolioView(info, None, _value_only(positions, held.cash), (), balances)
    drift = portfolio_drift(positions, held.cash, commission_rate=Decimal(settings.COMMISSION_RATE), near=near_band())
    shown = tuple(_position_view(known, targets, inputs) for known in drift.positions)
    return PortfolioView(info, row.model, drift, shown, balances)


def position_of(security_id: str, quantity: Decimal, aim: PositionDraft | None, price: PriceInfo | None) -> Position:
    """A holding of some shares against the model's position, if it has one; without a price where there is none."""
    bands = (aim.target, aim.low_drift, aim.high_drift) if aim else (ZERO, ZERO, ZERO)
    return Position(security_id, quantity, price.price if price else None, *bands)


def _position_view(drift: PositionDrift, targets: Mapping[str, PositionDraft], inputs: DriftInputs) -> PositionView:
    key = drift.security_id
    known, price = inputs.securities.get(key), inputs.prices.get(key)
    ticker, name = (known.ticker, known.name) if known else (key, "not in the book")
    return PositionView(drift, ticker, name, price.date if price else None, key in targets)


def _value_only(positions: Iterable[Position], cash: Decimal) -> PortfolioDrift:
    """A portfolio without a model has a value and cash, and nothing to drift from."""
    value = market_value(list(positions), cash)
    weight = cash / value if value is not None and value > 0 else None
    return PortfolioDrift((), value, cash, weight, None, None, None, 0, 0, None, None)
