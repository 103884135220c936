"""What is shown when something is not there or went wrong."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from ordergen.apis.errors import to_response
from ordergen.core.db import refusal
from ordergen.web.middleware import later_page


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  Django calls it so
    """404 in the caller's language: a document under /api/, a page elsewhere."""
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": "Not Found"}, status=404)
    return render(request, "404.html", {"path": request.path}, status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500 without a word about the inside; the log has the rest under the same correlation id.

    Also what middleware meets on its way out, such as a busy database or a full disk when a session is saved: 503.
    """
    if told := refusal(sys.exc_info()[1]):
        return to_response(request, told) if request.path.startswith("/api/") else later_page(request, told)
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": "Internal Server Error"}, status=500)
    return HttpResponse(render_to_string("500.html"), status=500)  # without the request: the database may be what broke
