"""Small things every response has: a correlation id, no caching of private pages, errors in words."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.loader import render_to_string

from ordergen.core.correlation import HEADER, correlated, correlation
from ordergen.core.db import refusal
from ordergen.core.errors import InvalidInputError, OrdergenError

logger = logging.getLogger(__name__)
Handler = Callable[[HttpRequest], HttpResponse]
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,100}")


def correlation_id(get_response: Handler) -> Handler:
    """Echoes the caller's X-Correlation-ID (or X-Request-ID), or makes one; the audit trail and the logs carry it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        given = request.headers.get(HEADER) or request.headers.get("X-Request-ID", "")
        with correlated(given if _ACCEPTABLE.fullmatch(given) else str(uuid.uuid4())):
            request.correlation = correlation.get()  # type: ignore[attr-defined] # for the log, when all is over
            response = get_response(request)
            response[HEADER] = correlation.get()
            return response

    return middleware


def no_store(get_response: Handler) -> Handler:
    """Keeps signed-in pages out of every cache, the browser's Back included."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.user.is_authenticated and "Cache-Control" not in response:
            response["Cache-Control"] = "no-store"
        return response

    return middleware


def permissions_policy(get_response: Handler) -> Handler:
    """Takes from pages what a browser could give them, camera and place among it; they use none of it."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response["Permissions-Policy"] = settings.PERMISSIONS_POLICY
        return response

    return middleware


def typed_in(request: HttpRequest) -> list[tuple[str, str]]:
    """The fields of the form that was sent, as names and texts, without what is never sent back."""
    pairs = [(name, str(text)) for name, texts in request.POST.lists() for text in texts]
    return [(name, text) for name, text in pairs if name != "csrfmiddlewaretoken" and "password" not in name]


def later_page(request: HttpRequest, error: OrdergenError) -> HttpResponse:
    """Why something was not done now, with a button that sends what was typed once more.

    Made without the database, which may be the reason. A password is not sent back to the browser, nor is a file.
    """
    context = {"request": request, "error": error, "typed": typed_in(request), "csrf_token": get_token(request)}
    response = HttpResponse(render_to_string("later.html", context), status=error.status)
    response["Retry-After"] = str(error.retry_after)
    return response


class errors_as_pages:  # noqa: N801  middleware reads as a function in the settings
    """Makes a page of an OrdergenError that a view let through, and of a busy database or a full disk."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if told := refusal(exception):
            logger.warning("%s: %s", told.code, exception)
            return later_page(request, told)
        if not isinstance(exception, OrdergenError):
            return None
        if exception.retry_after is not None:
            return later_page(request, exception)
        return render(request, "error.html", {"error": exception}, status=exception.status)


class no_nul:  # noqa: N801  the same
    """Refuses the one character that no name has and PostgreSQL does not take, before a page asks the database for it.

    The API refuses it where it reads its bodies and parameters, a view at the fields that `refuses_nul` names.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Handler, *_arguments: Any) -> HttpResponse | None:
        if request.path.startswith("/api/"):
            return None
        if "\0" in request.path:
            raise Http404
        told: frozenset[str] = getattr(view, "refuses_nul", frozenset())
        given = [*request.GET.lists(), *((name, texts) for name, texts in request.POST.lists() if name not in told)]
        if any("\0" in str(text) for _, texts in given for text in texts):
            error = InvalidInputError("The text holds a character (NUL) that cannot be kept.")
            return render(request, "error.html", {"error": error}, status=error.status)
        return None
