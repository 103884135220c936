"""Leaving a service alone that is down: asking it again and again only keeps everybody waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Opens after `most` calls in a row have failed; `rest` seconds later one call is let through to see.

    One per service and process. A call counts once, with all its retries; an answer that blames the caller (4xx) is an
    answer, and never counts. Whoever is admitted says what came of it by `succeeded`, `failed` or `unclear`.
    """

    def __init__(self, most: int, rest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._rest, self._clock = most, rest, clock
        self._failures = 0
        self._until = 0.0
        self._is_tried = False
        self._changed = threading.Condition()

    def admit(self, patience: float = 0) -> float:
        """0 where a call may be made; else the seconds until one may.

        Who comes while another finds out waits for that at most `patience` seconds: when a service is back, a read of a
        hundred portfolios at once is not to fail because ninety-nine of them were not the first.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_tried, max(patience, 0))
            if self._failures < self._most:
                return 0.0
            left = self._until - self._clock()
            if left > 0:
                return left
            self._is_tried, self._until = True, self._clock() + self._rest
            return 0.0

    def succeeded(self) -> None:
        with self._changed:
            self._failures = 0
            self._tell()

    def failed(self) -> None:
        with self._changed:
            self._failures += 1
            self._until = self._clock() + self._rest
            self._tell()

    def unclear(self) -> None:
        """It answered, which proves nothing: where this call was let through to see, the next one is too."""
        with self._changed:
            if self._is_tried:
                self._until = self._clock()
                self._tell()

    def _tell(self) -> None:
        self._is_tried = False
        self._changed.notify_all()
