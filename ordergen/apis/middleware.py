"""What every answer under /api/ (and of the health checks) has: its headers, CORS for v1, and JSON even for errors."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.middleware.gzip import GZipMiddleware

from ordergen.apis.errors import plain_error
from ordergen.apis.json import MAX_BODY_BYTES

Handler = Callable[[HttpRequest], HttpResponse]

_V1_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
_V1_PREFIXES = ("/api/v1/", "/health", "/metrics")
_PREFLIGHT_SECONDS = 600
_MOST_THROWN_AWAY = 16 * MAX_BODY_BYTES


def api_conventions(get_response: Handler) -> Handler:
    """Outermost but for the correlation id, so that what Django itself refuses is dressed the same way."""

    def middleware(request: HttpRequest) -> HttpResponse:
        is_v1 = request.path.startswith(_V1_PREFIXES)
        if not is_v1 and not request.path.startswith("/api/"):
            return get_response(request)
        if request.path.startswith("/health"):
            _as_if_by_name(request)
        response = _answer(request, get_response, is_v1=is_v1)
        if is_v1:
            _dress(request, response)
        return response

    return middleware


def is_foreign(request: HttpRequest) -> bool:
    """Whether a page of another site asks API v1 where that is open to everybody, and no setting names the site.

    A browser inside of a closed network would otherwise be a way in for any page that somebody there looks at.
    """
    origin = request.headers.get("Origin", "")
    if settings.ORDERGEN_API_AUTH != "none" or not origin or not request.path.startswith("/api/v1/"):
        return False
    return origin not in settings.API_ORIGINS and not _is_own(request, origin)


def _is_own(request: HttpRequest, origin: str) -> bool:
    """Whether the page is one of ours; under a name that is not ours nothing is, and Django refuses it later."""
    try:
        return urlsplit(origin).netloc == request.get_host()
    except (DisallowedHost, ValueError):  # ValueError: half an IPv6 address
        return False


def _as_if_by_name(request: HttpRequest) -> None:
    """A probe asks by its pod’s address, which no list of hosts can have. What it is told says nothing of hosts."""
    name = next(iter(settings.ALLOWED_HOSTS), "localhost")
    request.META["HTTP_HOST"] = "localhost" if name == "*" else name.removeprefix(".")


def compressed(get_response: Handler) -> Handler:
    """gzip for who accepts it, in API v2: its answers have no secret beside what a stranger chose. Pages go plain."""
    whole = GZipMiddleware(get_response)

    def middleware(request: HttpRequest) -> HttpResponse:
        is_v2 = request.path.startswith("/api/v2/")
        return cast("HttpResponse", whole(request)) if is_v2 else get_response(request)

    return middleware


def _answer(request: HttpRequest, get_response: Handler, *, is_v1: bool) -> HttpResponse:
    if is_foreign(request):
        words = "ORDERGEN_API_ORIGINS does not name the site whose page asks this."
        return plain_error(request, HTTPStatus.FORBIDDEN, words)
    if is_v1 and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        return _preflight(request)
    if _declared_length(request) > MAX_BODY_BYTES:
        _throw_away(request)
        words = f"A body has at most {MAX_BODY_BYTES} bytes."
        return plain_error(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
    response = get_response(request)
    if response.status_code >= HTTPStatus.BAD_REQUEST and "json" not in response.get("Content-Type", ""):
        return _as_json(request, response)
    return response


def _declared_length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdigit() else 0


def _throw_away(request: HttpRequest) -> None:
    """Reads the body, within reason: a caller who is cut off while sending seldom sees why."""
    left = _MOST_THROWN_AWAY
    while left > 0 and (piece := request.read(min(left, 2**16))):
        left -= len(piece)


def _as_json(request: HttpRequest, page: HttpResponse) -> HttpResponse:
    """What Django answers in HTML or plain text (405, a bad host, a lost worker) in the API's own shape."""
    response = plain_error(request, page.status_code)
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if name in page:
            response[name] = page[name]
    return response


def _preflight(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("OK", content_type="text/plain")
    response["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
    response["Access-Control-Allow-Methods"] = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    response["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
    response["Access-Control-Allow-Credentials"] = "true"
    if wanted := request.headers.get("Access-Control-Request-Headers"):
        response["Access-Control-Allow-Headers"] = wanted
    response["Vary"] = "Origin"
    return response


def _dress(request: HttpRequest, response: HttpResponse) -> None:
    for name, value in _V1_HEADERS.items():
        response[name] = value
    if "html" not in response.get("Content-Type", ""):  # pages keep the stricter policy of the site
        response["Content-Security-Policy"] = "default-src 'self'"
    if "Origin" in request.headers and not is_foreign(request) and "Access-Control-Allow-Origin" not in response:
        # Any origin may read, but never with a cookie: browsers refuse "*" for a request with credentials.
        response["Access-Control-Allow-Origin"] = "*"
        response["Access-Control-Allow-Credentials"] = "true"
        response["Access-Control-Expose-Headers"] = "X-Correlation-ID, Retry-After, Location"
