"""Reading models: one query per kind of row, however many models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count

from models_app.investment_models.rules import ModelDraft, ModelTotals, PositionDraft, totals
from models_app.investment_models.versions import draft_of
from models_app.models import InvestmentModel, ModelPortfolio, ModelPosition, ModelVersion
from models_app.portfolio.types import ZERO
from ordergen.core.db import in_batches
from ordergen.core.errors import NotFoundError


@dataclass(frozen=True)
class ModelRow:
    """A model with what it says, as lists show it."""

    model: InvestmentModel
    draft: ModelDraft

    @property
    def totals(self) -> ModelTotals:
        return totals(self.draft.positions)


def model_list() -> list[ModelRow]:
    """Every model with its content, by name."""
    models = list(InvestmentModel.objects.order_by("name"))
    drafts = model_drafts(models)
    return [ModelRow(model, drafts[model.pk]) for model in models]


def model_get(model_id: str) -> InvestmentModel:
    """The model with this id; raises NotFoundError."""
    model = InvestmentModel.objects.filter(pk=model_id).first()
    if model is None:
        raise NotFoundError(f"There is no model {model_id[:40]}. It may have been deleted.")
    return model


def model_draft(model: InvestmentModel) -> ModelDraft:
    """What the model says now."""
    return model_drafts([model])[model.pk]


def model_drafts(models: Iterable[InvestmentModel]) -> dict[str, ModelDraft]:
    """What each model says now, by id, in three queries or fewer. Rows keep the order they were saved in."""
    by_id = {model.pk: model for model in models}
    positions = model_positions(by_id)
    portfolios: dict[str, list[str]] = defaultdict(list)
    subscribed = ModelPortfolio.objects.filter(model_id__in=by_id).order_by("pk")
    for model_id, portfolio_id in subscribed.values_list("model_id", "portfolio_id"):
        portfolios[model_id].append(portfolio_id)
    return {key: ModelDraft(model.name, tuple(positions[key]), tuple(portfolios[key])) for key, model in by_id.items()}


@dataclass(frozen=True)
class ModelSize:
    """How much a model says, for lists that do not show what."""

    n_positions: int
    n_portfolios: int
    target_sum: Decimal


def size_of(draft: ModelDraft) -> ModelSize:
    return ModelSize(len(draft.positions), len(draft.portfolios), totals(draft.positions).target)


def model_sizes(models: Iterable[InvestmentModel]) -> dict[str, ModelSize]:
    """The size of each model, by id, in two queries: a list of fifty large models is not read for three numbers each.

    The sum is made here, for SQLite would add up floats.
    """
    ids = [model.pk for model in models]
    targets: dict[str, list[Decimal]] = defaultdict(list)
    positions = ModelPosition.objects.filter(model_id__in=ids).order_by()
    for model_id, target in positions.values_list("model_id", "target"):
        targets[model_id].append(target)
    followed = ModelPortfolio.objects.filter(model_id__in=ids).order_by().values_list("model_id")
    portfolios = dict(followed.annotate(count=Count("pk")))
    return {key: ModelSize(len(targets[key]), portfolios.get(key, 0), sum(targets[key], ZERO)) for key in ids}


def model_positions(model_ids: Iterable[str]) -> dict[str, list[PositionDraft]]:
    """The positions of each model, in the order they were saved in; a model without any is an empty list."""
    positions: dict[str, list[PositionDraft]] = defaultdict(list)
    rows = ModelPosition.objects.filter(model_id__in=list(model_ids)).order_by("pk")
    values = rows.values_list("model_id", "security_id", "target", "low_drift", "high_drift")
    for model_id, security_id, target, low_drift, high_drift in values:
        positions[model_id].append(PositionDraft(security_id, target, low_drift, high_drift))
    return positions


def models_of_portfolio(portfolio_id: str) -> list[InvestmentModel]:
    """The models this portfolio follows, the most recently created first."""
    ids = ModelPortfolio.objects.filter(portfolio_id=portfolio_id).values("model_id")
    return list(InvestmentModel.objects.filter(pk__in=ids).order_by("-created_at", "-pk"))


def other_models(portfolio_ids: Iterable[str], *, but: str | None = None) -> dict[str, list[str]]:
    """By portfolio id, the names of the models it follows besides `but`; portfolios that follow none are absent."""
    names: dict[str, list[str]] = defaultdict(list)
    for batch in in_batches(portfolio_ids):
        rows = ModelPortfolio.objects.filter(portfolio_id__in=batch).exclude(model_id=but).order_by("model__name")
        for portfolio_id, name in rows.values_list("portfolio_id", "model__name"):
            names[portfolio_id].append(name)
    return dict(names)


def model_versions(model_id: str) -> list[ModelVersion]:
    """Every saved version, the latest first; the history of a deleted model can still be read."""
    versions = list(ModelVersion.objects.filter(model_id=model_id).select_related("saved_by"))
    if not versions:
        raise NotFoundError(f"There is no model {model_id[:40]}.")
    return versions


def model_version(model_id: str, version: int) -> tuple[ModelVersion, ModelDraft]:
    """One saved version and what the model said then; raises NotFoundError."""
    found = ModelVersion.objects.filter(model_id=model_id, version=version).select_related("saved_by").first()
    if found is None:
        raise NotFoundError(f"Model {model_id[:40]} has no version {version}.")
    return found, draft_of(found.content)


def target_history(model_id: str) -> list[tuple[ModelVersion, dict[str, tuple[Decimal, Decimal, Decimal]]]]:
    """Each version, oldest first, with (target, low, high) by security: the steps of the band corridor."""
    rows = reversed(model_versions(model_id))
    return [
        (row, {p.security_id: (p.target, p.low_drift, p.high_drift) for p in draft_of(row.content).positions})
        for row in rows
    ]
