"""`ordergen export`: approved orders leave in a file, once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ordergen.ops.cli.command import Command, CommandError, person

if TYPE_CHECKING:
    from ordergen.accounts.models import User
    from rebalance_app.models import Batch


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=int, metavar="NUMBER", help="every approved order of this run")
    what.add_argument("--again", type=int, metavar="BATCH", help="only the file of a batch that left before")
    parser.add_argument("--layout", choices=["orders", "broker", "fix44", "globeco"], default="orders")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="instead of standard output")
    parser.add_argument("--as", dest="user", metavar="USERNAME", help="who exports; else the only approver")


def _export(options: argparse.Namespace) -> None:
    from ordergen.accounts.roles import Role
    from rebalance_app.models import Batch
    from rebalance_app.sending.services import batch_fetch

    by = person(options.user, Role.APPROVER)
    if options.again is not None:
        batch = Batch.objects.filter(number=options.again).first()
        if batch is None:
            raise CommandError(f"There is no batch #{options.again}.")
    else:
        batch = _made(options, by)
    pieces = batch_fetch(by=by, batch=batch)
    if options.output is None:
        sys.stdout.writelines(pieces)
        return
    with options.output.open("x", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
    print(f"{batch.n_orders:,} orders in batch #{batch.number}, sha256 {batch.sha256}", file=sys.stderr)


def _made(options: argparse.Namespace, by: User) -> Batch:
    from rebalance_app.models import Rebalance
    from rebalance_app.sending.services import approved_order_ids, batch_make

    run = Rebalance.objects.filter(number=options.run).only("pk").first()
    ids = approved_order_ids(run.pk) if run else []
    if not ids:
        raise CommandError(f"Run #{options.run} has no approved orders that have not left: --again has old batches.")
    made = batch_make(by=by, order_ids=ids, layout=options.layout)
    for reason, count in made.reasons.items():
        print(f"{count:,} left as they were. {reason}", file=sys.stderr)
    if made.batch is None:
        raise CommandError("Nothing left: every order was left as it was.")
    return made.batch


COMMAND = Command("export", "let approved orders leave in a file, once", _export, _arguments)
