"""The supervisor keeps its processes alive, ends them with itself, and leaves none behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ordergen.ops.supervisor import STOP_SECONDS

SLEEPER = "import os, sys, time; open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
SUPERVISE = """
import sys
from ordergen.ops.supervisor import supervise
supervise({'sleeper': [sys.executable, '-c', sys.argv[1], sys.argv[2]]})
"""
DYING = """
import sys
from ordergen.ops import supervisor
supervisor.supervise({'dying': [sys.executable, '-c', 'raise SystemExit(3)']})
"""


def _eventually(what: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def supervised(tmp_path):
    """A supervisor with one sleeping child, and the file in which each child writes its process id."""
    pids = tmp_path / "pids"
    pids.touch()
    process = subprocess.Popen([sys.executable, "-c", SUPERVISE, SLEEPER, str(pids)])
    assert _eventually(pids.read_text)
    yield process, lambda: [int(line) for line in pids.read_text().split()]
    process.kill()
    process.wait()


def test_a_child_that_dies_is_started_again(supervised):
    _, children = supervised
    os.kill(children()[0], signal.SIGKILL)

    assert _eventually(lambda: len(children()) == 2)
    assert _runs(children()[1])


def test_a_polite_end_ends_the_children_too(supervised):
    process, children = supervised
    process.send_signal(signal.SIGTERM)

    assert process.wait(STOP_SECONDS - 1) == 0, "sooner than it would kill them"
    assert not any(_runs(child) for child in children())


def test_a_killed_supervisor_leaves_no_orphan(supervised):
    process, children = supervised
    process.kill()

    assert _eventually(lambda: not any(_runs(child) for child in children()))


@pytest.mark.slow
def test_a_child_that_cannot_live_ends_the_supervisor_with_a_reason():
    ended = subprocess.run([sys.executable, "-c", DYING], capture_output=True, text=True, timeout=300, check=False)

    assert ended.returncode != 0
    assert "dying died 5 times" in ended.stderr
