"""Keeping what a service answered for a while, in the cache that all processes share."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

from ordergen.core.cache import in_cache
from ordergen.core.errors import UnavailableError

T = TypeVar("T")
_reading: dict[str, threading.Lock] = defaultdict(threading.Lock)
_failed: dict[str, tuple[float, UnavailableError]] = {}  # when the last read of a key failed, and how


def kept(
    key: str,
    seconds: float,
    read: Callable[[], T],
    *,
    is_enough: Callable[[T], bool] | None = None,
    patience: float = 0,
) -> T:
    """What was read at most `seconds` ago, else what `read` gives now; one thread of a process reads at a time.

    What is not enough for the caller is read anew, unless that was done in the last `patience` seconds. Who waited for
    another's read is told of its failure, and does not wait through the same retries again.
    """
    arrived = time.monotonic()
    with _reading[key]:
        failed_at, error = _failed.get(key, (0.0, None))
        if error and failed_at > arrived:
            raise type(error)(error.message)
        found = in_cache(lambda cache: cache.get(key))
        if found is not None:
            value: T = found[1]
            if is_enough is None or is_enough(value) or time.time() - found[0] < patience:
                return value
        try:
            fresh = read()
        except UnavailableError as failure:
            _failed[key] = (time.monotonic(), failure)
            raise
        in_cache(lambda cache: cache.set(key, (time.time(), fresh), seconds))
        return fresh
