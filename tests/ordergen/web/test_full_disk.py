"""A disk without room is said in words, on every way in, and nothing that was typed is lost."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest
from django.db import connection

from ordergen.audit.models import AuditEvent
from tests.callers import Api
from tests.site import Site

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="it is SQLite that can be told to take no more")
LONG = "x" * 90
MOST = 200  # tries until the last page of the file is full


@pytest.fixture
def full_disk(own_connections, manager):
    """The database's file may not grow any more."""
    with connection.cursor() as cursor:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
    return manager


def _once_full(ask: Callable[[int], object]) -> object:
    """The first answer that is none of success."""
    return next(answer for n in range(MOST) if (answer := ask(n)).status_code >= 400)


def _model(n: int, position: dict) -> dict:
    return {"name": f"Model {n} {LONG}", "positions": [position | {"security_id": "a" * 24}], "portfolios": ["b" * 24]}


def test_a_page_says_so_and_keeps_what_was_typed(client, full_disk) -> None:
    client.force_login(full_disk)
    form = {"name": LONG, "scopes": ["book:read"], "days": 30}
    answer = _once_full(lambda _: client.post("/account/keys/", form))
    page = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "The disk is full. Nothing was changed, and nothing can be until an administrator makes room." in page
    assert f'value="{LONG}"' in page
    assert full_disk.api_keys.count() == AuditEvent.objects.filter(action="api_key.created").count()
    assert client.get("/account/keys/").status_code == 200, "what only reads is served"


def test_each_api_says_so_in_its_own_shape(full_disk, key_for) -> None:
    key = {"X-API-Key": key_for(full_disk)}
    old, new = Api("/api/v1", **key), Api("/api/v2", **key)
    weights = {"target": "0.5", "low_drift": "0.01", "high_drift": "0.01"}
    problem = _once_full(lambda n: new.post("/models", _model(n, weights)))
    assert (problem.status_code, problem.json()["code"], problem["Retry-After"]) == (503, "disk_full", "60")
    assert "until an administrator makes room" in problem.json()["detail"]
    numbers = {name: float(weight) for name, weight in weights.items()}
    refused = _once_full(lambda n: old.post("/models", _model(n + MOST, numbers)))
    assert (refused.status_code, refused.json()["detail"]) == (503, problem.json()["detail"])


def test_a_machine_without_room_says_that_it_is_not_ready_before_anything_is_lost(
    client, db, settings, tmp_path
) -> None:
    settings.MIN_FREE_BYTES = 10**18
    answer = client.get("/health/ready")
    database = answer.json()["dependencies"]["database"]
    assert (answer.status_code, database["status"]) == (503, "unhealthy")
    assert database["message"].startswith("The disk is full: ")


@pytest.mark.slow
def test_a_command_says_so_in_one_line(tmp_path) -> None:
    """The system lets a process write no file larger than so many bytes, as a disk without room does."""
    site = Site(tmp_path)
    assert site.run("migrate").returncode == 0
    largest = (tmp_path / "ordergen.sqlite3").stat().st_size
    file = tmp_path / "securities.csv"
    file.write_text("ticker,name\n" + "".join(f"S{n:05},{'n' * 100}\n" for n in range(20_000)))
    site.run("create-user", "maya", "--role", "manager", stdin="a-long-enough-word\n")
    command = ["ordergen.ops.cli", "import", "securities", str(file)]
    limited = "import resource, signal, sys, runpy; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limited += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {resource.RLIM_INFINITY}))\n"
    limited += "sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-c", limited, *command], env=site.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("ordergen: The disk is full. Nothing was changed")
    assert site.run("verify").returncode == 0
