"""An installation of its own, driven as an operator would: by the `ordergen` command and real processes."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

SETUP = """
import os, json, django
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'ordergen.settings')
django.setup()
"""


class Site:
    """`home` holds its database, broker and logs; `environment` is added to that of the tests."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.log = home / "log"
        self.program = [sys.executable, "-m", "ordergen.ops.cli"]
        self.folder: Path | None = None  # where it is typed; else where the tests run
        inherited = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "CELERY_BROKER_URL"}}
        self.environment = inherited | {"ORDERGEN_HOME": str(home), "PYTHONWARNINGS": "ignore"} | environment
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def ask(self, code: str) -> Any:
        """Runs Python with Django set up; what it leaves in `answer` comes back through JSON."""
        code = SETUP + code + "\nprint('\\n' + json.dumps(answer))"
        ran = subprocess.run(
            [sys.executable, "-c", code], env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self.program, *arguments], env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """Ends at once whatever was started, with all below it: a worker asked to end takes five seconds over it."""
        for process in self.started:
            kill_all([process.pid, *descendants(process.pid)])
            process.wait()


def eventually(what: Callable[[], Any], seconds: float, every: float = 0.2) -> Any:
    """The first true answer of `what`; an AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := what():
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s")


# Below what Linux gives to outgoing connections: between our look and the server's start, or while a server is down,
# one of those would take the port, a client that calls the server again and again even with itself at the other end.
PORTS = range(12_000, 32_000)


def free_port(block: int = 1) -> int:
    """A port where nobody listens, nor at the `block` - 1 after it; another process that looks finds another one."""
    while True:
        first = random.choice(PORTS[:-block])
        if all(map(_is_free, range(first, first + block))):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def descendants(pid: int) -> list[int]:
    """Process ids below `pid`, nearest first."""
    below = [int(child) for child in _told(f"/proc/{pid}/task/{pid}/children").split()]
    return below + [further for child in below for further in descendants(child)]


def kill_all(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command_of(pid: int) -> str:
    return _told(f"/proc/{pid}/cmdline").replace("\0", " ")


def _told(path: str) -> str:
    """What the system tells of a process; nothing of one that has ended, be it while we read."""
    with suppress(OSError):
        return Path(path).read_text()
    return ""
