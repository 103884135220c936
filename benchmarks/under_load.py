"""The web server while the workers are at a large run, and while it is flooded with launches.

    python benchmarks/under_load.py                              5,000 portfolios of 100 positions on SQLite
    python benchmarks/under_load.py --database postgres:///load  on PostgreSQL (fills and leaves that database)
    python benchmarks/under_load.py --portfolios 10000 --readers 8

Starts `ordergen web` and `ordergen worker` on loopback. Readers ask for pages and for API v2, one request after another
each: first while nothing else happens, then while the run is solved, then while other clients launch runs as fast as
they can. Prints p50 and p95 as ratios to the idle server's, and what the launches were answered: 2xx, 429 or 503.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
PASSWORD = "a password for an hour"
SECONDS = 12.0  # at most, of each phase


def main() -> None:
    options = _options()
    os.environ |= {
        "ORDERGEN_HOME": tempfile.mkdtemp(prefix="ordergen-bench-"),
        "DJANGO_SETTINGS_MODULE": "ordergen.settings",
        "LOG_LEVEL": "CRITICAL",
        "ORDERGEN_API_READS_PER_MINUTE": str(10**6),
        "ORDERGEN_API_WRITES_PER_MINUTE": str(10**6),
    }
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks.runs import fill
    from ordergen.accounts.keys import SCOPES, create_api_key
    from ordergen.accounts.services import user_create

    call_command("migrate", verbosity=0)
    _, model = fill(options.portfolios, options.positions)
    _, small = fill(options.flood, 5)
    user = user_create(username=f"reader-{small.pk[-4:]}", password=PASSWORD, roles=["manager", "approver"])
    key = create_api_key(user=user, name="load", scopes=tuple(SCOPES), days=1)[1]
    with ExitStack() as running:
        port = _free_port()
        running.enter_context(_command("web", "--port", str(port)))
        running.enter_context(_command("worker"))
        _measure(f"http://127.0.0.1:{port}", user.username, key, model, small, options.readers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portfolios", type=int, default=5_000)
    parser.add_argument("--positions", type=int, default=100)
    parser.add_argument("--readers", type=int, default=4, help="who ask for pages and for the API, half and half")
    parser.add_argument("--flood", type=int, default=2_000, help="portfolios to launch one by one")
    parser.add_argument("--database", default="", help="DATABASE_URL; a new SQLite file when left out")
    return parser.parse_args()


def _measure(host: str, username: str, key: str, model, small, readers: int) -> None:
    import httpx

    api = httpx.Client(base_url=host, headers={"X-API-Key": key}, timeout=60)
    _until(lambda: _answers(api))
    warm = _run(api, small.pk, list(small.portfolios.values_list("portfolio_id", flat=True)[:1]))
    _until(lambda: api.get(f"/api/v2/runs/{warm}").json()["state"] == "completed")
    print(f"{'':<22} {'requests':>8} {'p50 ms':>8} {'p95 ms':>8} {'p50':>6} {'p95':>6}  answers")
    clients = [_signed_in(host, username) if at % 2 else _with_key(host, key) for at in range(readers)]
    idle = _readers(clients, warm, lambda: False)
    _report("idle", idle, idle)
    large = _run(api, model.pk, None)
    is_done = lambda: api.get(f"/api/v2/runs/{large}").json()["state"] == "completed"  # noqa: E731
    working = _readers(clients, large, is_done)
    _report("a run under way", working, idle)
    _until(is_done)
    keys = iter(list(small.portfolios.values_list("portfolio_id", flat=True)))
    launches: Counter[str] = Counter()
    floods = [threading.Thread(target=_flood, args=(host, key, small.pk, keys, launches)) for _ in range(6)]
    for thread in floods:
        thread.start()
    flooded = _readers(clients, large, lambda: not any(thread.is_alive() for thread in floods))
    for thread in floods:
        thread.join()
    _report("a flood of launches", flooded, idle)
    print(f"launches: {', '.join(f'{n:,} x {answer}' for answer, n in sorted(launches.items()))}")
    bad = [answer for answer in launches if not answer.startswith(("202", "429", "503"))]
    assert not bad, bad
    assert all(status in (200, 286, 429, 503) for _, status in [*working, *flooded])


def _run(api, model_id: str, portfolio_ids: list[str] | None) -> str:
    answer = api.post("/api/v2/runs", json={"model_id": model_id, "portfolio_ids": portfolio_ids})
    return answer.raise_for_status().json()["id"]


def _readers(clients, run: str, is_over: Callable[[], bool]) -> list[tuple[float, int]]:
    """Seconds and status of every request of these readers, until it is over or SECONDS have passed."""
    found: list[tuple[float, int]] = []
    stop = threading.Event()
    pages = (f"/rebalances/{run}/", "/rebalances/", "/orders/", "/orders/?tab=all&side=BUY")
    calls = (f"/api/v2/runs/{run}", "/api/v2/runs", "/api/v2/orders?limit=50", f"/api/v2/runs/{run}/proposals")
    threads = [
        threading.Thread(target=_read, args=(client, itertools.cycle(pages if at % 2 else calls), found, stop))
        for at, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not is_over():
        time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    return found


def _read(client, addresses, found: list[tuple[float, int]], stop: threading.Event) -> None:
    while not stop.is_set():
        started = time.perf_counter()
        status = client.get(next(addresses)).status_code
        found.append((time.perf_counter() - started, status))


def _flood(host: str, key: str, model_id: str, keys, launches: Counter[str]) -> None:
    client, until = _with_key(host, key), time.monotonic() + SECONDS
    for portfolio_id in keys:
        answer = client.post("/api/v2/runs", json={"model_id": model_id, "portfolio_ids": [portfolio_id]})
        refused = answer.status_code >= 400
        waits = " with Retry-After" if "Retry-After" in answer.headers else ""
        launches[f"{answer.status_code}{' ' + answer.json()['code'] + waits if refused else ''}"] += 1
        if time.monotonic() > until:
            return


def _report(name: str, found: list[tuple[float, int]], idle: list[tuple[float, int]]) -> None:
    (middle, high), (usual, usually) = _figures(found), _figures(idle)
    answers = ", ".join(f"{n:,} x {status}" for status, n in sorted(Counter(status for _, status in found).items()))
    print(
        f"{name:<22} {len(found):>8,} {middle:>8.0f} {high:>8.0f} {middle / usual:>6.1f} {high / usually:>6.1f}"
        f"  {answers}",
        flush=True,
    )


def _figures(found: list[tuple[float, int]]) -> tuple[float, float]:
    taken = [1e3 * seconds for seconds, _ in found]
    return statistics.median(taken), statistics.quantiles(taken, n=20)[-1]


def _with_key(host: str, key: str):
    import httpx

    return httpx.Client(base_url=host, headers={"X-API-Key": key}, timeout=60)


def _signed_in(host: str, username: str):
    import httpx

    client = httpx.Client(base_url=host, timeout=60, follow_redirects=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/signin/").text)[1]
    form = {"username": username, "password": PASSWORD, "csrfmiddlewaretoken": token}
    client.post("/signin/", data=form, headers={"Referer": host}).raise_for_status()
    return client


@contextmanager
def _command(*arguments: str):
    command = [sys.executable, "-m", "ordergen.ops.cli", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(api) -> bool:
    import httpx

    try:
        return api.get("/health/live").status_code < 500
    except httpx.TransportError:
        return False


def _until(is_true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.2)


if __name__ == "__main__":
    main()
