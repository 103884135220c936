"""What ninja's OpenAPI documents lack: the errors of every operation, as it declares them, and a guide to API v2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any

from ordergen.apis.conventions import Problem
from ordergen.apis.errors import phrase

V2_GUIDE = """
The book, models, drift, runs, proposals, orders, limits and events, for programs.

- **Who asks**: an API key as `X-API-Key` or `Authorization: Bearer`, made at `/account/keys/` or by
  `ordergen create-api-key`; or the session of somebody who signed in, with `X-CSRFToken` for anything but reading.
- **Numbers**: money, prices, quantities and weights are strings such as `"0.05"`; weights are fractions of market
  value.
- **Bodies and parameters**: exactly as documented; unknown names, other types, repeated names and empty filters are
  refused.
- **Errors**: RFC 9457 problem documents; `code` is for programs, `errors` names the fields, `correlation_id` (yours, if
  you send `X-Correlation-ID` or `X-Request-ID`) is in the log and the audit trail. Codes may be added.
- **Lists**: `items` and `next_cursor`; pass it back as `cursor` until it is null.
- **Repeats**: any write takes an `Idempotency-Key`. Sent again within 7 days, byte for byte, it is done once and
  answered as before, with `Idempotency-Replayed: true`; with other content: 409. A refusal is not kept.
- **Versions**: models and limits have their version as ETag. Send it as `If-Match` to change or delete: 428 without
  it, 412 when it is stale. Any answer has an ETag for `If-None-Match`.
- **Book**: `PUT /securities`, `/prices`, `/portfolios`, `/holdings`, `/lots` and single records below them, by the
  rules of an import: all rows or none, every fault named by its row.
- **Runs**: launching answers 202 at once; ask at `Location` until `state` is `completed`, `cancelled` or `stopped`.
  Nobody approves orders of a run they launched.
- **Events**: `GET /events` from any number on, without a gap; or webhooks, signed, which an administrator sets up.
- **What if**: `POST /what-if` shows what a run would propose for one portfolio under up to five sets of options, and
  writes nothing. `PUT` and `PATCH /limits/{scope}/{id}` keep limits for every run.
- **Changes of this API**: fields, parameters, operations and codes are added; nothing is taken away or changes its
  meaning before it was marked `deprecated` for a release, with what to use instead. Ignore fields you do not know.
- **Throttling**: so many reads and writes a minute, and so many runs under way at a time, for each person; 429 says in
  `Retry-After` when to come back. So does 503: too much waits for the workers, or the database is busy; nothing was
  changed. `progress` of a run says how much waits before it, and how long it may take once that can be measured.

```sh
curl -H "X-API-Key: $KEY" "$HOST/api/v2/drift?limit=10"
curl -H "X-API-Key: $KEY" -H "Content-Type: application/json" -H "Idempotency-Key: monday" \\
     -d '{"model_id": "68a0c0ffee0000000000beef"}' "$HOST/api/v2/runs"
```

```python
import os, time, httpx

api = httpx.Client(base_url=os.environ["HOST"] + "/api/v2", headers={"X-API-Key": os.environ["KEY"]})
run = api.post("/runs", json={"model_id": "68a0c0ffee0000000000beef"}).raise_for_status().json()
while run["state"] in ("queued", "running"):
    time.sleep(1)
    run = api.get(f"/runs/{run['id']}").json()
for row in api.get(f"/runs/{run['id']}/proposals").json()["items"]:
    print(row["portfolio_name"], row["state"], row["n_orders"], row["reason"])
```
"""
# What any operation of an API may answer, whatever it does: who asks, what was asked, and how busy we are.
_ALWAYS = {"v1": (400, 401, 403, 422, 503), "v2": (401, 403, 422, 429, 503)}
_TO_A_BODY = {"v1": (413,), "v2": (413, 415)}
_BODILESS = frozenset({"get", "head"})

_V1_ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["detail"],
    "properties": {
        "detail": {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
                {"$ref": "#/components/schemas/NestedError"},
            ]
        }
    },
}
_V1_PARTS = {
    "FieldError": {
        "type": "object",
        "required": ["type", "loc", "msg"],
        "properties": {
            "type": {"type": "string", "examples": ["value_error"]},
            "loc": {"type": "array", "items": {"type": ["string", "integer"]}, "examples": [["body", "name"]]},
            "msg": {"type": "string"},
            "input": {},
        },
    },
    "NestedError": {
        "type": "object",
        "required": ["error", "message", "status_code"],
        "properties": {
            "error": {"type": "string"},
            "message": {"type": "string"},
            "status_code": {"type": "integer"},
        },
    },
}


def errors(*statuses: int, headers: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """What an operation declares, for `openapi_extra=`: the errors it may answer by itself, headers that steer it.

    Errors that any operation of its API may answer are not among them; `add_errors` adds those, and the bodies of all.
    """
    return {"responses": {status: {} for status in statuses}, "parameters": list(headers)}


def header(name: str, description: str, example: str) -> dict[str, Any]:
    """A header for `errors` that need not be sent."""
    schema = {"type": "string", "examples": [example]}
    return {"in": "header", "name": name, "required": False, "description": description, "schema": schema}


def add_errors(schema: dict[str, Any], *, version: str) -> None:
    """Completes the error answers of each operation of `schema`, in the shape that they have in this API."""
    parts = schema["components"].setdefault("schemas", {})
    if version == "v2":
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts |= problem.pop("$defs") | {"Problem": problem}
        media, shape = "application/problem+json", "Problem"
    else:
        parts |= {"Error": _V1_ERROR} | _V1_PARTS
        media, shape = "application/json", "Error"
    content = {media: {"schema": {"$ref": f"#/components/schemas/{shape}"}}}
    for method, operation in _operations(schema):
        responses = operation["responses"]
        declared = [status for status in responses if status >= HTTPStatus.BAD_REQUEST]
        to_a_body = () if method in _BODILESS else _TO_A_BODY[version]
        for status in (*declared, *_ALWAYS[version], *to_a_body):
            responses[status] = {"description": phrase(status), "content": content}


def add_repeats(schema: dict[str, Any]) -> None:
    """Gives every writing operation the header that makes it safe to repeat, and what any may answer when repeated."""
    words = "Repeated under the same key, the operation is done once and answered as before, for 7 days"
    for method, operation in _operations(schema):
        if method in _BODILESS:
            operation["responses"].setdefault(HTTPStatus.NOT_MODIFIED, {"description": "As If-None-Match has it"})
            continue
        if not any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
            operation["parameters"].append(header("Idempotency-Key", words, "monday-1"))
        operation["responses"].setdefault(HTTPStatus.CONFLICT, {})
        said = {"description": "`true` where this is the answer of before", "schema": {"type": "string"}}
        for status, response in operation["responses"].items():
            if isinstance(status, int) and status < HTTPStatus.BAD_REQUEST:
                response["headers"] = {"Idempotency-Replayed": said}


def tidy_parameters(schema: dict[str, Any]) -> None:
    """Takes from each parameter the examples that its schema has too: beside it they are an object in OpenAPI."""
    for _, operation in _operations(schema):
        for parameter in operation["parameters"]:
            parameter.pop("examples", None)


def _operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Method and operation of all there are."""
    return chain.from_iterable(methods.items() for methods in schema["paths"].values())
