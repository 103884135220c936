"""Celery's door: one line per task. A message is a hint; what is to be refreshed the marks on the rows say."""

from __future__ import annotations

from celery import shared_task

from models_app.refresh import refresh


@shared_task(name="figures.refresh")  # type: ignore[untyped-decorator]  # Celery has no types
def refresh_figures() -> None:
    refresh()
