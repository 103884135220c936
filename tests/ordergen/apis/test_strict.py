"""A filter is honoured or refused, never dropped; documents are valid, and say every state, code and error."""

import pytest
from openapi_spec_validator import validate

from ordergen.api import APIS
from ordergen.apis.field_codes import FieldCode
from ordergen.core.errors import Code, OrdergenError
from tests.callers import Api
from tests.ordergen.apis.test_conventions import NAMED

READS = [one for one in NAMED if one.values[0] == "GET" and one.values[1].startswith("/api/v2/")]


@pytest.fixture
def everybody(person, key_for):
    """Somebody with every role, by key."""
    return Api("", **{"X-API-Key": key_for(person("manager", "approver", "auditor", "admin"))})


def found(response):
    assert response.status_code == 422, response.content
    return [(entry["field"], entry["code"]) for entry in response.json()["errors"]]


@pytest.mark.parametrize(("method", "path", "operation"), READS)
def test_every_operation_refuses_a_parameter_that_it_does_not_have(method, path, operation, book, everybody):
    if not operation.auth_callbacks[0].need.scope:
        pytest.skip("for people only")
    known = path.replace("68a0c0ffee0000000000beef", book.model.pk)
    answer = everybody.get(f"{known}?colour=red")

    assert answer.status_code in (404, 422), answer.content
    if answer.status_code == 422 and "{" not in operation.path:
        assert found(answer) == [("colour", "unknown")]


def test_a_misspelt_filter_is_named_and_not_dropped(everybody):
    answer = everybody.get("/api/v2/orders?status=approved")

    assert found(answer) == [("status", "unknown")]
    assert "state" in answer.json()["errors"][0]["message"], "it says which there are"


@pytest.mark.parametrize(
    ("query", "entry"),
    [
        ("state=approved&state=proposed", ("state", "repeated")),
        ("state=", ("state", "not_a_choice")),
        ("run_id=", ("run_id", "wrong_format")),
        ("run_id=42", ("run_id", "wrong_format")),
        ("state=Approved", ("state", "not_a_choice")),
        ("limit=0", ("limit", "out_of_range")),
        ("limit=1e2", ("limit", "wrong_format")),
        ("cursor=x", ("cursor", "invalid")),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_parameter(query, entry, everybody):
    assert entry in found(everybody.get(f"/api/v2/orders?{query}"))


def test_an_empty_search_is_refused_and_an_empty_cursor_begins(everybody):
    assert found(everybody.get("/api/v2/securities?q=")) == [("q", "empty")]
    assert everybody.get("/api/v2/securities?cursor=").status_code == 200


def test_a_writing_operation_is_as_strict(everybody, book):
    answer = everybody.post("/api/v2/runs?dry_run=true", {"model_id": book.model.pk})

    assert found(answer) == [("dry_run", "unknown")]


def test_who_may_not_ask_is_not_told_of_parameters():
    assert Api("").get("/api/v2/orders?colour=red").status_code == 401


def test_v1_goes_on_ignoring_what_it_does_not_know(everybody):
    assert everybody.get("/api/v1/models?colour=red").status_code == 200


# Documents


@pytest.mark.parametrize("prefix", APIS)
def test_the_document_is_valid_openapi(prefix):
    validate(document(prefix))


def test_every_code_of_an_error_is_in_the_document():
    parts = document("/api/v2")["components"]["schemas"]

    assert set(parts["Code"]["enum"]) == set(Code)
    assert set(parts["FieldCode"]["enum"]) == set(FieldCode)
    assert all(kind.code in Code for kind in _below(OrdergenError))


def test_every_state_of_an_answer_is_enumerated():
    """So that a client can branch on it; a name that ends so and is a mere text would be a gap."""
    parts = document("/api/v2")["components"]["schemas"]
    loose = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, schema in part.get("properties", {}).items()
        if field in {"state", "status", "verdict", "side", "scope", "method"} and schema.get("type") == "string"
        if "enum" not in schema
    ]
    assert loose == []


def _below(kind):
    return [kind, *(further for child in kind.__subclasses__() for further in _below(child))]


def document(prefix):
    import json

    return json.loads(json.dumps(APIS[prefix].get_openapi_schema(path_prefix=f"{prefix}/")))
