"""What speaks against a decision on orders: one judgement for every door, before the decision and in it.

    policy   who may decide so on what is in which state
    book     a traded holding, the cash or the lots changed; another run's orders are under way
    prices   the newest price is too far from the order's
    funding  the orders of a proposal that stay or become approved cannot be paid for by themselves

Each looks at what the ones before it have left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from django.conf import settings
from django.db.models import Q

from models_app.portfolio.types import Reason
from ordergen.accounts.models import User
from ordergen.core.db import in_batches
from rebalance_app.formats.sentences import sentence
from rebalance_app.models import Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.order_states.on_the_way import FollowedOrder, followed
from rebalance_app.order_states.table import refusal_of
from rebalance_app.orders.book_now import (
    Book,
    Expected,
    Verdict,
    approved_earlier,
    lots_changed,
    not_counted,
    out_of_date,
)
from rebalance_app.orders.judge import Funds, Objection, Proposed, price_objection
from rebalance_app.orders.lines import OrderLine
from rebalance_app.orders.selectors import CashLine
from rebalance_app.proposals.run_inputs import inputs_of


@dataclass(frozen=True, slots=True)
class Judgement:
    """By order id, why it is left alone, and why approving it takes a reason; what becomes of each portfolio's cash.

    What takes a reason that was not given is in both. `runs` are those of the orders, by id.
    """

    runs: Mapping[str, Rebalance]
    left_alone: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    cash: list[CashLine] = field(default_factory=list)

    def open(self, orders: Iterable[OrderLine]) -> list[OrderLine]:
        """Of these orders what is not left alone so far."""
        return [order for order in orders if order.pk not in self.left_alone]

    def leave_alone(self, orders: Iterable[OrderLine], why: str) -> None:
        for order in orders:
            self.left_alone[order.pk] = why
            self.asks.pop(order.pk, None)


def judge_approval(
    by: User, orders: Sequence[OrderLine], book: Book, together: Sequence[OrderLine], *, has_reason: bool
) -> Judgement:
    """What an approval would leave alone; `together` is all that awaits a decision of the proposals concerned.

    `has_reason`: the person says why, which overcomes what is soft. Raises ConflictError where the book is not what was
    read any more.
    """
    judged = _judge_policy(by, orders, "approved")
    book.must_tell_of(order.portfolio_id for order in orders)
    of_book = judged.open(orders)
    to_be = Expected(book, of_book)
    judged.left_alone.update(
        lots_changed(of_book, judged.runs)
        | out_of_date(of_book, together, to_be)
        | not_counted(of_book, to_be)
        | approved_earlier(of_book, book.balances)
    )
    _judge_prices(judged, judged.open(orders), book)
    _judge_funding(judged, judged.open(orders), book, together)
    if judged.asks and not has_reason:  # never more than with a reason: what remains has to be paid for as well
        judged.left_alone.update(judged.asks)
        judged.cash.clear()
        _judge_funding(judged, judged.open(orders), book, together)
    return judged


def judge_rejection(by: User, orders: Sequence[OrderLine], book: Book) -> Judgement:
    """What a rejection would leave alone. Raises ConflictError where the book is not what was read any more."""
    judged = _judge_policy(by, orders, "rejected")
    _judge_withdrawal(judged, judged.open(orders), book)
    return judged


def why_not(user: User, order: Order, verdict: Verdict = "approved") -> str:
    """Why this person may not decide so on this order, in words; empty when they may.

    What can be told from the order alone; approving also looks at the book and at earlier approvals.
    """
    return policy(user, order.rebalance.launched_by_id, order.state, verdict)


def policy(user: User, launched_by_id: str | None, state: str, verdict: Verdict) -> str:
    """The same of any order in this state, of a run launched by that person."""
    if not user.can("order.decide"):
        return "Deciding on orders needs the role approver."
    if verdict == "approved" and launched_by_id == user.pk:
        return "You launched this run: another approver must decide."
    return refusal_of("approve" if verdict == "approved" else "reject", state)


def _judge_policy(by: User, orders: Sequence[OrderLine], verdict: Verdict) -> Judgement:
    judged = Judgement(Rebalance.objects.in_bulk({order.rebalance_id for order in orders}))
    for order in orders:
        if reason := policy(by, judged.runs[order.rebalance_id].launched_by_id, order.state, verdict):
            judged.left_alone[order.pk] = reason
    return judged


def _judge_prices(judged: Judgement, orders: Sequence[OrderLine], book: Book) -> None:
    limits = {"soft": settings.PRICE_MOVED_SOFT, "hard": settings.PRICE_MOVED_HARD}
    found: dict[tuple[str, str], tuple[Objection, str] | None] = {}  # a run has one price for all orders of a security
    for order in orders:
        key = (order.rebalance_id, order.security_id)
        if key not in found:
            against = price_objection(order, book.prices.get(order.security_id), **limits)
            found[key] = (against, _said(against.reason, order)) if against else None
        if told := found[key]:
            objection, text = told
            (judged.asks if objection.is_soft else judged.left_alone)[order.pk] = text


def _judge_funding(judged: Judgement, orders: Sequence[OrderLine], book: Book, together: Sequence[OrderLine]) -> None:
    """Leaves alone the buys of each proposal that cannot be paid for by what was approved before and is chosen now."""
    chosen, approve = _by_proposal(orders), {order.pk for order in orders}
    approved = _approved_of(chosen)
    hopeless = judged.left_alone.keys() - judged.asks.keys()
    selling = {
        o.proposal_id
        for o in together
        if o.side == "SELL" and o.state == OrderState.PROPOSED and o.pk not in approve and o.pk not in hopeless
    }
    for proposal_id, funds in _funds(chosen, book).items():
        before, some = approved[proposal_id], chosen[proposal_id]
        buys = [order for order in some if order.side == "BUY"]
        now, then = funds.now(before, some), funds.then(before, some)
        if buys and (reason := funds.unfunded(now, then, sales_left=proposal_id in selling)):
            judged.leave_alone(buys, f"{some[0].portfolio_name}: {_said(reason, some[0])}")
            now = funds.now(before, judged.open(some))
        judged.cash.append(CashLine(some[0].portfolio_name, now))


def _judge_withdrawal(judged: Judgement, orders: Sequence[OrderLine], book: Book) -> None:
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
            judged.leave_alone(sales[proposal_id], f"{some[0].portfolio_name}: {_said(reason, some[0])}")
        rejected = {order.pk for order in judged.open(some)}
        kept = funds.now([order for order in before if order.pk not in rejected])
        judged.cash.append(CashLine(some[0].portfolio_name, replace(kept, approved=funds.now(before).approved)))


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
    stored = {}
    for batch in in_batches(chosen):
        rows = PortfolioRebalance.objects.filter(pk__in=batch).values_list(
            "pk", "cash_before", "market_value", "cash_after"
        )
        stored.update({pk: Proposed(*figures) for pk, *figures in rows if None not in figures})
    to_be = Expected(book, (order for order, *_ in chosen.values()))
    return {
        key: Funds(inputs_of(order.rebalance_id).options_of(order.portfolio_id)[0], stored.get(key), owned, book.prices)
        for key, (order, *_) in chosen.items()
        if (owned := to_be.of(order, book.prices)) is not None
    }


def _said(reason: Reason, order: OrderLine) -> str:
    return sentence(reason, inputs_of(order.rebalance_id).ticker)
