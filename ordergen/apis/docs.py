"""What ninja's OpenAPI documents lack: the errors of every operation, and the headers that steer some of them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ordergen.apis.conventions import Problem

V2_GUIDE = """
Everything the pages can do.

- **Who asks**: an API key as `X-API-Key` or `Authorization: Bearer`, made at `/account/keys/` or by
  `ordergen create-api-key`; or the session of somebody who signed in, with `X-CSRFToken` for anything but reading.
- **Numbers**: money, prices, quantities and weights are strings such as `"0.05"`; weights are fractions of market
  value.
- **Bodies**: JSON, exactly as documented; unknown names, other types and repeated names are refused.
- **Errors**: RFC 9457 problem documents; `errors` names the fields, `correlation_id` is in the log and the audit trail.
- **Lists**: `items` and `next_cursor`; pass it back as `cursor` until it is null.
- **Models**: the version is the ETag. Send it as `If-Match` to change or delete: 428 without it, 412 when it is stale.
- **Runs**: launching answers 202 at once; ask at `Location` until `state` is `completed`, `cancelled` or `stopped`.
  With an `Idempotency-Key` a repetition gives the run it gave before. Nobody approves orders of a run they launched.
- **What if**: `POST /what-if` shows what a run would propose for one portfolio under up to five sets of options, and
  writes nothing. `GET` and `PUT /limits/{scope}/{id}` keep limits for every run.
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
_WITH_BODY = frozenset({"post", "put", "delete", "patch"})
_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,  # the database is busy
)
_ON_WRITE = (HTTPStatus.CONFLICT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_V2_ALWAYS = (HTTPStatus.TOO_MANY_REQUESTS,)
_V2_ON_WRITE = (HTTPStatus.UNSUPPORTED_MEDIA_TYPE,)
_V2_CONDITIONAL = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
_TRIGGER_ERRORS = (HTTPStatus.TOO_MANY_REQUESTS,)

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


def add_errors(schema: dict[str, Any], *, is_v2: bool) -> None:
    """Adds to each operation of `schema` the error answers it may give, in the shape of its API."""
    parts = schema["components"].setdefault("schemas", {})
    if is_v2:
        parts["Problem"] = Problem.model_json_schema()
    else:
        parts |= {"Error": _V1_ERROR} | _V1_PARTS
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            for status in _errors(path, method, is_v2=is_v2):
                operation["responses"].setdefault(int(status), _answer(status, is_v2=is_v2))
            operation["parameters"] = [*operation.get("parameters", []), *_headers(path, method, is_v2=is_v2)]


def _errors(path: str, method: str, *, is_v2: bool) -> list[HTTPStatus]:
    errors = list(_ALWAYS)
    errors += [] if is_v2 else [HTTPStatus.BAD_REQUEST]
    errors += (
        [HTTPStatus.NOT_FOUND] if "{" in path or path.endswith(("/runs", "/what-if")) or "decisions" in path else []
    )
    errors += _ON_WRITE if method in _WITH_BODY else ()
    errors += _TRIGGER_ERRORS if path.endswith("/rebalance") else ()
    if is_v2:
        errors += _V2_ALWAYS
        errors += _V2_ON_WRITE if method in _WITH_BODY else ()
        errors += _V2_CONDITIONAL if _is_conditional(path, method) else ()
    return errors


def _is_conditional(path: str, method: str) -> bool:
    return path.endswith("/models/{model_id}") and method in {"put", "delete"}


def _headers(path: str, method: str, *, is_v2: bool) -> list[dict[str, Any]]:
    if is_v2 and _is_conditional(path, method):
        return [_header("If-Match", "The version the change was made from; 428 without it", '"3"')]
    if not is_v2 and path.endswith("/rebalance") and method == "post":
        return [
            _header("Idempotency-Key", "The same key gives the same run", "5d2c7f9e"),
            _header("Prefer", "respond-async: 202 at once, the result at Location", "respond-async"),
        ]
    return []


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    schema = {"type": "string", "examples": [example]}
    return {"in": "header", "name": name, "required": False, "description": description, "schema": schema}


def _answer(status: HTTPStatus, *, is_v2: bool) -> dict[str, Any]:
    media, name = ("application/problem+json", "Problem") if is_v2 else ("application/json", "Error")
    return {
        "description": status.phrase,
        "content": {media: {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }
