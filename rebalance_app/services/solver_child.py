"""The integer programme in a process of its own, because a native solver may ignore its time limit, hang or crash.

The child is `ordergen solve`: a JSON line with a problem in, a JSON line with its solution out. It stays for the next
problem, so CVXPY is imported once per worker and never in the worker itself; after a time-out another one starts. It
says when it is ready, and only from then on does a portfolio's time count.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import replace

from django.conf import settings

from ordergen.processes import kill_group, start_child
from rebalance_app.domain.jsonl import problem_to_json, solution_from_json
from rebalance_app.domain.types import RebalanceProblem, RebalanceSolution

COMMAND = [sys.executable, "-m", "ordergen.cli", "solve", "--say-ready"]
READY = b"ready\n"
SOLVES_WITH_NEAREST = 3
MAX_ANSWER_BYTES = 8 * 1024 * 1024


class SolverCrashedError(Exception):
    """The child died, or said something that is no solution; another attempt may fare better."""


class SolverHungError(Exception):
    """The child was killed because it answered neither in time nor in the time after."""


class SolverChild:
    """One child, started when first needed and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def solve(self, problem: RebalanceProblem) -> RebalanceSolution:
        """The solution of one problem. Raises SolverCrashedError or SolverHungError; the next call has a new child."""
        patience = problem.options.time_limit + settings.SOLVER_GRACE_SECONDS
        if self._process and self._process.poll() is not None:  # it ended between two problems: nobody's fault
            self.close()
        try:
            if self._process is None:
                self._start()
            answer = self._ask(json.dumps(problem_to_json(_shared_out(problem))).encode() + b"\n", patience)
            solution = solution_from_json(json.loads(answer))
        except (OSError, ValueError, KeyError) as error:
            self.close()
            raise SolverCrashedError(f"the solver process ended or answered nonsense: {error}") from error
        except SolverHungError:
            self.close()
            raise
        if solution.status == "time_limit" or any(r.code == "NO_ANSWER_IN_TIME" for r in solution.reasons):
            self.close()  # HiGHS may have been left behind in it, still at work
        return solution

    def close(self) -> None:
        """Ends the child, however busy it is."""
        if self._process:
            kill_group(self._process)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None

    def _start(self) -> None:
        self._process = start_child(COMMAND, signal_at_parents_death=signal.SIGKILL, pipes=True)
        assert self._process.stdout, "it was started with pipes"
        try:
            said = _read_line(self._process.stdout.fileno(), time.monotonic() + settings.SOLVER_STARTUP_SECONDS)
        except SolverHungError as error:
            raise OSError(f"it was not ready after {settings.SOLVER_STARTUP_SECONDS:g} seconds") from error
        if said != READY:
            raise ValueError(f"it said {said[:40]!r}")

    def _ask(self, line: bytes, patience: float) -> bytes:
        assert self._process, "solve starts it"
        assert self._process.stdin, "it was started with pipes"
        assert self._process.stdout, "it was started with pipes"
        self._process.stdin.write(line)
        self._process.stdin.flush()
        return _read_line(self._process.stdout.fileno(), time.monotonic() + patience)


def _shared_out(problem: RebalanceProblem) -> RebalanceProblem:
    """A nearest answer may take two more solves, each with its own limit; together they are to keep the one given."""
    if not problem.options.nearest:
        return problem
    share = round(problem.options.time_limit / SOLVES_WITH_NEAREST, 3)  # a limit is written in few digits
    return replace(problem, options=replace(problem.options, time_limit=share))


def _read_line(descriptor: int, deadline: float) -> bytes:
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not received.endswith(b"\n"):
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise SolverHungError("the solver did not stop at its time limit and was killed")
            part = os.read(descriptor, 1 << 16)
            if not part or len(received) > MAX_ANSWER_BYTES:
                raise OSError("it closed its output" if not part else "its answer is too long")
            received += part
    return received
