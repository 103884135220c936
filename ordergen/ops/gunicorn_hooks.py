"""What gunicorn is to do beside serving."""

from __future__ import annotations

import os
from typing import Any

from ordergen.core.metrics import FOLDER


def child_exit(_server: Any, worker: Any) -> None:
    """A process that has gone has no requests in flight any more."""
    if FOLDER in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  only the arbiter needs it

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
