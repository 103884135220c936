"""One process of the web server, which no slow client can keep from serving others.

gunicorn starts, watches and ends the processes; inside each, waitress holds the connections:

    main thread:  reads requests, whole, and sends answers, of all connections at once (what is large waits in files)
    threads:      call Django, with a request that is there to its last byte

So who sends or reads slowly costs a socket and no thread. What gunicorn's own threads do instead, one connection each,
was stopped by 36 sockets (benchmarks/slow_clients.py). Nor may anybody be slow for ever: `_Spell` says how slow.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

HEADER_SECONDS = 10
BODY_SECONDS = 20  # in which a body or an answer has to be through, or be on its way with
BYTES_PER_SECOND = 4_096  # at least
IDLE_SECONDS = 30  # between requests; the first has to begin as soon as its headers have to end
LINGER_SECONDS = 1  # that an ending server leaves to clients who are about to ask on a connection they have
SWEEP_SECONDS = 1
HEADER_BYTES = 64 * 1024
LARGE_BODY, LARGE_ANSWER = 128 * 1024, 512 * 1024  # bytes from which on one waits in a file without a name
CONNECTIONS = 2_000


class _Spell:
    """A stretch of waiting for a client, which moves bytes meanwhile: `what` it is about tells one from the next."""

    def __init__(self, what: object, now: float, moved: int) -> None:
        self.what, self._since, self._moved = what, now, moved

    def is_over(self, now: float, moved: int, seconds: float) -> bool:
        """Whether the client used the time up and moved too little in it; who moved enough is given the same again."""
        if now - self._since <= seconds:
            return False
        if moved - self._moved < seconds * BYTES_PER_SECOND:
            return True
        self._since, self._moved = now, moved
        return False


class Answer(WSGITask):  # type: ignore[misc]  # neither waitress nor gunicorn has types
    """An answer of Django's."""

    def set_close_on_finish(self) -> None:
        """Where the end of an answer can be told, the connection stays: waitress would end it after each stream."""
        asked = self.request.headers.get("CONNECTION", "").lower()
        may_stay = self.version == "1.1" and self.request.command != "HEAD" and asked != "close"
        if self.wrote_header or not may_stay:
            super().set_close_on_finish()


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection that knows when its client has been waited for long enough."""

    task_class = Answer

    def __init__(self, *args: Any, **named: Any) -> None:
        self._moved = 0
        self._spell: _Spell | None = None
        super().__init__(*args, **named)

    def recv(self, buffer_size: int) -> bytes:
        data: bytes = super().recv(buffer_size)
        self._moved += len(data)
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self._moved += sent
        return sent

    @property
    def is_idle(self) -> bool:
        """Nothing was begun that is not done."""
        return not (self.requests or self.request or self.total_outbufs_len)

    def is_overdue(self, now: float) -> bool:
        """Whether its client is too slow; to be asked every second or so. While Django works, nobody waits for it."""
        what, seconds = self._waits_for()
        if what is None:
            self._spell = None
            return False
        if self._spell is None or self._spell.what is not what:
            self._spell = _Spell(what, now, self._moved)
        return self._spell.is_over(now, self._moved, seconds)

    def _waits_for(self) -> tuple[object | None, float]:
        """What the client is to do next, another object for each turn, and for how long."""
        if self.total_outbufs_len:
            return self.outbufs[0], BODY_SECONDS
        if self.requests:
            return None, 0
        request = self.request
        if request is None:
            return self.last_activity, IDLE_SECONDS if self._moved else HEADER_SECONDS
        return (request.headers, BODY_SECONDS) if request.headers_finished else (request, HEADER_SECONDS)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """The connections of one process."""

    channel_class = Connection

    def maintenance(self, now: float) -> None:  # noqa: ARG002  of a clock that may be set
        """Called by waitress every second: ends connections whose clients are too slow.

        At once and not when they can be written to, for that is what a client who does not read prevents.
        """
        for connection in list(self.active_channels.values()):
            if connection.is_overdue(time.monotonic()):
                connection.handle_close()

    def stop_accepting(self) -> None:
        """Lets what is under way come to its end."""
        self.accepting = False

    def close_idle(self, since: float) -> None:
        """Ends connections on which nobody has asked for anything since that moment."""
        for connection in list(self.active_channels.values()):
            if connection.is_idle and connection.last_activity < since:
                connection.handle_close()


class WaitressWorker(Worker):  # type: ignore[misc]
    """A process of gunicorn's that serves by waitress."""

    def run(self) -> None:
        """Serves until gunicorn says that it is enough, then answers what was asked before that."""
        map_: dict[int, Any] = {}
        threads = ThreadedTaskDispatcher()
        threads.set_thread_count(self.cfg.threads)
        servers = [_server(self.wsgi, listener, threads, map_) for listener in self.sockets]
        self._loop(map_, lambda: self.alive and self.ppid == os.getppid())  # nobody else would end an orphan
        stopped = time.time()
        for server in servers:
            server.stop_accepting()
        until = stopped + self.cfg.graceful_timeout
        self._loop(map_, lambda: time.time() < until and _any_left(servers, stopped))
        threads.shutdown(timeout=0)

    def _loop(self, map_: dict[int, Any], goes_on: Callable[[], bool]) -> None:
        told = 0.0
        while goes_on():
            if time.monotonic() - told > SWEEP_SECONDS:
                self.notify()
                told = time.monotonic()
            wasyncore.loop(timeout=0.5, use_poll=True, map=map_, count=1)


def _any_left(servers: list[Server], stopped: float) -> bool:
    if time.time() > stopped + LINGER_SECONDS:
        for server in servers:
            server.close_idle(time.time() - LINGER_SECONDS)
    return any(server.active_channels for server in servers)


def _server(wsgi: Any, listener: Any, threads: ThreadedTaskDispatcher, map_: dict[int, Any]) -> Server:
    """What listens on a socket that gunicorn has opened."""
    listening = listener.sock
    options = Adjustments(
        sockets=[listening],
        ident=None,
        connection_limit=_connections(),
        cleanup_interval=SWEEP_SECONDS,
        channel_timeout=IDLE_SECONDS,
        max_request_header_size=HEADER_BYTES,
        max_request_body_size=settings.MAX_BODY_BYTES,
        inbuf_overflow=LARGE_BODY,
        outbuf_overflow=LARGE_ANSWER,
        log_socket_errors=False,  # a client that has gone is nobody's error
        clear_untrusted_proxy_headers=False,  # the settings say whether Django heeds them
    )
    described = (listening.family, listening.type, listening.proto, listening.getsockname())
    return Server(
        wsgi,
        map=map_,
        _sock=listening,
        dispatcher=threads,
        adj=options,
        sockinfo=described,
        bind_socket=False,
    )


def _connections() -> int:
    """How many connections at once: each may need a file for its request and one for its answer beside its socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(CONNECTIONS, soft // 4)
