"""What of each proposal can be approved or rejected by itself: see `funds` for the rules themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Protocol, TypeVar

from django.db.models import Q

from models_app.portfolio.types import Reason
from ordergen.core.db import in_batches
from rebalance_app.judging.book_now import Book, Expected
from rebalance_app.judging.funds import Breach, Funds, Proposed
from rebalance_app.judging.judgement import CashLine, Judgement, said
from rebalance_app.judging.lines import OrderLine
from rebalance_app.models import OrderState, PortfolioRebalance
from rebalance_app.order_states.on_the_way import FollowedOrder, followed
from rebalance_app.proposals.run_inputs import inputs_of
from rebalance_app.proposals.stored import read_lots


def judge_funding(judged: Judgement, orders: Sequence[OrderLine], book: Book, together: Sequence[OrderLine]) -> None:
    """Leaves alone what of each proposal breaks a limit of its run, with what was approved before and is chosen now."""
    chosen, approve = _by_proposal(orders), {order.pk for order in orders}
    approved = _approved_of(chosen)
    hopeless = judged.left_alone.keys() - judged.asks.keys()
    undecided: defaultdict[str, set[str]] = defaultdict(set)
    for o in together:
        if o.state == OrderState.PROPOSED and o.pk not in approve and o.pk not in hopeless:
            undecided[o.proposal_id].add(o.side)
    for proposal_id, funds in _funds(chosen, book).items():
        before, some = approved[proposal_id], chosen[proposal_id]
        while broken := _first_that_concerns(funds.breaches(before, some, undecided[proposal_id]), some):
            left = [order for order in some if order.side in broken.sides]
            judged.leave_alone(left, f"{some[0].portfolio_name}: {said(broken.reason, some[0])}")
            some = judged.open(some)
        judged.cash.append(CashLine(chosen[proposal_id][0].portfolio_name, funds.now(before, some)))


def _first_that_concerns(breaches: Iterable[Breach], orders: Sequence[OrderLine]) -> Breach | None:
    """The first that leaving some of these orders alone would mend."""
    sides = {order.side for order in orders}
    return next((breach for breach in breaches if breach.sides & sides), None)


def judge_withdrawal(judged: Judgement, orders: Sequence[OrderLine], book: Book) -> None:
    """Leaves alone the sales of each proposal without which buys approved before cannot be paid for."""
    chosen, reject = _by_proposal(orders), {order.pk for order in orders}
    sales = {key: [order for order in some if order.side == "SELL"] for key, some in chosen.items()}
    approved = _approved_of(key for key, some in sales.items() if some)
    at_stake = {
        key: chosen[key]
        for key, some in approved.items()
        if any(order.side == "BUY" and order.pk not in reject for order in some)
    }
    book.must_tell_of(some[0].portfolio_id for some in at_stake.values())
    for proposal_id, funds in _funds(at_stake, book).items():
        before, some = approved[proposal_id], chosen[proposal_id]
        if reason := funds.withdrawn([order for order in before if order.pk not in reject]):
            judged.leave_alone(sales[proposal_id], f"{some[0].portfolio_name}: {said(reason, some[0])}")
        rejected = {order.pk for order in judged.open(some)}
        kept = funds.now([order for order in before if order.pk not in rejected])
        judged.cash.append(CashLine(some[0].portfolio_name, replace(kept, approved=funds.now(before).approved)))


def overdrawn(orders: Sequence[OrderLine], book: Book) -> dict[str, str]:
    """Open buys of proposals whose approved orders are short of cash at today's cash and prices, by order id."""
    found = {}
    opened = _by_proposal(orders)
    approved = _approved_of(opened)
    for proposal_id, funds in _funds(opened, book).items():
        buys = [order for order in opened[proposal_id] if order.side == "BUY"]
        outlook = funds.now(approved[proposal_id])
        if buys and outlook.is_short:
            short = Reason("APPROVED_BELOW_FLOOR", None, {"cash_after": outlook.left, "floor": outlook.floor})
            why = f"{buys[0].portfolio_name}: {said(short, buys[0])}"
            found.update(dict.fromkeys((order.pk for order in buys), why))
    return found


def _approved_of(proposal_ids: Iterable[str]) -> defaultdict[str, list[FollowedOrder]]:
    """By proposal its orders that were approved before, whatever became of them."""
    batches = in_batches(set(proposal_ids))
    return _by_proposal(order for batch in batches for order in followed(Q(proposal_id__in=batch)))


class _OfProposal(Protocol):
    @property
    def proposal_id(self) -> str: ...


Some = TypeVar("Some", bound=_OfProposal)


def _by_proposal(orders: Iterable[Some]) -> defaultdict[str, list[Some]]:
    groups: defaultdict[str, list[Some]] = defaultdict(list)
    for order in orders:
        groups[order.proposal_id].append(order)
    return groups


def _funds(chosen: Mapping[str, Sequence[OrderLine]], book: Book) -> dict[str, Funds]:
    """By proposal what pays for its orders; nothing of a portfolio that the book has no more."""
    stored = _proposed(chosen)
    to_be = Expected(book, (order for order, *_ in chosen.values()))
    return {
        key: Funds(inputs_of(order.rebalance_id).options_of(order.portfolio_id)[0], stored.get(key), owned, book.prices)
        for key, (order, *_) in chosen.items()
        if (owned := to_be.of(order, book.prices)) is not None
    }


def _proposed(chosen: Mapping[str, Sequence[OrderLine]]) -> dict[str, Proposed]:
    """What these proposals were computed from, of those that kept it; tax lots are read where a budget needs them."""
    stored: dict[str, Proposed] = {}
    figures = ("pk", "cash_before", "market_value", "cash_after")
    for batch in in_batches(chosen):
        rows = PortfolioRebalance.objects.filter(pk__in=batch).values_list(*figures)
        stored.update({pk: Proposed(*known) for pk, *known in rows if None not in known})
    limited = [key for key, (order, *_) in chosen.items() if inputs_of(order.rebalance_id).has_gain_budget]
    for batch in in_batches(limited):
        of_lots = PortfolioRebalance.objects.filter(pk__in=batch, document__has_key="lots").only("document")
        for row in of_lots:
            if row.pk in stored and (gained := (row.document or {}).get("realised_gain")) is not None:
                stored[row.pk] = replace(stored[row.pk], gain=Decimal(gained), lots=read_lots(row.document or {}))
    return stored
