"""`ordergen orders`: how approved orders leave, and what became of them, from a file or from the holdings."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ordergen.ops.cli.command import Command, CommandError, person

if TYPE_CHECKING:
    from ordergen.accounts.models import User
    from rebalance_app.models import Batch


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="close|fits|export")
    close = what.add_parser("close", help="close approved orders by a CSV file: all of it or nothing")
    close.add_argument("file", type=Path, help="with the columns order_id, outcome, quantity, reason")
    close.add_argument("--reason", default="", help="of the rows that bring none")
    fits = what.add_parser("fits", help="what holdings stated after an approval show of the open orders")
    fits.add_argument("--confirm", action="store_true", help="close what is done, and note what is not")
    export = what.add_parser("export", help="let approved orders leave in a file, or to a service, once")
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", type=int, metavar="NUMBER", help="every approved order of this run")
    which.add_argument("--again", type=int, metavar="BATCH", help="only the file of a batch that left before")
    export.add_argument("--layout", choices=["orders", "broker", "fix44", "globeco"], default="orders")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="instead of standard output")
    for each in (close, fits, export):
        each.add_argument("--as", dest="user", metavar="USERNAME", help="who says so; else the only approver")
        each.add_argument("--json", action="store_true")


def _orders(options: argparse.Namespace) -> None:
    {"close": _close, "fits": _fits, "export": _export}[options.what](options)


def _close(options: argparse.Namespace) -> None:
    from models_app.imports.uploads import read_bytes
    from ordergen.accounts.roles import Role
    from rebalance_app.closing.closing_file import read_closings
    from rebalance_app.closing.services import orders_close

    with options.file.open("rb") as file:
        read = read_closings(read_bytes(file), options.reason)
    if read.problems.count:
        print(*read.problems.by_line, sep="\n", file=sys.stderr)
        raise CommandError(f"Nothing was closed: {read.problems.count:,} problems in {options.file}.")
    by = person(options.user, Role.APPROVER)
    closed = orders_close(by=by, closings=read.closings, reason=options.reason, argument="line")
    told = {"closed": closed.n_decided, "left_alone": closed.n_skipped, "reasons": dict(closed.reasons)}
    print(json.dumps(told) if options.json else f"{closed.n_decided:,} closed, {closed.n_skipped:,} left alone.")
    if not options.json:
        print(*(f"{count:,} {why}" for why, count in closed.reasons.items()), sep="\n", end="\n" * bool(closed.reasons))


def _fits(options: argparse.Namespace) -> None:
    from ordergen.accounts.roles import Role
    from rebalance_app.closing.fits import fits_confirm, order_fits

    fits = order_fits()
    if options.confirm:
        fits_confirm(by=person(options.user, Role.APPROVER), seen=fits.seen)
    told = {"counts": dict(fits.counts), "confirmed": options.confirm}
    if options.json:
        print(json.dumps(told))
        return
    for fit in fits.shown:
        shows = fit.shows.replace("_", " ")
        print(f"{fit.order.portfolio_name}: {fit.order}: {shows}, {fit.done:,} done. {fit.why}".strip())
    if fits.n_more:
        print(f"and {fits.n_more:,} more")
    print(f"{fits.n_fitting:,} fit{', confirmed' if options.confirm else ''}; {fits.counts['does_not_fit']:,} do not.")


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


COMMAND = Command("orders", "let approved orders leave, and say what became of them", _orders, _arguments)
