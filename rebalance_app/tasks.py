"""Celery's door. A message is a hint; whether there is work is for the rows to say."""

from __future__ import annotations

from celery import shared_task

from rebalance_app.runs.launch import SOLVE_CHUNK
from rebalance_app.runs.solve_chunk import chunk_solve
from rebalance_app.runs.sweep import left_lying
from rebalance_app.sending.send import SEND_BATCH, batch_send


@shared_task(name=SOLVE_CHUNK)  # type: ignore[untyped-decorator]  # Celery has no types
def solve_chunk(rebalance_id: str, chunk: int) -> None:
    chunk_solve(run_id=rebalance_id, chunk=chunk)


@shared_task(name=SEND_BATCH)  # type: ignore[untyped-decorator]
def send_batch(batch_id: str) -> None:
    batch_send(batch_id)


def stand_in(*, again: bool = False) -> bool:
    """Does a few portfolios in this process, if a chunk waits though it was told of and nobody works; else False.

    So no run stays open for a broker that is down, or for workers that look alive and take nothing. `again`: it has
    just done some, and need not make sure anew that nobody works. As in a worker, what goes wrong is logged and stays
    with the chunk.
    """
    chunk = left_lying(again=again)
    if chunk:
        solve_chunk.apply(chunk)
    return chunk is not None
