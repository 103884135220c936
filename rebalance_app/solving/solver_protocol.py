"""What a worker and its solver's process say to each other, a JSON line each way. Both ends of it are here.

ready                                        the child, once, when it has imported what it needs
{"question": id, "problem": {…}}             the problem as `ordergen solve` reads it
{"question": id, "solution": {…}}            the solution, its reasons in codes and numbers; or, in its place:
{"question": id, "out_of_memory_mb": n}     it would have needed more than the n MB it may have
{"question": id, "raised": "ValueError: …"}  an exception, which is no fault of the problem and no end of the child

Every question has an id of its own, which its answer repeats: of a line too many, whoever wrote it, no later portfolio
gets the orders of another. A portfolio's id would not do, for the same one may be asked twice.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from models_app.portfolio.types import ProblemError, Reason, RebalanceProblem, RebalanceSolution
from rebalance_app.formats.problem_json import problem_from_json, problem_to_json
from rebalance_app.formats.solution_json import kept, solution_from_json, solution_to_json
from rebalance_app.optimiser.solve import solve
from rebalance_app.solving.failures import SolverMemoryError, SolverRaisedError, in_words

logger = logging.getLogger(__name__)
READY = b"ready\n"


class NotItsAnswerError(ValueError):
    """What was said is not the answer to what was asked; who said it is not to be believed any more."""


@dataclass(frozen=True)
class Question:
    """One problem, asked once."""

    problem: RebalanceProblem
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def line(self) -> bytes:
        return _line({"question": self.id, "problem": problem_to_json(self.problem)})

    def solution_in(self, line: bytes) -> RebalanceSolution:
        """The solution that this line holds. Raises NotItsAnswerError, SolverRaisedError and SolverMemoryError."""
        said = _read(line)
        if said.get("question") != self.id:
            raise NotItsAnswerError(f"{line[:80]!r} answers another question")
        if isinstance(megabytes := said.get("out_of_memory_mb"), int):
            raise SolverMemoryError(megabytes)
        if "raised" in said:
            raise SolverRaisedError(said["raised"])
        try:
            solution = solution_from_json(said["solution"])
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
            raise NotItsAnswerError(f"{line[:80]!r} holds no solution: {error!r}") from error
        if solution.portfolio_id != self.problem.portfolio_id:
            raise NotItsAnswerError(f"{line[:80]!r} is about another portfolio")
        return solution


def answer_questions() -> None:
    """The child: answers each line of standard input, to its end."""
    answers = os.fdopen(_claim_output(), "wb")
    import cvxpy  # noqa: F401, PLC0415  seconds, for which no portfolio is to answer

    answers.write(READY)
    answers.flush()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answers.write(_line({"question": asked["question"], **_outcome(asked["problem"])}))
        answers.flush()


def _outcome(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        solution = solve(problem_from_json(given))
    except ProblemError as error:
        reason = Reason("INVALID_PROBLEM", details={"case": "unreadable", "said": str(error)})
        solution = RebalanceSolution(given["portfolio_id"], "error", reasons=(reason,))
    except MemoryError:
        return {"out_of_memory_mb": resource.getrlimit(resource.RLIMIT_DATA)[0] // 2**20}
    except Exception as error:
        logger.exception("an exception in the solver, on portfolio %s", given["portfolio_id"])
        return {"raised": in_words(error)}
    return {"solution": solution_to_json(solution, kept)}


def _claim_output() -> int:
    """Standard output for answers only: what else is printed from here on, by native code too, goes to the log."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    return ours


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _read(line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NotItsAnswerError(f"{line[:80]!r} is no JSON") from error
    if not isinstance(said, dict):
        raise NotItsAnswerError(f"{line[:80]!r} is no JSON object")
    return said
