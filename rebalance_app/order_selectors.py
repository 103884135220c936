"""Reading orders for the blotter. Lists page by key; sums of money are made here, never in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet, Sum

from ordergen.errors import NotFoundError
from rebalance_app.models import Decision, Order, OrderState, Rebalance
from rebalance_app.selectors import PAGE_SIZE, UNDECIDED, ZERO, Page

TABS: dict[str, tuple[OrderState, ...]] = {
    "awaiting": (OrderState.PROPOSED,),
    "approved": (OrderState.APPROVED,),
    "rejected": (OrderState.REJECTED,),
    "all": tuple(OrderState),
}
LARGEST_SHOWN = 5


@dataclass(frozen=True)
class OrderFilter:
    """What the blotter shows. Empty means any."""

    tab: str = "awaiting"
    run: int | None = None
    side: str = ""
    ticker: str = ""
    portfolio: str = ""

    @property
    def is_narrow(self) -> bool:
        return bool(self.run or self.side or self.ticker or self.portfolio)


@dataclass(frozen=True)
class OrderRow:
    """An order in the blotter, with the policy's reason why this person may not approve it; empty when they may."""

    order: Order
    why_not: str
    may_reject: bool

    @property
    def is_open(self) -> bool:
        """Whether there is anything this person may decide on it."""
        return not self.why_not or self.may_reject


def order_list(wanted: OrderFilter, *, after: str = "") -> Page[Order]:
    """Orders by key: what awaits a decision or belongs to one run oldest first, else the latest first."""
    orders = _filtered(wanted).select_related("rebalance", "rebalance__launched_by")
    rising = wanted.tab == "awaiting" or wanted.run is not None
    if after:
        orders = orders.filter(pk__gt=after) if rising else orders.filter(pk__lt=after)
    found = list(orders.order_by("pk" if rising else "-pk")[: PAGE_SIZE + 1])
    return Page(found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else "")


def _filtered(wanted: OrderFilter) -> QuerySet[Order]:
    orders = Order.objects.filter(state__in=TABS[wanted.tab])
    if wanted.run is not None:
        orders = orders.filter(rebalance__number=wanted.run)
    if wanted.side:
        orders = orders.filter(side=wanted.side)
    if wanted.ticker:
        orders = orders.filter(ticker__iexact=wanted.ticker)
    if wanted.portfolio:
        orders = orders.filter(portfolio_name__icontains=wanted.portfolio)
    return orders


def order_counts() -> dict[str, int]:
    """How many orders each tab has, from the runs' counters."""
    counts = Rebalance.objects.aggregate(
        all=Sum("n_orders"), decided=Sum(UNDECIDED), approved=Sum("n_approved"), rejected=Sum("n_rejected")
    )
    known = {name: count or 0 for name, count in counts.items()}
    return known | {"awaiting": known["all"] - known["decided"]}


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


def order_totals(orders: Iterable[Order]) -> OrderTotals:
    buys = sells = ZERO
    count, portfolios = 0, set()
    for order in orders:
        count += 1
        portfolios.add(order.portfolio_id)
        buys += order.value if order.side == "BUY" else ZERO
        sells += order.value if order.side == "SELL" else ZERO
    return OrderTotals(count, buys, sells, len(portfolios))


@dataclass(frozen=True)
class Exclusion:
    reason: str
    count: int


@dataclass(frozen=True)
class Preview:
    """What a decision would cover, and what it would leave out and why."""

    totals: OrderTotals
    largest: Sequence[Order]
    excluded: Sequence[Exclusion]


def preview(orders: Sequence[Order], why_not: Mapping[str, str]) -> Preview:
    """`why_not` gives, by order id, the policy's reason against deciding on it; empty or absent when there is none."""
    covered = [order for order in orders if not why_not.get(order.pk)]
    reasons = Counter(reason for order in orders if (reason := why_not.get(order.pk)))
    return Preview(
        order_totals(covered),
        sorted(covered, key=lambda order: -order.value)[:LARGEST_SHOWN],
        [Exclusion(reason, count) for reason, count in reasons.most_common()],
    )


def orders_of(ids: Sequence[str]) -> list[Order]:
    """The orders with these ids; raises NotFoundError when one is unknown."""
    found = list(Order.objects.select_related("rebalance").filter(pk__in=ids).order_by("pk"))
    if len(found) != len(set(ids)):
        raise NotFoundError("Some of these orders do not exist. Reload the list and select again.")
    return found


def awaiting_of(run_id: str) -> list[Order]:
    """Every order of a run that awaits a decision."""
    orders = Order.objects.select_related("rebalance").filter(rebalance_id=run_id, state=OrderState.PROPOSED)
    return list(orders.order_by("pk"))


def run_numbered(number: int | None) -> Rebalance | None:
    return None if number is None else Rebalance.objects.filter(number=number).first()


@dataclass(frozen=True)
class OrderView:
    """An order with the record of what was decided on it."""

    order: Order
    decisions: Sequence[Decision]


def order_get(order_id: str) -> OrderView:
    """Raises NotFoundError."""
    orders = Order.objects.select_related("rebalance__launched_by", "rebalance__snapshot", "proposal")
    order = orders.defer("rebalance__snapshot__payload", "proposal__document").filter(pk=order_id).first()
    if order is None:
        raise NotFoundError(f"There is no order {order_id[:40]}.")
    return OrderView(order, list(order.decisions.select_related("decided_by").order_by("decided_at", "pk")))
