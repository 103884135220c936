"""Health checks that test what they name: a small rebalance, a small integer programme, a query, the book's source."""

from __future__ import annotations

import shutil
import time
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from models_app.portfolio.types import Position, RebalanceProblem
from models_app.sources import get_source
from ordergen.apis.errors import service_version
from ordergen.core.correlation import correlation
from ordergen.core.db import answers
from ordergen.core.times import zulu
from rebalance_app.optimiser.solve import solve
from rebalance_app.solving.solver_health import SolverHealth

UPSTREAMS = ("portfolio_accounting", "pricing_service", "portfolio_service", "security_service")
_STARTED = time.monotonic()
solver_health = SolverHealth()
_TINY = RebalanceProblem(
    "health",
    Decimal(100),
    (Position("health", Decimal(0), Decimal(10), Decimal("0.5"), Decimal("0.1"), Decimal("0.1")),),
)
Check = dict[str, Any]


@csrf_exempt
@require_GET
def live(_request: HttpRequest) -> JsonResponse:
    """Whether this process can do its work: a tiny rebalance has to come out right.

    Not the integer programme, which has processes of its own: a web process started anew would be no better at it.
    """
    engine = _closed_form()
    body = _frame("healthy" if _good(engine) else "unhealthy") | {"checks": {"optimization_engine": engine}}
    if not _good(engine):
        body["error"] = {"code": "SOLVER_UNHEALTHY", "message": engine["message"]}
    return _answer(body, is_good=_good(engine))


@csrf_exempt
@require_GET
def ready(_request: HttpRequest) -> JsonResponse:
    """Whether requests should be sent here: database, book and optimiser all answer."""
    dependencies = {
        "database": _database(),
        "external_services": _upstreams(),
        "optimization_engine": _engine(),
    }
    is_ready = _all_good(dependencies)
    return _answer(_frame("ready" if is_ready else "not_ready") | {"dependencies": dependencies}, is_good=is_ready)


@csrf_exempt
@require_GET
def overall(request: HttpRequest) -> JsonResponse:
    """Everything at once, always 200; `include_external` and `include_optimization` (default true) leave parts out."""
    started = time.monotonic()
    checks: dict[str, Any] = {"database": _database()}
    if _flag(request, "include_external"):
        checks["external_services"] = _upstreams()
    if _flag(request, "include_optimization"):
        checks["optimization_engine"] = _engine()
    body = _frame("healthy" if _all_good(checks) else "unhealthy") | checks
    body["performance"] = {"response_time_ms": round((time.monotonic() - started) * 1000, 3)}
    body["uptime_seconds"] = round(time.monotonic() - _STARTED, 3)
    return _answer(body, is_good=True)


def _flag(request: HttpRequest, name: str) -> bool:
    return request.GET.get(name, "true").lower() not in {"false", "0", "no", "off"}


def _frame(status: str) -> dict[str, Any]:
    return {
        "status": status,
        "service": "ordergen",
        "timestamp": zulu(timezone.now()),
        "version": service_version(),
        "correlation_id": correlation.get(),
    }


def _answer(body: dict[str, Any], *, is_good: bool) -> JsonResponse:
    return JsonResponse(body, status=HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE)


def _good(check: Check) -> bool:
    return bool(check["status"] == "healthy")


def _all_good(checks: dict[str, Any]) -> bool:
    return all(_good(check) if "status" in check else _all_good(check) for check in checks.values())


def _engine() -> Check:
    """Both ways to an answer: the closed form in this process, and the integer programme in its own."""
    closed_form = _closed_form()
    if not _good(closed_form):
        return closed_form
    found = solver_health.last()
    return _engine_check(found.message, found.status, is_good=found.is_good)


def _closed_form() -> Check:
    solution = solve(_TINY)
    is_right = solution.solved and solution.quantities == {"health": Decimal(5)}
    message = "A small rebalance came out right." if is_right else "A small rebalance came out wrong."
    return _engine_check(message, solution.status, is_good=is_right)


def _engine_check(message: str, solver_status: str, *, is_good: bool) -> Check:
    return {"status": "healthy" if is_good else "unhealthy", "message": message, "solver_status": solver_status}


def _database() -> Check:
    if not answers():
        return {"status": "unhealthy", "message": "The database does not answer."}
    free = shutil.disk_usage(settings.STATE_DIR).free
    if free < settings.MIN_FREE_BYTES:
        told = f"The disk is full: {free // 2**20} MB are left, and {settings.MIN_FREE_BYTES // 2**20} are needed."
        return {"status": "unhealthy", "message": told}
    return {"status": "healthy", "message": "The database answers."}


def _upstreams() -> dict[str, Check]:
    """The services the book comes from; with a book of our own there are none to be down."""
    source = get_source()
    faults = source.faults()
    good = "Answers." if source.is_remote else "Not used: the book is local."
    return {
        name: {"status": "unhealthy" if name in faults else "healthy", "message": faults.get(name, good)}
        for name in UPSTREAMS
    }
