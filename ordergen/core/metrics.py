"""Requests and upstream calls in numbers, as Prometheus reads them at /metrics.

Under gunicorn every process writes to a folder of its own accord (PROMETHEUS_MULTIPROC_DIR, which the supervisor sets
before any of them starts), and whichever is asked adds them up.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # whatever address was tried: each would be a series of its own for ever
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_MILLISECONDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

disable_created_metrics()  # type: ignore[no-untyped-call]
REQUESTS = Counter("http_requests_total", "HTTP requests", ["method", "path", "status"])
DURATION = Histogram(
    "http_request_duration_milliseconds",
    "Time to answer a request, in milliseconds",
    ["method", "path", "status"],
    buckets=_MILLISECONDS,
)
IN_FLIGHT = Gauge("http_requests_in_flight", "HTTP requests being answered now", multiprocess_mode="livesum")
UPSTREAM = Counter(
    "external_service_requests_total", "Calls to other services; status 0 is no answer", ["service", "status"]
)
UPSTREAM_DURATION = Histogram(
    "external_service_duration_seconds", "Time of a call to another service", ["service"], buckets=_SECONDS
)


def measured(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Counts and times every request, health checks and errors included."""

    def middleware(request: HttpRequest) -> HttpResponse:
        started, status = time.perf_counter(), 500
        _quietly(IN_FLIGHT.inc)
        try:
            response = get_response(request)
            status = response.status_code
            return response
        finally:
            _quietly(partial(_count, request, status, (time.perf_counter() - started) * 1000))
            _quietly(IN_FLIGHT.dec)

    return middleware


def _count(request: HttpRequest, status: int, milliseconds: float) -> None:
    method = request.method if request.method in METHODS else "OTHER"
    labels = (method, route(request), str(status))
    REQUESTS.labels(*labels).inc()
    DURATION.labels(*labels).observe(milliseconds)


def route(request: HttpRequest) -> str:
    """The pattern that the request's address matched: "/api/v1/model/{model_id}"."""
    match = request.resolver_match
    if match is None or match.route.startswith("^"):  # ours with a regular expression are answered 404
        return UNMATCHED
    return "/" + _PARAMETER.sub(r"{\1}", match.route)


def count_upstream(service: str, status: int, seconds: float) -> None:
    """One call to another service, whatever came of it; `status` is 0 where nothing was answered."""
    _quietly(UPSTREAM.labels(service, str(status)).inc)
    _quietly(partial(UPSTREAM_DURATION.labels(service).observe, seconds))


def _quietly(measure: Callable[[], None]) -> None:
    """A full disk under the metrics is no reason not to answer."""
    try:
        measure()
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        logger.warning("not measured: %s", error)


def _may_see(request: HttpRequest) -> bool:
    """Who knows the token. Without one, all in a closed network, else who asks on this machine, and past no proxy."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode())
    if settings.ORDERGEN_API_AUTH == "none":
        return True
    is_passed_on = {"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via"} & request.headers.keys()
    return request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"} and not is_passed_on


@csrf_exempt
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Everything measured so far by all processes of this installation, in Prometheus' text format."""
    if not _may_see(request):
        words = "For Prometheus: send ORDERGEN_METRICS_TOKEN as a bearer token, or ask on the machine itself.\n"
        return HttpResponse(words, status=403, content_type="text/plain")
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
