"""CSV files that are written while they are sent: few at a time, for each holds a thread of the web server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from django.conf import settings
from django.http import StreamingHttpResponse

from ordergen.accounts.models import User
from ordergen.core.errors import OverloadedError, TooManyError

RETRY_SECONDS = 10


def csv_download(pieces: Iterator[str], *, name: str, by: User) -> StreamingHttpResponse:
    """The text as a file called `name`. Raises TooManyError or OverloadedError where too many are under way."""
    return StreamingHttpResponse(
        _Download(pieces, str(by.pk)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


class _Download:
    """One file on its way, counted in this process from its making to its end, whichever way it ends."""

    _under_way: Counter[str] = Counter()
    _lock = Lock()

    def __init__(self, pieces: Iterator[str], person: str) -> None:
        self._pieces, self._person = pieces, person
        with self._lock:
            if self._under_way[person] >= settings.DOWNLOADS_PER_PERSON:
                raise TooManyError("Other downloads of yours are under way. Wait for them.", retry_after=RETRY_SECONDS)
            if self._under_way.total() >= settings.DOWNLOADS:
                raise OverloadedError("Many downloads are under way. Try again later.", retry_after=RETRY_SECONDS)
            self._under_way[person] += 1
        self._is_open = True

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._pieces
        finally:
            self._count_off()

    def _count_off(self) -> None:
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._under_way[self._person] -= 1

    def close(self) -> None:
        """Called by the server at the end, or when the reader has gone."""
        self._count_off()
        if hasattr(self._pieces, "close"):
            self._pieces.close()
