"""`ordergen solve`: problems as JSON lines in, answers as JSON lines out, without a database."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ordergen.ops.cli.command import Command, CommandError

_INVALID = "INVALID_PROBLEM"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, help="standard input when left out")
    parser.add_argument("--for-worker", action="store_true", help=argparse.SUPPRESS)  # in the words of solver_protocol


def _solve(options: argparse.Namespace) -> None:
    if options.for_worker:
        from rebalance_app.solving.solver_protocol import answer_questions

        answer_questions()
        return
    try:
        source = options.file.open("rb") if options.file else nullcontext(sys.stdin.buffer)
    except OSError as error:
        raise CommandError(f"{options.file}: {error.strerror}") from error
    with source as lines:
        faults = [_answer(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    _tell(faults)


def _answer(line: bytes, number: int) -> str | None:
    """Answers one problem on standard output; returns the code of what kept it from being solved at all."""
    from models_app.portfolio.types import ProblemError
    from rebalance_app.formats.problem_json import loads
    from rebalance_app.formats.sentences import sentence
    from rebalance_app.solving.failures import in_words, program_failed
    from rebalance_app.what_if.scenario_json import answer_line

    document: Any = None
    reason: dict[str, Any] | None = None
    try:
        document = loads(line)
        answer = answer_line(document)
    except ProblemError as error:
        reason = {"code": _INVALID, "field": error.field, "message": str(error), "security_id": None}
    except Exception as error:
        logging.getLogger(__name__).exception("line %s", number)
        why = program_failed(in_words(error))
        reason = {"code": why.code, "message": sentence(why), "security_id": None}
    if reason:
        answer = {"portfolio_id": _named(document), "line": number, "status": "error", "reasons": [reason]}
    print(json.dumps(answer), flush=True)
    return str(reason["code"]) if reason else None


def _named(document: Any) -> str | None:
    """Whose problem it was to be, as far as that can be read."""
    name = document.get("portfolio_id") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None


def _tell(faults: Sequence[str | None]) -> None:
    """Raises CommandError where a line has no answer."""
    from rebalance_app.solving.failures import DEFECT

    if failed := faults.count(DEFECT):
        raise CommandError(f"the program failed on {failed} of {len(faults)} lines; their answers say how, see above")
    if unreadable := faults.count(_INVALID):
        told = "1 line was no problem that can be solved; its answer says why"
        if unreadable > 1:
            told = f"{unreadable} lines were no problems that can be solved; their answers say why"
        raise CommandError(told)


COMMAND = Command(
    "solve",
    "solve problems given as JSON lines; needs no database",
    _solve,
    _arguments,
    epilog=(
        "Every field of a problem and of its options, and an example: under Help, /help/problems/. "
        "Exit status 1 where a line is not a problem; whether a problem has an answer, the status in its line says."
    ),
    needs_django=False,
)
