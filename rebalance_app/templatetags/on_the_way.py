"""Orders on their way, for pages that know nothing of rebalances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template

from models_app.drift_index.live_drift import PortfolioView
from models_app.models import DriftFigures
from rebalance_app.order_states import as_it_will_be as outlook
from rebalance_app.order_states import pending, table

register = template.Library()


@register.simple_tag
def pending_in(rows: Iterable[DriftFigures]) -> dict[str, pending.Pending]:
    """By portfolio id, what is on its way to the portfolios of a list."""
    return pending.pending_of({row.portfolio_id for row in rows})


@register.simple_tag
def pending_of(portfolio_id: str) -> pending.Pending:
    """What is on its way to one portfolio."""
    return pending.pending_of([portfolio_id]).get(portfolio_id, pending.Pending())


@register.simple_tag
def as_it_will_be(view: PortfolioView) -> outlook.ToBe | None:
    """The portfolio with everything done that is on its way to it; None where nothing is."""
    return outlook.as_it_will_be(view)


@register.simple_tag
def orders_to_clear_up() -> pending.ToClearUp:
    """What awaits a person's word, of the whole firm."""
    return pending.to_clear_up()


@register.simple_tag
def states_of_orders() -> list[table.StateRow]:
    """Every state an order can be in, as the table of moves has it."""
    return table.state_rows()


@register.filter
def of(found: Mapping[str, Any] | None, key: str) -> Any:
    """What a dictionary has of a key; None where it has nothing."""
    return found.get(key) if found else None
