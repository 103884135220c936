"""Celery's door: one line per task. A message is a hint; what is to be refreshed the marks on the rows say."""

from __future__ import annotations

from celery import shared_task

from models_app.drift_index.refresh import REFRESH_TASK, SWEEP_SLICE, is_left_lying, refresh


@shared_task(name=REFRESH_TASK)  # type: ignore[untyped-decorator]  # Celery has no types
def refresh_figures(seconds: float | None = None) -> int:
    return refresh(seconds)


def sweep_figures() -> None:
    """Refreshes a little of what nobody has taken up, as a worker would: what goes wrong is logged, and ends nobody."""
    if is_left_lying():
        refresh_figures.apply((SWEEP_SLICE,))
