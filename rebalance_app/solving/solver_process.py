"""The integer programme in a process of its own, because a native solver may ignore its time limit, hang or crash.

The child is `ordergen solve --for-worker`, and what both say is in `solver_protocol`. It stays for the next problem, so
CVXPY is imported once per worker and never in the worker itself; after a time-out, or a word that is not the answer to
the question, another one starts. It says when it is ready, and only from then on does a portfolio's time count.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import IO

from django.conf import settings

from models_app.portfolio.types import RebalanceProblem, RebalanceSolution
from ordergen.core.processes import kill_group, start_child
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.failures import OUT_OF_TIME
from rebalance_app.solving.failures import SolverCrashedError, SolverHungError, SolverWrongError
from rebalance_app.solving.solver_protocol import READY, NotItsAnswerError, Question

COMMAND = [sys.executable, "-m", "ordergen.ops.cli", "solve", "--for-worker"]
SOLVES_WITH_NEAREST = 3
HUNG = "the solver did not stop at its time limit and was killed"
MAX_ANSWER_BYTES = 8 * 1024 * 1024


class SolverChild:
    """One child, started when first needed and again after it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def solve(self, problem: RebalanceProblem) -> RebalanceSolution:
        """The solution of one problem, which the check has found nothing wrong with.

        Raises SolverLostError, of each kind; the next call has a new child then.
        """
        if self._process and self._process.poll() is not None:  # it ended between two problems: nobody's fault
            self.close()
        try:
            solution = self._answer(
                Question(_shared_out(problem)), problem.options.time_limit + settings.SOLVER_GRACE_SECONDS
            )
        except (OSError, NotItsAnswerError) as error:
            self.close()
            # A native library that is refused memory ends its process, often without a word.
            told = f"{error} (it may have {settings.SOLVER_MEMORY_BYTES // 2**20:,} MB of memory)"
            raise SolverCrashedError(f"the solver process ended or answered nonsense: {told}") from error
        except BaseException:  # an answer may still come, and nobody waits for it
            self.close()
            raise
        if solution.status == "time_limit" or any(r.code == OUT_OF_TIME for r in solution.reasons):
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
        self._process = start_child(
            COMMAND,
            signal_at_parents_death=signal.SIGKILL,
            pipes=True,
            memory_bytes=settings.SOLVER_MEMORY_BYTES,
        )
        _, answers = _pipes(self._process)
        try:
            said = _read_line(answers, time.monotonic() + settings.SOLVER_STARTUP_SECONDS)
        except SolverHungError as error:
            raise OSError(f"it was not ready after {settings.SOLVER_STARTUP_SECONDS:g} seconds") from error
        if said != READY:
            raise NotItsAnswerError(f"it said {said[:40]!r}")

    def _answer(self, question: Question, patience: float) -> RebalanceSolution:
        if self._process is None:
            self._start()
        questions, answers = _pipes(self._process)
        if _is_ready(answers, selectors.EVENT_READ, 0):
            raise NotItsAnswerError("it said something that nobody had asked, or closed its output")
        deadline = time.monotonic() + patience
        _write(questions, question.line, deadline)
        solution = question.solution_in(_read_line(answers, deadline))
        if solution.solved and (faults := violations(question.problem, solution)):
            raise SolverWrongError(faults[0])
        return solution


def _pipes(process: subprocess.Popen[bytes] | None) -> tuple[IO[bytes], IO[bytes]]:
    """Where questions go, and where answers come from."""
    if process is None or process.stdin is None or process.stdout is None:
        raise OSError("it has no pipes")
    return process.stdin, process.stdout


def _shared_out(problem: RebalanceProblem) -> RebalanceProblem:
    """A nearest answer may take two more solves, each with its own limit; together they are to keep the one given."""
    if not problem.options.nearest:
        return problem
    share = round(problem.options.time_limit / SOLVES_WITH_NEAREST, 3)  # a limit is written in few digits
    return replace(problem, options=replace(problem.options, time_limit=share))


def _is_ready(pipe: IO[bytes], event: int, seconds: float) -> bool:
    """Whether it can be read from, or written to, within so many seconds; at its end it can."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, event)
        return bool(selector.select(max(seconds, 0)))


def _write(questions: IO[bytes], line: bytes, deadline: float) -> None:
    """Past Python's buffer, which would wait without end for a child that does not read, and write again on closing."""
    os.set_blocking(questions.fileno(), False)
    while line:
        if not _is_ready(questions, selectors.EVENT_WRITE, deadline - time.monotonic()):
            raise SolverHungError(HUNG)
        line = line[os.write(questions.fileno(), line) :]


def _read_line(answers: IO[bytes], deadline: float) -> bytes:
    """One line and not a character more, read past Python's buffer: what is in there no selector sees."""
    received = b""
    while b"\n" not in received:
        if not _is_ready(answers, selectors.EVENT_READ, deadline - time.monotonic()):
            raise SolverHungError(HUNG)
        part = os.read(answers.fileno(), 1 << 16)
        if not part or len(received) > MAX_ANSWER_BYTES:
            raise OSError("it closed its output" if not part else "its answer is too long")
        received += part
    if not received.endswith(b"\n") or received.count(b"\n") > 1:
        raise NotItsAnswerError(f"it said more than was asked: {received[-80:]!r}")
    return received
