"""API v1 on the simulated GlobeCo services beside the way the original asks them: `python -m benchmarks.globeco`.

Both rebalance the same model on the same simulator in the same run, so the ratios hold on any machine. The original's
pattern: for each portfolio three summaries, and a price for every security it holds and then for
every security of the model, one call after the other; portfolios side by side; tickers once, as if its cache had just
been emptied. Only its calls are made here, none of its arithmetic. It is asked for a few portfolios and scaled up,
for the calls of each are the same.

Then the reads of v1: a stored run of 10,000 positions as one list, and fifty models.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.globeco.client import Globeco
from tests.ordergen.apis.test_over_http import Portal
from tests.site import Site, eventually, free_port

ACCOUNTING, SECURITY, PRICING = 1, 2, 3  # the simulator's ports
N_MODELS = 50
READS = 60
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=100)
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.002, help="seconds that every answer of a service takes")
    parser.add_argument("--original", type=int, default=8, help="portfolios that the original's pattern is tried on")
    options = parser.parse_args()
    size = ["--portfolios", str(options.portfolios + 1), "--positions", str(options.positions)]
    globeco = Globeco(*size, "--latency", str(options.latency))
    try:
        book = globeco.control("GET", "/book")
        portfolios, securities = list(book["portfolios"])[: options.portfolios], list(book["securities"])
        model = securities[: options.positions]
        figures = {"portfolios": options.portfolios, "positions": options.positions, "latency_s": options.latency}
        with tempfile.TemporaryDirectory() as home:
            figures |= ordergen(globeco, Site(Path(home), ORDERGEN_SOURCE="globeco", **globeco.urls), portfolios, model)
        figures |= original(globeco, portfolios, options.original, model)
    finally:
        globeco.stop()
    runs = figures["ordergen"]
    figures["seconds"] = {"first": runs[0]["seconds"], "median": statistics.median(run["seconds"] for run in runs)}
    figures["ratio_calls"] = round(figures["original"]["calls"] / max(run["calls"] for run in runs), 1)
    figures["ratio_seconds"] = round(figures["original"]["seconds"] / figures["seconds"]["median"], 1)
    print(json.dumps(figures, indent=1))


def ordergen(globeco: Globeco, site: Site, portfolios: list[str], model: list[str]) -> dict:
    assert site.run("migrate").returncode == 0
    assert site.run("create-user", "maya", "--role", "manager", stdin="a-long-enough-word\n").returncode == 0
    scopes = [
        word
        for scope in ("models:write", "models:read", "rebalances:write", "rebalances:read")
        for word in ("--scope", scope)
    ]
    key = site.run("create-api-key", "maya", "benchmark", *scopes).stdout.strip()
    port = free_port()
    site.start("serve", "--port", str(port))
    try:
        portal = Portal(port, key)
        eventually(portal.is_ready, 120)
        model_id = _make_model(portal, "Benchmark", portfolios, model)
        # A run over one portfolio goes before, until there is a worker; the first runs still pay for what each process
        # imports and reads once.
        warm = _make_model(portal, "Warm", portfolios[:1], model[:5])
        eventually(lambda: portal.ask("POST", f"/api/v1/model/{warm}/rebalance")[0] == 200, 180, every=1)
        runs = [_rebalance(globeco, portal, model_id) for _ in range(RUNS)]
        return {"ordergen": runs, "reads": _reads(portal, portfolios, model)}
    finally:
        site.stop()


def _make_model(portal: Portal, name: str, portfolios: list[str], model: list[str]) -> str:
    target = f"{0.95 / len(model) // 0.005 * 0.005:.3f}"
    band = {"target": target, "low_drift": target, "high_drift": target}
    positions = [{"security_id": key, **band} for key in model]
    status, made = portal.ask(
        "POST", "/api/v1/models", {"name": name, "positions": positions, "portfolios": portfolios}
    )
    assert status == 201, made
    return made["model_id"]


def _rebalance(globeco: Globeco, portal: Portal, model_id: str) -> dict:
    globeco.forget()
    started = time.perf_counter()
    status, elements = portal.ask("POST", f"/api/v1/model/{model_id}/rebalance")
    seconds = time.perf_counter() - started
    assert status == 200, elements
    asked = Counter(call["service"] for call in globeco.calls())
    outcome = Counter(element["status"] for element in elements)
    return {"calls": asked.total(), "by_service": asked, "seconds": round(seconds, 2), "outcome": outcome}


def _reads(portal: Portal, portfolios: list[str], model: list[str]) -> dict:
    started = time.perf_counter()
    _, (stored, *_) = portal.ask("GET", "/api/v1/rebalances?limit=1")
    listed = time.perf_counter() - started
    rows = sum(len(portfolio["positions"]) for portfolio in stored["portfolios"])
    for number in range(N_MODELS - 2):
        _make_model(portal, f"Model {number}", portfolios[:5], model)
    times = []
    for _ in range(READS):
        started = time.perf_counter()
        status, models = portal.ask("GET", f"/api/v1/models?limit={N_MODELS}&sort_by=name")
        times.append(time.perf_counter() - started)
        assert (status, len(models)) == (200, N_MODELS)
    p95 = statistics.quantiles(times, n=20)[-1]
    return {"listed_rows": rows, "list_seconds": round(listed, 2), "models_p95_ms": round(p95 * 1000, 1)}


def original(globeco: Globeco, portfolios: list[str], tried: int, model: list[str]) -> dict:
    """Calls and seconds of the original's pattern, scaled from `tried` portfolios to all of them."""
    globeco.forget()
    started = time.perf_counter()
    with httpx.Client(trust_env=False) as client, ThreadPoolExecutor(tried) as pool:
        tickers = {
            key: client.get(f"http://127.0.0.1:{globeco.port + SECURITY}/api/v1/security/{key}").json()["ticker"]
            for key in model
        }
        tickers_seconds, tickers_calls = time.perf_counter() - started, len(tickers)
        started = time.perf_counter()
        list(pool.map(lambda key: _as_the_original(client, globeco, key, tickers), portfolios[:tried]))
        seconds = time.perf_counter() - started
    scale = len(portfolios) / tried
    calls = (len(globeco.calls()) - tickers_calls) * scale + tickers_calls
    scaled = {"calls": round(calls), "seconds": round(seconds * scale + tickers_seconds, 1), "tried_on": tried}
    return {"original": scaled}


def _as_the_original(client: httpx.Client, globeco: Globeco, portfolio_id: str, tickers: dict[str, str]) -> None:
    base = f"http://127.0.0.1:{globeco.port + ACCOUNTING}/api/v1/portfolios/{portfolio_id}/summary"
    summaries = [client.get(base).json() for _ in range(3)]
    held = [line["securityId"] for line in summaries[0]["securities"]]
    for key in (*(key for key in held if key in tickers), *tickers):
        client.get(f"http://127.0.0.1:{globeco.port + PRICING}/api/v1/price/{tickers[key]}").raise_for_status()


if __name__ == "__main__":
    main()
