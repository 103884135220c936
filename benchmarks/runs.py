"""A run at scale, beside the bare insert of the very rows it writes, in one go and as ratios.

    python benchmarks/runs.py                                    10,000 portfolios of 100 positions, 2 worker processes
    python benchmarks/runs.py --portfolios 100 1000 10000 20000  how the cost grows
    python benchmarks/runs.py --portfolios 2000 --workers 1 2 4 \\
        --databases sqlite postgres://postgres@127.0.0.1/ --brokers filesystem:// redis://127.0.0.1:6379/9 amqp://localhost

Every line is measured from the click (launching) until the last order is stored by real workers, and then the bare
insert of the same rows, ready-made, into the same tables, emptied. "Again" is the same run once more, which also puts
the undecided orders of the first out of date. Then follow where the time of one process goes, and the method of the
original service (a continuous solution, rounded, one insert per order) on a part of the same book. Databases are made
for the purpose and removed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

COLUMNS = (
    ("database", 9), ("broker", 11), ("workers", 7), ("portfolios", 10), ("orders", 9), ("run s", 7), ("bare s", 7),
    ("ratio", 5), ("orders/s", 8), ("again s", 7), ("peak MB", 7),
)  # fmt: skip


def main() -> None:
    """One process per combination, because settings are read once in each."""
    options = _options()
    if options.one:
        _one(options)
        return
    print("  ".join(f"{name:>{width}}" for name, width in COLUMNS), flush=True)
    size = ["--positions", str(options.positions), "--portfolios", *map(str, options.portfolios)]
    last = options.databases[-1], options.brokers[-1], options.workers[-1]
    for database, broker, workers in itertools.product(options.databases, options.brokers, options.workers):
        original = options.original if (database, broker, workers) == last else 0
        chosen = ["--databases", database, "--brokers", broker, "--workers", str(workers), "--original", str(original)]
        subprocess.run([sys.executable, __file__, "--one", *size, *chosen], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, nargs="+", default=[10_000])
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--databases", nargs="+", default=["sqlite"], help="sqlite, or the address of a PostgreSQL")
    parser.add_argument("--brokers", nargs="+", default=["filesystem://"], help="as CELERY_BROKER_URL has them")
    parser.add_argument("--original", type=int, default=50, help="portfolios to solve by the original's method")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _one(options: argparse.Namespace) -> None:
    """All sizes on one database, broker and number of workers."""
    with _installation(options.databases[0]) as settings:
        os.environ |= settings | {
            "DJANGO_SETTINGS_MODULE": "ordergen.settings",
            "REBALANCING_MAX_WORKERS": str(options.workers[0]),
            "CELERY_BROKER_URL": options.brokers[0],
            "LOG_LEVEL": "WARNING",
        }
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        for count in options.portfolios:
            _measure(count, options)
        if options.original:
            _shares(min(1_000, max(options.portfolios)), options.positions)
            _original(options.original)
        connections.close_all()


@contextmanager
def _installation(database: str) -> Iterator[dict[str, str]]:
    """The environment of an installation of its own: a folder, and a database that is removed at the end."""
    home = tempfile.mkdtemp(prefix="ordergen-bench-")
    try:
        if database == "sqlite":
            yield {"ORDERGEN_HOME": home}
        else:
            with _postgres(database.rstrip("/")) as url:
                yield {"ORDERGEN_HOME": home, "DATABASE_URL": url}
    finally:
        shutil.rmtree(home)


@contextmanager
def _postgres(server: str) -> Iterator[str]:
    import psycopg

    name = f"ordergen_bench_{os.getpid()}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def fill(count: int, positions: int):
    """A model and `count` portfolios that hold all its securities at up to 30 % from their targets."""
    from models_app.investment_models.rules import ModelDraft, PositionDraft
    from models_app.modelling.services import model_create
    from models_app.models import Holding, Portfolio, Price, Security
    from ordergen.accounts.models import User
    from ordergen.core.db import atomic, bulk_insert
    from ordergen.core.ids import object_id

    rng = random.Random(count)
    manager, _ = User.objects.get_or_create(username="bench", defaults={"roles": ["manager"]})
    cents = {object_id(): rng.randint(500, 50_000) for _ in range(positions)}
    target = Decimal("0.95") / positions // Decimal("0.005") * Decimal("0.005") or Decimal("0.005")
    tag = object_id()[-6:]
    portfolios = [(object_id(), f"P{tag}-{i:06}", Decimal(100_000)) for i in range(count)]
    with atomic():
        bulk_insert(
            Security, ("id", "ticker", "name"), [(k, f"{tag}{i:03}", f"Security {i}") for i, k in enumerate(cents)]
        )
        Price.objects.bulk_create(
            Price(security_id=k, date="2026-11-20", close=Decimal(c) / 100) for k, c in cents.items()
        )
        bulk_insert(Portfolio, ("id", "name", "cash"), portfolios)
        held = (
            (object_id(), key, security, Decimal(int(1_000_000 / price * rng.uniform(0.7, 1.3))))
            for key, _, _ in portfolios
            for security, price in cents.items()
        )
        bulk_insert(Holding, ("id", "portfolio", "security", "quantity"), held)
    lines = tuple(PositionDraft(key, target, target, target) for key in cents)
    draft = ModelDraft(f"Bench {count} {tag}", lines, tuple(key for key, _, _ in portfolios))
    return manager, model_create(draft=draft, by=manager)


@contextmanager
def worker():
    """A real worker with its sweeper, stopped at the end; yields its process."""
    process = subprocess.Popen([sys.executable, "-m", "ordergen.ops.cli", "worker"], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _measure(count: int, options: argparse.Namespace) -> None:
    from models_app.drift_index.refresh import refresh
    from rebalance_app.runs.launch import run_launch

    manager, model = fill(count, options.positions)
    refresh()  # of the drift figures, which a worker would do while the run is timed
    first, *_ = model.portfolios.values_list("portfolio_id", flat=True)
    with worker() as process:
        _wait(run_launch(by=manager, model_id=model.pk, portfolio_ids=[first]))  # until the worker is there
        run, taken = _timed(manager, model)
        _, again = _timed(manager, model)
        peak = max(_peak_mb(pid) for pid in _below(process.pid))
    bare = _bare_insert(run)
    names = (options.databases[0].split(":")[0], options.brokers[0].split(":")[0], options.workers[0])
    cells = (*names, f"{count:,}", f"{run.n_orders:,}", f"{taken:.2f}", f"{bare:.2f}", f"{taken / bare:.2f}")
    cells = (*cells, f"{run.n_orders / taken:,.0f}", f"{again:.2f}", f"{peak:.0f}")
    print("  ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, COLUMNS, strict=True)), flush=True)


def _timed(manager, model):
    """A run over all portfolios of the model, and its seconds from the click."""
    from rebalance_app.runs.launch import run_launch

    started = time.perf_counter()
    run = _wait(run_launch(by=manager, model_id=model.pk))
    taken = time.perf_counter() - started
    assert run.n_solved == run.n_portfolios, (run.n_solved, run.n_infeasible, run.n_failed)
    return run, taken


def _wait(run):
    while run.is_active:
        time.sleep(0.02)
        run.refresh_from_db()
    return run


def _bare_insert(run) -> float:
    """Seconds to insert just the rows that the run wrote, ready-made, into the same tables, emptied first."""
    from django.db import connection

    from ordergen.core.db import atomic, bulk_insert
    from ordergen.core.ids import object_id
    from rebalance_app.models import Order, PortfolioRebalance
    from rebalance_app.proposals.document import ORDER_FIELDS

    fields = [field.name for field in PortfolioRebalance._meta.concrete_fields]
    columns = [field.attname for field in PortfolioRebalance._meta.concrete_fields]
    results = list(run.portfolios.values_list(*columns))
    names = [Order._meta.get_field(name).attname for name in ORDER_FIELDS[1:]]
    orders = [(object_id(), *values) for values in run.orders.values_list(*names)]
    for table in (Order, PortfolioRebalance):  # without looking for decisions on them: there are none
        table.objects.all()._raw_delete(table.objects.db)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    started = time.perf_counter()
    with atomic():
        bulk_insert(PortfolioRebalance, fields, results)
        bulk_insert(Order, ORDER_FIELDS, orders)
    return time.perf_counter() - started


def _shares(count: int, positions: int) -> None:
    """Where the time of one process goes, chunk by chunk in this one."""
    from rebalance_app.runs import launch
    from rebalance_app.runs import solve_chunk as solve

    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function):
        def inner(*arguments, **named):
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[name] += time.perf_counter() - started

        return inner

    manager, model = fill(count, positions)
    steps = {
        "_claim": "claim",
        "gather": "read",
        "batch_solve": "solve",
        "batch_proposals": "propose",
        "proposals_store": "write",
    }
    for name, word in steps.items():
        setattr(solve, name, timed(word, getattr(solve, name)))
    launch.enqueue = timed("broker", launch.enqueue)
    started = time.perf_counter()
    run = launch.run_launch(by=manager, model_id=model.pk)
    launched = time.perf_counter()
    for chunk in sorted(set(run.portfolios.values_list("chunk", flat=True))):
        solve.chunk_solve(run_id=run.pk, chunk=chunk)
    total = time.perf_counter() - started
    spent["launch"] = launched - started - spent["broker"]
    spent["other"] = total - sum(spent.values())
    print(f"\nOne process, {count:,} portfolios, {total:.2f} s: ", end="")
    print(", ".join(f"{word} {seconds / total:.0%}" for word, seconds in sorted(spent.items(), key=lambda x: -x[1])))
    print(f"ordergen in one process: {count / total:,.0f} portfolios/s, stored, every answer checked")


def _original(count: int) -> None:
    """The original's way for some portfolios of the last book: continuous CVXPY, rounded, one insert per order."""
    import cvxpy as cp
    import numpy as np

    from models_app.investment_models.selectors import model_draft
    from models_app.models import InvestmentModel, ModelPortfolio
    from models_app.sources import get_source
    from rebalance_app.models import Order, PortfolioRebalance

    model = InvestmentModel.objects.latest("created_at")
    rows = list(PortfolioRebalance.objects.filter(rebalance__model_id=model.pk).order_by("pk")[:count])
    positions, source = model_draft(model).positions, get_source()
    quotes = source.latest_prices([p.security_id for p in positions])
    price = np.array([float(quotes[p.security_id].price) for p in positions])
    target, low, high = (
        np.array([float(getattr(p, n)) for p in positions]) for n in ("target", "low_drift", "high_drift")
    )
    assert ModelPortfolio.objects.filter(model=model).count() >= count
    orders = Order.objects.filter(proposal__in=[row.pk for row in rows])
    orders._raw_delete(orders.db)
    started = time.perf_counter()
    for row in rows:
        held = source.balances([row.portfolio_id])[row.portfolio_id]
        before = np.array([float(held.quantities.get(p.security_id, 0)) for p in positions])
        value = float(held.cash) + before @ price
        units = cp.Variable(len(price), nonneg=True)
        worth = cp.multiply(price, units)
        bounds = [worth >= value * (target - low), worth <= value * (target + high)]
        cp.Problem(cp.Minimize(cp.norm1(value * target - worth)), bounds).solve()
        for place, change in zip(positions, np.round(units.value) - before, strict=True):
            if change:
                Order.objects.create(
                    rebalance_id=row.rebalance_id, proposal=row, portfolio_id=row.portfolio_id, portfolio_name="",
                    security_id=place.security_id, ticker="", side="BUY" if change > 0 else "SELL",
                    quantity=abs(int(change)), quantity_before=0, price=0, value=0, reason="",
                )  # fmt: skip
    per_portfolio = (time.perf_counter() - started) / count
    print(f"The original's method on {count} of them: {1 / per_portfolio:,.0f} portfolios/s in one process, unchecked")


def _below(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = [int(child) for child in path.read_text().split()] if path.exists() else []
    return [pid, *(below for child in children for below in _below(child))]


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
