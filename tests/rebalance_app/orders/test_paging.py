"""Pages of orders: whichever way they are found, they neither skip nor repeat, and are in the order promised."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from models_app.models import Portfolio
from ordergen.core.db import along_an_index
from ordergen.core.errors import UnavailableError
from ordergen.core.ids import made_at, object_id
from rebalance_app.models import Order, PortfolioRebalance, PriceSnapshot, Rebalance
from rebalance_app.orders import paging
from rebalance_app.orders.order_csv import order_csv
from rebalance_app.orders.paging import OrderQuery, Road, Stretch, order_list, order_scope, orders_found, sort_links
from rebalance_app.orders.selectors import TABS, BlotterFilter
from rebalance_app.proposals.selectors import in_state, proposals_by_key

pytestmark = pytest.mark.django_db
STATES = ("proposed", "approved", "proposed", "superseded", "rejected")
NARROW = [{}, {"side": "BUY"}, {"ticker": "aaa"}, {"portfolio": "lee"}, {"value": Decimal(30)}, {"portfolio": "zzz"}]
SORTS = ("", "value", "-value", "ticker", "-ticker")


@pytest.fixture
def orders():
    """Two runs of five portfolios with up to four orders, in every state, some of the same value."""
    now = timezone.now()
    snapshot = PriceSnapshot.objects.create(source="local", fetched_at=now, sha256="", payload={})
    names = ("Harbour", "Lee", "Lee Junior", "Orchard", "Pine")
    keys = {name: Portfolio.objects.create(name=name, cash=0).pk for name in names}
    for number in (1, 2):
        run = Rebalance.objects.create(
            number=number, model_id="m" * 24, model_name="Growth", model_version=1, snapshot=snapshot,
            state="completed", launched_at=now, n_portfolios=5,
        )  # fmt: skip
        for at, name in enumerate(names):
            row = PortfolioRebalance.objects.create(
                rebalance=run, portfolio_id=keys[name], portfolio_name=name, chunk=at, state="solved", enqueued_at=now
            )
            made = [_order(run, row, n, STATES[(n + at) % 5]) for n in range(at)]
            Order.objects.bulk_create(made)
            row.largest_order = max((order.value for order in made), default=0)
            row.n_orders = len(made)
            row.save()
        by_state = {state: run.orders.filter(state=state).count() for state in STATES}
        run.n_orders, run.n_approved = run.orders.count(), by_state["approved"]
        run.n_rejected, run.n_superseded = by_state["rejected"], by_state["superseded"]
        run.save()
    return list(Order.objects.select_related("rebalance"))


def _order(run, row, n, state) -> Order:
    return Order(
        id=object_id(), rebalance=run, proposal=row, portfolio_id=row.portfolio_id, portfolio_name=row.portfolio_name,
        security_id=str(n) * 24, ticker=("BBB", "AAA", "DDD", "CCC")[n], side="BUY" if n % 2 else "SELL",
        quantity=1, quantity_before=1, price=10, value=10 * (1 + (7 * n + 3 * row.chunk) % 5), reason="X", state=state,
    )  # fmt: skip


def every_page(wanted: BlotterFilter) -> list[Order]:
    seen, after = [], ""
    while True:
        page = order_list(order_scope(wanted), after=after)
        seen += page.rows
        if not (after := page.next):
            return seen


def expected(orders: list[Order], wanted: BlotterFilter) -> list[Order]:
    """The same without any database."""
    found = [
        o for o in orders
        if o.state in TABS[wanted.tab] and (not wanted.run or o.rebalance.number == wanted.run)
        and wanted.side in ("", o.side) and wanted.ticker.upper() in ("", o.ticker)
        and wanted.portfolio in o.portfolio_name.lower() and (wanted.value is None or o.value >= wanted.value)
    ]  # fmt: skip
    found.sort(key=lambda order: order.pk, reverse=not (wanted.run or wanted.tab == "awaiting"))
    if wanted.sort:
        name = wanted.sort.lstrip("-")
        found.sort(key=lambda order: getattr(order, name), reverse=wanted.sort.startswith("-"))
    return found


def filters(sorts) -> list[BlotterFilter]:
    given = itertools.product(TABS, (None, 1, 3), NARROW, sorts)
    return [BlotterFilter(tab=tab, run=run, sort=sort, **narrow) for tab, run, narrow, sort in given]


def test_few_orders_are_listed_whole_however_they_are_filtered_and_sorted(orders, monkeypatch):
    monkeypatch.setattr(paging, "PAGE_SIZE", 3)
    for wanted in filters(SORTS):
        assert every_page(wanted) == expected(orders, wanted), wanted


def test_so_are_many_by_key_looking_at_a_few_at_a_time(orders, monkeypatch):
    monkeypatch.setattr(paging, "PAGE_SIZE", 3)
    for name, limit in (("SORTABLE", 0), ("FEW", 0), ("LOOKED_AT", 2)):
        monkeypatch.setattr(paging, name, limit)
    for wanted in filters([""]):
        assert every_page(wanted) == expected(orders, wanted), wanted


@pytest.mark.parametrize("compared", [2, 5])
def test_the_largest_of_many_are_found_and_none_is_shown_before_a_larger(orders, monkeypatch, compared):
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    for name, limit in (("SORTABLE", 0), ("FEW", 0), ("COMPARED", compared)):
        monkeypatch.setattr(paging, name, limit)
    for wanted in filters(["-value"]):
        if wanted.run:
            seen, whole = every_page(wanted), expected(orders, wanted)
            assert seen == whole[: len(seen)], wanted
            assert compared < 5 or seen == whole, wanted


def test_the_largest_are_whole_where_all_portfolios_of_a_name_were_compared(orders, monkeypatch):
    monkeypatch.setattr(paging, "PAGE_SIZE", 2)
    for name, limit in (("SORTABLE", 0), ("FEW", 0), ("COMPARED", 2)):
        monkeypatch.setattr(paging, name, limit)
    wanted = BlotterFilter(tab="all", run=1, portfolio="lee", sort="-value")

    assert every_page(wanted) == expected(orders, wanted)
    assert not order_list(order_scope(wanted)).is_partial


def test_what_so_many_orders_cannot_be_sorted_by_is_not_offered(orders, monkeypatch, client, approver):
    def offered(wanted):
        return {name: link.ask for name, link in sort_links(order_scope(wanted), wanted).items()}

    assert offered(BlotterFilter()) == {"ticker": "ticker", "value": "-value"}
    monkeypatch.setattr(paging, "SORTABLE", 0)
    assert offered(BlotterFilter()) == {"ticker": None, "value": None}
    assert offered(BlotterFilter(run=1)) == {"ticker": None, "value": "-value"}
    assert offered(BlotterFilter(run=1, sort="-value")) == {"ticker": None, "value": ""}
    assert offered(BlotterFilter(portfolio="lee")) == {"ticker": "ticker", "value": "-value"}
    client.force_login(approver)
    assert "sort=ticker" not in client.get("/orders/?run=1").content.decode()


@pytest.mark.parametrize("is_rising", [True, False])
@pytest.mark.parametrize("columns", [["state", "id"], ["rebalance", "state", "id"]])
def test_a_page_of_a_state_begins_in_an_index_of_states_and_is_not_sorted(orders, columns, is_rising):
    """Not in the primary key, of which a database may have to walk all: the orders of a state lie anywhere in it."""
    road = Road(is_rising, "proposed", orders[3].rebalance_id if "rebalance" in columns else "")
    with along_an_index():
        plan = road.behind(orders[3].pk).values_list("pk", flat=True)[:51].explain()

    assert any(index.name in plan for index in Order._meta.indexes if index.fields[-2:] == ["state", "id"]), plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


@pytest.mark.parametrize("is_rising", [True, False])
def test_a_page_of_a_runs_portfolios_begins_in_the_index_of_the_run(orders, is_rising):
    rows = proposals_by_key(orders[0].rebalance_id, after=orders[0].proposal_id, is_rising=is_rising)
    with along_an_index():
        plan = in_state(rows, ["solved"]).values_list("pk", flat=True)[:51].explain()

    (index,) = (index for index in PortfolioRebalance._meta.indexes if index.fields == ["rebalance", "id"])
    assert index.name in plan
    assert "Sort" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan


def test_what_matches_is_looked_for_in_orders_cut_out_before(orders):
    """Or a planner that expects to find nothing reads the whole table."""
    with along_an_index(), CaptureQueriesContext(connection) as queries:
        stretch = Road(is_rising=True, state="proposed").stretch("", 3, Q(ticker="AAA"))

    proposed = [order for order in orders if order.state == "proposed"][:3]
    assert stretch == Stretch(3, proposed[-1].pk, [order.pk for order in proposed if order.ticker == "AAA"])
    (query,) = (query["sql"] for query in queries)
    assert query.endswith("LIMIT 3) subquery")


def test_the_orders_of_a_portfolio_in_a_state_are_looked_for_in_the_portfolio(orders):
    found = paging._of_portfolio(OrderQuery(portfolio_id=orders[0].portfolio_id, state="proposed"), "")
    if connection.vendor == "sqlite":  # PostgreSQL reads so small a table whole
        assert "(portfolio_id=?)" in found.order_by("pk")[:50].explain()


def test_a_page_that_looked_in_vain_says_so_and_looks_further(orders, monkeypatch, client, approver):
    monkeypatch.setattr(paging, "LOOKED_AT", 2)
    client.force_login(approver)
    html = client.get("/orders/?ticker=NOSUCH").content.decode()
    assert "Look further" in html
    assert "No order matches" not in html


def test_the_export_has_every_order_in_the_order_of_the_list(orders, monkeypatch):
    monkeypatch.setattr("rebalance_app.orders.order_csv.ROWS_PER_PIECE", 2)
    for wanted in filters(["", "-value"]):
        lines = "".join(order_csv(order_scope(wanted))).splitlines()[1:]
        assert [line.split(",")[0] for line in lines] == [order.pk for order in expected(orders, wanted)], wanted


def test_while_the_book_does_not_answer_portfolios_are_found_by_the_names_in_the_orders(orders, monkeypatch):
    class Down:
        def find_portfolios(self, text, limit):
            raise UnavailableError("down")

    monkeypatch.setattr(paging, "get_source", Down)
    wanted = BlotterFilter(tab="all", portfolio="lee")
    assert every_page(wanted) == expected(orders, wanted)


def found_in_pages(wanted, size):
    """Every order, page after page; short pages that have another behind them among them."""
    found, after = [], ""
    while True:
        page = orders_found(wanted, after=after, size=size)
        assert len(page.rows) <= size
        found += page.rows
        if not (after := page.next):
            return found


@pytest.mark.parametrize("looked_at", [2, 50_000])
def test_programs_find_orders_by_whatever_they_know_of_them(orders, monkeypatch, looked_at):
    monkeypatch.setattr(paging, "LOOKED_AT", looked_at)
    last = orders[-1]
    model = last.rebalance.model_id
    known = {
        "run_id": (last.rebalance_id, lambda o: o.rebalance_id),
        "model_id": (model, lambda o: o.rebalance.model_id),
        "portfolio_id": (last.portfolio_id, lambda o: o.portfolio_id),
        "security_id": (last.security_id, lambda o: o.security_id),
        "state": ("proposed", lambda o: o.state),
        "side": ("SELL", lambda o: o.side),
    }
    for names in itertools.chain.from_iterable(itertools.combinations(known, n) for n in range(4)):
        wanted = OrderQuery(**{name: known[name][0] for name in names})
        matching = [o for o in orders if all(known[name][1](o) == known[name][0] for name in names)]
        assert found_in_pages(wanted, 3) == matching, names


def test_orders_are_found_by_the_second_in_which_they_were_proposed(orders):
    moments = sorted({made_at(order.pk) for order in orders})
    for state, run in itertools.product((None, "proposed"), (None, orders[-1].rebalance_id)):
        for first, end in itertools.product((None, moments[-1]), (None, moments[0], moments[-1])):
            wanted = OrderQuery(run_id=run, state=state, proposed_from=first, proposed_before=end)
            assert found_in_pages(wanted, 4) == [
                o for o in orders
                if run in (None, o.rebalance_id) and state in (None, o.state)
                if (not first or made_at(o.pk) >= first) and (not end or made_at(o.pk) < end)
            ]  # fmt: skip


def test_the_tabs_of_one_run_count_its_own_orders(orders, client, approver):
    client.force_login(approver)
    run = orders[0].rebalance
    of_run, of_all = (client.get("/orders/", query).context["counts"] for query in ({"run": run.number}, {}))
    assert of_run["all"] == run.orders.count() < of_all["all"] == len(orders)
    assert of_run["awaiting"] == run.orders.filter(state="proposed").count()
