"""Reading orders for the blotter. Lists page by key; sums of money are made here, never in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Prefetch, Sum

from models_app.portfolio.lots import gain, lots_sold
from models_app.portfolio.types import ZERO
from models_app.sources import get_source
from ordergen.core.errors import NotFoundError
from rebalance_app.judging.judgement import CashLine, Finding
from rebalance_app.judging.lines import OrderLine
from rebalance_app.models import ANSWERED, Decision, Order, OrderMove, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.order_states.on_the_way import stated_since
from rebalance_app.order_states.table import AWAITING, ENDED, OPEN_ORDER, refusal_of
from rebalance_app.proposals.selectors import LONG
from rebalance_app.proposals.stored import counted_changes, read_lots
from rebalance_app.runs.selectors import AWAITING_ORDERS, run_totals

TABS: dict[str, tuple[OrderState, ...]] = {
    "awaiting": tuple(state for state in OrderState if state in AWAITING),
    "approved": tuple(state for state in OrderState if state in OPEN_ORDER),
    "ended": tuple(state for state in OrderState if state in ENDED),
    "rejected": (OrderState.REJECTED,),
    "all": tuple(OrderState),
}
LARGEST_SHOWN = 5
SORTS = ("ticker", "value")  # what the blotter sorts by, either way; without one, by the order of proposal
LARGE_COUNT, LARGE_VALUE = 500, Decimal(10_000_000)  # above either, an approval has to be typed out


@dataclass(frozen=True)
class BlotterFilter:
    """What the blotter shows. Empty means any."""

    tab: str = "awaiting"
    run: int | None = None
    side: str = ""
    ticker: str = ""
    portfolio: str = ""
    sort: str = ""
    value: Decimal | None = None  # and above
    state: str = ""  # one of the tab's

    @property
    def states(self) -> tuple[OrderState, ...]:
        return (OrderState(self.state),) if self.state else TABS[self.tab]

    @property
    def is_narrow(self) -> bool:
        return bool(self.run or self.side or self.ticker or self.portfolio or self.state or self.value is not None)


def tab_of(state: str, tab: str = "") -> str:
    """The tab to show orders in this state in: the one asked for, where it has them, else the narrowest that has."""
    return next(name for name in (tab, *TABS) if state in TABS.get(name, ()))


WITH_DECISIONS = Prefetch("decisions", Decision.objects.select_related("decided_by").order_by("decided_at", "pk"))


def last_decision(order: Order) -> Decision | None:
    """What was decided last, of an order that was read WITH_DECISIONS."""
    decisions = list(order.decisions.all())
    return decisions[-1] if decisions else None


@dataclass(frozen=True)
class OrderRow:
    """An order in the blotter, with the policy's reason why this person may not approve it; empty when they may.

    `is_unclear`: its portfolio's holdings were stated anew since anything was heard of it.
    """

    order: Order
    why_not: str
    may_reject: bool
    is_unclear: bool = False

    @property
    def decision(self) -> Decision | None:
        return last_decision(self.order)

    @property
    def is_open(self) -> bool:
        """Whether there is anything this person may decide on it."""
        return not self.why_not or self.may_reject

    @property
    def may_be_chosen(self) -> bool:
        """Whether there is anything this person may do with it in a list: decide on it, or say what became of it."""
        return self.is_open or not refusal_of("close", self.order.state)


_COUNTED = {"all": "n_orders", "approved": "n_approved", "ended": "n_ended", "rejected": "n_rejected"}


def order_counts(run: Rebalance | None = None) -> dict[str, int]:
    """How many orders each tab has, from the counters of all runs, or of one."""
    if run is not None:
        return {tab: getattr(run, name) for tab, name in _COUNTED.items()} | {"awaiting": run.n_awaiting}
    sums = {tab: Sum(name) for tab, name in _COUNTED.items()} | {"awaiting": Sum(AWAITING_ORDERS)}
    return {tab: count or 0 for tab, count in Rebalance.objects.aggregate(**sums).items()}


@dataclass(frozen=True)
class OrderTotals:
    """Money and portfolios of some orders."""

    count: int
    buys: Decimal
    sells: Decimal
    portfolios: int

    @property
    def net(self) -> Decimal:
        return self.sells - self.buys

    def without(self, part: OrderTotals) -> OrderTotals:
        """Of the rest, when all orders of the part's portfolios are in it."""
        return self.with_(OrderTotals(-part.count, -part.buys, -part.sells, -part.portfolios))

    def with_(self, more: OrderTotals) -> OrderTotals:
        """Together with orders of other portfolios."""
        return OrderTotals(
            self.count + more.count,
            self.buys + more.buys,
            self.sells + more.sells,
            self.portfolios + more.portfolios,
        )


def order_totals(orders: Iterable[OrderLine]) -> OrderTotals:
    return _totals((order.portfolio_id, order.side, order.value) for order in orders)


def _totals(orders: Iterable[tuple[str, str, Decimal]]) -> OrderTotals:
    buys = sells = ZERO
    count, portfolios = 0, set()
    for portfolio_id, side, value in orders:
        count += 1
        portfolios.add(portfolio_id)
        buys += value if side == "BUY" else ZERO
        sells += value if side == "SELL" else ZERO
    return OrderTotals(count, buys, sells, len(portfolios))


def awaiting_totals(run: Rebalance) -> OrderTotals:
    """What of a run awaits a decision: from its portfolios while nobody has decided on any, else order by order."""
    if run.n_awaiting == run.n_orders and not run.is_active:
        of_run = run_totals(run)
        return OrderTotals(run.n_orders, of_run.buys, of_run.sells, run.n_solved + run.n_time_limit)
    orders = Order.objects.filter(rebalance_id=run.pk, state=OrderState.PROPOSED)
    return _totals(orders.values_list("portfolio_id", "side", "value").iterator())


@dataclass(frozen=True)
class Exclusion:
    """A reason and how many orders have it; `is_final`: the decision makes them outdated."""

    reason: str
    count: int
    is_final: bool = False


def exclusions(reasons: Iterable[str]) -> list[Exclusion]:
    """Each reason with how many orders have it, the commonest first."""
    return [Exclusion(reason, count) for reason, count in Counter(reasons).most_common()]


def left_alone(findings: Iterable[Finding]) -> list[Exclusion]:
    """The same of what is left alone."""
    counts = Counter(findings).most_common()
    return [Exclusion(found.why, count, found.weighs == "final") for found, count in counts]


@dataclass(frozen=True)
class Preview:
    """What a decision would cover, what it would leave out and why, and what of it takes a reason to approve.

    `cash` has the portfolios with the least left, of `n_cash`. `n_looked_at`: how many orders were judged, where those
    are not all; what is left out, takes a reason or leaves cash is of those.
    """

    totals: OrderTotals
    largest: Sequence[Order | OrderLine]
    excluded: Sequence[Exclusion]
    asks: Sequence[Exclusion] = ()
    cash: Sequence[CashLine] = ()
    n_cash: int = 0
    n_looked_at: int | None = None

    @property
    def is_large(self) -> bool:
        """Whether so much is covered that somebody who approves it must type how many orders that is."""
        return self.totals.count > LARGE_COUNT or self.totals.buys + self.totals.sells > LARGE_VALUE

    @property
    def n_outdated(self) -> int:
        """Orders that the decision makes outdated."""
        return sum(left.count for left in self.excluded if left.is_final)

    @property
    def n_cash_more(self) -> int:
        return self.n_cash - len(self.cash)


def run_numbered(number: int | None) -> Rebalance | None:
    return None if number is None else Rebalance.objects.defer(*LONG).filter(number=number).first()


class Entry(NamedTuple):
    """One line of an order's record: a decision on it, or a move after that."""

    at: datetime
    decision: Decision | None = None
    move: OrderMove | None = None


def later_proposal(order: Order) -> PortfolioRebalance | None:
    """What the latest later run says of the portfolio of an order that gave way; None where there is none."""
    if order.state not in (OrderState.OUTDATED, OrderState.SUPERSEDED):
        return None
    rows = PortfolioRebalance.objects.filter(portfolio_id=order.portfolio_id, state__in=ANSWERED)
    later = rows.filter(rebalance__number__gt=order.rebalance.number).select_related("rebalance")
    return later.defer("document", "rebalance__limits").order_by("-rebalance__number").first()


def why_outdated(order: Order) -> str:
    """What was said when the order became outdated; empty where it is not."""
    if order.state != OrderState.OUTDATED:
        return ""
    moves = order.moves.filter(state_after=OrderState.OUTDATED).order_by("-pk")
    return moves.values_list("reason", flat=True).first() or ""


@dataclass(frozen=True)
class OrderView:
    """An order with its record: what was decided on it and what became of it, and what its proposal counted."""

    order: Order
    decisions: Sequence[Decision]
    moves: Sequence[OrderMove]
    realised_gain: Decimal | None  # of a sale under a gain budget
    counted: Sequence[Mapping[str, Any]]  # orders on their way when it was proposed, as the proposal kept them

    @property
    def record(self) -> list[Entry]:
        """Everything since it was proposed, the first first."""
        decided = [Entry(decision.decided_at, decision=decision) for decision in self.decisions]
        moved = [Entry(move.moved_at, move=move) for move in self.moves]
        return sorted([*decided, *moved], key=lambda entry: entry.at)

    @property
    def counted_change(self) -> int:
        """Of `quantity_before`, the shares that were on their way: bought, less sold."""
        return counted_changes(self.counted)[self.order.security_id]

    @property
    def held_before(self) -> Decimal:
        """What was held when it was proposed."""
        before: Decimal = self.order.quantity_before
        return before - self.counted_change


def unclear_orders(orders: Iterable[Order]) -> set[str]:
    """The ids of those that are open and whose holdings were stated anew since anything was heard of them."""
    followed = [order for order in orders if order.state in OPEN_ORDER]
    stated = get_source().stated_at({order.portfolio_id for order in followed}) if followed else {}
    return {order.pk for order in followed if stated_since(stated.get(order.portfolio_id), order.known_at)}


def order_get(order_id: str) -> OrderView:
    """Raises NotFoundError."""
    orders = Order.objects.select_related("rebalance__launched_by", "rebalance__snapshot", "proposal")
    long = orders.defer("rebalance__limits", "rebalance__snapshot__payload")
    order = long.prefetch_related(WITH_DECISIONS).filter(pk=order_id).first()
    if order is None:
        raise NotFoundError(f"There is no order {order_id[:40]}.")
    moves = list(order.moves.select_related("moved_by").order_by("moved_at", "pk"))
    counted = (order.proposal.document or {}).get("open_orders", ())
    return OrderView(order, list(order.decisions.all()), moves, _realised_gain(order), counted)


def _realised_gain(order: Order) -> Decimal | None:
    lots = read_lots(order.proposal.document or {}) if order.side == "SELL" else None
    return None if lots is None else gain(lots_sold(lots[order.security_id], Decimal(order.quantity)), order.price)
