"""`ordergen demo`: a synthetic book, one finished rebalance, and the site to look at them."""

from __future__ import annotations

import argparse

from ordergen.ops.cli.command import Command
from ordergen.ops.cli.rebalance import print_report
from ordergen.ops.cli.serve import must_be_free, serve, where_to_listen


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="do not serve: print what was proposed, and end")
    parser.add_argument("--json", action="store_true", help="with --once: one JSON document on standard output")
    where_to_listen(parser)


def _check(options: argparse.Namespace) -> None:
    if not options.once:
        must_be_free(options)


def _demo(options: argparse.Namespace) -> None:
    from ordergen.ops.demo import make_demo, signs

    demo = make_demo()
    if options.once:
        print_report(demo.report, as_json=options.json)
        return
    print(signs(demo, f"http://{options.host}:{options.port}/"), flush=True)
    serve(options)


COMMAND = Command("demo", "make a demo book, rebalance one model, then serve it", _demo, _arguments, check=_check)
