"""Django's cache, as something that may be down: that costs time and nothing else.

While it does not answer, each process keeps and counts in its own memory. One caller in `REST_SECONDS` finds out
whether it is back; nobody else waits for it meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

from ordergen.core.breaker import Breaker

T = TypeVar("T")
logger = logging.getLogger(__name__)
FAULTS = (RedisError, OSError)  # of Redis, and of files
REST_SECONDS = 5.0
_breaker = Breaker(1, REST_SECONDS)
_own = LocMemCache("ordergen-while-the-cache-is-down", {"OPTIONS": {"MAX_ENTRIES": 10_000}})


def in_cache(use: Callable[[BaseCache], T]) -> T:
    """What `use` returns when it is given the cache, or this process's own where the cache does not answer."""
    if _breaker.admit():
        return use(_own)
    try:
        found = use(cache)
    except FAULTS as error:
        _breaker.failed()
        logger.warning("the cache does not answer, for %g s each process keeps its own: %s", REST_SECONDS, error)
        return use(_own)
    _breaker.succeeded()
    return found


def count(key: str, seconds: float) -> int:
    """How many times this key was counted in the `seconds` since the first time, this one included."""

    def one_more(store: BaseCache) -> int:
        store.add(key, 0, timeout=seconds)
        try:
            return int(store.incr(key))
        except ValueError:  # dropped between the two lines
            return 1

    return in_cache(one_more)
