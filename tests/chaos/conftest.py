"""Sites on every broker and database, filled once and then copied."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.console import Console
from tests.chaos.faults import LEASE, PROGRAMME, RESEND, SWEEP, Chaos
from tests.chaos.servers import PostgreSQL, RabbitMQ, Redis, Server, program
from tests.site import Site

BROKERS = {"embedded": None, "redis": Redis, "rabbitmq": RabbitMQ}
SHORT = {
    "ORDERGEN_CHUNK_SIZE": "8",
    "ORDERGEN_LEASE_SECONDS": str(LEASE),
    "ORDERGEN_SWEEP_SECONDS": str(SWEEP),
    "ORDERGEN_RESEND_SECONDS": str(RESEND),
    "OPTIMIZATION_TIMEOUT": str(PROGRAMME),
}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    server.start()
    yield server
    server.close()


def _filled(home: Path, **environment: str) -> dict[str, Any]:
    site = Site(home, **SHORT, **environment)
    console = Console(site.environment, site.log)
    book: dict[str, Any] = console("fill")
    console.close()
    return book


@pytest.fixture(scope="session")
def in_sqlite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    home = tmp_path_factory.mktemp("filled")
    return home / "ordergen.sqlite3", _filled(home)


@pytest.fixture(scope="session")
def in_postgresql(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _filled(tmp_path_factory.mktemp("filled"), DATABASE_URL=postgresql.url)


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    kind = BROKERS[request.param]
    server = kind() if kind else None
    if server:
        server.start()
    yield server
    if server:
        server.close()


@pytest.fixture
def chaos(request: pytest.FixtureRequest, broker: Server | None, database: str, tmp_path: Path) -> Iterator[Chaos]:
    """A site of its own on the broker and database of the test's parameters; nothing runs yet."""
    environment = SHORT | ({"CELERY_BROKER_URL": broker.url} if broker else {})
    server = None
    if database == "sqlite":
        file, book = request.getfixturevalue("in_sqlite")
        shutil.copy(file, tmp_path / "ordergen.sqlite3")
    else:
        server, book = request.getfixturevalue("postgresql"), request.getfixturevalue("in_postgresql")
        environment["DATABASE_URL"] = _copy(server, f"chaos_{tmp_path.name.replace('-', '_')}".lower())
    chaos = Chaos(Site(tmp_path, **environment), book, broker, server)
    yield chaos
    chaos.close()


def _copy(server: PostgreSQL, name: str) -> str:
    psql = [program("psql", "postgres"), "-q", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "template1"]
    subprocess.run([*psql, "-c", f'CREATE DATABASE "{name}" TEMPLATE postgres'], check=True, timeout=60)
    return server.url.rpartition("/")[0] + "/" + name
