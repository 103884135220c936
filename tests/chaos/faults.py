"""A site under load, and what may happen to it: every fault is a method."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.chaos.console import Console
from tests.chaos.inside import CRASH, HANG, KILL
from tests.chaos.servers import Server
from tests.site import Site, command_of, descendants, eventually, free_port, kill_all

logger = logging.getLogger(__name__)
POISON_HOOK = Path(__file__).parent / "poison"

LEASE, SWEEP, RESEND, PROGRAMME = 15, 1, 4, 10  # seconds; an installation has several times as many
EFFECTS = {"crash": CRASH, "hang": HANG, "kill": KILL}
# What one lost attempt costs at most: its lease, the sweep after it, a message that is lost as well, and the solver's
# start on a machine that is busy. A portfolio has three attempts; what else is left of the run is done in seconds, and
# in ten times as many where several suites share the processor.
ATTEMPT = LEASE + 2 * SWEEP + RESEND + settings.SOLVER_STARTUP_SECONDS
BOUND = 3 * ATTEMPT + 60


class Chaos:
    """A site with its worker and web server, on servers that may be killed."""

    def __init__(self, site: Site, book: dict[str, Any], broker: Server | None, database: Server | None) -> None:
        self.site, self.book, self.broker, self.database = site, book, broker, database
        self.console = Console(site.environment, site.log)
        self.port = free_port()
        self.worker: subprocess.Popen[bytes] | None = None
        self.web: subprocess.Popen[bytes] | None = None

    def start(self, *effects: str, pause: float = 0.2) -> None:
        """Starts the worker; the named effects (see `poison`) happen to the portfolio that each has."""
        poison = {self.book["ids"][EFFECTS[effect]]: effect for effect in effects}
        hook = {"POISON": json.dumps(poison), "POISON_PAUSE": str(pause), "PYTHONPATH": str(POISON_HOOK)}
        self.site.environment |= hook
        self._start_worker()

    def serve(self) -> None:
        """Starts the web server; from now on runs are launched through it."""
        self.web = self.site.start("web", "--port", str(self.port))

    def close(self) -> None:
        self.console.close()
        self.site.stop()

    # What a user does

    def launch(self, key: str, portfolios: Sequence[str] | None = None) -> str:
        """Launches, again and again with the same key until there is an answer; returns the run's id."""
        launch = self._post if self.web else self._launch
        return str(eventually(lambda: launch(key, portfolios), 180, every=0.5))

    def _launch(self, key: str, portfolios: Sequence[str] | None) -> Any:
        return self._quietly("launch", self.book["model"], key, portfolios)

    def _post(self, key: str, portfolios: Sequence[str] | None) -> Any:
        wanted = {"model_id": self.book["model"], "portfolio_ids": portfolios}
        headers = {"X-API-Key": self.book["key"], "Content-Type": "application/json", "Idempotency-Key": key}
        url = f"http://127.0.0.1:{self.port}/api/v2/runs"
        request = urllib.request.Request(url, json.dumps(wanted).encode(), headers)
        with suppress(OSError, HTTPException), urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["id"]
        return None

    def ended(self, run_id: str, within: float = BOUND) -> float:
        """Waits for the run's end; returns the seconds that took."""
        started = time.monotonic()
        eventually(lambda: self._state(run_id) not in {"queued", "running", None}, within, every=0.5)
        return time.monotonic() - started

    def _state(self, run_id: str) -> str | None:
        with suppress(AssertionError):  # the database may be down at this moment
            return str(self.console("state", run_id)["state"])
        return None

    # What may happen

    def solver_dies(self) -> None:
        self._kill(self._solvers)

    def pool_process_dies(self) -> None:
        self._kill(self._pool)

    def worker_dies(self) -> None:
        """The worker's main process alone; its supervisor starts another."""
        self._kill(self._mains)

    def sweeper_dies(self) -> None:
        self._kill(lambda: self._below("ordergen.ops.cli sweep"))

    def machine_dies(self) -> None:
        """The supervisor with all that it has started, at one moment; whoever watches over it starts it again."""
        assert self.worker
        kill_all([self.worker.pid, *descendants(self.worker.pid)])
        self.worker.wait()
        self.site.started.remove(self.worker)
        self._start_worker()

    def web_dies(self) -> None:
        assert self.web
        self._kill(lambda: descendants(self.web.pid) if self.web else [])

    def worker_sleeps(self) -> None:
        """A pool process stops for longer than its lease, while others go on, and then wakes up and stores."""
        for pid in self._pool()[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(LEASE + 2 * SWEEP)
                os.kill(pid, signal.SIGCONT)

    def broker_dies(self, pause: float = 1.0) -> None:
        """It comes back empty, but for RabbitMQ, which writes messages to disk."""
        if self.broker is None:
            shutil.rmtree(self.site.home / "broker", ignore_errors=True)
            return
        self.broker.kill()
        time.sleep(pause)
        self.broker.start()

    def broker_freezes(self, pause: float = 5.0) -> None:
        if self.broker:
            self.broker.freeze()
            time.sleep(pause)
            self.broker.thaw()

    def queues_are_flushed(self) -> None:
        if self.broker is None:
            for message in (self.site.home / "broker" / "messages").glob("*"):
                message.unlink(missing_ok=True)
            return
        self._quietly("flush")

    def database_restarts(self) -> None:
        """As an administrator does it: connections are cut, transactions rolled back."""
        if self.database:
            self.database.kill(signal.SIGINT)
            self.database.start()

    def database_dies(self) -> None:
        if self.database:
            self.database.kill()
            self.database.start()

    def messages_repeat(self) -> None:
        for run in self._runs():
            self._quietly("repeat", run, 3)

    def messages_are_forged(self) -> None:
        for run in self._runs()[-1:]:
            self._quietly("forge", run)

    # How

    def _start_worker(self) -> None:
        self.worker = self.site.start("worker")

    def _quietly(self, name: str, *arguments: Any) -> Any:
        """What cannot be done while the broker or the database is down is left out."""
        with suppress(AssertionError):
            return self.console(name, *arguments)
        return None

    def cancel(self, run_id: str) -> None:
        """Asks until there is an answer: that the run is being cancelled, or that it has ended already."""

        def answer() -> bool:
            try:
                self.console("cancel", run_id)
            except AssertionError as error:
                return "ConflictError" in str(error)
            return True

        eventually(answer, 180, every=0.5)

    def _runs(self) -> list[str]:
        return [run["id"] for run in self._quietly("runs") or []]

    def _below(self, command: str) -> list[int]:
        below = descendants(self.worker.pid) if self.worker else []
        return [pid for pid in below if command in command_of(pid)]

    def _solvers(self) -> list[int]:
        return self._below("ordergen.ops.cli solve")

    def _mains(self) -> list[int]:
        return [
            pid for pid in self._below("ordergen.celery") if _parent(pid) == (self.worker.pid if self.worker else 0)
        ]

    def _pool(self) -> list[int]:
        return [pid for pid in self._below("ordergen.celery") if pid not in self._mains()]

    @staticmethod
    def _kill(which: Callable[[], list[int]]) -> None:
        """The first of them, as soon as there is one; none when the work is done and nobody comes any more."""
        with suppress(AssertionError):
            kill_all(eventually(which, 10)[:1])


def _parent(pid: int) -> int:
    with suppress(OSError):  # it has ended meanwhile
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def disturb(chaos: Chaos, rng: random.Random, faults: Sequence[str]) -> None:
    """The faults one after the other, at times that the seed gives."""
    for fault in faults:
        time.sleep(rng.uniform(0.2, 1.2))
        logger.info("%s", fault)
        getattr(chaos, fault)()


def assert_as_calm(chaos: Chaos, run_id: str, poisoned: dict[str, str], *, unlucky: int = 0) -> None:
    """Each portfolio of the run has ended as in the calm run, but for the poisoned, which failed for their reasons.

    Where three attempts or more were lost, chance may have had it that so many lost each of theirs.
    """
    there = chaos.console("answers", run_id)
    same = ("state", "reason", "orders")
    other = {name for name in there if any(there[name][key] != chaos.book["calm"][name][key] for key in same)}

    for name in sorted(other):
        found, reasons = there[name], poisoned.get(name, "POISON or INTERNAL_ERROR").split(" or ")
        assert (found["state"], found["orders"]) == ("failed", []), (name, found)
        assert found["reason"] in reasons, (name, found)
        assert found["attempt"] == 3 or found["reason"] != "POISON", (name, found)
    assert other >= poisoned.keys() & there.keys()
    assert len(other - poisoned.keys()) <= unlucky, other
