"""A run at scale, beside the bare insert of the very rows it writes, in one go and as ratios.

    python benchmarks/runs.py                                    10,000 portfolios of 100 positions, 2 worker processes
    python benchmarks/runs.py --portfolios 100 1000 10000        how the cost grows
    python benchmarks/runs.py --workers 1 --broker redis://127.0.0.1:6379/9
    python benchmarks/runs.py --database postgres:///test        uses (and leaves) a schema of its own

It measures from the click (launching) until the run's last order is stored by real workers, then where the time of one
process goes, and what the original's method (a continuous solution, rounded, one insert per order) would take.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    options = _options()
    home = Path(tempfile.mkdtemp(prefix="ordergen-bench-"))
    os.environ |= {
        "ORDERGEN_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "ordergen.settings",
        "REBALANCING_MAX_WORKERS": str(options.workers),
        "LOG_LEVEL": "WARNING",
    }
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    if options.broker:
        os.environ["CELERY_BROKER_URL"] = options.broker
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    print(f"{options.workers} workers, {options.positions} positions each, {_names(options)}")
    heads = ("portfolios", "orders", "run s", "bare insert s", "ratio", "orders/s", "peak MB")
    print("{:>10} {:>9} {:>8} {:>14} {:>6} {:>9} {:>8}".format(*heads))
    for count in options.portfolios:
        _measure(count, options)
    _shares(min(1_000, max(options.portfolios)), options.positions)
    _original(options.original, options.positions)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, nargs="+", default=[10_000])
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database", default="", help="DATABASE_URL; a new SQLite file when left out")
    parser.add_argument("--broker", default="", help="CELERY_BROKER_URL; the embedded one when left out")
    parser.add_argument("--original", type=int, default=50, help="portfolios to solve by the original's method")
    return parser.parse_args()


def _names(options: argparse.Namespace) -> str:
    return f"{(options.database or 'sqlite').split(':')[0]}, {(options.broker or 'embedded broker').split(':')[0]}"


def fill(count: int, positions: int):
    """A model and `count` portfolios that hold all its securities at up to 30 % from their targets."""
    from models_app.models import Holding, Portfolio, Price, Security
    from models_app.rules import ModelDraft, PositionDraft
    from models_app.services import model_create
    from ordergen.accounts.models import User
    from ordergen.db import atomic, bulk_insert, object_id

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
    process = subprocess.Popen([sys.executable, "-m", "ordergen.cli", "worker"], stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _measure(count: int, options: argparse.Namespace) -> None:
    from rebalance_app.services.launch import rebalance_launch

    manager, model = fill(count, options.positions)
    first, *_ = model.portfolios.values_list("portfolio_id", flat=True)
    with worker() as process:
        _wait(rebalance_launch(by=manager, model_id=model.pk, portfolio_ids=[first]))  # until the worker is there
        started = time.perf_counter()
        run = _wait(rebalance_launch(by=manager, model_id=model.pk))
        taken = time.perf_counter() - started
        peak = max(_peak_mb(pid) for pid in _below(process.pid))
    assert run.n_solved == count, (run.n_solved, run.n_infeasible, run.n_failed)
    bare = _bare_insert(run)
    print(
        f"{count:>10,} {run.n_orders:>9,} {taken:>8.2f} {bare:>14.2f} {taken / bare:>6.2f} "
        f"{run.n_orders / taken:>9,.0f} {peak:>8.0f}",
        flush=True,
    )


def _wait(run):
    while run.is_active:
        time.sleep(0.02)
        run.refresh_from_db()
    return run


def _bare_insert(run) -> float:
    """Seconds to insert just the rows that the run wrote, ready-made, into the same tables, emptied first."""
    from django.db import connection

    from ordergen.db import atomic, bulk_insert, object_id
    from rebalance_app.models import Order, PortfolioRebalance
    from rebalance_app.services.propose import ORDER_FIELDS

    fields = [field.name for field in PortfolioRebalance._meta.concrete_fields]
    columns = [field.attname for field in PortfolioRebalance._meta.concrete_fields]
    results = list(run.portfolios.values_list(*columns))
    names = [Order._meta.get_field(name).attname for name in ORDER_FIELDS[1:]]
    orders = [(object_id(), *values) for values in run.orders.values_list(*names)]
    Order.objects.all().delete()
    PortfolioRebalance.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
    started = time.perf_counter()
    with atomic():
        bulk_insert(PortfolioRebalance, fields, results)
        bulk_insert(Order, ORDER_FIELDS, orders)
    return time.perf_counter() - started


def _shares(count: int, positions: int) -> None:
    """Where the time of one process goes, chunk by chunk in this one."""
    from rebalance_app.services import launch, solve

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
    steps = {"gather": "read", "block_solve": "solve", "block_proposals": "propose", "proposals_store": "write"}
    for name, word in steps.items():
        setattr(solve, name, timed(word, getattr(solve, name)))
    launch.enqueue = timed("broker", launch.enqueue)
    started = time.perf_counter()
    run = launch.rebalance_launch(by=manager, model_id=model.pk)
    launched = time.perf_counter()
    for chunk in sorted(set(run.portfolios.values_list("chunk", flat=True))):
        solve.chunk_solve(rebalance_id=run.pk, chunk=chunk)
    total = time.perf_counter() - started
    spent["launch"] = launched - started - spent["broker"]
    spent["other"] = total - sum(spent.values())
    print(f"\nOne process, {count:,} portfolios, {total:.2f} s: ", end="")
    print(", ".join(f"{word} {seconds / total:.0%}" for word, seconds in sorted(spent.items(), key=lambda x: -x[1])))


def _original(count: int, positions: int) -> None:
    """The original's way for a sample: continuous CVXPY per portfolio, rounded, and one insert per order."""
    if not count:
        return
    import cvxpy as cp
    import numpy as np

    rng = np.random.default_rng(1)
    price, value = rng.uniform(5, 500, positions), 1_050_000.0
    target = np.full(positions, 0.95 / positions)
    started = time.perf_counter()
    for _ in range(count):
        units = cp.Variable(positions, nonneg=True)
        worth = cp.multiply(price, units)
        bounds = [worth >= value * target * 0, worth <= value * target * 2]
        cp.Problem(cp.Minimize(cp.norm1(value * target - worth)), bounds).solve()
        np.round(units.value)
    per_portfolio = (time.perf_counter() - started) / count
    print(f"The original's optimisation alone: {1 / per_portfolio:,.0f} portfolios/s in one process, unchecked")


def _below(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    children = [int(child) for child in path.read_text().split()] if path.exists() else []
    return [pid, *(below for child in children for below in _below(child))]


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
