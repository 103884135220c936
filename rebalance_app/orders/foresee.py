"""What a decision would do, judged as the decision itself is, and shown before it is taken; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from django.db.models import Q

from ordergen.accounts.models import User
from ordergen.core.db import in_batches
from ordergen.core.errors import NotFoundError, UnavailableError
from rebalance_app.judging.book_now import Verdict, read_book
from rebalance_app.judging.findings import judge_approval, judge_rejection
from rebalance_app.judging.judgement import CashLine, Finding, Judgement, policy
from rebalance_app.judging.lines import OrderLine, lines_where
from rebalance_app.models import OrderState, Rebalance
from rebalance_app.orders.decide import portfolios_awaiting, with_others
from rebalance_app.orders.paging import BY_VALUE, order_list, order_scope
from rebalance_app.orders.selectors import (
    LARGEST_SHOWN,
    BlotterFilter,
    Exclusion,
    Preview,
    awaiting_totals,
    exclusions,
    left_alone,
    order_totals,
)

FORESEEN = 40_000  # orders of a run that are judged for a page, in about three seconds; of more, that many
CASH_SHOWN = 10  # portfolios, those with the least left above their floor


def orders_foresee(*, by: User, order_ids: Sequence[str], verdict: Verdict) -> Preview:
    """What a decision on these orders would cover, by somebody who says why. Raises NotFoundError."""
    wanted = dict.fromkeys(order_ids)
    orders = [line for batch in in_batches(wanted) for line in lines_where(Q(pk__in=batch))]
    if len(orders) != len(wanted):
        raise NotFoundError("Some of these orders do not exist. Reload the list and select again.")
    together = with_others(orders) if verdict == "approved" else orders
    return _preview(_looked([(orders, together)], by, verdict))


def run_foresee(*, by: User, run: Rebalance, verdict: Verdict) -> Preview:
    """The same for all orders of a run that await a decision. Of more than FORESEEN, a part of them is looked at."""
    if (found := policy(by, run, OrderState.PROPOSED, verdict)) and run.n_awaiting:
        return Preview(order_totals(()), [], [Exclusion(found.why, run.n_awaiting)])
    awaiting = (lines_where(Q(proposal__in=at_once, state=OrderState.PROPOSED)) for at_once in portfolios_awaiting(run))
    if run.n_awaiting <= FORESEEN:
        return _preview(_looked(((orders, orders) for orders in awaiting), by, verdict))
    looked_at = list(_up_to(awaiting, FORESEEN))
    seen = _looked(((orders, orders) for orders in looked_at), by, verdict)
    every, part, covered = awaiting_totals(run), order_totals(chain(*looked_at)), order_totals(seen.covered)
    kept = {order.pk for order in seen.covered}
    left = {order.pk for orders in looked_at for order in orders if order.pk not in kept}
    largest = order_list(order_scope(BlotterFilter(run=run.number, sort=BY_VALUE))).rows
    return replace(
        _preview(seen),
        totals=every.without(part).with_(covered),
        largest=[order for order in largest if order.pk not in left][:LARGEST_SHOWN],
        n_looked_at=part.count,
    )


def _up_to(parts: Iterable[list[OrderLine]], count: int) -> Iterator[list[OrderLine]]:
    """The first of these parts, until they have about so many orders."""
    for orders in parts:
        yield orders
        count -= len(orders)
        if count < len(orders) / 2:
            return


@dataclass
class _Looked:
    """What looking at orders found: those covered, why others are left out, what takes a reason, what cash is left."""

    covered: list[OrderLine] = field(default_factory=list)
    left: list[Finding] = field(default_factory=list)
    asks: list[str] = field(default_factory=list)
    cash: list[CashLine] = field(default_factory=list)


def _looked(parts: Iterable[tuple[list[OrderLine], list[OrderLine]]], by: User, verdict: Verdict) -> _Looked:
    """At orders, in parts that are each decided on at once with all that awaits of their proposals."""
    seen = _Looked()
    for orders, together in parts:
        try:
            judged = _judged(by, orders, verdict, together)
        except UnavailableError as error:
            seen.left += [Finding(error.message)] * len(orders)
            continue
        seen.covered += judged.open(orders)
        seen.left += judged.left_alone.values()
        seen.asks += chain.from_iterable(judged.asks.values())
        seen.cash += judged.cash
    return seen


def _preview(seen: _Looked) -> Preview:
    cash = sorted(seen.cash, key=lambda line: (line.outlook.after - line.outlook.floor, line.portfolio_name))
    return Preview(
        order_totals(seen.covered),
        sorted(seen.covered, key=lambda order: -order.value)[:LARGEST_SHOWN],
        left_alone(seen.left),
        exclusions(seen.asks),
        cash[:CASH_SHOWN],
        len(cash),
    )


def _judged(by: User, orders: Sequence[OrderLine], verdict: Verdict, together: Sequence[OrderLine]) -> Judgement:
    # By their proposals, not by their own ids: nothing else of them is read, and there may be thousands.
    book = read_book([Q(proposal__in=batch) for batch in in_batches({o.proposal_id for o in orders})], verdict)
    if verdict == "rejected":
        return judge_rejection(by, orders, book)
    return judge_approval(by, orders, book, together, has_reason=True)
