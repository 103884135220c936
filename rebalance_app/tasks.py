"""Celery's door: one line per task. A message is a hint; whether there is work is for the rows to say."""

from __future__ import annotations

from celery import shared_task

from rebalance_app.runs.solve_chunk import chunk_solve


@shared_task(name="rebalance.solve_chunk")  # type: ignore[untyped-decorator]  # Celery has no types
def solve_chunk(rebalance_id: str, chunk: int) -> None:
    chunk_solve(rebalance_id=rebalance_id, chunk=chunk)
