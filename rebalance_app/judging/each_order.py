"""What is read and asked of each order that somebody wants to approve: see `judge` for the rules themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

from django.conf import settings
from django.utils import timezone

from models_app.sources.book_source import PriceInfo
from rebalance_app.judging.book_now import Book
from rebalance_app.judging.judge import (
    Objection,
    Weight,
    age_objection,
    hold_objection,
    model_objection,
    opposite_objection,
    price_age_objection,
    price_objection,
    restriction_objection,
)
from rebalance_app.judging.judgement import Judgement, in_words
from rebalance_app.judging.lines import OrderLine
from rebalance_app.judging.rules_now import OPPOSITE, models_now, open_elsewhere, restrictions_now
from rebalance_app.models import OrderState, Rebalance
from rebalance_app.proposals.run_inputs import inputs_of


def judge_models(judged: Judgement, orders: Sequence[OrderLine], together: Sequence[OrderLine]) -> None:
    """A proposal stands and falls as a whole: a buy counts on the cash of a sale."""
    changed = models_now(orders, judged.runs)
    traded: defaultdict[str, set[str]] = defaultdict(set)
    for order in together if changed else ():
        if order.state == OrderState.PROPOSED:
            traded[order.proposal_id].add(order.security_id)
    found: dict[str, tuple[Weight, str]] = {}
    for order in orders:
        if (model := changed.get(order.rebalance_id)) is None:
            continue
        if order.proposal_id not in found:
            whose = (order.portfolio_id, order.portfolio_name)
            targets = inputs_of(order.rebalance_id).targets
            objection = model_objection(model, *whose, traded[order.proposal_id], targets)
            found[order.proposal_id] = in_words(objection, order)
        judged.object(order, found[order.proposal_id])


def judge_ages(judged: Judgement, orders: Sequence[OrderLine]) -> None:
    limits = {"soft": settings.PROPOSAL_AGE_SOFT, "hard": settings.PROPOSAL_AGE_HARD}
    today = timezone.now().date()
    found: dict[str, tuple[Weight, str] | None] = {}
    for order in orders:
        key = order.rebalance_id
        if key not in found:
            objection = age_objection(judged.runs[key].launched_at.date(), today, **limits)
            found[key] = in_words(objection, order) if objection else None
        if told := found[key]:
            judged.object(order, told)


def judge_restrictions(judged: Judgement, orders: Sequence[OrderLine]) -> None:
    now = restrictions_now(orders)
    if not now.held and not now.securities:
        return
    for order in orders:
        then = inputs_of(order.rebalance_id).restrictions.get(order.security_id, {})
        restricted = restriction_objection(order, then, now.securities.get(order.security_id, {}))
        held = hold_objection(order.portfolio_name) if order.portfolio_id in now.held else None
        if objection := held or restricted:
            judged.object(order, in_words(objection, order))


def judge_prices(judged: Judgement, orders: Sequence[OrderLine], book: Book) -> None:
    found: dict[tuple[str, str], list[tuple[Weight, str]]] = {}  # a run has one price for all orders of a security
    for order in orders:
        key = (order.rebalance_id, order.security_id)
        if key not in found:
            objections = _price_objections(order, judged.runs[order.rebalance_id], book.quotes.get(order.security_id))
            found[key] = [in_words(objection, order) for objection in objections]
        for one in found[key]:
            judged.object(order, one)


def _price_objections(order: OrderLine, run: Rebalance, quote: PriceInfo | None) -> Iterator[Objection]:
    """What the newest price speaks against; where it refuses, that alone."""
    limits = {"soft": settings.PRICE_MOVED_SOFT, "hard": settings.PRICE_MOVED_HARD}
    moved = price_objection(order, quote.price if quote else None, **limits)
    if moved:
        yield moved
    then = inputs_of(run.pk).quotes[order.security_id]["date"]
    if quote is None or not then or (moved and not moved.is_soft):
        return
    old = price_age_objection(
        order.security_id,
        priced_on=quote.date,
        priced_then=date.fromisoformat(then),
        launched_on=run.launched_at.date(),
        today=timezone.now().date(),
        soft=settings.PRICE_AGE_SOFT,
    )
    if old:
        yield old


def judge_opposites(judged: Judgement, orders: Sequence[OrderLine]) -> None:
    found: dict[tuple[str, str, str], tuple[Weight, str]] = {}
    elsewhere = open_elsewhere(orders)
    for order in orders if elsewhere else ():
        key = (order.rebalance_id, order.security_id, OPPOSITE[order.side])
        if key not in elsewhere:
            continue
        if key not in found:
            count, other = elsewhere[key]
            objection = opposite_objection(
                order.security_id,
                side=other.side,
                quantity=other.quantity,
                run=other.rebalance__number,
                portfolio=other.portfolio_name,
                more=count - 1,
            )
            found[key] = in_words(objection, order)
        judged.object(order, found[key])
