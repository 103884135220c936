"""The limits in force, for pages that know nothing of rebalances."""

from __future__ import annotations

from typing import Any

from django import template

from models_app.drift_index.live_drift import PortfolioView
from rebalance_app.limits.in_force import over_model, over_portfolio

register = template.Library()


@register.inclusion_tag("limits/_of_model.html")
def limits_of_model(model_id: str) -> dict[str, Any]:
    """A panel with what every run over the model honours."""
    return {"in_force": over_model(model_id)}


@register.inclusion_tag("limits/_of_portfolio.html")
def limits_of_portfolio(view: PortfolioView) -> dict[str, Any]:
    """A panel with what every run over the portfolio honours."""
    model_id = view.model.pk if view.model else None
    ids = [position.security_id for position in view.positions]
    return {"in_force": over_portfolio(view.info.id, model_id, ids), "model": view.model}
