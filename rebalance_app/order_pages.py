"""Reading orders a page at a time, at a cost that does not grow with the table.

    few      few portfolios can hold what is wanted (a name; a large value in a run): the database sorts their orders
    small    by the counters of the runs there are so few that the database may sort them all
    largest  a run's orders by value: portfolios by their largest order, until no further one can have a larger
    by key   all else, along an index in the order of the key. Of what no index knows (side, security, value) one page
             looks at LOOKED_AT orders, and says where to look on

The first that fits is taken. What none of them can sort is listed by key, and its column offers no sorting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import islice

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce

from models_app.exports import csv_text
from models_app.imports.cells import guard
from models_app.sources import get_source
from ordergen.errors import UnavailableError
from rebalance_app.models import Order, OrderState, PortfolioRebalance, Rebalance
from rebalance_app.order_selectors import SORTS, TABS, OrderFilter, order_counts, run_numbered
from rebalance_app.selectors import PAGE_SIZE, Page, behind

SORTABLE = 20_000  # orders that are sorted on request
LOOKED_AT = 100_000  # orders that one page looks at for those that match
FEW = 100  # portfolios whose orders are read at once
COMPARED = 1_000  # portfolios whose orders are compared to find a run's largest
BY_VALUE = "-value"
ROWS_PER_PIECE = 2_000  # of an export
EXPORTED = (
    "id", "rebalance__number", "rebalance__model_name", "portfolio_id", "portfolio_name", "security_id", "ticker",
    "side", "quantity", "price", "value", "weight_before", "weight_after", "reason", "state",
)  # fmt: skip
HEADER = tuple(
    {"id": "order_id", "rebalance__number": "run", "rebalance__model_name": "model"}.get(n, n) for n in EXPORTED
)


@dataclass(frozen=True)
class OrderPage(Page[Order]):
    """`is_partial`: there is more than was looked at; `next` goes on with it, or, by value, nothing does."""

    is_partial: bool = False


@dataclass(frozen=True)
class Scope:
    """What is wanted, the run it is wanted of, and the orders of the few portfolios that can match, where few can."""

    wanted: OrderFilter
    run: Rebalance | None
    few: QuerySet[Order] | None

    @property
    def is_rising(self) -> bool:
        """What awaits a decision or belongs to one run comes oldest first, anything else the latest first."""
        return self.wanted.tab == "awaiting" or self.run is not None

    @property
    def key(self) -> str:
        return "pk" if self.is_rising else "-pk"

    @cached_property
    def is_sortable(self) -> bool:
        if self.few is not None:
            return True
        counts = order_counts() if self.run is None else order_counts(Rebalance.objects.filter(pk=self.run.pk))
        return counts[self.wanted.tab] <= SORTABLE

    def all(self) -> QuerySet[Order]:
        """Everything wanted, in no order."""
        if self.few is not None:
            # The state as an expression, or SQLite would rather look for the few among all that are in it.
            in_state = self.few.alias(in_state=Coalesce("state", Value(""))).filter(in_state__in=TABS[self.wanted.tab])
            return in_state.filter(_matching(self.wanted))
        orders = Order.objects.filter(_matching(self.wanted), _named(self.wanted), state__in=TABS[self.wanted.tab])
        return orders if self.run is None else orders.filter(rebalance_id=self.run.pk)

    def roads(self) -> list[QuerySet[Order]]:
        """Queries that give what `all` gives but for the filters, each along one index in the order of the key."""
        states = TABS[self.wanted.tab]
        if self.run is not None:
            return [Order.objects.filter(rebalance_id=self.run.pk, state=state) for state in states]
        return [Order.objects.filter(state=states[0]) if len(states) == 1 else Order.objects.all()]


def _matching(wanted: OrderFilter) -> Q:
    matching = Q()
    if wanted.side:
        matching &= Q(side=wanted.side)
    if wanted.ticker:
        matching &= Q(ticker__iexact=wanted.ticker)
    if wanted.value is not None:
        matching &= Q(value__gte=wanted.value)
    return matching


def _named(wanted: OrderFilter) -> Q:
    return Q(portfolio_name__icontains=wanted.portfolio) if wanted.portfolio else Q()


def order_scope(wanted: OrderFilter) -> Scope | None:
    """Where to look for the orders; None for a run that does not exist."""
    run = run_numbered(wanted.run)
    if wanted.run is not None and run is None:
        return None
    return Scope(wanted, run, _few(wanted, run))


def _few(wanted: OrderFilter, run: Rebalance | None) -> QuerySet[Order] | None:
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


def order_list(scope: Scope | None, *, after: str = "") -> OrderPage:
    """A page of what is wanted, beginning behind the order with the key `after`."""
    if scope is None:
        return OrderPage([])
    page = _keys(scope, after, PAGE_SIZE)
    with_runs = Order.objects.select_related("rebalance", "rebalance__launched_by").defer("rebalance__limits")
    orders = with_runs.in_bulk(page.rows)
    return OrderPage([orders[key] for key in page.rows if key in orders], page.next, page.is_partial)


@dataclass(frozen=True)
class Keys(Page[str]):
    is_partial: bool = False


def _keys(scope: Scope, after: str, size: int) -> Keys:
    if scope.few is not None or (scope.wanted.sort and scope.is_sortable):
        return _cut(list(_sorted(scope, after)[: size + 1]), size)
    if scope.wanted.sort == BY_VALUE and scope.run is not None:
        return _largest(scope, scope.run, after, size)
    return _by_key(scope, after, size)


def _cut(keys: Sequence[str], size: int) -> Keys:
    return Keys(keys[:size], keys[size - 1] if len(keys) > size else "")


def _sorted(scope: Scope, after: str) -> QuerySet[Order, str]:
    orders = scope.all().filter(_behind(scope, after))
    return orders.order_by(*filter(None, (scope.wanted.sort, scope.key))).values_list("pk", flat=True)


def _behind(scope: Scope, after: str) -> Q:
    return behind(Order.objects.all(), scope.wanted.sort, after, is_rising=scope.is_rising) if after else Q()


def _largest(scope: Scope, run: Rebalance, after: str, size: int) -> Keys:
    """The largest orders of a run: those that no order of a portfolio not read yet can exceed."""
    further = _behind(scope, after)
    portfolios = run.portfolios.filter(portfolio_name__icontains=scope.wanted.portfolio)
    largest = portfolios.order_by("-largest_order", "-pk").values_list("pk", "largest_order")
    first = list(largest[: COMPARED + 1])
    unread = iter(first[:COMPARED])
    found: list[tuple[Decimal, str]] = []
    bound = Decimal(0)
    while batch := list(islice(unread, size)):
        few = Scope(scope.wanted, run, Order.objects.filter(proposal_id__in=[key for key, _ in batch]))
        best = few.all().filter(further).order_by(BY_VALUE, "pk").values_list("value", "pk")[: size + 1]
        found = sorted([*found, *best], key=lambda order: (-order[0], order[1]))[: size + 1]
        bound = batch[-1][1]
        if len(found) > size and found[-1][0] > bound:
            return _cut([key for _, key in found], size)
    if len(first) <= COMPARED:
        return _cut([key for _, key in found], size)
    certain = [key for value, key in found if value > bound]
    return Keys(certain[:size], certain[size - 1] if len(certain) > size else "", is_partial=len(certain) <= size)


def _by_key(scope: Scope, after: str, size: int) -> Keys:
    """Along the roads, which are few; where filters apply, as far as LOOKED_AT orders of each."""
    roads = [_between(scope, road, after, "") for road in scope.roads()]
    filters = _matching(scope.wanted) & _named(scope.wanted)
    if not filters:
        return _cut(_nearest(scope, roads, size), size)
    for reach in (LOOKED_AT // 50, LOOKED_AT):  # mostly a page is full long before
        end = _horizon(scope, roads, reach)
        keys = _nearest(scope, [_between(scope, road, "", end).filter(filters) for road in roads], size)
        if not end or len(keys) > size:
            return _cut(keys, size)
    return Keys(keys, end, is_partial=True)


def _nearest(scope: Scope, roads: Iterable[QuerySet[Order]], size: int) -> list[str]:
    """The first keys of all roads together, one more than `size` if there are."""
    ordered = (road.order_by(scope.key).values_list("pk", flat=True) for road in roads)
    keys = [key for road in ordered for key in road[: size + 1]]
    return sorted(keys, reverse=not scope.is_rising)[: size + 1]


def _horizon(scope: Scope, roads: Iterable[QuerySet[Order]], reach: int) -> str:
    """The key as far as one page looks; empty when there is less to look at."""
    ordered = (road.order_by(scope.key).values_list("pk", flat=True) for road in roads)
    ends = [end for road in ordered for end in road[reach : reach + 1]]
    return (min if scope.is_rising else max)(ends, default="")


def _between(scope: Scope, orders: QuerySet[Order], after: str, end: str) -> QuerySet[Order]:
    behind_it, up_to = ("pk__gt", "pk__lte") if scope.is_rising else ("pk__lt", "pk__gte")
    return orders.filter(**{name: key for name, key in ((behind_it, after), (up_to, end)) if key})


def orders_by_id(
    run_id: str | None, portfolio_id: str | None, state: str | None, *, after: str, limit: int
) -> QuerySet[Order]:
    """Orders by id, at least the next `limit` behind `after`; each filter may be left out."""
    if run_id and portfolio_id:
        rows = PortfolioRebalance.objects.filter(rebalance_id=run_id, portfolio_id=portfolio_id)
        orders = Order.objects.filter(proposal_id__in=list(rows.values_list("pk", flat=True)))
        return orders.alias(in_state=Coalesce("state", Value(""))).filter(in_state=state) if state else orders
    if run_id and not state:  # an index has the ids of each state in a row
        roads = (Order.objects.filter(rebalance_id=run_id, state=state, pk__gt=after) for state in OrderState)
        keys = (key for road in roads for key in road.order_by("pk").values_list("pk", flat=True)[:limit])
        return Order.objects.filter(pk__in=sorted(keys)[:limit])
    given = {"rebalance_id": run_id, "portfolio_id": portfolio_id, "state": state}
    return Order.objects.filter(**{name: value for name, value in given.items() if value})


@dataclass(frozen=True)
class SortLink:
    """A column's heading: the order that a click asks for, and how the column is sorted now, as aria-sort says it.

    `ask` is empty where the click undoes the sorting, None where so many orders cannot be sorted by it.
    """

    ask: str | None
    direction: str


def sort_links(scope: Scope | None, wanted: OrderFilter) -> dict[str, SortLink]:
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


def order_csv(scope: Scope | None) -> Iterator[str]:
    """The orders wanted as CSV text, piece by piece; a text that a spreadsheet would run begins with an apostrophe."""
    yield csv_text([HEADER])
    for rows in _pieces(scope) if scope else ():
        yield csv_text([_cell(value) for value in row] for row in rows)


def _pieces(scope: Scope) -> Iterator[list[tuple[object, ...]]]:
    """By key in short queries, for a long one would keep the database from cleaning up; sorted ones in a single one."""
    if scope.few is not None or scope.wanted.sort:
        rows = scope.all().order_by(*filter(None, (scope.wanted.sort, scope.key)))
        found = rows.values_list(*EXPORTED).iterator(chunk_size=ROWS_PER_PIECE)
        while batch := list(islice(found, ROWS_PER_PIECE)):
            yield batch
        return
    after, is_more = "", True
    while is_more:
        page = _by_key(scope, after, ROWS_PER_PIECE)
        yield list(Order.objects.filter(pk__in=page.rows).order_by(scope.key).values_list(*EXPORTED))
        after, is_more = page.next, bool(page.next)


def _cell(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else guard(str(value))
