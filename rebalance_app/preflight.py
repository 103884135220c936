"""What is known about a model's portfolios before a run over them: how many drift, what could go wrong. Read only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from models_app import selectors as models
from models_app.drift import PortfolioView, book_drift
from models_app.models import InvestmentModel
from rebalance_app.selectors import busy_portfolios, failed_portfolio_ids, run_get


@dataclass(frozen=True)
class Request:
    """What the launch page was asked for: a model, perhaps one of its portfolios, perhaps the failures of a run."""

    model: str = ""
    portfolio: str = ""
    again: str = ""


@dataclass(frozen=True)
class Scope:
    """A choice of portfolios; `portfolio_ids` None means all that follow the model when the run starts."""

    key: str
    label: str
    portfolio_ids: Sequence[str] | None
    count: int


@dataclass(frozen=True)
class Preflight:
    """A model's portfolios as they are now, and the scopes a run could have."""

    model: InvestmentModel
    views: Sequence[PortfolioView]
    busy: Mapping[str, int]
    scopes: Sequence[Scope]

    @cached_property
    def in_state(self) -> dict[str, list[PortfolioView]]:
        """The portfolios by drift state."""
        states: dict[str, list[PortfolioView]] = {"breach": [], "near": [], "in_band": [], "unpriced": []}
        for view in self.views:
            states.setdefault(view.state, []).append(view)
        return states

    @property
    def low_cash(self) -> int:
        return sum(view.has_low_cash for view in self.views)

    @cached_property
    def unpriced_tickers(self) -> list[str]:
        return sorted({line.ticker for view in self.views for line in view.unpriced})

    @property
    def prices_to(self) -> date | None:
        """The day of the newest price among what these portfolios hold or are to hold."""
        return max((line.price_date for view in self.views for line in view.lines if line.price_date), default=None)

    def scope(self, key: str) -> Scope:
        return next(scope for scope in self.scopes if scope.key == key)


def choices(wanted: Request) -> list[InvestmentModel]:
    """The models a run could be over; one, where the request already says which."""
    if wanted.again:
        return [models.model_get(run_get(wanted.again).run.model_id)]
    if wanted.model:
        return [models.model_get(wanted.model)]
    if wanted.portfolio:
        return models.model_of_portfolio(wanted.portfolio)
    return [row.model for row in models.model_list()]


def preflight(model: InvestmentModel, wanted: Request) -> Preflight:
    """Computes the drift of every portfolio of the model: six queries, and arithmetic in proportion."""
    views = book_drift(model.pk)
    return Preflight(
        model,
        views,
        busy_portfolios(view.info.id for view in views),
        [*_asked(views, wanted), *_everyone(model, views)],
    )


def _everyone(model: InvestmentModel, views: Sequence[PortfolioView]) -> list[Scope]:
    breached = [view.info.id for view in views if view.state == "breach"]
    everyone = Scope("all", f"All {len(views)} portfolios of {model.name}", None, len(views))
    if not breached or len(breached) == len(views):
        return [everyone]
    return [everyone, Scope("breach", f"Only the {len(breached)} outside a band", breached, len(breached))]


def _asked(views: Sequence[PortfolioView], wanted: Request) -> list[Scope]:
    names = {view.info.id: view.info.name for view in views}
    scopes = []
    if wanted.portfolio in names:
        scopes.append(Scope("one", f"Only {names[wanted.portfolio]}", [wanted.portfolio], 1))
    if wanted.again:
        failed = [key for key in failed_portfolio_ids(wanted.again) if key in names]
        number = run_get(wanted.again).run.number
        label = f"Only the {len(failed)} that run #{number} could not solve"
        scopes += [Scope("again", label, failed, len(failed))] if failed else []
    return scopes
