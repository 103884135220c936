"""What people have set since a run was launched, as an approval needs to know it: models, limits, orders elsewhere.

All of it lies in our own tables and is read inside the transaction that decides: who changes it takes turns with us.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import Count, Min, Q

from models_app.models import InvestmentModel, ModelPortfolio, ModelPosition, ModelVersion
from ordergen.core.db import in_batches
from rebalance_app.judging.judge import ModelNow
from rebalance_app.judging.lines import OrderLine
from rebalance_app.limits.services import limits_now
from rebalance_app.models import Order, Rebalance
from rebalance_app.order_states.on_the_way import FollowedOrder, followed
from rebalance_app.order_states.table import OPEN_ORDER
from rebalance_app.proposals.run_inputs import Band

OPPOSITE = {"BUY": "SELL", "SELL": "BUY"}


@lru_cache(maxsize=4096)
def version_author(model_id: str, version: int) -> str | None:
    """Id of who saved a version of a model; None where the system did. It never changes, so it is read once."""
    saved = ModelVersion.objects.filter(model_id=model_id, version=version)
    return saved.values_list("saved_by_id", flat=True).first()


def models_now(orders: Iterable[OrderLine], runs: Mapping[str, Rebalance]) -> dict[str, ModelNow]:
    """By run id its model as it is now; absent where that still is the version that the run was launched on."""
    asked: defaultdict[str, set[str]] = defaultdict(set)
    for order in orders:
        asked[order.rebalance_id].add(order.portfolio_id)
    found = InvestmentModel.objects.in_bulk({runs[key].model_id for key in asked})
    return {
        key: _model_now(runs[key], model, portfolio_ids)
        for key, portfolio_ids in asked.items()
        if (model := found.get(runs[key].model_id)) is None or model.version != runs[key].model_version
    }


def _model_now(run: Rebalance, model: InvestmentModel | None, portfolio_ids: Iterable[str]) -> ModelNow:
    if model is None:
        return ModelNow(run.model_name, run.model_version)
    lines = ModelPosition.objects.filter(model=model).values_list("security_id", "target", "low_drift", "high_drift")
    targets: dict[str, Band] = {key: (target, low, high) for key, target, low, high in lines}
    followers = (
        ModelPortfolio.objects.filter(model=model, portfolio_id__in=batch).values_list("portfolio_id", flat=True)
        for batch in in_batches(portfolio_ids)
    )
    follow = frozenset(key for some in followers for key in some)
    return ModelNow(model.name, run.model_version, model.version, targets, follow)


@dataclass(frozen=True)
class Restrictions:
    """The limits in force now that forbid orders: by security id, and the portfolios that are on hold."""

    securities: Mapping[str, Mapping[str, Any]]
    held: frozenset[str]


def restrictions_now(orders: Sequence[OrderLine]) -> Restrictions:
    """Those of what these orders trade, and for whom."""
    of_portfolios = limits_now("portfolio", {order.portfolio_id for order in orders})
    held = frozenset(key for key, values in of_portfolios.items() if values.get("hold"))
    return Restrictions(limits_now("security", {order.security_id for order in orders}), held)


class Elsewhere(NamedTuple):
    """Open orders of one side in one security that are not of a run: how many, and the first of them."""

    n_orders: int
    first: FollowedOrder


def open_elsewhere(orders: Sequence[OrderLine]) -> dict[tuple[str, str, str], Elsewhere]:
    """By run, security and side, open orders of other runs that are the opposite of one of these.

    Those of the same run are not told of: whoever approves it sees them, and one model wants both.
    """
    wanted = {(order.rebalance_id, order.security_id, OPPOSITE[order.side]) for order in orders}
    found: dict[tuple[str, str, str], tuple[int, str]] = {}
    for run_id in sorted({run_id for run_id, _, _ in wanted}):
        for security_id, side, count, first in _open_but_of(run_id, {key for of, key, _ in wanted if of == run_id}):
            if (run_id, security_id, side) in wanted:
                found[run_id, security_id, side] = (count, first)
    firsts: dict[str, FollowedOrder] = {}
    for batch in in_batches({first for _, first in found.values()}):
        firsts |= {order.pk: order for order in followed(Q(pk__in=batch))}
    return {key: Elsewhere(count, firsts[first]) for key, (count, first) in found.items()}


def _open_but_of(run_id: str, security_ids: Iterable[str]) -> list[tuple[str, str, int, str]]:
    """Security, side, number and first id of the open orders in these securities that are not of this run."""
    if not Rebalance.objects.filter(n_approved__gt=0).exclude(pk=run_id).exists():
        return []
    found: list[tuple[str, str, int, str]] = []
    for batch in in_batches(security_ids):
        rows = Order.objects.filter(known_at__isnull=False, security_id__in=batch, state__in=OPEN_ORDER)
        by_side = rows.exclude(rebalance_id=run_id).order_by().values_list("security_id", "side")
        found += by_side.annotate(Count("pk"), Min("pk"))
    return found
