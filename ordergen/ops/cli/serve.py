"""`ordergen serve`, `web` and `worker`: which processes run on this machine, under one supervisor."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile

from ordergen.ops.cli.command import Command, CommandError
from ordergen.ops.cli.migrate import migrate


def where_to_listen(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that starts a web server."""
    parser.add_argument("--host", default="127.0.0.1")
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
    """Runs all there is until it is stopped, on a database that it brings up to date first."""
    from ordergen.ops import supervisor

    must_be_free(options)
    migrate(options)
    print(f"ordergen listens on http://{options.host}:{options.port}/ (Ctrl+C ends it)", flush=True)
    commands = {
        "web": supervisor.web_command(options.host, options.port),
        "worker": supervisor.worker_command(),
        "sweeper": supervisor.sweep_command(),
    }
    _supervise(commands)


def _web(options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    must_be_free(options)
    _must_be_migrated()
    _supervise({"web": supervisor.web_command(options.host, options.port)})


def _worker(_options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    _must_be_migrated()
    _supervise({"worker": supervisor.worker_command(), "sweeper": supervisor.sweep_command()})


def _must_be_migrated() -> None:
    """Says at once what is missing; else each page and each sweep would say that a table is not there."""
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except OperationalError:  # not up yet: the processes wait for it
        return
    finally:
        connection.close()
    if is_behind:
        raise CommandError("the database is empty or of an earlier version: run `ordergen migrate` first, once")


def _supervise(commands: dict[str, list[str]]) -> None:
    from django.conf import settings

    from ordergen.core.db import promises
    from ordergen.ops import supervisor

    if lacking := promises():
        print(f"ordergen: {lacking}", file=sys.stderr, flush=True)
    if "web" in commands and settings.ORDERGEN_API_AUTH == "none":
        print(
            "ORDERGEN_API_AUTH=none: everybody who reaches this address may do everything through API v1.",
            file=sys.stderr,
            flush=True,
        )
    with tempfile.TemporaryDirectory(prefix="ordergen-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)  # before any process that measures starts
        try:
            supervisor.supervise(commands)
        except supervisor.SupervisionError as error:
            raise CommandError(str(error)) from error


SERVE = Command("serve", "web server, worker and sweeper under one supervisor", serve, where_to_listen)
WEB = Command("web", "the web server alone", _web, where_to_listen)
WORKER = Command("worker", "a worker and a sweeper, for as many machines as needed", _worker)
