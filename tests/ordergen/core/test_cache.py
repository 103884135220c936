"""A cache that is down costs a moment, and each process counts and keeps on its own until it is back."""

import os
import socket
import subprocess
import sys

import pytest
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import ConnectionError as RedisIsGone

from ordergen.core import cache
from ordergen.core.breaker import Breaker


class Flaky(LocMemCache):
    """A cache that can be switched off, and says how often it was asked meanwhile."""

    is_down = False
    n_asked_in_vain = 0

    def _asked(self):
        if self.is_down:
            self.n_asked_in_vain += 1
            raise RedisIsGone("it is off")

    def add(self, *args, **kwargs):
        self._asked()
        return super().add(*args, **kwargs)

    def incr(self, *args, **kwargs):
        self._asked()
        return super().incr(*args, **kwargs)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cache, "_breaker", Breaker(1, cache.REST_SECONDS, clock))
    cache._own.clear()
    return clock


@pytest.fixture
def flaky(monkeypatch, clock):
    flaky = Flaky("flaky", {})
    flaky.clear()
    monkeypatch.setattr(cache, "cache", flaky)
    return flaky


def test_a_cache_that_is_down_is_left_alone_for_a_while_and_then_asked_again(flaky, clock):
    assert [cache.count("visits", 60) for _ in range(3)] == [1, 2, 3]

    flaky.is_down = True
    assert [cache.count("visits", 60) for _ in range(3)] == [1, 2, 3], "the process counts on its own"
    assert flaky.n_asked_in_vain == 1, "nobody waits again for what is known to be down"

    flaky.is_down = False
    assert cache.count("visits", 60) == 4
    clock.now += cache.REST_SECONDS
    assert cache.count("visits", 60) == 4, "it is back, with what it had counted"


def test_what_is_no_fault_of_the_cache_is_raised(flaky):
    def misused(_cache):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.in_cache(misused)


TIMED = """
import time, django
django.setup()
from ordergen.core.cache import count
started = time.monotonic()
print([count("visits", 60) for _ in range(20)][-1], time.monotonic() - started)
"""


def test_a_redis_that_takes_the_connection_and_says_nothing_keeps_nobody_waiting_long():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        environment = os.environ | {"CACHE_URL": address, "DJANGO_SETTINGS_MODULE": "ordergen.settings"}
        told = subprocess.run(
            [sys.executable, "-c", TIMED], env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout
    counted, seconds = told.split()
    assert int(counted) == 20
    assert float(seconds) < 3, "half a second once, and not for each of them"
