"""`ordergen orders`: what became of approved orders, from a file or from the holdings."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ordergen.ops.cli.command import Command, CommandError, person


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True, metavar="close|fits")
    close = what.add_parser("close", help="close approved orders by a CSV file: all of it or nothing")
    close.add_argument("file", type=Path, help="with the columns order_id, outcome, quantity, reason")
    close.add_argument("--reason", default="", help="of the rows that bring none")
    fits = what.add_parser("fits", help="what holdings stated after an approval show of the open orders")
    fits.add_argument("--confirm", action="store_true", help="close what is done, and note what is not")
    for each in (close, fits):
        each.add_argument("--as", dest="user", metavar="USERNAME", help="who says so; else the only approver")
        each.add_argument("--json", action="store_true")


def _orders(options: argparse.Namespace) -> None:
    _close(options) if options.what == "close" else _fits(options)


def _close(options: argparse.Namespace) -> None:
    from models_app.imports.reading import read_bytes
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


COMMAND = Command("orders", "say what became of approved orders", _orders, _arguments)
