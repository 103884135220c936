"""A write that is repeated under its Idempotency-Key is done once, and answered as it was the first time.

run:   one transaction: is there an answer under this key? | the operation | its answer, kept with what it changed
       so that either both are there or neither is, wherever a process is killed. A refusal is not kept.

Operations that take the key themselves (a run keeps its own) are left to it. Those that work in parts, each of which
may be repeated without harm, are kept after they are done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja.operation import Operation

from ordergen.apis.conventions import SAFE_METHODS
from ordergen.core.db import atomic
from ordergen.core.errors import Code, ConflictError, InvalidInputError
from ordergen.core.models import KeptAnswer

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
KEPT = timedelta(days=7)
MAX_KEY = 255
TAKES_KEY = "idempotency_key"  # the parameter of an operation that sees to its repeats itself
_KEPT_HEADERS = ("Content-Type", "ETag", "Location")
View = TypeVar("View", bound=Callable[..., Any])


def in_parts(view: View) -> View:
    """For operations that no transaction may span; what they did before they were cut off they do not do again."""
    view.is_in_parts = True  # type: ignore[attr-defined]
    return view


def answers_a_secret(view: View) -> View:
    """For operations whose answer may be kept nowhere: they refuse a key."""
    view.is_secret = True  # type: ignore[attr-defined]
    return view


def kept_with_what_it_changes(run: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For `add_decorator` with mode="view": the transaction around an operation and its answer."""
    operation: Operation = run.__self__  # type: ignore[attr-defined]  # ninja hands over a bound method
    keeps_its_own = TAKES_KEY in operation.signature.signature.parameters

    @wraps(run)
    def once(request: HttpRequest, **path: Any) -> HttpResponse:
        if HEADER not in request.headers or request.method in SAFE_METHODS or keeps_its_own:
            return run(request, **path)
        if getattr(operation.view_func, "is_in_parts", False):
            return _keep(request, run(request, **path))
        try:
            with atomic():
                response = _keep(request, run(request, **path))
                if response.status_code >= HTTPStatus.BAD_REQUEST:
                    transaction.set_rollback(True)
        except DatabaseError as error:
            response = operation.api.on_exception(request, error)
        return response

    return once


def replayed(view: Callable[..., Any]) -> Callable[..., Any]:
    """For `add_decorator`, after it is known who asks: the answer that was kept, or the operation itself."""

    @wraps(view)
    def first(request: HttpRequest, **values: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is None or request.method in SAFE_METHODS or TAKES_KEY in values:
            return view(request, **values)
        if getattr(view, "is_secret", False):
            raise _refusal("This answer has a secret that is kept nowhere, so it cannot be given again.")
        kept = _kept_or_claimed(request, key, is_claimed=not getattr(view, "is_in_parts", False))
        return _again(kept) if kept else view(request, **values)

    return first


def forget_old() -> int:
    """Drops the answers that are kept no longer; returns how many."""
    return KeptAnswer.objects.filter(at__lt=timezone.now() - KEPT).delete()[0]


def _kept_or_claimed(request: HttpRequest, key: str, *, is_claimed: bool) -> KeptAnswer | None:
    """The earlier answer, which another request may still be at: then this waits for it. None: the key is ours now."""
    if not key.isascii() or not key.isprintable() or not 1 <= len(key) <= MAX_KEY:
        raise _refusal(f"A key has 1 to {MAX_KEY} printable ASCII characters.")
    name = hashlib.sha256(f"{request.user.pk}:{key}".encode()).hexdigest()  # each person's keys are their own
    asked = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode() + request.body).hexdigest()
    fresh = KeptAnswer(name=name, request_hash=asked, at=timezone.now())
    if is_claimed:
        kept, is_new = KeptAnswer.objects.get_or_create(name=name, defaults={"request_hash": asked, "at": fresh.at})
    else:
        found = KeptAnswer.objects.filter(name=name).first()
        kept, is_new = found or fresh, found is None
    if kept.request_hash != asked:
        raise ConflictError("This idempotency key was used for another request.", code=Code.IDEMPOTENCY_KEY_REUSED)
    if is_new:
        request.claimed = kept  # type: ignore[attr-defined]
    return None if is_new else kept


def _keep(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    claimed: KeptAnswer | None = getattr(request, "claimed", None)
    if claimed and response.status_code < HTTPStatus.BAD_REQUEST:
        answer = {
            "request_hash": claimed.request_hash,
            "at": claimed.at,
            "status": response.status_code,
            "body": response.content.decode(),
            "headers": {name: response[name] for name in _KEPT_HEADERS if name in response},
        }
        KeptAnswer.objects.update_or_create(name=claimed.name, defaults=answer)
    return response


def _again(kept: KeptAnswer) -> HttpResponse:
    response = HttpResponse(kept.body.encode(), status=kept.status, headers=kept.headers)
    response[REPLAYED] = "true"
    return response


def _refusal(message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={HEADER: message})
