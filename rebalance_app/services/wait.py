"""Waiting for a run, for callers that were promised its result in the same answer."""

from __future__ import annotations

import time

from rebalance_app.models import Rebalance

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds: small runs end at once, long ones are not asked after too often


def rebalance_wait(*, rebalance_id: str, seconds: float) -> Rebalance:
    """The run as soon as it has ended, or as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        run = Rebalance.objects.get(pk=rebalance_id)
        left = deadline - time.monotonic()
        if not run.is_active or left <= 0:
            return run
        _sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)
