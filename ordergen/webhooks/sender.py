"""Threads that send beside the sweeper: no run waits for a receiver that takes its time."""

from __future__ import annotations

import logging
import threading

from django.db import connection

from ordergen.webhooks.deliver import deliver, due

logger = logging.getLogger(__name__)
SENDERS = 2
IDLE_SECONDS = 1.0


def deliver_due() -> int:
    """Sends what is due to everybody, once; returns how many events were taken."""
    return sum(deliver(webhook_id) for webhook_id in due())


def start_senders() -> None:
    """Starts them; they end with the process, and what they were at is sent again by the next."""
    for number in range(SENDERS):
        threading.Thread(target=_keep_sending, name=f"webhooks-{number}", daemon=True).start()


def _keep_sending() -> None:
    while True:
        try:
            taken = deliver_due()
        except Exception:  # as in a worker: it is logged and ends nobody; what was claimed waits for its lease
            logger.exception("webhooks could not be sent")
            connection.close()
            taken = 0
        if not taken:
            threading.Event().wait(IDLE_SECONDS)
