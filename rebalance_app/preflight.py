"""What is known about a model's portfolios before a run over them: how many drift, what could go wrong. Read only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from models_app import selectors as models
from models_app.drift import book_drift
from models_app.models import InvestmentModel
from models_app.sources import get_source
from rebalance_app.selectors import failed_portfolio_ids, n_busy, run_get

MOST_COMPUTED = 1_000  # portfolios whose drift is computed while somebody waits for the page


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
class Stand:
    """How the portfolios of a model stand now: ids by drift state, and what is missing."""

    by_state: Mapping[str, Sequence[str]]
    low_cash: int
    unpriced_tickers: Sequence[str]
    prices_to: date | None  # the day of the newest price among what they hold or are to hold


@dataclass(frozen=True)
class Preflight:
    """A model's portfolios as they are now, and the scopes a run could have; `stand` is None for too many of them."""

    model: InvestmentModel
    n_portfolios: int
    n_busy: int
    stand: Stand | None
    scopes: Sequence[Scope]

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
    return list(InvestmentModel.objects.order_by("name"))


def preflight(model: InvestmentModel, wanted: Request) -> Preflight:
    """Computes the drift of every portfolio of the model, up to as many as that takes a moment for."""
    followers = set(model.portfolios.values_list("portfolio_id", flat=True))
    stand = _stand(model) if len(followers) <= MOST_COMPUTED else None
    scopes = [*_asked(followers, wanted), *_everyone(model, len(followers), stand)]
    return Preflight(model, len(followers), n_busy(model.pk), stand, scopes)


def _stand(model: InvestmentModel) -> Stand:
    views = book_drift(model.pk)
    by_state: dict[str, list[str]] = {}
    for view in views:
        by_state.setdefault(view.state, []).append(view.info.id)
    return Stand(
        by_state,
        sum(view.has_low_cash for view in views),
        sorted({line.ticker for view in views for line in view.unpriced}),
        max((line.price_date for view in views for line in view.lines if line.price_date), default=None),
    )


def _everyone(model: InvestmentModel, count: int, stand: Stand | None) -> list[Scope]:
    breached = stand.by_state.get("breach", ()) if stand else ()
    everyone = Scope("all", f"All {count:,} portfolios of {model.name}", None, count)
    if not breached or len(breached) == count:
        return [everyone]
    return [everyone, Scope("breach", f"Only the {len(breached):,} outside a band", breached, len(breached))]


def _asked(followers: Collection[str], wanted: Request) -> list[Scope]:
    scopes = []
    if wanted.portfolio in followers:
        known = get_source().portfolios([wanted.portfolio])
        name = known[wanted.portfolio].name if known else wanted.portfolio
        scopes.append(Scope("one", f"Only {name}", [wanted.portfolio], 1))
    if wanted.again:
        failed = [key for key in failed_portfolio_ids(wanted.again) if key in followers]
        number = run_get(wanted.again).run.number
        label = f"Only the {len(failed):,} that run #{number} could not solve"
        scopes += [Scope("again", label, failed, len(failed))] if failed else []
    return scopes
