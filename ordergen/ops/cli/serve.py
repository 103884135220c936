"""`ordergen serve`, `web` and `worker`: which processes run on this machine, under one supervisor."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Iterator

from ordergen.ops.cli.command import Command, CommandError


def where_to_listen(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that starts a web server."""
    parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))
    parser.add_argument("--port", type=_port, default=os.environ.get("PORT", "8000"))


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port: 1 to 65535")
    return int(text)


def must_be_free(options: argparse.Namespace) -> None:
    """Says at once that nothing can listen there; else the web server would die again and again before saying so."""
    try:
        socket.create_server((options.host, options.port)).close()
    except OSError as error:
        told = f"cannot listen on {options.host}:{options.port}: {error.strerror}; try another --port"
        raise CommandError(told) from error


def serve(options: argparse.Namespace) -> None:
    """Runs all there is until it is stopped."""
    from ordergen.ops import supervisor

    print(f"ordergen listens on http://{options.host}:{options.port}/ (Ctrl+C ends it)", flush=True)
    commands = {
        "web": supervisor.web_command(options.host, options.port),
        "worker": supervisor.worker_command(),
        "sweeper": supervisor.sweep_command(),
    }
    _supervise(commands)


def _web(options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    _supervise({"web": supervisor.web_command(options.host, options.port)})


def _worker(_options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    _supervise({"worker": supervisor.worker_command(), "sweeper": supervisor.sweep_command()})


def warnings() -> Iterator[str]:
    """What whoever starts a web server should know of its settings, a line each."""
    from django.conf import settings

    if settings.ORDERGEN_API_AUTH == "none":
        yield "ORDERGEN_API_AUTH=none: everybody who reaches this address may do everything through API v1."
    if settings.HTTPS and not settings.TRUST_PROXY:
        yield (
            "ORDERGEN_HTTPS=true without TRUST_PROXY=true: nothing tells which requests came by TLS, so plain ones are "
            "not redirected, and the forms of browsers may be refused."
        )


def _supervise(commands: dict[str, list[str]]) -> None:
    from django.db import connection

    from ordergen.core.db import promises
    from ordergen.ops import supervisor

    if lacking := promises():
        print(f"ordergen: {lacking}", file=sys.stderr, flush=True)
    connection.close()  # whoever only watches over others needs none
    if "web" in commands:
        for warning in warnings():
            print(warning, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="ordergen-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)  # before any process that measures starts
        try:
            supervisor.supervise(commands)
        except supervisor.SupervisionError as error:
            raise CommandError(str(error)) from error


SERVE = Command(
    "serve", "web server, worker and sweeper under one supervisor", serve, where_to_listen, check=must_be_free
)
WEB = Command("web", "the web server alone", _web, where_to_listen, check=must_be_free)
WORKER = Command("worker", "a worker and a sweeper, for as many machines as needed", _worker)
