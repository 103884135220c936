"""Instants as the APIs write them."""

from __future__ import annotations

from datetime import UTC, datetime


def zulu(instant: datetime) -> str:
    """UTC to the millisecond with a trailing Z, which every JSON client reads as the same instant."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
