"""What is known about a model's portfolios before a run over them: how many drift, what could go wrong. Read only.

From the figures that lists are made from, for the live drift of ten thousand portfolios takes minutes; they say how old
they are, and the run itself takes the book as it is then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

from models_app.drift_index import read as figures
from models_app.drift_index.read import Counts, Freshness
from models_app.investment_models import selectors as models
from models_app.models import InvestmentModel
from models_app.sources import get_source
from rebalance_app.limits.in_force import OverModel, over_model
from rebalance_app.models import OpenOrders
from rebalance_app.order_states.pending import Standing, standing_of
from rebalance_app.proposals.selectors import run_get
from rebalance_app.runs.selectors import failed_portfolio_ids, n_busy


@dataclass(frozen=True)
class Request:
    """What the launch page was asked for: a model, perhaps one of its portfolios, perhaps the failures of a run."""

    model: str = ""
    portfolio: str = ""
    again: str = ""


@dataclass(frozen=True)
class LaunchScope:
    """A choice of portfolios; `portfolio_ids` None means all that follow the model when the run starts."""

    key: str
    label: str
    portfolio_ids: Sequence[str] | None
    count: int


@dataclass(frozen=True)
class Preflight:
    """How a model's portfolios stand, as far as figures are there, and the scopes a run could have."""

    model: InvestmentModel
    n_portfolios: int  # that follow the model, whether or not there are figures of them yet
    stand: Counts
    freshness: Freshness
    n_busy: int  # portfolios that another run is working on
    scopes: Sequence[LaunchScope]
    orders: Standing  # on their way to these portfolios, before this run
    options: Mapping[str, Any] = field(default_factory=dict)  # of the run that is to be repeated
    open_orders: OpenOrders = OpenOrders.NET  # likewise

    @cached_property
    def unpriced_tickers(self) -> list[str]:
        ids = figures.unpriced_securities(self.model.pk)
        known = get_source().securities(ids) if ids else {}
        return sorted(known[key].ticker if key in known else key for key in ids)

    @cached_property
    def prices_to(self) -> date | None:
        """The day of the newest price among what these portfolios hold or are to hold."""
        return figures.prices_of(self.model.pk)

    @cached_property
    def in_force(self) -> OverModel:
        """The limits that a run honours on top of what it is asked for."""
        return over_model(self.model.pk)

    def scope(self, key: str) -> LaunchScope:
        return next(scope for scope in self.scopes if scope.key == key)


def choices(wanted: Request) -> list[InvestmentModel]:
    """The models a run could be over; one, where the request already says which."""
    if wanted.again:
        return [models.model_get(run_get(wanted.again).model_id)]
    if wanted.model:
        return [models.model_get(wanted.model)]
    if wanted.portfolio:
        return models.models_of_portfolio(wanted.portfolio)
    return [row.model for row in models.model_list()]


def preflight(model: InvestmentModel, wanted: Request) -> Preflight:
    """Reads how the portfolios of the model stand: a few queries, however many portfolios there are."""
    followers = frozenset(model.portfolios.values_list("portfolio_id", flat=True))
    again = run_get(wanted.again) if wanted.again else None
    return Preflight(
        model,
        len(followers),
        figures.counts_of(model.pk),
        figures.freshness(model.pk),
        n_busy(followers),
        [*_asked(followers, wanted), *_everyone(model, followers)],
        standing_of(followers),
        again.options if again else {},
        again.open_orders_again if again else OpenOrders.NET,
    )


def _everyone(model: InvestmentModel, followers: Collection[str]) -> list[LaunchScope]:
    breached = [key for key in figures.portfolios_in_breach(model.pk) if key in followers]
    every = f"All {len(followers):,} portfolios" if len(followers) != 1 else "The only portfolio"
    everyone = LaunchScope("all", f"{every} of {model.name}", None, len(followers))
    if not breached or len(breached) == len(followers):
        return [everyone]
    return [everyone, LaunchScope("breach", f"Only the {len(breached):,} outside a band", breached, len(breached))]


def _asked(followers: Collection[str], wanted: Request) -> list[LaunchScope]:
    scopes = []
    if wanted.portfolio in followers:
        known = get_source().portfolios([wanted.portfolio])
        name = known[wanted.portfolio].name if known else wanted.portfolio
        scopes.append(LaunchScope("one", f"Only {name}", [wanted.portfolio], 1))
    if wanted.again:
        failed = [key for key in failed_portfolio_ids(wanted.again) if key in followers]
        number = run_get(wanted.again).number
        label = f"Only the {len(failed):,} that run #{number} could not solve"
        scopes += [LaunchScope("again", label, failed, len(failed))] if failed else []
    return scopes
