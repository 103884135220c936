"""A page that is sent while its work is done: a progress bar first, and in its place what came of it.

    thread:  the job, reporting to ImportProgress
    page:    everything above | a bar every half second | the job's result | everything below

Each bar hides the one before it by CSS alone (`.live > :has(+ *)`), so it works without script. The work goes
on when the reader closes the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any

from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string

from models_app.reading.import_progress import ImportProgress
from ordergen.core.errors import OrdergenError

INTERVAL_SECONDS = 0.5
_MARKER = "<!-- what happens -->"
_FAILED = "Something went wrong on our side, and nothing was imported. The log has it under this page's reference."


def stream_page(
    request: HttpRequest, context: dict[str, Any], job: Callable[[ImportProgress], str]
) -> StreamingHttpResponse:
    """Streams imports/working.html with the HTML that `job` returns, or the OrdergenError that it raises."""
    page = render_to_string("imports/working.html", context, request)
    above, below = page.split(_MARKER)
    return StreamingHttpResponse(_pieces(above, below, job))


def _pieces(above: str, below: str, job: Callable[[ImportProgress], str]) -> Iterator[str]:
    yield above
    progress = ImportProgress()
    with ThreadPoolExecutor(max_workers=1) as pool:
        result = pool.submit(copy_context().run, _do, job, progress)
        while not wait([result], timeout=INTERVAL_SECONDS).done:
            yield render_to_string("imports/_bar.html", {"progress": progress.doing})
    yield from _outcome(result)
    yield below


def _do(job: Callable[[ImportProgress], str], progress: ImportProgress) -> str:
    try:
        return job(progress)
    finally:
        connection.close()  # this thread's own


def _outcome(result: Future[str]) -> Iterator[str]:
    """The job's HTML. A failure is shown; one that is nobody's fault but ours is raised after that, for the log."""
    error = result.exception()
    if error is None:
        yield result.result()
    elif isinstance(error, OrdergenError):
        yield render_to_string("imports/_failed.html", {"message": error.message})
    else:
        yield render_to_string("imports/_failed.html", {"message": _FAILED})
        raise error
