"""Threads that send beside the sweeper: no run waits for a receiver that takes its time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, connection

from ordergen.webhooks.deliver import deliver, due

logger = logging.getLogger(__name__)
SENDERS = 2
IDLE_SECONDS = 1.0


def deliver_due() -> int:
    """Sends what is due to everybody, once; returns how many events were taken."""
    return sum(deliver(webhook_id) for webhook_id in due())


@contextmanager
def senders() -> Iterator[None]:
    """They send while the body runs. What they were at when the process dies is sent again by the next one."""
    is_over = threading.Event()
    threads = [threading.Thread(target=_keep_sending, args=(is_over,), daemon=True) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _keep_sending(is_over: threading.Event) -> None:
    while not is_over.is_set():
        taken = 0
        try:
            taken = deliver_due()
        except Error as error:
            logger.warning("webhooks: %s; trying again", error)
            connection.close()
        except Exception:  # as in a worker: it is logged and ends nobody; what was claimed waits for its lease
            logger.exception("webhooks could not be sent")
        if not taken:
            is_over.wait(IDLE_SECONDS)
    connection.close()
