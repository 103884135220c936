"""`ordergen import`: a file into the book or the models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ordergen.ops.cli.command import Command, CommandError, person

_MOST_PROBLEMS = 100_000  # printed, a line each


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=["securities", "prices", "portfolios", "holdings", "lots", "models"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--as", dest="layout", metavar="NAME", default="", help="the layout that the file has")
    parser.add_argument("--portfolio", metavar="NAME", help="whose the file is, if it names none")
    parser.add_argument(
        "--answer",
        dest="answers",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="what the file does not say; without it, the questions are printed with what may be answered",
    )
    parser.add_argument("--by", dest="user", metavar="USERNAME", help="who imports; else the only portfolio manager")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")


def _import(options: argparse.Namespace) -> None:
    from models_app.imports.services import HowToRead, import_file

    how = HowToRead(_answers(options), options.layout, _MOST_PROBLEMS)
    by = person(options.user)
    plan = import_file(options.kind, options.file, by, dry_run=options.dry_run, how=how, tell=_tell)
    print(plan.summary)
    for row in plan.reading.left_out.shown:
        _tell(f"left out: line {row.line}, {row.why}: {row.text}")
    if (more := plan.reading.left_out.count - len(plan.reading.left_out.shown)) > 0:
        _tell(f"left out: {more:,} rows more")
    for note in plan.notes:
        _tell(note)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _answers(options: argparse.Namespace) -> dict[str, str]:
    answers = {"portfolio": options.portfolio} if options.portfolio else {}
    for said in options.answers:
        key, is_there, value = said.partition("=")
        if not is_there or not key.strip():
            raise CommandError(f"--answer {said}: write KEY=VALUE, with a key that a question names.")
        answers[key.strip()] = value.strip()
    return answers


COMMAND = Command(
    "import",
    "import a CSV file or an Excel workbook: all of it or nothing",
    _import,
    _arguments,
    epilog="The columns of each kind, with an example: under Import, /import/KIND/. Files of other layouts are "
    "explained there once and named; --as NAME then reads them here.",
)
