"""The book that a decision is held against: read before its transaction, and the orders that do not fit it any more."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Literal

from django.db.models import Q

from models_app.sources import get_source
from models_app.sources.book_source import Balances, PriceInfo
from ordergen.core.db import in_batches
from ordergen.core.errors import Code, ConflictError
from rebalance_app.judging.lines import OrderLine
from rebalance_app.models import Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.order_states.on_the_way import Coming, expected, followed, on_their_way
from rebalance_app.order_states.table import ENDED, OPEN_ORDER
from rebalance_app.proposals.run_inputs import has_gain_budget, inputs_of
from rebalance_app.proposals.stored import pack_lots

Verdict = Literal["approved", "rejected"]


@dataclass(frozen=True)
class Book:
    """What some portfolios own, and the newest prices: read at once, because they may come from another service."""

    version: str
    portfolio_ids: frozenset[str]
    balances: Mapping[str, Balances]
    quotes: Mapping[str, PriceInfo]

    @cached_property
    def prices(self) -> dict[str, Decimal]:
        return {key: quote.price for key, quote in self.quotes.items()}

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
    return Book(version, portfolio_ids, balances, source.latest_prices(needed))


def _owners(which: Iterable[Q]) -> dict[str, str]:
    """By id of the proposals that these orders are of, the portfolio's."""
    pairs = ("proposal_id", "portfolio_id")
    found = [Order.objects.filter(some).order_by().values_list(*pairs).distinct() for some in which]
    return {proposal_id: portfolio_id for some in found for proposal_id, portfolio_id in some}


def _owners_with_approved_buys(which: Iterable[Q]) -> dict[str, str]:
    """The same of those proposals only that have buys approved before, and sales among these orders."""
    of_sales = in_batches(_owners([some & Q(side="SELL") for some in which]))
    return _owners([Q(proposal__in=batch, side="BUY", state__in=OPEN_ORDER | ENDED) for batch in of_sales])


class Expected:
    """What portfolios will own once the orders of other proposals are done that are on their way to them.

    Make it inside the transaction that decides: what is on its way changes with every approval.
    """

    def __init__(self, book: Book, orders: Iterable[OrderLine]) -> None:
        self._there = {o.portfolio_id: book.balances[o.portfolio_id] for o in orders if o.portfolio_id in book.balances}
        self._coming = on_their_way(self._there)

    def others(self, order: OrderLine) -> list[Coming]:
        """What is on its way to the order's portfolio, but for its own proposal."""
        coming = self._coming.get(order.portfolio_id, ())
        return [one for one in coming if one.order.proposal_id != order.proposal_id]

    def of(self, order: OrderLine, prices: Mapping[str, Decimal]) -> Balances | None:
        """What the order's portfolio will own, at these prices; None of one that the book has no more."""
        there = self._there.get(order.portfolio_id)
        return there and expected(there, self.others(order), prices)


def out_of_date(orders: Sequence[OrderLine], together: Sequence[OrderLine], now: Expected) -> dict[str, str]:
    """Orders whose portfolio is no longer to hold what they were computed from, by order id.

    Where that is so of one order that awaits a decision, it is of all of its proposal, chosen with it or not: a buy
    counts on the cash of a sale.
    """
    cash: dict[str, Decimal | None] = {}
    for batch in in_batches({order.proposal_id for order in orders}):
        cash |= PortfolioRebalance.objects.filter(pk__in=batch).values_list("pk", "cash_before")
    moved: dict[str, str] = {}
    found: dict[str, Balances | None] = {}
    for order in together:
        key = order.proposal_id
        if key in cash and order.state == OrderState.PROPOSED:
            if key not in found:
                found[key] = now.of(order, inputs_of(order.rebalance_id).prices)
            if reason := _moved(order, cash[key], found[key]):
                moved[key] = reason
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


def not_counted(orders: Sequence[OrderLine], now: Expected) -> dict[str, str]:
    """Orders of proposals that do not know of what is on its way to their portfolios, by order id.

    Both were computed from the same holdings and would spend the same cash, whichever securities they trade.
    """
    others = {order.proposal_id: some for order in orders if (some := now.others(order))}
    counted: dict[str, frozenset[str]] = {}
    for batch in in_batches(others):
        rows = PortfolioRebalance.objects.filter(pk__in=batch, document__has_key="open_orders")
        for pk, told in rows.values_list("pk", "document__open_orders"):
            counted[pk] = frozenset(order["id"] for order in told)
    reasons = {key: _uncounted(some, counted.get(key, frozenset())) for key, some in others.items()}
    return {order.pk: reason for order in orders if (reason := reasons.get(order.proposal_id))}


def _uncounted(others: Iterable[Coming], counted: Container[str]) -> str:
    for order, _, is_unclear, _ in others:
        if is_unclear and not order.is_open:
            return f"{order} is done, and holdings stated since do not show it: state holdings and cash that do."
        if is_unclear:
            return f"{order} is open, and the holdings were stated anew since: say first what became of it."
        if order.pk not in counted:
            number = order.rebalance__number
            return f"Run #{number} has orders on their way that this proposal does not count: rebalance again."
    return ""


def approved_earlier(orders: Sequence[OrderLine], now: Mapping[str, Balances]) -> dict[str, str]:
    """Orders of portfolios with others of another run that were approved before orders were followed, by order id.

    Of those nothing is known but the holding: while it is as it was before them, they may still be to come.
    """
    waiting: dict[str, dict[str, int]] = {}
    for batch in in_batches({order.portfolio_id for order in orders}):
        for earlier in followed(Q(portfolio_id__in=batch, state=OrderState.APPROVED_EARLIER)):
            there = now.get(earlier.portfolio_id)
            if there and there.quantities.get(earlier.security_id, 0) == earlier.quantity_before:
                waiting.setdefault(earlier.portfolio_id, {})[earlier.rebalance_id] = earlier.rebalance__number
    return {
        order.pk: f"Run #{number} has orders approved earlier that the holdings do not show: say what became of them."
        for order in orders
        for run_id, number in waiting.get(order.portfolio_id, {}).items()
        if run_id != order.rebalance_id
    }
