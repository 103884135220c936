"""The word that ties a request to what it causes: answers, audit events, log lines, workers and upstream calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Correlation-ID"
correlation: ContextVar[str] = ContextVar("correlation", default="")


@contextmanager
def correlated(word: str) -> Iterator[None]:
    """What happens inside belongs to `word`; an empty one leaves things as they are."""
    token = correlation.set(word or correlation.get())
    try:
        yield
    finally:
        correlation.reset(token)


class Correlated(logging.Filter):
    """Gives every log record its `correlation`, "-" where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django tells of a 4xx when the request is over; the record then brings the request along.
        request = getattr(record, "request", None)
        record.correlation = correlation.get() or getattr(request, "correlation", "") or "-"
        return True
