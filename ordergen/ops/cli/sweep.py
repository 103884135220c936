"""`ordergen sweep`: what workers left behind is queued again, once or for ever."""

from __future__ import annotations

import argparse
import sys
import time

from ordergen.ops.cli.command import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--forever", action="store_true", help="again and again, until stopped")


def _sweep(options: argparse.Namespace) -> None:
    from django.conf import settings
    from django.db import Error, connection

    from models_app.tasks import sweep_figures
    from ordergen.apis.idempotency import forget_old
    from ordergen.webhooks.sender import deliver_due, start_senders
    from rebalance_app.runs.sweep import sweep
    from rebalance_app.tasks import stand_in

    if options.forever:
        start_senders()
    stood_in = False
    while True:
        try:
            sweep()
            stood_in = options.forever and stand_in(again=stood_in)
            sweep_figures()
            forget_old()
            if not options.forever:
                deliver_due()
        except Error as error:
            if not options.forever:
                raise
            print(f"sweep: {error}; trying again", file=sys.stderr, flush=True)
            connection.close()
            stood_in = False
        if not options.forever:
            return
        if not stood_in:
            time.sleep(settings.SWEEP_SECONDS)


COMMAND = Command(
    "sweep", "queue again what lost its worker, refresh figures that nobody does, send webhooks", _sweep, _arguments
)
