"""The test database as several connections at once may use it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection

Job = Callable[[], object]


@pytest.fixture(autouse=True)
def _at_once_on_one_database(own_connections: None) -> None:
    pass


@pytest.fixture
def at_once() -> Callable[..., list[object]]:
    """Runs the jobs in threads that start together; returns, in their order, what each returned or raised."""

    def run(*jobs: Job) -> list[object]:
        outcomes: list[object] = [None] * len(jobs)
        barrier = threading.Barrier(len(jobs))

        def work(at: int, job: Job) -> None:
            try:
                connection.ensure_connection()
                barrier.wait(timeout=60)
                outcomes[at] = job()
            except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
                outcomes[at] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=180)
            assert not thread.is_alive(), "they wait for each other"
        return outcomes

    return run
