"""Slow clients against the shipped web server: what everybody else notices of them.

    python benchmarks/slow_clients.py                        0, 36, 80 and 400 connections of each kind
    python benchmarks/slow_clients.py --connections 400 --kinds headers

Each kind holds its connections open and opens another one whenever the server closes one: *silent* ones say nothing,
*headers* and *body* send a byte a second, *readers* have signed in, ask for an export of `--prices` rows and read
a byte a second of it. Meanwhile somebody asks for /health/live and for a page, on a new connection each, as probes
and browsers do, and waits `PATIENCE` seconds at most. After that: how long the server suffered the first of them.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PATIENCE = 5.0  # seconds that a probe or a person waits for an answer
KINDS = ("silent", "headers", "body", "readers")
_HEADERS = b"GET /signin/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
_BODY = (
    b"POST /signin/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken=" + b"a" * 32 + b"\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nusername="
)


@dataclass
class _Connection:
    """One slow connection; `drip` is what it sends every second, nothing where it reads instead."""

    socket: socket.socket
    drip: bytes
    opened: float = field(default_factory=time.monotonic)


class SlowClients:
    """`n` connections to a port that are slow at one thing, in a thread of their own until the block ends.

    `suffered` has the seconds after which the server closed a connection. `path` and `cookie` are what readers ask for.
    """

    def __init__(self, port: int, kind: str, n: int, *, path: str = "/signin/", cookie: str = "") -> None:
        self.port, self.kind, self.n = port, kind, n
        self.suffered: list[float] = []
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
        self._first = {"silent": b"", "headers": _HEADERS, "body": _BODY, "readers": request}[kind]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._be_slow)
        self._open: list[_Connection] = []

    def __enter__(self) -> Self:
        self._open = [opened for _ in range(self.n) if (opened := self._connect())]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for connection in self._open:
            connection.socket.close()

    def _connect(self) -> _Connection | None:
        """None where the server takes no more for the moment."""
        opened = socket.socket()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(0.5)
        try:
            opened.connect(("127.0.0.1", self.port))
            opened.sendall(self._first)
        except OSError:
            opened.close()
            return None
        opened.settimeout(0)
        return _Connection(opened, b"a" if self.kind in ("headers", "body") else b"")

    def _be_slow(self) -> None:
        while not self._stop.wait(1):
            kept = [connection for connection in self._open if self._goes_on(connection)]
            again = [opened for _ in range(self.n - len(kept)) if (opened := self._connect())]
            self._open = kept + again

    def _goes_on(self, connection: _Connection) -> bool:
        try:
            if connection.drip:
                connection.socket.send(connection.drip)
            is_closed = _is_closed(connection.socket, reads=self.kind == "readers")
        except BlockingIOError:
            is_closed = False
        except OSError:
            is_closed = True
        if is_closed:
            self.suffered.append(time.monotonic() - connection.opened)
            connection.socket.close()
        return not is_closed


def _is_closed(opened: socket.socket, *, reads: bool) -> bool:
    """Whether the other side has ended it. Who does not read takes any answer for an end (408 to half a request)."""
    with selectors.DefaultSelector() as selector:
        selector.register(opened, selectors.EVENT_READ)
        if not selector.select(0):
            return False
    return not opened.recv(1) or not reads


@dataclass
class Noticed:
    """Seconds of each answer that somebody else got, and how often none came in time."""

    answers: list[float] = field(default_factory=list)
    refused: int = 0

    def __str__(self) -> str:
        if len(self.answers) < 2:
            return f"{len(self.answers):>8} {self.refused:>7} {'':>8} {'':>8} {'':>8}"
        middle, high = statistics.median(self.answers), statistics.quantiles(self.answers, n=20)[-1]
        figures = " ".join(f"{1e3 * seconds:>8.0f}" for seconds in (middle, high, max(self.answers)))
        return f"{len(self.answers):>8} {self.refused:>7} {figures}"


def others_meanwhile(port: int, path: str, seconds: float) -> Noticed:
    """Asks for `path` on new connections, one after the other, for so long."""
    noticed, until = Noticed(), time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        if answers(port, path):
            noticed.answers.append(time.monotonic() - started)
        else:
            noticed.refused += 1
        time.sleep(0.05)
    return noticed


def answers(port: int, path: str) -> bool:
    """Whether the path is answered with 200, wholly and within PATIENCE."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    received, deadline = b"", time.monotonic() + PATIENCE
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE) as asked:
        asked.sendall(request)
        while time.monotonic() < deadline and (part := asked.recv(1 << 16)):
            received += part
        return received.startswith(b"HTTP/1.1 200") and time.monotonic() < deadline
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, nargs="+", default=[0, 36, 80, 400])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seconds", type=float, default=10, help="that each is measured")
    parser.add_argument("--prices", type=int, default=400_000, help="rows of the export that readers ask for")
    options = parser.parse_args()
    with _site(options.prices) as (port, cookie):
        columns = ("answered", "not", "p50 ms", "p95 ms", "max ms")
        print(f"{'kind':<8} {'n':>4} {'path':<14} " + " ".join(f"{name:>7}" for name in columns) + "  closed after")
        for kind in options.kinds:
            for n in options.connections:
                _measure(port, cookie, kind, n, options.seconds)


def _measure(port: int, cookie: str, kind: str, n: int, seconds: float) -> None:
    with SlowClients(port, kind, n, path="/export/prices.csv", cookie=cookie) as slow:
        time.sleep(2)
        for path in ("/health/live", "/signin/"):
            noticed = others_meanwhile(port, path, seconds)
            first = f"{min(slow.suffered):.0f} s" if slow.suffered else "-"
            print(f"{kind:<8} {n:>4} {path:<14} {noticed}  {first}", flush=True)
    _until(lambda: answers(port, "/health/live"))


@contextmanager
def _site(prices: int) -> Iterator[tuple[int, str]]:
    """The web server as `ordergen web` starts it, with a book of so many prices: its port and a viewer's cookie."""
    os.environ |= {
        "ORDERGEN_HOME": tempfile.mkdtemp(prefix="ordergen-bench-"),
        "DJANGO_SETTINGS_MODULE": "ordergen.settings",
        "LOG_LEVEL": "ERROR",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    cookie, port = _filled(prices), _free_port()
    command = [sys.executable, "-m", "ordergen.ops.cli", "web", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: answers(port, "/health/live"))
        yield port, cookie
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _filled(prices: int) -> str:
    from datetime import date, timedelta
    from decimal import Decimal

    from django.conf import settings
    from django.test import Client

    from models_app.models import Price, Security
    from ordergen.accounts.services import user_create

    days = [date(2000, 1, 1) + timedelta(days=n) for n in range(1_000)]
    securities = [Security(ticker=f"S{n:04}", name=f"Security {n}") for n in range(-(-prices // len(days)))]
    Security.objects.bulk_create(securities)
    for one in securities:
        Price.objects.bulk_create([Price(security=one, date=day, close=Decimal("12.34")) for day in days])
    client = Client()
    client.force_login(user_create(username="reader", password="a password for an hour", roles=["viewer"]))
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _until(is_true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.2)


if __name__ == "__main__":
    main()
