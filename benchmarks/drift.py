"""Drift of a whole firm: refreshing the figures, beside computing live; and the pages that are made from them.

    python benchmarks/drift.py                                   10,000 portfolios of 100 positions
    python benchmarks/drift.py --portfolios 2000 --models 20     of several models
    python benchmarks/drift.py --database postgres:///test       uses (and leaves) a schema of its own

The live way is timed on a sample and stated per portfolio. Pages go through Django's test client; the trivial page is
the same frame around nothing (the help's index).
"""

from __future__ import annotations

import argparse
import html
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
SAMPLE = 200  # portfolios computed live
TRIVIAL = "/help/"


def main() -> None:
    options = _options()
    os.environ |= {
        "ORDERGEN_HOME": str(Path(tempfile.mkdtemp(prefix="ordergen-bench-"))),
        "DJANGO_SETTINGS_MODULE": "ordergen.settings",
        "LOG_LEVEL": "ERROR",
    }
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks.runs import fill
    from ordergen.celery import app

    app.conf.broker_url = "memory://"  # nobody listens: the refresh is timed here
    call_command("migrate", verbosity=0)
    for _ in range(options.models):
        manager, model = fill(options.portfolios // options.models, options.positions)
    print(f"{options.portfolios:,} portfolios of {options.positions} positions, {options.models} models")
    _refresh(options.portfolios)
    _pages(manager, model.pk, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=10_000)
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--models", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20, help="requests of each page")
    parser.add_argument("--database", default="", help="DATABASE_URL; a new SQLite file when left out")
    return parser.parse_args()


def _refresh(count: int) -> None:
    from models_app.drift_index.changed import book_changed
    from models_app.drift_index.live_drift import portfolio_view
    from models_app.drift_index.refresh import refresh
    from models_app.models import DriftFigures, Holding
    from ordergen.core.db import atomic

    _timed("first refresh", refresh)
    with atomic():
        marking = _timed("marking everything (a price import does this besides its rows)", book_changed)
    taken = _timed("refresh of everything", refresh)
    ids = list(DriftFigures.objects.values_list("portfolio_id", flat=True)[:SAMPLE])
    started = time.perf_counter()
    for key in ids:
        portfolio_view(key)
    live = (time.perf_counter() - started) / len(ids) * count
    started = time.perf_counter()
    n = sum(1 for _ in Holding.objects.order_by().values_list("portfolio_id", "security_id", "quantity").iterator())
    bare = time.perf_counter() - started
    print(f"one by one, live, it would take {live:.0f} s: {live / taken:.0f} times as long")
    print(f"reading the {n:,} holdings alone takes {bare:.1f} s: the refresh is {taken / bare:.2f} times that")
    print(f"marking: {marking / taken:.3f} of a refresh; peak memory of this process {_peak_mb():.0f} MB")
    with atomic():
        book_changed(ids[:5])
    print(f"figures still old after a change of 5 portfolios: {DriftFigures.objects.exclude(changed=None).count()}")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(what, act) -> float:
    started = time.perf_counter()
    act()
    taken = time.perf_counter() - started
    print(f"{what}: {taken:.2f} s", flush=True)
    return taken


def _pages(manager, model_id: str, rounds: int) -> None:
    from django.test import Client

    from models_app.portfolios.views import PORTFOLIO_COLUMNS

    client = Client(SERVER_NAME="localhost")
    client.force_login(manager)
    deep = re.search(r'href="(\?[^"]*after=[^"]*)"', client.get("/portfolios/?sort=name").content.decode())
    sorts = [f"/portfolios/?sort={sign}{c.name}" for c in PORTFOLIO_COLUMNS if c.sorts for sign in ("", "-")]
    filters = [f"/portfolios/?state={state}" for state in ("breach", "near", "in_band", "low_cash", "unpriced")]
    groups = {
        "trivial page": [TRIVIAL],
        "dashboard": ["/"],
        "portfolios, by every column both ways": sorts,
        "portfolios, by every filter": [*filters, "/portfolios/?q=12", f"/portfolios/?model={model_id}&state=breach"],
        "portfolios, next page": [f"/portfolios/{html.unescape(deep[1])}"],
        "models": ["/models/"],
        "a model": [f"/models/{model_id}/", f"/models/{model_id}/?sort=name"],
        "API v2, the firm": ["/api/v2/drift?limit=200"],
        "API v2, a model": [f"/api/v2/models/{model_id}/drift?limit=200"],
    }
    trivial = 0.0
    print(f"{'page':42} {'p50 ms':>8} {'p95 ms':>8} {'p50 / trivial':>14}")
    for name, addresses in groups.items():
        times = sorted(_once(client, addresses[at % len(addresses)]) for at in range(max(rounds, len(addresses))))
        middle, late = statistics.median(times), times[int(0.95 * (len(times) - 1))]
        trivial = trivial or middle
        print(f"{name:42} {middle * 1000:>8.1f} {late * 1000:>8.1f} {middle / trivial:>14.1f}", flush=True)


def _once(client, address: str) -> float:
    started = time.perf_counter()
    response = client.get(address)
    taken = time.perf_counter() - started
    assert response.status_code == 200, (address, response.status_code)
    return taken


if __name__ == "__main__":
    main()
