"""Child processes that end with their parent, and the garbage collector of our own."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1


def start_child(
    command: Sequence[str],
    *,
    signal_at_parents_death: signal.Signals,
    pipes: bool = False,
    memory_bytes: int = resource.RLIM_INFINITY,
) -> subprocess.Popen[bytes]:
    """Starts `command` in a process group of its own; on Linux the signal reaches it when this process dies, however.

    It is refused what it asks for beyond `memory_bytes` of data, and fails by that; whoever else is here goes on.
    One thread per process for linear algebra: workers already use every core, and BLAS threads deadlock after a fork.
    """
    pipe = subprocess.PIPE if pipes else None
    parent = os.getpid()

    def follow_parent() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_at_parents_death)
            if os.getppid() != parent:  # it died before we could ask
                os._exit(1)

    return subprocess.Popen(  # noqa: S603  our own commands
        command,
        stdin=pipe,
        stdout=pipe,
        process_group=0,
        preexec_fn=follow_parent,  # noqa: PLW1509  nothing but system calls happen in it
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kills the child and whatever it started, and waits for it; a child that is gone already is fine."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """While many rows are built that hold no circles: looking through them again and again took a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
