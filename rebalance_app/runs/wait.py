"""Waiting for a run, for callers that were promised its result in the same answer."""

from __future__ import annotations

import threading
import time

from django.conf import settings

from rebalance_app.models import Rebalance
from rebalance_app.runs.selectors import LONG

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds: small runs end at once, long ones are not asked after too often
# Each waits on a thread of the web server: a quarter of them is left for pages.
_places = threading.BoundedSemaphore(settings.WEB_THREADS * 3 // 4)


def rebalance_wait(*, rebalance_id: str, seconds: float) -> Rebalance:
    """The run as soon as it has ended, or as it is after `seconds`; as it is now, where too many wait already."""
    if not _places.acquire(blocking=False):
        return _run(rebalance_id)
    try:
        return _wait(rebalance_id, time.monotonic() + seconds)
    finally:
        _places.release()


def _wait(rebalance_id: str, deadline: float) -> Rebalance:
    pause = _FIRST_PAUSE
    while True:
        run = _run(rebalance_id)
        left = deadline - time.monotonic()
        if not run.is_active or left <= 0:
            return run
        _sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _run(rebalance_id: str) -> Rebalance:
    return Rebalance.objects.defer(*LONG).get(pk=rebalance_id)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)
