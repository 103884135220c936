"""`ordergen verify`: whether what is stored still holds together."""

from __future__ import annotations

import argparse
import json

from ordergen.ops.cli.command import Command, CommandError


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="what it prints anyway")


def _verify(_options: argparse.Namespace) -> None:
    from ordergen.ops.verify import verify_all

    report = verify_all()
    print(json.dumps(report))
    if report["violations"]:
        raise CommandError(f"{report['violations']} violations")


COMMAND = Command(
    "verify", "check the audit chain and the invariants of runs; prints counts as JSON", _verify, _arguments
)
