"""Asking another service: bounded in time, size and number, retried where that may help, left alone when it is down."""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
import stamina
from django.conf import settings

from models_app.sources.parse import loads
from ordergen.core.breaker import Breaker
from ordergen.core.correlation import HEADER, correlation
from ordergen.core.errors import UnavailableError
from ordergen.core.metrics import count_upstream

logger = logging.getLogger(__name__)
In = TypeVar("In")
Out = TypeVar("Out")
_making = threading.Lock()
MAX_BYTES = 10 * 1024 * 1024
_LONGEST_PAUSE = 30.0
_HINTING = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # statuses that may name a Retry-After


class Deadline:
    """So many seconds from now for everything that one read of the book takes."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._at - time.monotonic()


class FaultError(Exception):
    """One try that failed. `status` is what was answered, 0 where nothing was."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after

    @property
    def is_outage(self) -> bool:
        """Whether the service is at fault, and not what it was asked."""
        return self.status == 0 or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    def pause(self, deadline: Deadline) -> bool | float:
        """Whether another try may help; in how many seconds, where the service said so."""
        if self.retry_after is not None:
            return self.retry_after if self.retry_after < min(deadline.left, _LONGEST_PAUSE) else False
        return self.is_outage and deadline.left > 0


@dataclass(frozen=True)
class Service:
    """One of the services. `name` is what people are told when it fails."""

    name: str
    url: str
    breaker: Breaker = field(compare=False)

    def get(
        self, path: str, deadline: Deadline, params: Mapping[str, Any] | None = None, *, tolerated: Collection[int] = ()
    ) -> Any:
        """What it answers, parsed: one call, and as many retries as the settings allow before the deadline.

        Raises FaultError for a status in `tolerated` at once, and UnavailableError naming the service otherwise.
        """
        if rest := self.breaker.admit(deadline.left):
            raise UnavailableError(
                f"The {self.name} is down: it failed several times, and is asked again in {rest:.0f} s."
            )
        try:
            body = self._body(path, deadline, dict(params or {}), tolerated)
        except FaultError as fault:
            is_tolerated = fault.status in tolerated
            self.breaker.failed() if fault.is_outage and not is_tolerated else self.breaker.unclear()
            if is_tolerated:
                raise
            raise UnavailableError(f"The {self.name} {fault}.") from fault
        self.breaker.succeeded()
        return loads(self.name, body)

    def _body(self, path: str, deadline: Deadline, params: Mapping[str, Any], tolerated: Collection[int]) -> bytes:
        pause = partial(self._pause, deadline, tolerated)
        for attempt in stamina.retry_context(
            on=pause,
            attempts=1 + settings.EXTERNAL_SERVICE_RETRIES,
            timeout=max(deadline.left, 0.001),
            wait_initial=settings.EXTERNAL_SERVICE_PAUSE,
            wait_jitter=settings.EXTERNAL_SERVICE_PAUSE / 4,
            wait_max=_LONGEST_PAUSE,
        ):
            with attempt:
                return self.try_once(path, min(settings.EXTERNAL_SERVICE_TIMEOUT, deadline.left), params)
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, deadline: Deadline, tolerated: Collection[int], error: Exception) -> bool | float:
        if not isinstance(error, FaultError) or error.status in tolerated:
            return False
        logger.warning("the %s %s", self.name, error)
        return error.pause(deadline)

    def try_once(self, path: str, seconds: float, params: Mapping[str, Any] | None = None) -> bytes:
        """One call; raises FaultError."""
        started = time.monotonic()
        status = 0
        try:
            if seconds <= 0:
                raise FaultError("did not answer in time")
            headers = {HEADER: correlation.get()} if correlation.get() else {}
            with client(self.url).stream(
                "GET", self.url + path, params=params, headers=headers, timeout=seconds
            ) as response:
                status = response.status_code
                _check_status(response)
                return _read(response, started + seconds)
        except httpx.TimeoutException as error:
            raise FaultError(f"did not answer within {seconds:.3g} s") from error
        except httpx.RequestError as error:
            raise FaultError(f"cannot be reached ({error or type(error).__name__})") from error
        finally:
            count_upstream(self.name, status, time.monotonic() - started)


def client(url: str) -> httpx.Client:
    """This process's pool of connections to one service: one that is slow keeps nobody from the others."""
    with _making:  # threads that come at once would each make one
        return _client(os.getpid(), url)


@lru_cache(maxsize=8)
def _client(_pid: int, _url: str) -> httpx.Client:
    # By process, because sockets are not to be shared with a forked child.
    limits = httpx.Limits(max_connections=settings.EXTERNAL_SERVICE_CONCURRENCY)
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "ordergen"}
    # No redirects and no proxies from the environment: calls go where the operator said, or nowhere.
    return httpx.Client(follow_redirects=False, trust_env=False, limits=limits, headers=headers)


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status == HTTPStatus.OK:
        return
    after = response.headers.get("Retry-After", "") if status in _HINTING else ""
    hint = "" if status >= HTTPStatus.INTERNAL_SERVER_ERROR or after else "; is its address right?"
    raise FaultError(
        f"answered {status}{hint}",
        status=status,
        retry_after=float(after) if after.isascii() and after.isdigit() else None,
    )


def _read(response: httpx.Response, until: float) -> bytes:
    """The body, unless it is too large or trickles in too slowly."""
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > MAX_BYTES:
            raise FaultError(f"answered more than {MAX_BYTES // 2**20} MiB", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if time.monotonic() > until:
            raise FaultError("did not finish its answer in time")
        chunks.append(chunk)
    return b"".join(chunks)


def in_parallel(work: Callable[[In], Out], items: Sequence[In]) -> list[Out]:
    """`work` of each item, some at a time; the first failure stops what has not begun, and is raised."""
    with ThreadPoolExecutor(max_workers=settings.EXTERNAL_SERVICE_CONCURRENCY) as pool:
        futures = [pool.submit(contextvars.copy_context().run, work, item) for item in items]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failed = next((future for future in done if future.exception()), None)
        if failed:
            pool.shutdown(wait=True, cancel_futures=True)
            failed.result()
        return [future.result() for future in futures]
