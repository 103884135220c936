"""Reading orders for the blotter. Lists page by key; sums of money are made here, never in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from django.db.models import Q, QuerySet, Sum

from models_app.exports import csv_text
from models_app.imports.cells import guard
from ordergen.errors import NotFoundError
from rebalance_app.domain.gains import gain, lots_sold
from rebalance_app.models import Decision, Order, OrderState, Rebalance
from rebalance_app.proposals import read_lots
from rebalance_app.selectors import PAGE_SIZE, UNDECIDED, ZERO, Page

TABS: dict[str, tuple[OrderState, ...]] = {
    "awaiting": (OrderState.PROPOSED,),
    "approved": (OrderState.APPROVED,),
    "rejected": (OrderState.REJECTED,),
    "all": tuple(OrderState),
}
LARGEST_SHOWN = 5
SORTS = ("ticker", "value")  # what the blotter sorts by, either way; without one, by the order of proposal
LARGE_COUNT, LARGE_VALUE = 500, Decimal(10_000_000)  # above either, an approval has to be typed out
EXPORTED = (
    "id", "rebalance__number", "rebalance__model_name", "portfolio_id", "portfolio_name", "security_id", "ticker",
    "side", "quantity", "price", "value", "weight_before", "weight_after", "reason", "state",
)  # fmt: skip
HEADER = tuple(
    {"id": "order_id", "rebalance__number": "run", "rebalance__model_name": "model"}.get(n, n) for n in EXPORTED
)
ROWS_PER_PIECE = 1_000


@dataclass(frozen=True)
class OrderFilter:
    """What the blotter shows. Empty means any."""

    tab: str = "awaiting"
    run: int | None = None
    side: str = ""
    ticker: str = ""
    portfolio: str = ""
    sort: str = ""

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
    """Orders by key: what awaits a decision or belongs to one run oldest first, else the latest first.

    With a sort they go by that, and by key where it does not tell two apart; `after` is a key in any case.
    """
    orders = _sorted(wanted).select_related("rebalance", "rebalance__launched_by")
    found = list((orders.filter(_behind(wanted, after)) if after else orders)[: PAGE_SIZE + 1])
    return Page(found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else "")


def _is_rising(wanted: OrderFilter) -> bool:
    return wanted.tab == "awaiting" or wanted.run is not None


def _sorted(wanted: OrderFilter) -> QuerySet[Order]:
    key = "pk" if _is_rising(wanted) else "-pk"
    return _filtered(wanted).order_by(*filter(None, (wanted.sort, key)))


def _behind(wanted: OrderFilter, after: str) -> Q:
    """What comes behind the order with the key `after`; nothing when there is no such order to sort from."""
    behind = Q(pk__gt=after) if _is_rising(wanted) else Q(pk__lt=after)
    if not wanted.sort:
        return behind
    name = wanted.sort.lstrip("-")
    last = Order.objects.filter(pk=after).values_list(name, flat=True).first()
    if last is None:
        return Q(pk__in=())
    further = "lt" if wanted.sort.startswith("-") else "gt"
    return Q(**{f"{name}__{further}": last}) | Q(**{name: last}) & behind


@dataclass(frozen=True)
class SortLink:
    """A column's heading: the order that a click asks for, and how the column is sorted now, as aria-sort says it."""

    ask: str
    direction: str


def sort_links(wanted: OrderFilter) -> dict[str, SortLink]:
    """By column. The first click on a value shows the largest, on a ticker the first of the alphabet."""
    links = {}
    for name in SORTS:
        first, other = (f"-{name}", name) if name == "value" else (name, f"-{name}")
        direction = {name: "ascending", f"-{name}": "descending"}.get(wanted.sort, "")
        links[name] = SortLink(other if wanted.sort == first else first, direction)
    return links


def order_csv(wanted: OrderFilter) -> Iterator[str]:
    """The orders wanted as CSV text, piece by piece; a text that a spreadsheet would run begins with an apostrophe."""
    yield csv_text([HEADER])
    rows = _sorted(wanted).values_list(*EXPORTED).iterator(chunk_size=ROWS_PER_PIECE)
    while batch := list(islice(rows, ROWS_PER_PIECE)):
        yield csv_text([_cell(value) for value in row] for row in batch)


def _cell(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else guard(str(value))


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

    @property
    def is_large(self) -> bool:
        """Whether so much is covered that somebody who approves it must type how many orders that is."""
        return self.totals.count > LARGE_COUNT or self.totals.buys + self.totals.sells > LARGE_VALUE


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
    realised_gain: Decimal | None  # of a sale under a gain budget


def order_get(order_id: str) -> OrderView:
    """Raises NotFoundError."""
    orders = Order.objects.select_related("rebalance__launched_by", "rebalance__snapshot", "proposal")
    order = orders.defer("rebalance__snapshot__payload", "proposal__document").filter(pk=order_id).first()
    if order is None:
        raise NotFoundError(f"There is no order {order_id[:40]}.")
    decisions = list(order.decisions.select_related("decided_by").order_by("decided_at", "pk"))
    return OrderView(order, decisions, _realised_gain(order))


def _realised_gain(order: Order) -> Decimal | None:
    lots = read_lots(order.proposal.document or {}) if order.side == "SELL" else None
    return None if lots is None else gain(lots_sold(lots[order.security_id], Decimal(order.quantity)), order.price)
