"""Reading orders a page at a time, at a cost that does not grow with the table.

    few      few portfolios can hold what is wanted (a name; a large value in a run): the database sorts their orders
    small    by the counters of the runs there are so few that the database may sort them all
    largest  a run's orders by value: portfolios by their largest order, until no further one can have a larger
    by key   all else, along an index in the order of the key (a road, or one for each state). Of what
             no index knows (side, security, value) one page looks at LOOKED_AT orders, and says where to look on

The first that fits is taken. What none of them can sort is listed by key, and its column offers no sorting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import TypeVar

from django.db.models import Count, Max, Min, Q, QuerySet, Value

from models_app.sources import get_source
from ordergen.core.db import Joined, along_an_index, in_a_row
from ordergen.core.errors import UnavailableError
from ordergen.core.ids import first_id_at
from ordergen.web.keyset import Keyset, KeysetPage, cut
from ordergen.web.tables import SortLink
from rebalance_app.models import Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.orders.selectors import SORTS, WITH_DECISIONS, BlotterFilter, order_counts, run_numbered
from rebalance_app.proposals.selectors import PAGE_SIZE, in_state

SORTABLE = 20_000  # orders that are sorted on request
LOOKED_AT = 50_000  # orders that one page looks at for those that match, in a few stretches
FEW = 100  # portfolios whose orders are read at once
COMPARED = 1_000  # portfolios whose orders are compared to find a run's largest
BY_VALUE = "-value"
T = TypeVar("T")


@dataclass(frozen=True)
class OrderPage(KeysetPage[T]):
    """Orders, or their keys.

    `is_partial`: there is more than was looked at; `next` goes on with it, or, by value, nothing does.
    """

    is_partial: bool = False


@dataclass(frozen=True)
class OrderScope:
    """What is wanted, the run it is wanted of, and the orders of the few portfolios that can match, where few can."""

    wanted: BlotterFilter
    run: Rebalance | None
    few: QuerySet[Order] | None

    @property
    def is_rising(self) -> bool:
        """What awaits a decision or belongs to one run comes oldest first, anything else the latest first."""
        return self.wanted.tab == "awaiting" or self.run is not None

    @property
    def by(self) -> Keyset:
        return Keyset("pk" if self.is_rising else "-pk", self.wanted.sort)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many orders each tab has, of the run where one is wanted; other filters are not counted."""
        return order_counts(self.run)

    @cached_property
    def is_sortable(self) -> bool:
        return self.few is not None or self.counts[self.wanted.tab] <= SORTABLE

    def all(self) -> QuerySet[Order]:
        """Everything wanted, in no order."""
        if self.few is not None:
            return in_state(self.few, self.wanted.states).filter(_matching(self.wanted))
        orders = Order.objects.filter(_matching(self.wanted), _named(self.wanted), state__in=self.wanted.states)
        return orders if self.run is None else orders.filter(rebalance_id=self.run.pk)

    def roads(self) -> list[Road]:
        """What together gives all that `all` gives but for the filters."""
        states = self.wanted.states
        if self.run is not None:
            return [Road(self.is_rising, state, self.run.pk) for state in states]
        is_any = len(states) == len(OrderState)
        return [Road(self.is_rising)] if is_any else [Road(self.is_rising, state) for state in states]


@dataclass(frozen=True)
class Stretch:
    """Some orders in a row on a road: how many were looked at, the last one's key, the keys of what matches."""

    count: int
    end: str
    keys: Sequence[str]


@dataclass(frozen=True)
class Road:
    """The orders of a state, or of a run in a state, or all, in the order of the key: one index has them in a row.

    A rising one may end `before` a key.
    """

    is_rising: bool
    state: str = ""
    run_id: str = ""
    before: str = ""

    def behind(self, after: str) -> QuerySet[Order]:
        """From behind the order with the key `after`."""
        orders = Order.objects.filter(rebalance_id=self.run_id) if self.run_id else Order.objects.all()
        if self.state:
            return in_a_row(orders, "state", self.state, after=after, before=self.before, is_rising=self.is_rising)
        orders = orders.filter(pk__lt=self.before) if self.before else orders
        by = Keyset("pk" if self.is_rising else "-pk")
        return (orders.filter(by.behind(after)) if after else orders).order_by(*by.terms)

    def keys(self, after: str, count: int) -> list[str]:
        return list(self.behind(after).values_list("pk", flat=True)[:count])

    def stretch(self, after: str, reach: int, matching: Q) -> Stretch:
        """The next `reach` orders: cut out first and then filtered, or a planner would expect to find nothing."""
        found = self.behind(after)[:reach].aggregate(
            count=Count("pk"), first=Min("pk"), last=Max("pk"), keys=Joined("pk", Value(","), filter=matching)
        )
        keys = sorted(found["keys"].split(","), reverse=not self.is_rising) if found["keys"] else []
        return Stretch(found["count"], found["last" if self.is_rising else "first"], keys)


def _matching(wanted: BlotterFilter) -> Q:
    matching = Q()
    if wanted.side:
        matching &= Q(side=wanted.side)
    if wanted.ticker:
        matching &= Q(ticker__iexact=wanted.ticker)
    if wanted.value is not None:
        matching &= Q(value__gte=wanted.value)
    return matching


def _named(wanted: BlotterFilter) -> Q:
    return Q(portfolio_name__icontains=wanted.portfolio) if wanted.portfolio else Q()


def order_scope(wanted: BlotterFilter) -> OrderScope | None:
    """Where to look for the orders; None for a run that does not exist."""
    run = run_numbered(wanted.run)
    if wanted.run is not None and run is None:
        return None
    return OrderScope(wanted, run, _few(wanted, run))


def _few(wanted: BlotterFilter, run: Rebalance | None) -> QuerySet[Order] | None:
    if run is None:
        keys = _portfolios_called(wanted.portfolio) if wanted.portfolio else None
        return None if keys is None or len(keys) > FEW else Order.objects.filter(portfolio_id__in=keys)
    if not wanted.portfolio and wanted.value is None:
        return None
    rows = run.portfolios.filter(portfolio_name__icontains=wanted.portfolio)
    if wanted.value is not None:
        rows = rows.filter(largest_order__gte=wanted.value)
    keys = list(rows.values_list("pk", flat=True)[: FEW + 1])
    return None if len(keys) > FEW else Order.objects.filter(proposal_id__in=keys)


def _portfolios_called(name: str) -> list[str] | None:
    """Ids by the names of today; None while the book does not answer."""
    try:
        return [found.id for found in get_source().find_portfolios(name, limit=FEW + 1)]
    except UnavailableError:
        return None


def order_list(scope: OrderScope | None, *, after: str = "") -> OrderPage[Order]:
    """A page of what is wanted, beginning behind the order with the key `after`."""
    if scope is None:
        return OrderPage([])
    page = _keys(scope, after, PAGE_SIZE)
    with_runs = Order.objects.select_related("rebalance", "rebalance__launched_by").defer("rebalance__limits")
    orders = with_runs.prefetch_related(WITH_DECISIONS).in_bulk(page.rows)
    return OrderPage([orders[key] for key in page.rows if key in orders], page.next, page.is_partial)


def _keys(scope: OrderScope, after: str, size: int) -> OrderPage[str]:
    if scope.few is not None or (scope.wanted.sort and scope.is_sortable):
        return _cut(_sorted(scope, after)[: size + 1], size)
    if scope.wanted.sort == BY_VALUE and scope.run is not None:
        return _largest(scope, scope.run, after, size)
    return keys_in_order(scope, after, size)


def _cut(found: Iterable[str], size: int) -> OrderPage[str]:
    page = cut(found, size, lambda key: key)
    return OrderPage(page.rows, page.next)


def _sorted(scope: OrderScope, after: str) -> QuerySet[Order, str]:
    return scope.all().filter(_behind(scope, after)).order_by(*scope.by.terms).values_list("pk", flat=True)


def _behind(scope: OrderScope, after: str) -> Q:
    return scope.by.behind_row(Order.objects.all(), after) if after else Q()


def _largest(scope: OrderScope, run: Rebalance, after: str, size: int) -> OrderPage[str]:
    """The largest orders of a run: those that no order of a portfolio not read yet can exceed."""
    further = _behind(scope, after)
    portfolios = run.portfolios.filter(portfolio_name__icontains=scope.wanted.portfolio)
    largest = portfolios.order_by("-largest_order", "-pk").values_list("pk", "largest_order")
    first = list(largest[: COMPARED + 1])
    unread = iter(first[:COMPARED])
    found: list[tuple[Decimal, str]] = []
    bound = Decimal(0)
    while batch := list(islice(unread, size)):
        few = OrderScope(scope.wanted, run, Order.objects.filter(proposal_id__in=[key for key, _ in batch]))
        best = few.all().filter(further).order_by(BY_VALUE, "pk").values_list("value", "pk")[: size + 1]
        found = sorted([*found, *best], key=lambda order: (-order[0], order[1]))[: size + 1]
        bound = batch[-1][1]
        if len(found) > size and found[-1][0] > bound:
            return _cut([key for _, key in found], size)
    if len(first) <= COMPARED:
        return _cut([key for _, key in found], size)
    certain = [key for value, key in found if value > bound]
    return replace(_cut(certain, size), is_partial=len(certain) <= size)


def keys_in_order(scope: OrderScope, after: str, size: int) -> OrderPage[str]:
    """The next `size` keys of what is wanted, in the order of the key, whatever it is to be sorted by."""
    with along_an_index():
        filters = _matching(scope.wanted) & _named(scope.wanted)
        if filters:
            return _looked_for(scope.roads(), filters, after, size)
        return _cut(_nearest(scope.roads(), after, size + 1), size)


def _nearest(roads: Iterable[Road], after: str, count: int) -> list[str]:
    """The next keys of all roads together."""
    roads = list(roads)
    keys = (key for road in roads for key in road.keys(after, count))
    return sorted(keys, reverse=not roads[0].is_rising)[:count]


def _looked_for(roads: list[Road], filters: Q, after: str, size: int) -> OrderPage[str]:
    """Stretch by stretch on all roads at a time, until the page is full or LOOKED_AT orders were looked at."""
    is_rising, keys, looked_at = roads[0].is_rising, list[str](), 0
    reach = max(1, LOOKED_AT // 25)  # mostly a page is full at once
    while looked_at < LOOKED_AT:
        stretches = [road.stretch(after, reach, filters) for road in roads]
        after, found = _up_to_the_nearest_end(stretches, reach, is_rising=is_rising)
        keys += found
        if not after or len(keys) > size:
            return _cut(keys, size)
        looked_at += sum(stretch.count for stretch in stretches)
        reach = max(1, LOOKED_AT // 5)
        roads = [road for road, stretch in zip(roads, stretches, strict=True) if stretch.count]
    return OrderPage(keys, after, is_partial=True)


def _up_to_the_nearest_end(stretches: Sequence[Stretch], reach: int, *, is_rising: bool) -> tuple[str, list[str]]:
    """How far all roads were looked at, empty when there is nothing further on any, and what was found as far."""
    keys = (key for stretch in stretches for key in stretch.keys)
    ends = [stretch.end for stretch in stretches if stretch.count == reach]
    if is_rising:
        end = min(ends, default="")
        return end, sorted(key for key in keys if not end or key <= end)
    end = max(ends, default="")
    return end, sorted((key for key in keys if key >= end), reverse=True)


@dataclass(frozen=True)
class OrderQuery:
    """Which orders a program asks for; None means any. Orders are proposed `proposed_from` on and `proposed_before`."""

    run_id: str | None = None
    model_id: str | None = None
    portfolio_id: str | None = None
    security_id: str | None = None
    state: str | None = None
    side: str | None = None
    proposed_from: datetime | None = None
    proposed_before: datetime | None = None

    @property
    def matching(self) -> Q:
        """What no index of the orders knows."""
        named = {"rebalance__model_id": self.model_id, "security_id": self.security_id, "side": self.side}
        return Q(**{name: value for name, value in named.items() if value is not None})

    def roads(self) -> list[Road]:
        """What together gives all that is wanted but for `matching`."""
        end = first_id_at(self.proposed_before) if self.proposed_before else ""
        if not self.run_id and not self.state:
            return [Road(is_rising=True, before=end)]
        states = [self.state] if self.state else list(OrderState)
        return [Road(is_rising=True, state=state, run_id=self.run_id or "", before=end) for state in states]


def orders_found(wanted: OrderQuery, *, after: str, size: int) -> OrderPage[Order]:
    """The next orders by key, behind `after`. Where few match a page may be short, and another follow all the same."""
    start = max(after, first_id_at(wanted.proposed_from)) if wanted.proposed_from else after
    if wanted.portfolio_id:
        page = _cut(_of_portfolio(wanted, start).order_by("pk").values_list("pk", flat=True)[: size + 1], size)
    else:
        with along_an_index():
            page = (
                _looked_for(wanted.roads(), wanted.matching, start, size)
                if wanted.matching
                else _cut(_nearest(wanted.roads(), start, size + 1), size)
            )
    orders = Order.objects.in_bulk(page.rows)
    return OrderPage([orders[key] for key in page.rows], page.next, page.is_partial)


def _of_portfolio(wanted: OrderQuery, start: str) -> QuerySet[Order]:
    """What is wanted of one portfolio, which has few."""
    orders = Order.objects.filter(wanted.matching, pk__gt=start)
    if wanted.proposed_before:
        orders = orders.filter(pk__lt=first_id_at(wanted.proposed_before))
    orders = in_state(orders, [wanted.state]) if wanted.state else orders
    if not wanted.run_id:
        return orders.filter(portfolio_id=wanted.portfolio_id)
    rows = PortfolioRebalance.objects.filter(rebalance_id=wanted.run_id, portfolio_id=wanted.portfolio_id)
    return orders.filter(proposal_id__in=list(rows.values_list("pk", flat=True)))


def sort_links(scope: OrderScope | None, wanted: BlotterFilter) -> dict[str, SortLink]:
    """By column. The first click on a value shows the largest, on a ticker the first of the alphabet."""
    is_sortable = scope is None or scope.is_sortable
    links = {}
    for name in SORTS:
        first, other = (BY_VALUE, name) if name == "value" else (name, f"-{name}")
        direction = {name: "ascending", f"-{name}": "descending"}.get(wanted.sort, "")
        if is_sortable:
            links[name] = SortLink(other if wanted.sort == first else first, direction)
        elif first == BY_VALUE and scope and scope.run:
            links[name] = SortLink("" if wanted.sort == first else first, direction)
        else:
            links[name] = SortLink(None, "")
    return links
