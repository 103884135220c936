"""What `ordergen verify` tells beside faults: what the judgement of an approval would refuse now, whoever approves.

    awaiting   orders that nobody could approve as things are, by run and reason
    approved   portfolios whose approved orders overdraw them at today's cash and prices

Nothing is wrong with such rows: prices, models and holdings have moved on. The book may be kept by another service, so
this is read after the checks of rows, and not as of their moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import Q

from ordergen.core.errors import ConflictError, UnavailableError
from rebalance_app.judging.book_now import read_book
from rebalance_app.judging.each_proposal import overdrawn
from rebalance_app.judging.findings import judge_orders
from rebalance_app.judging.judgement import Judgement
from rebalance_app.judging.lines import OrderLine, lines_where
from rebalance_app.models import OrderState, Rebalance
from rebalance_app.order_states.table import OPEN_ORDER
from rebalance_app.orders.decide import DecisionOutcome, portfolios_awaiting
from rebalance_app.runs.selectors import DECIDED

TOLD = 100  # lines; what there is beyond is like them


def refused_now() -> list[dict[str, Any]]:
    """One line for each run and reason, at most TOLD of them: run, what (awaiting or approved), orders, reason."""
    return list(islice(_lines(), TOLD))


def _lines() -> Iterator[dict[str, Any]]:
    for run in Rebalance.objects.filter(n_orders__gt=DECIDED).order_by("number"):
        for reason, count in _awaiting(run).reasons.most_common():
            yield {"run": run.number, "what": "awaiting", "orders": count, "reason": reason}
    for run in Rebalance.objects.filter(n_approved__gt=0).order_by("number"):
        for reason, count in _overdrawn(run).reasons.most_common():
            yield {"run": run.number, "what": "approved", "orders": count, "reason": reason}


def _awaiting(run: Rebalance) -> DecisionOutcome:
    found = DecisionOutcome()
    for proposal_ids in portfolios_awaiting(run):
        which = Q(proposal__in=proposal_ids, state=OrderState.PROPOSED)
        orders = lines_where(which)
        if orders:
            found.add(0, _refused(run, orders, which))
    return found


def _refused(run: Rebalance, orders: list[OrderLine], which: Q) -> dict[str, str]:
    judged = Judgement({run.pk: run})
    try:
        judge_orders(judged, orders, read_book([which], "approved"), orders)
    except (UnavailableError, ConflictError) as error:
        return {order.pk: f"Not judged: {error.message}" for order in orders}
    return {key: found.why for key, found in judged.left_alone.items()}


def _overdrawn(run: Rebalance) -> DecisionOutcome:
    found = DecisionOutcome()
    for proposal_ids in portfolios_awaiting(run):
        which = Q(proposal__in=proposal_ids, state__in=OPEN_ORDER)
        orders = lines_where(which)
        if not orders:
            continue
        try:
            found.add(0, overdrawn(orders, read_book([which], "approved")))
        except UnavailableError as error:
            found.add(0, {order.pk: f"Not judged: {error.message}" for order in orders})
    return found
