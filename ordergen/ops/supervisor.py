"""Keeps web server, worker and sweeper running side by side, and ends them together."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from django.conf import settings

from ordergen.core.processes import kill_group, start_child

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.2
STOP_SECONDS = 20.0  # for requests and tasks under way
QUICK_DEATH_SECONDS = 5.0
MAX_QUICK_DEATHS = 5


class SupervisionError(Exception):
    """A process that dies at once, again and again; its own log says why."""


@dataclass
class Supervised:
    """One process that is to be running, and how it has fared."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_deaths: int = field(default=0)

    def start(self) -> None:
        self.process = start_child(self.command, signal_at_parents_death=signal.SIGTERM)
        self.started = time.monotonic()

    def revive(self) -> None:
        """Starts it again when it has died; raises SupervisionError when that helps no more."""
        if self.process and self.process.poll() is None:
            return
        if time.monotonic() - self.started < QUICK_DEATH_SECONDS:
            self.quick_deaths += 1
            if self.quick_deaths >= MAX_QUICK_DEATHS:
                raise SupervisionError(f"{self.name} died {MAX_QUICK_DEATHS} times right after its start")
            time.sleep(0.5 * self.quick_deaths)
        else:
            self.quick_deaths = 0
        status = self.process.returncode if self.process else None
        logger.warning("%s ended with status %s, starting it again", self.name, status)
        self.start()


def supervise(commands: Mapping[str, Sequence[str]]) -> None:
    """Runs the named commands until SIGTERM or SIGINT, reviving what dies; all have ended when this returns.

    Raises SupervisionError when one of them cannot be kept alive; the others are stopped first.
    """
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = [Supervised(name, command) for name, command in commands.items()]
    try:
        for child in children:
            child.start()
        while not stopping:
            time.sleep(POLL_SECONDS)
            if not stopping:
                for child in children:
                    child.revive()
    finally:
        _stop(children)


def _stop(children: Sequence[Supervised]) -> None:
    running = [child.process for child in children if child.process and child.process.poll() is None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            logger.warning("process %s did not stop in %s s and is killed", process.pid, STOP_SECONDS)
            kill_group(process)


def web_command(host: str, port: int) -> list[str]:
    """gunicorn's processes, each with threads, since pages wait for the database more than for the processor."""
    options = ["--worker-class=ordergen.ops.web_worker.WaitressWorker", "--config=python:ordergen.ops.gunicorn_hooks"]
    options += ["--workers=2", f"--threads={settings.WEB_THREADS}", "--timeout=60"]
    options += [f"--graceful-timeout={STOP_SECONDS - 5:.0f}"]  # sooner than it would be killed
    options += ["--no-control-socket"]  # it would lie in the home folder, one for all installations
    log = ["--log-level=warning", "--access-logfile=/dev/null"]
    return [sys.executable, "-m", "gunicorn", "ordergen.wsgi", f"--bind={host}:{port}", *options, *log]


def worker_command() -> list[str]:
    options = ["--pool=prefork", "--loglevel=WARNING"]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [sys.executable, "-m", "celery", "--quiet", "--app=ordergen.celery", "worker", *options]


def sweep_command() -> list[str]:
    return [sys.executable, "-m", "ordergen.ops.cli", "sweep", "--forever"]
