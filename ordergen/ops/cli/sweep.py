"""`ordergen sweep`: what workers left behind is queued again, once or for ever."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from ordergen.ops.cli.command import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--forever", action="store_true", help="again and again, until stopped")


def _sweep(options: argparse.Namespace) -> None:
    from models_app.tasks import sweep_figures
    from ordergen.apis.idempotency import forget_old
    from ordergen.webhooks.sender import deliver_due, senders
    from rebalance_app.runs.sweep import sweep
    from rebalance_app.sending.send import sweep_sending

    def others() -> None:
        sweep_figures()
        sweep_sending()
        forget_old()

    if options.forever:
        with senders():
            _sweep_forever(sweep, others)
    sweep()
    others()
    deliver_due()


def _sweep_forever(sweep: Callable[[], object], others: Callable[[], None]) -> NoReturn:
    """Again and again; between two rounds a few portfolios are done where nobody else does them."""
    from django.conf import settings
    from django.db import Error, connection

    from rebalance_app.tasks import stand_in

    stood_in = False
    while True:
        try:
            sweep()
            stood_in = stand_in(again=stood_in)
            others()
        except Error as error:
            print(f"sweep: {error}; trying again", file=sys.stderr, flush=True)
            connection.close()
            stood_in = False
        if not stood_in:
            time.sleep(settings.SWEEP_SECONDS)


COMMAND = Command(
    "sweep", "queue again what lost its worker, refresh figures that nobody does, send webhooks", _sweep, _arguments
)
