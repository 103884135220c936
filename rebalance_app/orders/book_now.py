"""The book that a decision is held against: read before its transaction, and the orders that do not fit it any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.db.models import Q

from models_app.sources import get_source
from models_app.sources.book_source import Balances
from ordergen.core.db import in_batches
from ordergen.core.errors import Code, ConflictError
from rebalance_app.models import Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.orders.lines import OrderLine
from rebalance_app.proposals.run_inputs import has_gain_budget
from rebalance_app.proposals.stored import pack_lots

Verdict = Literal["approved", "rejected"]


@dataclass(frozen=True, slots=True)
class Book:
    """What some portfolios own, and the newest prices: read at once, because they may come from another service."""

    version: str
    portfolio_ids: frozenset[str]
    balances: Mapping[str, Balances]
    prices: Mapping[str, Decimal]

    def must_tell_of(self, portfolio_ids: Iterable[str]) -> None:
        """Raises ConflictError where the book changed since, or other portfolios are asked about than were read."""
        asked = set(portfolio_ids)
        if asked and (get_source().data_version() != self.version or not self.portfolio_ids.issuperset(asked)):
            raise ConflictError("The book or the run changed at this moment: look again.", code=Code.CHANGED_MEANWHILE)


def read_book(which: Sequence[Q], verdict: Verdict) -> Book:
    """The book as a decision on the orders of these filters needs it. May raise UnavailableError.

    A rejection needs no other service to answer, but where it might take the funding from buys approved before.
    """
    source = get_source()
    version = source.data_version()  # first: a change while we read voids what we read
    concerned = _owners(which) if verdict == "approved" else _owners_with_approved_buys(which)
    portfolio_ids = frozenset(concerned.values())
    if not portfolio_ids:
        return Book(version, portfolio_ids, {}, {})
    balances = source.balances(portfolio_ids)
    needed = {key for owned in balances.values() for key in owned.quantities}
    for batch in in_batches(concerned):
        traded = Order.objects.filter(proposal__in=batch).order_by().values_list("security_id", flat=True)
        needed.update(traded.distinct())
    prices = source.latest_prices(needed)
    return Book(version, portfolio_ids, balances, {key: info.price for key, info in prices.items()})


def _owners(which: Iterable[Q]) -> dict[str, str]:
    """By id of the proposals that these orders are of, the portfolio's."""
    pairs = ("proposal_id", "portfolio_id")
    found = [Order.objects.filter(some).order_by().values_list(*pairs).distinct() for some in which]
    return {proposal_id: portfolio_id for some in found for proposal_id, portfolio_id in some}


def _owners_with_approved_buys(which: Iterable[Q]) -> dict[str, str]:
    """The same of those proposals only that have buys approved before, and sales among these orders."""
    of_sales = in_batches(_owners([some & Q(side="SELL") for some in which]))
    return _owners([Q(proposal__in=batch, side="BUY", state=OrderState.APPROVED) for batch in of_sales])


def out_of_date(
    orders: Sequence[OrderLine], together: Sequence[OrderLine], now: Mapping[str, Balances]
) -> dict[str, str]:
    """Orders whose portfolio no longer holds what they were computed from, by order id.

    Where that is so of one order that awaits a decision, it is of all of its proposal, chosen with it or not: a buy
    counts on the cash of a sale.
    """
    cash: dict[str, Decimal | None] = {}
    for batch in in_batches({order.proposal_id for order in orders}):
        cash |= PortfolioRebalance.objects.filter(pk__in=batch).values_list("pk", "cash_before")
    moved: dict[str, str] = {}
    for order in together:
        if order.proposal_id in cash and order.state == OrderState.PROPOSED:
            reason = _moved(order, cash[order.proposal_id], now.get(order.portfolio_id))
            if reason:
                moved[order.proposal_id] = reason
    return {order.pk: moved[order.proposal_id] for order in orders if order.proposal_id in moved}


def _moved(order: OrderLine, cash_before: Decimal | None, balances: Balances | None) -> str:
    if balances is None:
        return "The book has no such portfolio any more."
    if balances.quantities.get(order.security_id, 0) != order.quantity_before:
        return f"The holding of {order.ticker} has changed since this was proposed: rebalance again."
    if cash_before is not None and balances.cash < cash_before:
        return "The portfolio has less cash than when this was proposed: rebalance again."
    return ""


def lots_changed(orders: Sequence[OrderLine], runs: Mapping[str, Rebalance]) -> dict[str, str]:
    """Orders under a gain budget whose portfolio has other tax lots than they were computed from, by order id.

    Only a book of our own has lots, so this reads no other service; any other book leaves such orders out of date.
    """
    limited = {key for key, run in runs.items() if has_gain_budget(run.options, run.limits)}
    changed = set()
    for batch in in_batches({order.proposal_id for order in orders if order.rebalance_id in limited}):
        rows = PortfolioRebalance.objects.filter(pk__in=batch, document__has_key="lots")
        stored = {pk: (key, lots) for pk, key, lots in rows.values_list("pk", "portfolio_id", "document__lots")}
        now = get_source().tax_lots({portfolio_id for portfolio_id, _ in stored.values()})
        changed |= {pk for pk, (key, lots) in stored.items() if pack_lots(now.get(key, {})) != lots}
    message = "The tax lots of the portfolio have changed since this was proposed: rebalance again."
    return {order.pk: message for order in orders if order.proposal_id in changed}


def already_traded(orders: Sequence[OrderLine], now: Mapping[str, Balances]) -> dict[str, str]:
    """Orders of portfolios with approved orders of another run that the holdings do not show yet, by order id.

    Both were computed from the same holdings and would spend the same cash, whichever securities they trade.
    """
    under_way: dict[str, dict[str, int]] = {}
    for batch in in_batches({order.portfolio_id for order in orders}):
        approved = Order.objects.filter(portfolio_id__in=batch, state=OrderState.APPROVED).order_by("pk")
        columns = ("portfolio_id", "security_id", "quantity_before", "rebalance_id", "rebalance__number")
        for portfolio_id, security_id, before, run_id, number in approved.values_list(*columns):
            if portfolio_id in now and now[portfolio_id].quantities.get(security_id, 0) == before:
                under_way.setdefault(portfolio_id, {})[run_id] = number
    return {
        order.pk: f"Run #{number} has approved orders that the holdings do not show yet: reject those first."
        for order in orders
        for run_id, number in under_way.get(order.portfolio_id, {}).items()
        if run_id != order.rebalance_id
    }
