"""Every list with a million orders in the table: p50 and p95 of its first, middle and last page, and as ratios.

    python benchmarks/lists.py                                   fills a new SQLite file, then measures
    python benchmarks/lists.py --home /tmp/lists                 fills it once; the next time it only measures
    python benchmarks/lists.py --database postgres:///lists      the same on PostgreSQL (fills what is empty)
    python benchmarks/lists.py --only orders --plans             with the plan of each query, to see what it reads

A run of 10,000 portfolios awaits approval of 100 orders each, behind dozens of earlier runs whose orders were decided
on or superseded. Requests go through the whole application (middleware, view, template), one at a time, in one process.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
OUTCOMES = ("solved",) * 16 + ("no_trades", "no_trades", "infeasible", "failed")
DECIDED = ("superseded", "approved", "rejected", "superseded")
SOME = 4  # orders of a portfolio in the earlier runs


def main() -> None:
    options = _options()
    home = Path(options.home or tempfile.mkdtemp(prefix="ordergen-bench-"))
    home.mkdir(parents=True, exist_ok=True)
    os.environ |= {"ORDERGEN_HOME": str(home), "DJANGO_SETTINGS_MODULE": "ordergen.settings", "LOG_LEVEL": "ERROR"}
    os.environ["ORDERGEN_API_READS_PER_MINUTE"] = str(10**9)
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    import django

    django.setup()
    from django.core.management import call_command

    from rebalance_app.models import Order

    call_command("migrate", verbosity=0)
    if not Order.objects.exists():
        started = time.perf_counter()
        book(options)
        filled = time.perf_counter()
        history(options)
        as_after_a_minute()
        print(f"filled: book {filled - started:.0f} s, runs {time.perf_counter() - filled:.0f} s", flush=True)
    measure(options)


def as_after_a_minute() -> None:
    """Statistics and visibility as PostgreSQL's autovacuum leaves them soon after so many rows, where it is not off."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=10_000)
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--home", default="", help="folder of the database; a new one when left out")
    parser.add_argument("--database", default="", help="DATABASE_URL; SQLite in the folder when left out")
    parser.add_argument("--times", type=int, default=20, help="requests per page")
    parser.add_argument("--only", default="", help="a part of the names of the lists to measure")
    parser.add_argument("--plans", action="store_true", help="print how the database answers each query")
    return parser.parse_args()


def book(options: argparse.Namespace) -> None:
    from benchmarks.runs import fill

    fill(options.portfolios, options.positions)


def history(options: argparse.Namespace) -> None:
    """Earlier runs over a tenth of the portfolios each, then the one over all that nobody has decided on."""
    from models_app.models import InvestmentModel
    from models_app.sources import get_source
    from ordergen.core.db import atomic
    from rebalance_app.solving.freeze import prices_now

    model = InvestmentModel.objects.get()
    snapshot = prices_now(get_source(), model)
    snapshot.save(force_insert=True)
    chosen = list(get_source().portfolios(model.portfolios.values_list("portfolio_id", flat=True)).values())
    securities = list(snapshot.payload.items())
    book = Book(model, snapshot, securities, random.Random(1))
    for number in range(1, options.runs + 1):
        is_last = number == options.runs
        start = number * len(chosen) // 10 % len(chosen)
        some = chosen if is_last else chosen[start : start + len(chosen) // 10]
        with atomic():
            _run(number, book, some, None if is_last else DECIDED[number % len(DECIDED)])


@dataclass(frozen=True)
class Book:
    model: Any
    snapshot: Any
    securities: list[tuple[str, dict[str, str]]]
    rng: random.Random


def _run(number: int, book: Book, portfolios, decided: str | None) -> None:
    """One ended run: of the earlier ones every fifth portfolio failed or needed no trade."""
    model, rng = book.model, book.rng
    securities = book.securities[: SOME if decided else None]
    from django.utils import timezone

    from ordergen.accounts.models import User
    from ordergen.core.db import bulk_insert
    from ordergen.core.ids import object_id
    from rebalance_app.models import Order, PortfolioRebalance, Rebalance
    from rebalance_app.proposals.document import ORDER_FIELDS

    began = timezone.now() - timedelta(days=100 - number)
    run = Rebalance.objects.create(
        number=number, model_id=model.pk, model_name=model.name, model_version=model.version, snapshot=book.snapshot,
        launched_by=User.objects.get(username="bench"), launched_at=began, finished_at=began + timedelta(seconds=60),
        state="completed", n_portfolios=len(portfolios),
    )  # fmt: skip
    names = [field.name for field in PortfolioRebalance._meta.concrete_fields]
    blank = {f.name: f.get_default() for f in PortfolioRebalance._meta.concrete_fields}
    rows, orders, counts = [], [], dict.fromkeys(OUTCOMES, 0)
    for at, portfolio in enumerate(portfolios):
        outcome = OUTCOMES[at % len(OUTCOMES)] if decided else "solved"
        counts[outcome] += 1
        key, traded = object_id(), []
        if outcome == "solved":
            scale = rng.paretovariate(1.2)
            traded = [
                (object_id(), run.pk, key, portfolio.id, portfolio.name, *order, decided or "proposed")
                for order in _trades(securities, rng, scale)
            ]
        value, side = ORDER_FIELDS.index("value"), ORDER_FIELDS.index("side")
        result = {
            "id": key, "rebalance": run.pk, "portfolio_id": portfolio.id, "portfolio_name": portfolio.name,
            "chunk": at // 100, "state": outcome, "attempt": 1, "enqueued_at": began, "finished_at": run.finished_at,
            "n_orders": len(traded), "market_value": Decimal(1_000_000), "cash_before": 1000, "cash_after": 900,
            "buy_value": sum((o[value] for o in traded if o[side] == "BUY"), Decimal(0)),
            "sell_value": sum((o[value] for o in traded if o[side] == "SELL"), Decimal(0)),
            "largest_order": max((o[value] for o in traded), default=Decimal(0)),
            "drift_before": Decimal(rng.randint(10_000, 90_000)), "drift_after": Decimal(rng.randint(1, 900)),
            "band_use_before": "1.2", "band_use_after": "0.4", "seconds": 0.1, "method": "separable",
            "document": {"quantities": {"before": [1000] * len(book.securities), "after": [1001] * len(book.securities),
                                        "outside": []}, "cash_before": "1000", "cash_after": "900", "reasons": []},
        }  # fmt: skip
        if outcome in ("infeasible", "failed"):
            result |= {
                "reason_code": "SHORT_OF_CASH" if outcome == "infeasible" else "UNPRICED",
                "reason": "Too little",
            }
        rows.append([(blank | result)[name] for name in names])
        orders += traded
    bulk_insert(PortfolioRebalance, names, rows)
    bulk_insert(Order, ORDER_FIELDS, orders)
    counters = {f"n_{outcome}": count for outcome, count in counts.items()} | {"n_orders": len(orders)}
    if decided:
        counters[f"n_{decided}"] = len(orders)
    Rebalance.objects.filter(pk=run.pk).update(**counters)


def _trades(securities, rng, scale: float) -> Iterator[tuple[Any, ...]]:
    """What orders say from the security to the reason."""
    for security, quote in securities:
        quantity, price = max(1, int(scale * rng.randint(1, 100))), Decimal(quote["price"])
        side = "BUY" if rng.random() < 0.5 else "SELL"
        what = (security, quote["ticker"], side, quantity, Decimal(1000), price, price * quantity)
        yield (*what, "0.01", "0.0101", "TOWARD_TARGET")


@dataclass(frozen=True)
class Listed:
    """A list: its address, and where its pages begin (rows in the order of the list, by what its cursor holds)."""

    name: str
    path: str
    rows: Any = None
    key: str = "pk"
    param: str = "after"
    body: dict[str, Any] | None = None

    def address(self, share: float) -> str:
        """The page that begins at `share` of the list."""
        if not share or self.rows is None:
            return self.path
        at = max(0, min(int(self.rows.count() * share), self.rows.count() - 2))
        value = self.rows.values_list(self.key, flat=True)[at]
        return f"{self.path}{'&' if '?' in self.path else '?'}{self.param}={self._written(value)}"

    def _written(self, value: str | int) -> str | int:
        from ordergen.apis.conventions import write_cursor

        return write_cursor(value) if self.param == "cursor" else value


def lists() -> list[Listed]:
    from rebalance_app.models import Order, Rebalance

    last = Rebalance.objects.order_by("-number")[0]
    orders, portfolio = Order.objects, last.portfolios.order_by("pk")[5_000 % last.n_portfolios]
    ticker = last.orders.order_by("pk").values_list("ticker", flat=True)[0]
    runs, rows = Rebalance.objects.order_by("-number"), last.portfolios.order_by("pk")
    earlier = Rebalance.objects.get(number=last.number - 1)
    awaiting, of_run = orders.filter(state="proposed").order_by("pk"), last.orders.order_by("pk")
    page, listed, v2 = f"/rebalances/{last.pk}/", f"/orders/?run={last.number}", "/api/v2"
    of_one = f"{v2}/orders?portfolio_id={portfolio.portfolio_id}"
    three = list(of_run.values_list("pk", flat=True)[:3])
    name, path = portfolio.portfolio_name, f"{v2}/runs/{last.pk}/proposals"
    return [
        Listed("runs", "/rebalances/", runs, "number", "before"),
        Listed("runs, active", "/rebalances/?only=active"),
        Listed("runs, awaiting", "/rebalances/?only=awaiting"),
        Listed("runs, failures", "/rebalances/?only=failures"),
        Listed("runs, model's name", "/rebalances/?model=bench"),
        Listed("runs, no such model", "/rebalances/?model=nothing"),
        Listed("runs, one portfolio", f"/rebalances/?portfolio={portfolio.portfolio_id}"),
        Listed("run", page, rows),
        Listed("run, solved", f"{page}?outcome=solved", rows),
        Listed("run, failures (none)", f"{page}?outcome=failures"),
        Listed("run, portfolio's name", f"{page}?name={name}"),
        Listed("run with failures", f"/rebalances/{earlier.pk}/", earlier.portfolios.order_by("pk")),
        Listed("run with failures, reason", f"/rebalances/{earlier.pk}/?reason=UNPRICED"),
        *(Listed(f"run, by {s}", f"{page}?sort={s}", rows.order_by(s, "pk")) for s in ("-n_orders", "cash_after")),
        Listed("proposal", f"{page}portfolios/{portfolio.portfolio_id}/"),
        Listed("proposal, the first", f"{page}portfolios/{rows[0].portfolio_id}/"),
        Listed("proposal, the last", f"{page}portfolios/{rows.last().portfolio_id}/"),
        Listed("orders awaiting", "/orders/", awaiting),
        Listed("orders, all", "/orders/?tab=all", orders.order_by("-pk")),
        Listed("orders, approved", "/orders/?tab=approved", orders.filter(state="approved").order_by("-pk")),
        Listed("orders, buys", "/orders/?side=BUY", awaiting.filter(side="BUY")),
        Listed("orders, security", f"/orders/?ticker={ticker}", awaiting.filter(ticker=ticker)),
        Listed("orders, no such security", "/orders/?ticker=NOSUCH"),
        Listed("orders, portfolio", f"/orders/?portfolio={name}"),
        Listed("orders, all portfolios' name", f"/orders/?portfolio={name[:4]}"),
        Listed("orders, no such portfolio", "/orders/?portfolio=nosuch"),
        Listed("orders, all tabs security", f"/orders/?tab=all&ticker={ticker}"),
        Listed("orders, all tabs portfolio", f"/orders/?tab=all&portfolio={name}"),
        Listed("orders, approved security", f"/orders/?tab=approved&ticker={ticker}"),
        Listed("orders, approved no security", "/orders/?tab=approved&ticker=NOSUCH"),
        Listed("orders, large value", "/orders/?value=100000000000"),
        Listed("orders, value", "/orders/?value=1000000"),
        Listed("orders, by value", "/orders/?sort=-value"),
        Listed("orders of run", listed, of_run),
        Listed("orders of run, all", f"{listed}&tab=all", of_run),
        Listed("orders of run, sells", f"{listed}&side=SELL", of_run.filter(side="SELL")),
        Listed("orders of run, security", f"{listed}&ticker={ticker}", of_run.filter(ticker=ticker)),
        Listed("orders of run, no security", f"{listed}&ticker=NOSUCH"),
        Listed("orders of run, portfolio", f"{listed}&portfolio={name}"),
        Listed("orders of run, value", f"{listed}&value=1000000"),
        Listed("orders of run, large value", f"{listed}&value=100000000"),
        Listed("orders of run, by value", f"{listed}&sort=-value", of_run.order_by("-value", "pk")[:1_000]),
        Listed("orders of run, sells by value", f"{listed}&sort=-value&side=SELL"),
        Listed("orders of run, security by value", f"{listed}&sort=-value&ticker={ticker}"),
        Listed("orders of run, all security", f"{listed}&tab=all&ticker={ticker}"),
        Listed("orders of run, all no security", f"{listed}&tab=all&ticker=NOSUCH"),
        Listed("orders of run, all by value", f"{listed}&tab=all&sort=-value"),
        Listed("orders of run, decided by value", f"/orders/?run={earlier.number}&tab=all&sort=-value"),
        Listed("orders of run, decided by ticker", f"/orders/?run={earlier.number}&tab=all&sort=ticker"),
        Listed("orders of run, by ticker", f"{listed}&sort=ticker"),
        Listed("order", f"/orders/{of_run[7].pk}/"),
        Listed("review of 3 orders", "/orders/review", body={"verdict": "approved", "order": three}),
        Listed("review of the run", "/orders/review", body={"verdict": "approved", "run": last.pk, "whole_run": "on"}),
        Listed("launch, choose", "/rebalances/new"),
        Listed("launch, preflight", f"/rebalances/new?model={last.model_id}"),
        Listed("v2 runs", f"{v2}/runs", runs, "number", "cursor"),
        Listed("v2 runs of a state", f"{v2}/runs?state=completed", runs, "number", "cursor"),
        Listed("v2 run", f"{v2}/runs/{last.pk}"),
        Listed("v2 proposals", path, rows, "pk", "cursor"),
        Listed("v2 proposals, failed (none)", f"{path}?state=failed"),
        Listed("v2 proposal", f"{path}/{portfolio.portfolio_id}"),
        Listed("v2 orders", f"{v2}/orders", orders.order_by("pk"), "pk", "cursor"),
        Listed("v2 orders of a state", f"{v2}/orders?state=proposed", awaiting, "pk", "cursor"),
        Listed("v2 orders of a run", f"{v2}/orders?run_id={last.pk}", of_run, "pk", "cursor"),
        Listed("v2 orders of a portfolio", of_one),
        Listed("v2 orders of one, in a state", f"{of_one}&state=proposed"),
        Listed("v2 orders of one in a run", f"{of_one}&run_id={last.pk}"),
        Listed("v1 rebalances, small", "/api/v1/rebalances?limit=1&offset=3"),
        Listed("v1 search", "/api/v1/rebalances/portfolios?limit=1&offset=1",
               body={"portfolios": [portfolio.portfolio_id]}),
    ]  # fmt: skip


def measure(options: argparse.Namespace) -> None:
    import django.test
    from django.db import connection

    from ordergen.accounts.models import User
    from rebalance_app.models import Order, PortfolioRebalance, Rebalance

    reader, _ = User.objects.get_or_create(username="reader", defaults={"roles": ["manager", "approver", "admin"]})
    client = django.test.Client(SERVER_NAME="localhost")
    client.force_login(reader)
    sizes = (Order.objects.count(), PortfolioRebalance.objects.count(), Rebalance.objects.count())
    print("{}: {:,} orders, {:,} portfolios in {} runs".format(connection.vendor, *sizes))
    print("{:<30} {:<7} {:>8} {:>8} {:>6} {:>7}".format("list", "page", "p50 ms", "p95 ms", "ratio", "KB"))
    unit = 0.0
    for found in lists():
        if options.only not in found.name and unit:
            continue
        for depth, share in (("first", 0.0), ("middle", 0.5), ("last", 1.0)):
            if share and found.rows is None:
                continue
            address = found.address(share)
            if options.plans:
                _plans(client, found, address)
            taken, size = _timed(client, found, address, options.times)
            middle, high = statistics.median(taken), _percentile(taken, 0.95)
            unit = unit or middle
            figures = f"{1e3 * middle:>8.1f} {1e3 * high:>8.1f} {middle / unit:>6.1f} {size / 1e3:>7.0f}"
            print(f"{found.name:<30} {depth:<7} {figures}", flush=True)
    _export(client, options)


def _ask(client, found: Listed, address: str):
    if found.body is None:
        response = client.get(address)
    elif address.startswith("/api"):
        response = client.post(address, found.body, content_type="application/json")
    else:
        response = client.post(address, found.body)
    assert response.status_code == 200, (address, response.status_code)
    return response


def _timed(client, found: Listed, address: str, times: int) -> tuple[list[float], int]:
    """Seconds of each of `times` requests, or of as many as 5 seconds take."""
    taken, size, until = [], 0, time.perf_counter() + 5
    while len(taken) < times and (len(taken) < 2 or time.perf_counter() < until):
        started = time.perf_counter()
        response = _ask(client, found, address)
        size = sum(map(len, response.streaming_content)) if response.streaming else len(response.content)
        taken.append(time.perf_counter() - started)
    return taken, size


def _percentile(taken: list[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, round(share * (len(taken) - 1)))]


def _plans(client, found: Listed, address: str) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        _ask(client, found, address)
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN (COSTS OFF) "
    print(f"\n== {found.name}  {address}")
    for query in queries.captured_queries:
        sql, ms = query["sql"], 1e3 * float(query["time"])
        if not sql.startswith(("SELECT", "WITH")) or '"rebalance_app_' not in sql:
            continue
        with connection.cursor() as cursor:
            cursor.execute(explain + sql.replace("%", "%%") if connection.vendor == "sqlite" else explain + sql)
            steps = [str(row[-1]) for row in cursor.fetchall()]
        print(f"  {ms:6.0f} ms  …{sql[sql.find(' FROM ') :][:400]}")
        print("".join(f"               {step}\n" for step in steps), end="")


def _export(client, options: argparse.Namespace) -> None:
    """Streams the orders of the largest run as CSV, and says how much memory that took."""
    import resource

    from rebalance_app.models import Rebalance

    if options.only and options.only not in "export":
        return
    run = Rebalance.objects.order_by("-number")[0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    pieces = iter(client.get(f"/orders/export.csv?run={run.number}&tab=all").streaming_content)
    size = len(next(pieces)) + len(next(pieces))
    first = time.perf_counter() - started
    size += sum(map(len, pieces))
    taken, more = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"export of {run.n_orders:,} orders: {size / 1e6:.0f} MB in {taken:.1f} s, "
        f"the first rows after {first:.2f} s, {more / 1024:.0f} MB of memory more"
    )


if __name__ == "__main__":
    main()
