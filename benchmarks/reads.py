"""Reads of both APIs beside the bare query and orjson's writing of the same bytes, in one go and as ratios.

    python benchmarks/reads.py                              50 models, a run of 100 portfolios of 100 positions
    python benchmarks/reads.py --database postgres:///test  uses (and leaves) a schema of its own

Each read goes through everything a request does but the socket: middleware, key, permission, throttle, query, JSON.
"Bare" fetches the rows that the answer is made of as tuples, and writes the finished answer with orjson.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--portfolios", type=int, default=100)
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--reads", type=int, default=60)
    parser.add_argument("--database", default="", help="DATABASE_URL; a new SQLite file when left out")
    options = parser.parse_args()
    os.environ |= {
        "ORDERGEN_HOME": tempfile.mkdtemp(prefix="ordergen-bench-"),
        "DJANGO_SETTINGS_MODULE": "ordergen.settings",
        "ORDERGEN_API_READS_PER_MINUTE": "1000000",
        "LOG_LEVEL": "WARNING",
        "ALLOWED_HOSTS": "testserver",
    }
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    print(f"{options.models} models of {options.positions} positions and {options.portfolios} portfolios, one run")
    print("{:48} {:>9} {:>8} {:>8} {:>9} {:>6}".format("read", "bytes", "p50 ms", "p95 ms", "bare ms", "ratio"))
    read = _fill(options)
    for path, query in _reads().items():
        _measure(path, read, query, options.reads)


def _fill(options: argparse.Namespace) -> Callable[[str], bytes]:
    """Models and a solved run; gives a way to read an address."""
    from django.test import Client

    from benchmarks.runs import fill
    from models_app.investment_models.selectors import model_draft
    from models_app.modelling.services import model_create
    from ordergen.accounts.keys import SCOPES, create_api_key
    from rebalance_app.runs.launch import run_launch
    from rebalance_app.runs.solve_chunk import chunk_solve

    manager, model = fill(options.portfolios, options.positions)
    draft = model_draft(model)
    for number in range(options.models - 1):
        model_create(draft=type(draft)(f"Model {number}", draft.positions, draft.portfolios), by=manager)
    run = run_launch(by=manager, model_id=model.pk)
    for chunk in range(run.portfolios.order_by("-chunk").first().chunk + 1):
        chunk_solve(run_id=run.pk, chunk=chunk)
    key = create_api_key(user=manager, name="bench", scopes=tuple(SCOPES), days=1)[1]
    client = Client(headers={"X-API-Key": key})

    def read(path: str) -> bytes:
        response = client.get(path)
        assert response.status_code == 200, response
        # A streamed answer is written as it is read: that is part of what its reader waits for.
        return b"".join(response.streaming_content) if response.streaming else response.content

    return read


def _reads() -> dict[str, Callable[[], object]]:
    """By address, the query of the rows that its answer is made of."""
    from django.db.models import F, OuterRef, Subquery

    from models_app.models import InvestmentModel, ModelVersion, Portfolio
    from rebalance_app.models import Order, PortfolioRebalance, Rebalance

    saved = ModelVersion.objects.filter(model_id=OuterRef("pk"), version=OuterRef("version")).values("content")[:1]
    models = InvestmentModel.objects.annotate(content=Subquery(saved)).values_list(
        "id", "name", "version", "content", "last_rebalance_at"
    )
    run = Rebalance.objects.get()
    rows = PortfolioRebalance.objects.annotate(prices=F("rebalance__snapshot_id")).filter(rebalance=run)
    documents = rows.order_by("pk").values_list("portfolio_id", "portfolio_name", "state", "document")
    orders = Order.objects.order_by("pk").values_list(*_names(Order))
    return {
        "/api/v1/models": models.all,
        "/api/v1/models?limit=10&sort_by=name": lambda: models.order_by("name")[:10],
        f"/api/v1/model/{models[0][0]}": lambda: models[:1],
        "/api/v2/models?limit=50": lambda: models[:50],
        f"/api/v2/models/{models[0][0]}": lambda: models[:1],
        "/api/v1/rebalances?limit=1": documents.all,
        f"/api/v1/rebalance/{run.pk}": documents.all,
        f"/api/v1/rebalance/{run.pk}/portfolio/{documents[0][0]}/positions": lambda: documents[:1],
        "/api/v2/orders?limit=200": lambda: orders[:201],
        f"/api/v2/runs/{run.pk}/proposals?limit=100": lambda: rows.values_list(*_names(PortfolioRebalance))[:101],
        "/api/v2/runs?limit=50": lambda: Rebalance.objects.values_list(*_names(Rebalance)),
        "/api/v2/portfolios?limit=200": lambda: Portfolio.objects.order_by("name").values_list("id", "name"),
    }


def _names(table: type) -> list[str]:
    large = {"document", "snapshot", "limits"}
    return [field.name for field in table._meta.concrete_fields if field.name not in large]


def _measure(path: str, read: Callable[[str], bytes], query: Callable[[], object], reads: int) -> None:
    content = orjson.loads(read(path))
    whole, bare = [], []
    for _ in range(reads):  # in turns, so that whatever else the machine does is shared by both
        whole.append(_seconds(lambda: read(path)))
        bare.append(_seconds(lambda: (list(query()), orjson.dumps(content))))
    middle, base = statistics.median(whole), statistics.median(bare)
    p95 = statistics.quantiles(whole, n=20)[-1]
    named = "/".join(part if len(part) < 24 else "…" for part in path.split("/"))
    print(
        f"{named:48} {len(read(path)):>9,} {middle * 1000:>8.1f} {p95 * 1000:>8.1f} "
        f"{base * 1000:>9.1f} {middle / base:>6.1f}",
        flush=True,
    )


def _seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
