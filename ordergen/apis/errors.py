"""One translator of errors per API: v1 speaks the drop-in contract's shapes, v2 RFC 9457 problem documents."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from ninja.errors import AuthenticationError, HttpError, ValidationError

from ordergen.apis.field_codes import FieldCode, field_code
from ordergen.apis.json import OtherMediaTypeError, UnreadableError
from ordergen.apis.parameters import ParameterError
from ordergen.core.correlation import correlation
from ordergen.core.db import refusal
from ordergen.core.errors import Code, InvalidInputError, OrdergenError

log = logging.getLogger(__name__)
_MISSING = object()
# Python 3.13 renamed these; what callers are told is not for the interpreter to decide.
_PHRASES = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


class BadRequestError(OrdergenError):
    """An id or a parameter that cannot be meant: 400, as the drop-in contract has it for paths and paging."""

    code = Code.BAD_REQUEST


class LazyRouteError(OrdergenError):
    """What the two routes that load parts of a rebalance answer: kind E3 of the contract."""

    def __init__(self, title: str, message: str, status: HTTPStatus) -> None:
        super().__init__(message)
        self.title = title
        self.status = status


class RefusedRunError(OrdergenError):
    """A rebalance that ended without anything to trade on; `extra` joins the body, `retry_after` the headers."""

    def __init__(
        self, message: str, status: HTTPStatus, *, extra: Mapping[str, Any], retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.extra = dict(extra)
        self.retry_after = retry_after


def is_v2(request: HttpRequest) -> bool:
    return request.path.startswith("/api/v2/")


def phrase(status: int) -> str:
    """A status in words, alike in every version of Python."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def to_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """The one answer to any exception of an operation, in the shape of the API that was asked."""
    if isinstance(error, HttpError) and isinstance(error.__cause__, UnreadableError):
        error = error.__cause__  # what the parser raised, wrapped on its way
    for kind, translate in _TRANSLATORS.items():
        if isinstance(error, kind):
            return translate(request, error)
    log.error("An API request failed", exc_info=error)
    return plain_error(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def plain_error(request: HttpRequest, status: int, detail: str = "") -> HttpResponse:
    """An error of which only the status is known, with `detail` or the status's own words."""
    words = detail or phrase(status)
    if is_v2(request):
        return problem(status, words, code=_code_of(status))
    body: dict[str, Any] = {"detail": words}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        body["error"] = _envelope(status, words)
    return _json(body, status)


def _code_of(status: int) -> Code:
    """The code of a status, where nothing more is known than that."""
    word = re.sub(r"\W", "_", phrase(status)).lower()
    return Code(word) if word in set(Code) else Code.ERROR


def problem(
    status: int, detail: str, *, code: Code, errors: Sequence[Mapping[str, str]] = (), **more: Any
) -> HttpResponse:
    """An RFC 9457 problem document; `errors` names fields ("positions.3.target") and what is wrong with each."""
    body: dict[str, Any] = {"type": "about:blank", "title": phrase(status), "status": int(status)}
    body |= {"detail": detail, "code": code, "correlation_id": correlation.get()} | more
    if errors:
        body["errors"] = list(errors)
    return _json(body, status, content_type="application/problem+json")


def _known(request: HttpRequest, error: OrdergenError) -> HttpResponse:
    response = _v2_known(error) if is_v2(request) else _v1_known(request, error)
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    return response


def _v1_known(request: HttpRequest, error: OrdergenError) -> HttpResponse:
    if isinstance(error, LazyRouteError):
        detail = {"error": error.title, "message": error.message, "status_code": int(error.status)}
        return _json({"detail": detail}, error.status)
    if isinstance(error, InvalidInputError) and error.fields:
        body = getattr(request, "parsed_body", _MISSING)
        return _json({"detail": [_entry(field, text, body) for field, text in error.fields.items()]}, error.status)
    extra = error.extra if isinstance(error, RefusedRunError) else {}
    return _json({"detail": error.message} | extra, error.status)


def _v2_known(error: OrdergenError) -> HttpResponse:
    codes = error.codes if isinstance(error, ParameterError) else {}
    errors = [
        {"field": field, "message": text, "code": codes.get(field, FieldCode.INVALID)}
        for field, text in error.fields.items()
    ]
    return problem(error.status, error.message, code=error.code, errors=errors)


def _entry(field: str, message: str, body: Any) -> dict[str, Any]:
    """A rule's verdict on a field ("positions.3.target") as an entry of kind E2, with the value it is about."""
    loc = [int(part) if part.isdigit() else part for part in field.split(".") if part]
    return {"type": "value_error", "loc": ["body", *loc], "msg": message, "input": _value_at(body, loc)}


def _value_at(body: Any, loc: Sequence[str | int]) -> Any:
    for part in loc:
        inside = body if isinstance(body, Mapping) else range(len(body)) if isinstance(body, list) else ()
        if part not in inside:
            return None
        body = body[part]
    return None if body is _MISSING else body


def _schema_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    entries = error.errors
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    if not is_v2(request):
        return _json({"detail": entries}, status)
    errors = [_field_problem(entry["loc"], entry["msg"], entry["type"]) for entry in entries]
    return problem(status, "The request cannot be carried out as written.", code=Code.INVALID_INPUT, errors=errors)


def _field_problem(loc: Sequence[str | int], message: str, kind: str) -> dict[str, str]:
    """One of the `errors` of a problem; `loc` begins with where the field stands (query, body, …)."""
    return {"field": ".".join(map(str, loc[1:])), "message": message, "code": field_code(kind)}


def _unreadable(request: HttpRequest, error: UnreadableError) -> HttpResponse:
    if not is_v2(request):
        words = "JSON decode error" if error.kind == "json_invalid" else error.message
        entry = {"type": error.kind, "loc": list(error.loc), "msg": words, "input": {}, "ctx": {"error": error.message}}
        return _json({"detail": [entry]}, HTTPStatus.UNPROCESSABLE_ENTITY)
    if isinstance(error, OtherMediaTypeError):
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error.message, code=Code.UNSUPPORTED_MEDIA_TYPE)
    errors = [_field_problem(error.loc, error.message, error.kind)]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The request cannot be read.", code=Code.INVALID_JSON, errors=errors
    )


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    response = plain_error(request, error.status_code, str(error))
    if isinstance(error, AuthenticationError):
        response["WWW-Authenticate"] = 'Bearer realm="ordergen"'
    return response


def _envelope(status: int, message: str) -> dict[str, Any]:
    """Kind E4 of the contract, beside `detail`: what clients of the original read when something escaped a route."""
    return {
        "code": HTTPStatus(status).name,
        "message": message,
        "timestamp": timezone.now().isoformat().replace("+00:00", "Z"),
        "correlation_id": correlation.get(),
        "service": "ordergen",
        "version": service_version(),
    }


def service_version() -> str:
    """The installed version, as pyproject names it."""
    try:
        return version("ordergen")
    except PackageNotFoundError:  # run from a clone that was never installed
        return "unreleased"


def _json(body: Any, status: int, content_type: str = "application/json") -> HttpResponse:
    # The standard library's writer, because errors echo input, and that may hold integers beyond 64 bits.
    return HttpResponse(json.dumps(body, default=_plain), status=status, content_type=content_type)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) and abs(value.adjusted()) < 300 else str(value)


def _storage(request: HttpRequest, error: DatabaseError | OSError) -> HttpResponse:
    if told := refusal(error):
        log.warning("%s: %s", told.code, error)
        return _known(request, told)
    log.error("An API request failed", exc_info=error)
    return plain_error(request, HTTPStatus.INTERNAL_SERVER_ERROR)


def _not_found(request: HttpRequest, _error: Http404) -> HttpResponse:
    return plain_error(request, HTTPStatus.NOT_FOUND)


_TRANSLATORS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    OrdergenError: _known,
    ValidationError: _schema_error,
    UnreadableError: _unreadable,
    HttpError: _http_error,
    Http404: _not_found,
    DatabaseError: _storage,
    OSError: _storage,
}
