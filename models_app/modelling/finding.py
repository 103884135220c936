"""Finding models: by name, by what is in them, by when they were rebalanced and whether they need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from models_app.models import DriftFigures, InvestmentModel, ModelPortfolio, ModelPosition
from ordergen.audit.feed import subjects_changed


@dataclass(frozen=True)
class ModelQuery:
    """Which models are wanted; None means any. A model needs a rebalance while one of its portfolios is in breach."""

    name: str | None = None  # or a part of it
    portfolio_id: str | None = None
    security_id: str | None = None
    needs_rebalance: bool | None = None
    rebalanced_from: datetime | None = None
    not_rebalanced_since: datetime | None = None  # or never
    changed_after: int | None = None


def models_found(wanted: ModelQuery) -> QuerySet[InvestmentModel]:
    """The models wanted, in no order; breaches are those of the figures as last computed."""
    models = InvestmentModel.objects.all()
    if wanted.name:
        models = models.filter(name__icontains=wanted.name)
    if wanted.portfolio_id:
        followed = ModelPortfolio.objects.filter(portfolio_id=wanted.portfolio_id)
        models = models.filter(pk__in=followed.values("model_id"))
    if wanted.security_id:
        placed = ModelPosition.objects.filter(security_id=wanted.security_id)
        models = models.filter(pk__in=placed.values("model_id"))
    if wanted.needs_rebalance is not None:
        in_breach = Q(pk__in=DriftFigures.objects.filter(state="breach").values("model_id"))
        models = models.filter(in_breach if wanted.needs_rebalance else ~in_breach)
    return _by_time(models, wanted)


def _by_time(models: QuerySet[InvestmentModel], wanted: ModelQuery) -> QuerySet[InvestmentModel]:
    if wanted.rebalanced_from:
        models = models.filter(last_rebalance_at__gte=wanted.rebalanced_from)
    if wanted.not_rebalanced_since:
        earlier = Q(last_rebalance_at__lt=wanted.not_rebalanced_since)
        models = models.filter(earlier | Q(last_rebalance_at=None))
    if wanted.changed_after is not None:
        models = models.filter(pk__in=subjects_changed(InvestmentModel, wanted.changed_after))
    return models
