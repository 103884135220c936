"""`ordergen import`: a CSV file into the book or the models."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ordergen.ops.cli.command import Command, person


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=["securities", "prices", "portfolios", "holdings", "lots", "models"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--as", dest="user", metavar="USERNAME", help="who imports; else the only portfolio manager")
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")


def _import(options: argparse.Namespace) -> None:
    from models_app.imports.services import import_file

    plan = import_file(options.kind, options.file, person(options.user), dry_run=options.dry_run)
    print(plan.summary)
    print(*plan.notes, sep="\n", end="\n" * bool(plan.notes), file=sys.stderr)


COMMAND = Command(
    "import",
    "import a CSV file: all of it or nothing",
    _import,
    _arguments,
    epilog="The columns of each kind, with an example: under Import, /import/KIND/.",
)
