"""What every test may ask for."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from ordergen.accounts.models import User
from ordergen.celery import app as celery_app
from ordergen.web import downloads

pytest_plugins = ["tests.callers", "tests.small_book"]
celery_app.conf.broker_url = "memory://"  # messages go nowhere; tests that want a worker start a real one
# How fast a machine is, is no property of what it tests.
hypothesis_settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("steady")
REQUIRED = set(filter(None, os.environ.get("ORDERGEN_REQUIRE", "").split(",")))


def unavailable(name: str, why: str) -> None:
    """Skips with the reason, or fails where ORDERGEN_REQUIRE says that this must be here."""
    if name in REQUIRED:
        pytest.fail(f"{name} is required here: {why}")
    pytest.skip(why)


def pytest_sessionstart() -> None:
    """Says once that PostgreSQL is not there, where it was chosen, instead of failing every test."""
    if connection.vendor != "postgresql":
        return
    try:
        connection.get_new_connection(connection.get_connection_params()).close()
    except connection.Database.OperationalError as error:
        pytest.exit(f"nothing was tested: PostgreSQL does not answer: {error}", returncode=int("postgres" in REQUIRED))


def pytest_collection_finish() -> None:
    """What there is by now stays to the end: looking through it again and again took a fifth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    """No test touches the state folder of an installation, or waits for a download that one before left unread."""
    monkeypatch.setattr(settings, "STATE_DIR", tmp_path)
    monkeypatch.setattr(downloads._Download, "_under_way", Counter())


@pytest.fixture(autouse=True)
def _ageless_prices(settings):
    """The books of tests have the prices of one day, whenever they run; a test of their age says how old is too old."""
    settings.PRICE_AGE_SOFT = 1_000_000


@pytest.fixture
def own_connections(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """Each thread has a connection of its own, as where an installation runs.

    PostgreSQL is so anyway. SQLite's test database lives in memory, in the one connection of the test; for this test it
    is a file.
    """
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    name, memory = connection.settings_dict["NAME"], connection.connection
    path = str(tmp_path / "shared.sqlite3")
    file = sqlite3.connect(path)
    memory.backup(file)
    file.close()
    connection.connection = None
    connection.settings_dict["NAME"] = path
    yield
    connection.close()
    connection.settings_dict["NAME"], connection.connection = name, memory


@pytest.fixture
def cache_is_down(monkeypatch) -> Iterator[None]:
    """Redis does not answer; nobody after the test leaves the cache alone for that."""
    from ordergen.core import cache
    from ordergen.core.breaker import Breaker

    nowhere = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    monkeypatch.setattr(cache, "_breaker", Breaker(1, cache.REST_SECONDS))
    cache._own.clear()
    with override_settings(CACHES={"default": nowhere}):
        yield


@pytest.fixture
def patient_probes(monkeypatch) -> None:
    """Who asks for the health of the solver waits for it, however busy the machine is."""
    from rebalance_app.solving import solver_health

    monkeypatch.setattr(solver_health, "PATIENCE", 60.0)


@pytest.fixture(scope="session", autouse=True)
def _no_solver_left_behind():
    """The solver's process stays for the next problem, but not beyond the tests."""
    yield
    from rebalance_app.runs import solve_chunk as solve
    from rebalance_app.what_if import services as what_if

    solve.solver_close()
    what_if._child.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        unavailable("browser", "Chromium is not installed")
    return path


@pytest.fixture
def person(db) -> Callable[..., User]:
    """Makes people: `person("manager")`, `person("approver", name="tom")`."""

    def make(*roles: str, name: str | None = None) -> User:
        user = User(username=name or "-".join(roles) or "nobody", roles=list(roles))
        user.set_unusable_password()
        user.save()
        return user

    return make


@pytest.fixture
def manager(person) -> User:
    return person("manager", name="maya")


@pytest.fixture
def approver(person) -> User:
    return person("approver", name="tom")


@pytest.fixture
def viewer(person) -> User:
    return person("viewer", name="vera")


@pytest.fixture
def run_worker() -> Callable:
    """Solves what is queued of a run in this process and returns the run as it ended."""
    from rebalance_app.runs.wait import run_work

    return run_work
