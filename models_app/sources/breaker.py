"""Leaving a service alone that is down: asking it again and again only keeps everybody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Opens after `most` calls in a row have failed; `rest` seconds later one call is let through to see.

    One per service and process. A call counts once, with all its retries; an answer that blames the caller (4xx) is an
    answer, and never counts.
    """

    def __init__(self, most: int, rest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._rest, self._clock = most, rest, clock
        self._failures = 0
        self._until = 0.0
        self._lock = threading.Lock()

    def admit(self) -> float:
        """0 where a call may be made; else the seconds until one may."""
        with self._lock:
            if self._failures < self._most:
                return 0.0
            left = self._until - self._clock()
            if left > 0:
                return left
            self._until = self._clock() + self._rest  # this caller tries; the others wait for what it finds
            return 0.0

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._until = self._clock() + self._rest
