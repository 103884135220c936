"""The conventions of API v2: strict bodies, decimals as strings, pages by key, versions as ETags, limits per caller."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Field, Path, Query, Schema
from ninja.throttling import BaseThrottle
from pydantic import BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from ordergen.apis.field_codes import FieldCode
from ordergen.apis.json import Body
from ordergen.core.cache import count
from ordergen.core.errors import Code, ConflictError, InvalidInputError, OrdergenError
from ordergen.web.keyset import Keyset, KeysetPage, cut, index_behind, read_page

MAX_PAGE = 200
_DECIMAL = re.compile(r"-?\d{1,12}(\.\d{1,8})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_MINUTE = 60
_NUMBERS = frozenset({"seq", "number"})  # keys of a page that are no texts
Row = TypeVar("Row")
Record = TypeVar("Record", bound=Model)


class Strict(Body):
    """What a body may be: exactly the documented names with exactly their JSON types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FieldProblem(Schema):
    """What is wrong with one field, parameter or header."""

    field: str = Field(examples=["positions.3.target"])
    message: str = Field(examples=["Targets go in steps of 0.5 % (0.005)."])
    code: FieldCode


class Problem(Schema):
    """RFC 9457. `errors` names the fields at fault; `correlation_id` is what the logs and the audit trail carry."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: Code = Field(description="For programs to branch on; new ones may be added, so let a default case be there")
    correlation_id: str
    errors: list[FieldProblem] = []


def _read_decimal(value: object) -> Decimal:
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise PydanticCustomError("decimal_text", 'Input should be a decimal in a string, such as "0.05"')


DecimalText = Annotated[
    Decimal,
    BeforeValidator(_read_decimal),
    WithJsonSchema({"type": "string", "pattern": f"^{_DECIMAL.pattern}$", "examples": ["0.05"]}),
]


def _read_instant(value: object) -> datetime:
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        with suppress(ValueError):  # the 31st of February
            return datetime.fromisoformat(value)
    raise PydanticCustomError("instant", 'Input should be an instant with its zone, such as "2026-11-20T09:30:00Z"')


def _read_day(value: object) -> date:
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise PydanticCustomError("day", 'Input should be a day, such as "2026-11-20"')


Day = Annotated[
    date,
    BeforeValidator(_read_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-20"]}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-20T09:30:00Z"]}),
]
HexId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
SecurityId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{24}$")]
PathId = Annotated[HexId, Path(examples=["68a0c0ffee0000000000beef"])]
SecurityPath = Annotated[SecurityId, Path()]
Cursor = Annotated[str, Query(max_length=400, description="`next_cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
ChangedAfter = Annotated[
    int | None,
    Query(ge=0, le=2**62, description="Only what an event behind this number of `/events` is about"),
]
SearchText = Annotated[str, Query(max_length=100)]


class Page(Schema, Generic[Row]):
    """Some rows, and where the next ones begin; `next_cursor` is null on the last page."""

    items: list[Row]
    next_cursor: str | None


class StaleError(ConflictError):
    """If-Match named a version that is not the current one."""

    code = Code.STALE_VERSION
    status = HTTPStatus.PRECONDITION_FAILED


class UnconditionalError(OrdergenError):
    """A change that has to say which version it was made from."""

    code = Code.PRECONDITION_REQUIRED
    status = HTTPStatus.PRECONDITION_REQUIRED


NO_CURSOR = "This cursor is not one that a page gave; begin again without it."


def write_cursor(*key: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def read_cursor(cursor: str, *kinds: type) -> list[Any]:
    """The key a cursor stands for; raises InvalidInputError for one that `write_cursor` did not make."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    parts: list[Any] = key if isinstance(key, list) else []
    if [type(part) for part in parts] != list(kinds) or any("\x00" in str(part) for part in parts):
        raise InvalidInputError(NO_CURSOR, fields={"cursor": NO_CURSOR})
    return parts


def key_of(cursor: str) -> str:
    """The id that a page of records begins after; empty for the first."""
    return read_cursor(cursor, str)[0] if cursor else ""


def page_of(
    rows: QuerySet[Record],
    show: Callable[[Record], dict[str, Any]],
    *,
    cursor: str,
    limit: int,
    rising: bool = True,
    key: str = "pk",
) -> dict[str, Any]:
    """A page by a unique key that ascends in time (ids, or a running number): any page costs the same."""
    after = read_cursor(cursor, int if key in _NUMBERS else str)[0] if cursor else None
    page = read_page(rows, Keyset(key if rising else f"-{key}"), limit, after=after)
    return _shown(page, show, lambda row: getattr(row, key))


def slice_of(
    rows: Sequence[Row], key: Callable[[Row], str], show: Callable[[Row], dict[str, Any]], *, cursor: str, limit: int
) -> dict[str, Any]:
    """A page of rows that are in memory anyway, beginning after the row with the cursor's key."""
    start = index_behind(rows, key, key_of(cursor), gone=len(rows)) if cursor else 0
    return _shown(cut(rows[start : start + limit + 1], limit, key), show, key)


def _shown(
    page: KeysetPage[Row], show: Callable[[Row], dict[str, Any]], key: Callable[[Row], str | int]
) -> dict[str, Any]:
    """The page as `Page` says it."""
    following = write_cursor(key(page.rows[-1])) if page.next else None
    return {"items": [show(row) for row in page.rows], "next_cursor": following}


def etag(version: int | str) -> str:
    return f'"{version}"'


def is_known(request: HttpRequest, version: int | str) -> bool:
    """Whether the caller has this version already (If-None-Match); a proxy may have made its ETag a weak one."""
    tags = {tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")}
    return etag(version) in tags or "*" in tags


def expected_version(request: HttpRequest) -> int:
    """The version of If-Match; raises UnconditionalError without it, InvalidInputError where it is no ETag of ours."""
    given = expected_tag(request)
    if given is None:
        raise UnconditionalError('Send the version you saw as If-Match, such as If-Match: "3".')
    if not re.fullmatch(r"\d{1,9}", given, re.ASCII):
        raise _no_tag()
    return int(given)


def expected_tag(request: HttpRequest) -> str | None:
    """What If-Match says, without its quotes; None where there is none. Compressed on its way an ETag becomes weak."""
    given = request.headers.get("If-Match")
    if given is None:
        return None
    if not (match := re.fullmatch(r'(?:W/)?"([0-9a-z]{1,24})"', given.strip(), re.ASCII)):
        raise _no_tag()
    return match[1]


def _no_tag() -> InvalidInputError:
    return InvalidInputError("The ETag is not one of ours.", fields={"If-Match": 'A version in quotes, such as "3".'})


def set_etag(response: HttpResponse, version: int | str) -> None:
    response["ETag"] = etag(version)


class PerCaller(BaseThrottle):
    """So many reads and so many writes a minute for each person, whatever keys they use.

    Counted in Django's cache: with the in-memory one, or while the cache is down, each web process counts on its own.
    """

    def allow_request(self, request: HttpRequest) -> bool:
        is_read = request.method in SAFE_METHODS
        most: int = settings.API_READS_PER_MINUTE if is_read else settings.API_WRITES_PER_MINUTE
        key = f"api-{'read' if is_read else 'write'}-{request.user.pk}-{int(time.time()) // _MINUTE}"
        return count(key, 2 * _MINUTE) <= most

    def wait(self) -> float:
        return _MINUTE - time.time() % _MINUTE
