"""One signed request to an address that was checked, over before its deadline whatever the receiver does."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore
import httpx

from ordergen.webhooks.addresses import Target

SECONDS = 15.0  # for all of it: a receiver takes the message in and does its work afterwards
_DELIVERED = range(200, 300)
_REDIRECTS = range(300, 400)


@dataclass(frozen=True)
class Answer:
    """`status` is None where none came; `fault` is empty where the message was taken."""

    status: int | None
    fault: str = ""


def post(target: Target, body: bytes, headers: dict[str, str], *, seconds: float = SECONDS) -> Answer:
    """Sends it once. Redirects are not followed, and of the answer only the status is read."""
    with (
        _deadline(seconds) as wire,
        httpcore.ConnectionPool(
            ssl_context=_trusted(), network_backend=_Pinned(target.addresses, wire), max_connections=1
        ) as pool,
    ):
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        try:
            with pool.stream(
                "POST", target.url, headers=[*headers.items()], content=body, extensions={"timeout": timeout}
            ) as got:
                return Answer(got.status, _fault(got.status))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            if wire.is_over:
                return Answer(None, f"No answer within {seconds:g} seconds.")
            return Answer(None, f"{type(error).__name__}: {error}"[:300])


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities that httpx trusts, read once: that takes longer than a message."""
    return httpx.create_ssl_context()


def _fault(status: int) -> str:
    if status in _DELIVERED:
        return ""
    return "A redirect, which is not followed." if status in _REDIRECTS else f"The receiver answered {status}."


class _Wire:
    """The connection, for the one who cuts it when the time is over."""

    def __init__(self) -> None:
        self.is_over = False
        self._handle: socket.socket | None = None

    def take(self, connected: socket.socket) -> None:
        self._handle = connected.dup()  # TLS takes the socket itself away

    def cut(self) -> None:
        self.is_over = True
        if self._handle:
            with suppress(OSError):  # it was closed at this moment
                self._handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._handle:
            self._handle.close()


@contextmanager
def _deadline(seconds: float) -> Iterator[_Wire]:
    """Cuts the wire when the time is over: a receiver that sends a byte now and then outlasts any other timeout."""
    wire = _Wire()
    timer = threading.Timer(seconds, wire.cut)
    timer.daemon = True
    timer.start()
    try:
        yield wire
    finally:
        timer.cancel()
        timer.join()
        wire.close()


class _Pinned(httpcore.NetworkBackend):
    """Connects to the addresses that were checked, whatever the host has by now. TLS still asks for its name."""

    def __init__(self, addresses: Sequence[str], wire: _Wire) -> None:
        self._addresses = addresses
        self._wire = wire
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002  the name, which was resolved before
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        *others, last = self._addresses
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._to(address, port, timeout, local_address, socket_options)
        return self._to(last, port, timeout, local_address, socket_options)

    def _to(self, address: str, *where: Any) -> httpcore.NetworkStream:
        stream = self._network.connect_tcp(address, *where)
        self._wire.take(stream.get_extra_info("socket"))
        return stream
