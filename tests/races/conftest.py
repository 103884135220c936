"""The test database as several connections at once may use it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.runs.conftest import book

__all__ = ["book"]

Job = Callable[[], object]


@pytest.fixture(autouse=True)
def shared(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """PostgreSQL as it is; SQLite's test database, which lives in memory, as a file like that of an installation."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    name, memory = connection.settings_dict["NAME"], connection.connection
    with sqlite3.connect(tmp_path / "races.sqlite3") as file:
        memory.backup(file)
    file.close()
    connection.connection = None
    connection.settings_dict["NAME"] = str(tmp_path / "races.sqlite3")
    yield
    connection.close()
    connection.settings_dict["NAME"], connection.connection = name, memory


@pytest.fixture
def at_once() -> Callable[..., list[object]]:
    """Runs the jobs in threads that start together; returns, in their order, what each returned or raised."""

    def run(*jobs: Job) -> list[object]:
        outcomes: list[object] = [None] * len(jobs)
        barrier = threading.Barrier(len(jobs))

        def work(at: int, job: Job) -> None:
            try:
                connection.ensure_connection()
                barrier.wait(timeout=20)
                outcomes[at] = job()
            except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
                outcomes[at] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "they wait for each other"
        return outcomes

    return run
