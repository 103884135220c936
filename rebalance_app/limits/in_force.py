"""The limits in force, and whose they are: over a model with all that follows it, over one portfolio. Read only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from models_app.models import ModelPortfolio, ModelPosition
from models_app.sources import get_source
from rebalance_app.limits.levels import merged
from rebalance_app.limits.services import limits_now
from rebalance_app.models import LimitSet

MOST_NAMED = 6  # securities; the page of limits has them all


@dataclass(frozen=True)
class Restricted:
    """A security that has limits of its own."""

    security_id: str
    ticker: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class OverModel:
    """What a run over a model honours beyond what it is asked for; `securities` are some of those in the model."""

    model_id: str
    values: Mapping[str, Any]
    n_portfolios: int  # with limits of their own
    securities: list[Restricted]
    n_securities: int

    @property
    def n_more(self) -> int:
        return self.n_securities - len(self.securities)

    def __bool__(self) -> bool:
        return bool(self.values or self.n_portfolios or self.n_securities)


@dataclass(frozen=True)
class OverPortfolio:
    """What holds for one portfolio: by name of a limit its value and whose it is, and its securities with their own."""

    portfolio_id: str
    held: Mapping[str, tuple[Any, str]]
    securities: list[Restricted]

    def __bool__(self) -> bool:
        return bool(self.held or self.securities)


def over_model(model_id: str) -> OverModel:
    """The limits of a model, and how many of its portfolios and securities have their own."""
    followers = ModelPortfolio.objects.filter(model_id=model_id).values("portfolio_id")
    placed = ModelPosition.objects.filter(model_id=model_id).values("security_id")
    securities = limits_now("security", _ever_limited("security", placed))
    return OverModel(
        model_id,
        limits_now("model", [model_id]).get(model_id, {}),
        len(limits_now("portfolio", _ever_limited("portfolio", followers))),
        _restricted(dict(list(securities.items())[:MOST_NAMED])),
        len(securities),
    )


def over_portfolio(portfolio_id: str, model_id: str | None, security_ids: Iterable[str]) -> OverPortfolio:
    """Of portfolio and model the narrower limit, and those of the securities that it holds or is to hold."""
    levels = {"portfolio": limits_now("portfolio", [portfolio_id]).get(portfolio_id, {})}
    if model_id:
        levels["model"] = limits_now("model", [model_id]).get(model_id, {})
    _, sources = merged(levels)
    held = {name: (levels[level][name], level) for name, level in sources.items()}
    return OverPortfolio(portfolio_id, held, _restricted(limits_now("security", security_ids)))


def _ever_limited(scope: str, subjects: Any) -> Iterable[str]:
    """Of many subjects, a query, the few that limits were ever set on."""
    rows = LimitSet.objects.filter(scope=scope, subject_id__in=subjects).order_by()
    return rows.values_list("subject_id", flat=True).distinct()


def _restricted(limits: Mapping[str, Mapping[str, Any]]) -> list[Restricted]:
    known = get_source().securities(limits) if limits else {}
    found = [Restricted(key, known[key].ticker if key in known else key, values) for key, values in limits.items()]
    return sorted(found, key=lambda one: one.ticker)
