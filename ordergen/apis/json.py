"""JSON in and out of the two APIs: what a body may look like, and how answers are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NamedTuple, Self

import orjson
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.datastructures import MultiValueDict
from ninja import Schema
from ninja.parser import Parser
from ninja.renderers import BaseRenderer
from pydantic import ModelWrapValidatorHandler, ValidationInfo, model_validator

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 20


class UnreadableError(ValueError):
    """A request whose text cannot be taken as JSON values; `kind` is pydantic's word for it, `loc` where it is."""

    def __init__(self, kind: str, message: str, *, loc: tuple[str | int, ...] = ("body",)) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.loc = loc


class OtherMediaTypeError(UnreadableError):
    """The body says that it is not JSON."""


def read_json(raw: bytes) -> Any:
    """The value `raw` spells. Numbers with a point become Decimals, digit by digit as written.

    Raises UnreadableError for bad syntax or UTF-8, NaN and Infinity, a name given twice in one object,
    NUL or half a surrogate pair in a text (no database stores them), and nesting deeper than MAX_DEPTH.
    """
    try:
        value = json.loads(
            raw, parse_float=Decimal, parse_constant=_NoNumber, object_pairs_hook=_object_without_duplicates
        )
    except json.JSONDecodeError as error:
        raise UnreadableError("json_invalid", error.msg, loc=("body", error.pos)) from error
    except UnreadableError:
        raise
    except RecursionError as error:
        raise UnreadableError("json_invalid", "Nested too deeply") from error
    except ValueError as error:  # not UTF-8, or an integer of thousands of digits
        raise UnreadableError("json_invalid", "Not readable as JSON in UTF-8") from error
    _check_texts(value, ("body",))
    return value


class _NoNumber(NamedTuple):
    """NaN or Infinity: refused once it is known where it stands, which the parser does not say."""

    name: str


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError("json_invalid", f"The name {twice[:40]!r} is given twice in one object")
    return result


def _check_texts(value: Any, loc: tuple[str | int, ...]) -> None:
    if len(loc) > MAX_DEPTH:
        raise UnreadableError("json_invalid", f"Nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, _NoNumber):
        raise UnreadableError("json_invalid", f"{value.name} is not a JSON number", loc=loc)
    if isinstance(value, str):
        _check_text(value, loc)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            _check_text(name, loc)
            _check_texts(inner, (*loc, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _check_texts(inner, (*loc, place))


def _check_text(text: str, loc: tuple[str | int, ...]) -> None:
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UnreadableError("string_unicode", "Text may not hold NUL or unpaired surrogates", loc=loc)


class Body(Schema):
    """A schema of what callers send, which is JSON and nothing else.

    ninja wraps what it validates, so that rows of the database can be validated too. Around JSON that wrapper only
    makes a list or a text look like an object without fields, and shows itself in errors that echo their input.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _run_root_validator(
        cls,
        values: Any,
        handler: ModelWrapValidatorHandler[Self],
        info: ValidationInfo,  # noqa: ARG003  ninja's
    ) -> Self:
        return handler(values)


class StrictParser(Parser):
    """Reads bodies by `read_json`, whatever media type was declared as long as it is JSON or none."""

    def parse_body(self, request: HttpRequest) -> Any:
        declared = (request.content_type or "").lower()
        if declared and declared != "application/json" and not declared.endswith("+json"):
            raise OtherMediaTypeError("model_attributes_type", "Input should be a JSON body (application/json)")
        body = read_json(request.body)
        request.parsed_body = body  # type: ignore[attr-defined] # errors echo their input
        return body

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        parsed: dict[str, Any] = super().parse_querydict(data, list_fields, request)
        for name, value in parsed.items():
            for text in value if isinstance(value, list) else [value]:
                _check_text(text, ("query", name))
        return parsed


def answer(body: Any, status: int = HTTPStatus.OK) -> HttpResponse:
    """`body` as the whole answer, past the response model that the operation documents.

    For lists and large records, where ninja would validate thousands of numbers that the database has just given;
    tests hold these answers against their documents instead.
    """
    return HttpResponse(dumps(body), status=status, content_type="application/json")


def streamed(pieces: Iterable[bytes]) -> StreamingHttpResponse:
    """`pieces` of JSON as the whole answer, each sent before the next is made."""
    return StreamingHttpResponse(pieces, content_type="application/json")


def array(items: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """A JSON array, in pieces, of values that come in pieces."""
    start = b"["
    for pieces in items:
        for piece in pieces:
            yield start + piece
            start = b""
        start = b","
    yield b"[]" if start == b"[" else b"]"


def dumps(value: Any) -> bytes:
    """JSON with decimals in full, as text, and instants in UTC."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_UTC_Z)


class Renderer(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:  # noqa: ARG002  ninja's
        return dumps(data)


def _plain(value: object) -> str:
    """Decimals in full, never as 1E+2; of anything else that JSON does not know, its text."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)
