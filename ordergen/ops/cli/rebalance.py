"""`ordergen rebalance`: a run, from launching it to the report of what it proposes."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ordergen.ops.cli.command import Command, person


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="NAME_OR_ID")
    what.add_argument("--portfolio", metavar="NAME_OR_ID")
    parser.add_argument("--as", dest="user", metavar="USERNAME")
    parser.add_argument(
        "--open-orders",
        choices=("net", "leave-out"),
        default="net",
        help="orders on their way: count them as done (the default), or leave their portfolios out",
    )
    parser.add_argument("--json", action="store_true")


def _rebalance(options: argparse.Namespace) -> None:
    from rebalance_app.models import OpenOrders
    from rebalance_app.runs.report import run_report
    from rebalance_app.runs.wait import run_by_name

    run = run_by_name(
        by=person(options.user),
        model=options.model,
        portfolio=options.portfolio,
        open_orders=OpenOrders(options.open_orders.replace("-", "_")),
    )
    print_report(run_report(run), as_json=options.json)


def print_report(report: dict[str, Any], *, as_json: bool) -> None:
    """What a run proposes, for a program or for a person."""
    from rebalance_app.runs.report import in_words

    print(json.dumps(report) if as_json else in_words(report))


COMMAND = Command("rebalance", "rebalance a model or a portfolio and wait for the proposals", _rebalance, _arguments)
