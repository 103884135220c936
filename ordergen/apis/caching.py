"""An answer that the caller has already is not sent again: every reading operation of API v2 has an ETag.

Models and limits have one of their own, by version, which steers changes; any other is made of the answer, and weak.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

from ordergen.apis.conventions import is_known


def conditional(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For `add_decorator` with mode="view": 304 without a body where If-None-Match names the answer."""

    @wraps(run)
    def answered(request: HttpRequest, **path: Any) -> HttpResponse:
        response = run(request, **path)
        if request.method != "GET" or response.status_code != HTTPStatus.OK or "ETag" in response or response.streaming:
            return response
        tag = hashlib.sha256(response.content).hexdigest()[:24]
        if is_known(request, tag):
            response = HttpResponse(status=HTTPStatus.NOT_MODIFIED)
        response["ETag"] = f'W/"{tag}"'
        return response

    return answered
