"""What holds for every operation: who may ask, what an answer wears, and how bad requests are told apart."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ordergen.accounts.keys import find_api_key, revoke_api_key
from ordergen.accounts.models import ApiKey, User
from ordergen.accounts.roles import PERMISSIONS, Role
from ordergen.api import APIS
from ordergen.apis.auth import Need
from ordergen.apis.errors import plain_error, problem
from ordergen.audit.models import AuditEvent
from ordergen.core.correlation import Correlated
from ordergen.core.errors import Code, InvalidInputError
from tests.callers import Api

ID = "68a0c0ffee0000000000beef"


def operations():
    """(method, path with ids filled in, operation) of everything both APIs offer."""
    for prefix, ninja in APIS.items():
        for _, router in ninja._routers:
            for path, view in router.path_operations.items():
                for operation in view.operations:
                    for method in operation.methods:
                        yield method, f"{prefix}{re.sub('{[^}]*}', ID, path)}", operation


ALL = list(operations())
NAMED = [pytest.param(*one, id=f"{one[0]} {one[1]}") for one in ALL]


# Who may ask


def test_there_are_operations_to_take_a_census_of():
    assert len(ALL) >= 18


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_every_operation_declares_its_permission_and_scope(method, path, operation):
    needs = {way.need for way in operation.auth_callbacks}
    assert len(needs) == 1
    assert isinstance(needs.pop(), Need)


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_a_stranger_is_turned_away_everywhere(method, path, operation, db):
    response = Client().generic(method, path)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert "json" in response["Content-Type"]


@pytest.mark.parametrize(("method", "path", "operation"), [p for p in NAMED if p.values[0] != "GET"])
def test_nothing_is_changed_by_a_cookie_without_its_csrf_token(method, path, operation, manager):
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    response = client.generic(method, path, "{}", content_type="application/json")
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_a_key_without_the_scope_is_refused(method, path, operation, person, key_for):
    need = operation.auth_callbacks[0].need
    if not need.scope:
        assert Client().generic(method, path, headers={"X-API-Key": key_for(person("admin"))}).status_code == 401
        return
    other = "models:read" if need.scope != "models:read" else "rebalances:read"
    key = key_for(person("manager", "approver"), other)
    response = Client().generic(method, path, headers={"X-API-Key": key})
    assert response.status_code == 403
    assert need.scope in response.json()["detail"]


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_each_operation_is_for_the_roles_of_its_permission_and_no_other(method, path, operation, person, key_for):
    need = operation.auth_callbacks[0].need
    if not need.scope:
        pytest.skip("for people only; by key nobody comes this far")
    for role in Role:
        response = Client().generic(method, path, headers={"X-API-Key": key_for(person(role))})
        assert (response.status_code == 403) == (role not in PERMISSIONS[need.permission]), role


def test_reading_changes_nothing(person, book):
    def everything():
        tables = [model for model in apps.get_models() if model._meta.app_label != "sessions"]
        return {model: sorted(map(str, model.objects.values_list())) for model in tables}

    client = Client()
    client.force_login(person(*Role))
    before = everything()
    for method, path, _ in ALL:
        if method == "GET":
            for known in (path, path.replace(ID, book.model.pk), path.replace(ID, book.harbour.pk)):
                assert client.get(known).status_code < 500
    assert everything() == before


def test_a_person_without_the_role_is_refused_whatever_the_key_may(viewer, key_for):
    vera = Api("/api/v1", **{"X-API-Key": key_for(viewer)})
    assert vera.get("/models").status_code == 200
    response = vera.post("/models", {"name": "x", "portfolios": [ID]})
    assert response.status_code == 403
    assert "portfolio manager" in response.json()["detail"]


def test_a_signed_in_person_needs_no_key(manager):
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    assert client.get("/api/v1/models").status_code == 200


def test_a_signed_in_person_writes_with_the_csrf_token(manager):
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    client.cookies["csrftoken"] = "a" * 32
    body = f'{{"name":"M","portfolios":["{ID}"]}}'
    response = client.post("/api/v1/models", body, "application/json", headers={"X-CSRFToken": "a" * 32})
    assert response.status_code == 201, response.content


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_form_from_another_site_is_refused(manager, content_type):
    client = Client(enforce_csrf_checks=True)
    client.force_login(manager)
    response = client.generic("POST", "/api/v1/models", "--x--", content_type=content_type)
    assert response.status_code == 403


def test_a_key_is_taken_as_bearer_token_too(manager, key_for):
    assert Api("/api/v1", Authorization=f"Bearer {key_for(manager)}").get("/models").status_code == 200


@pytest.mark.parametrize("wrong", ["x", "og_", "og_0123456789_wrong", "og_\N{LATIN SMALL LETTER E WITH ACUTE}_x", " "])
def test_a_wrong_key_is_turned_away_even_beside_a_session(manager, wrong):
    client = Client()
    client.force_login(manager)
    response = client.get("/api/v1/models", headers={"X-API-Key": wrong})
    assert response.status_code == 401


def test_a_key_in_the_address_is_ignored(db, manager, key_for):
    assert Client().get(f"/api/v1/models?X-API-Key={key_for(manager)}&api_key={key_for(manager)}").status_code == 401


# Keys


def test_the_database_does_not_hold_the_key(manager, key_for):
    plain = key_for(manager)
    stored = str(list(ApiKey.objects.values()))
    assert plain not in stored
    assert plain.split("_", 2)[2] not in stored
    assert AuditEvent.objects.filter(action="api_key.created").count() == 1
    assert plain not in str(list(AuditEvent.objects.values()))


def test_the_use_of_a_key_is_noted_after_the_answer_and_once_a_minute(manager, key_for, time_machine):
    api = Api("/api/v2", **{"X-API-Key": key_for(manager)})
    with CaptureQueriesContext(connection) as made:
        answer = api.client.get("/api/v2/models", headers=api.headers)
    *before, last = [query["sql"] for query in made]
    assert answer.status_code == 200
    assert last.startswith("UPDATE")
    assert not any(sql.startswith("UPDATE") for sql in before)
    first = ApiKey.objects.get().last_used_at
    time_machine.move_to(first + timedelta(seconds=59))
    api.get("/models")
    assert ApiKey.objects.get().last_used_at == first
    time_machine.move_to(first + timedelta(seconds=61))
    api.get("/models")
    assert ApiKey.objects.get().last_used_at >= first + timedelta(seconds=61)


def test_a_key_whose_use_cannot_be_noted_opens_all_the_same(own_connections, manager, key_for):
    """Somebody writes for long: the read is answered, and does not even wait."""
    plain = key_for(manager)
    asked = Event()

    def ask() -> None:
        try:
            assert find_api_key(plain) is not None
            asked.set()
        finally:
            connection.close()

    with transaction.atomic():
        User.objects.update(first_name="written")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(ask)
            assert asked.wait(10)


def test_a_key_dies_by_time_by_revocation_and_with_its_person(manager, key_for, time_machine):
    expired, revoked, orphaned = (key_for(manager) for _ in range(3))
    assert find_api_key(expired).last_used_at is None
    revoke_api_key(key=find_api_key(revoked), by=manager)
    assert find_api_key(revoked) is None
    User.objects.filter(pk=manager.pk).update(is_active=False)
    assert find_api_key(orphaned) is None
    User.objects.filter(pk=manager.pk).update(is_active=True)
    assert find_api_key(orphaned) is not None
    time_machine.move_to(timezone.now() + timedelta(seconds=86_401))
    assert find_api_key(expired) is None


@pytest.mark.parametrize("change", [{"scopes": []}, {"scopes": ["all"]}, {"days": 0}, {"days": 366}, {"name": " "}])
def test_a_key_that_is_too_much_is_not_made(manager, change):
    from ordergen.accounts.keys import create_api_key

    with pytest.raises(InvalidInputError) as refusal:
        create_api_key(**({"user": manager, "name": "k", "scopes": ["models:read"], "days": 30} | change))
    assert refusal.value.fields.keys() == change.keys()


# The open door


def test_v1_can_be_opened_for_a_closed_network_and_v2_never(anonymous, settings):
    settings.ORDERGEN_API_AUTH = "none"
    assert anonymous.post("/models", {"name": "M", "portfolios": [ID]}).status_code == 201
    service = User.objects.get(username="api")
    assert service.roles == ["manager"], "it cannot approve"
    assert not service.has_usable_password()
    assert anonymous.get("/models").status_code == 200
    assert Client().get("/api/v2/models").status_code in {401, 404}


def test_an_open_door_does_not_excuse_a_wrong_key(settings, db):
    settings.ORDERGEN_API_AUTH = "none"
    assert Api("/api/v1", **{"X-API-Key": "og_nope_nope"}).get("/models").status_code == 401


# What an answer wears


def test_every_answer_of_v1_has_the_contracts_headers(api):
    for response in (api.get("/models"), api.get("/nothing"), api.get("/model/x"), Api("/health").get("/live")):
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-XSS-Protection"] == "1; mode=block"
        assert response["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
        assert response["Referrer-Policy"] == "strict-origin-when-cross-origin"
        assert response["Content-Security-Policy"] == "default-src 'self'"
        assert re.fullmatch(r"[0-9a-f-]{36}", response["X-Correlation-ID"])


def test_a_correlation_id_is_echoed_and_recorded(api):
    response = api.post("/models", {"name": "M", "portfolios": [ID]}, X_Correlation_ID="abc-123")
    assert response["X-Correlation-ID"] == "abc-123"
    assert AuditEvent.objects.get(action="model.create").request_id == "abc-123"


def test_what_django_logs_of_a_refused_request_carries_its_correlation_id(api, caplog):
    api.get("/model/x", X_Correlation_ID="abc-123")
    (told,) = [record for record in caplog.records if record.name == "django.request"]
    assert Correlated().filter(told)
    assert told.correlation == "abc-123"


def test_any_origin_may_read_without_credentials(api):
    response = api.get("/models", Origin="https://portal.example")
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response["Access-Control-Allow-Credentials"] == "true"
    refused = Api("/api/v1").get("/models", Origin="https://portal.example")
    assert refused["Access-Control-Allow-Origin"] == "*"


def test_a_preflight_is_answered_before_anybody_asks_who(anonymous):
    asked = {"Origin": "https://portal.example", "Access_Control_Request_Method": "DELETE"}
    response = anonymous.request("OPTIONS", "/model/x", **asked, Access_Control_Request_Headers="X-API-Key")
    assert response.status_code == 200
    assert response["Access-Control-Allow-Origin"] == "https://portal.example"
    assert response["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert response["Access-Control-Allow-Headers"] == "X-API-Key"
    assert response["Access-Control-Max-Age"] == "600"


def test_v2_is_for_its_own_origin(db):
    response = Client().get("/api/v2/models", headers={"Origin": "https://portal.example"})
    assert "Access-Control-Allow-Origin" not in response


# Addresses and methods


@pytest.mark.parametrize(
    ("method", "path", "to"),
    [
        ("GET", "/api/v1/models/?limit=1", "/api/v1/models?limit=1"),
        ("POST", f"/api/v1/model/{ID}/position/", f"/api/v1/model/{ID}/position"),
        ("GET", "/health", "/health/"),
    ],
)
def test_a_slash_too_many_or_too_few_is_redirected_with_its_method(db, method, path, to):
    response = Client(enforce_csrf_checks=True).generic(method, path)
    assert (response.status_code, response["Location"]) == (307, to)


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/v1/", "/api", "/api/", "/api/v3/models", "/api/v1/%00", "/health/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_told_in_json(db, method, path):
    response = Client(enforce_csrf_checks=True).generic(method, path)
    assert (response.status_code, response.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", "/models"), ("DELETE", "/models"), ("HEAD", "/models"), ("OPTIONS", "/models")]
)
def test_a_method_that_is_not_offered_is_told_in_json(api, method, path):
    response = api.request(method, path)
    assert response.status_code == 405
    assert set(response["Allow"].replace(" ", "").split(",")) == {"GET", "POST"}
    if method != "HEAD":
        assert response.json() == {"detail": "Method Not Allowed"}


# Bodies

BAD_BODIES = {
    "empty": b"",
    "truncated": b'{"name":',
    "duplicate keys": b'{"name":"a","name":"b","portfolios":["%s"]}' % ID.encode(),
    "NaN": b'{"name":"a","portfolios":[NaN]}',
    "Infinity": b'{"name":"a","positions":[{"target":-Infinity}]}',
    "NUL": b'{"name":"a\\u0000b","portfolios":["%s"]}' % ID.encode(),
    "half a surrogate": b'{"name":"\\ud800","portfolios":["%s"]}' % ID.encode(),
    "a key with NUL": b'{"\\u0000":1}',
    "Latin-1": b'{"name":"\xe9"}',
    "too deep": b"[" * 100_000,
    "deep": b'{"a":' * 30 + b"1" + b"}" * 30,
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "text": b'"x"',
    "digits": b'{"name":' + b"9" * 5000 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"name":"a"}',
    "a name that is a number": b'{"name":1,"portfolios":["%s"]}' % ID.encode(),
    "a list of numbers": b'{"name":"a","portfolios":[1]}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_cannot_be_read_is_a_schema_error(api, name):
    response = api.post("/models", raw=BAD_BODIES[name])
    assert response.status_code == 422, response.content
    for entry in response.json()["detail"]:
        assert {"type", "loc", "msg"} <= entry.keys()
        assert entry["loc"][0] == "body"


@pytest.mark.parametrize("body", [{}, {"name": "M", "portfolios": [ID], "positions": [{}]}])
def test_an_error_echoes_the_input_as_it_was_sent(api, body):
    for entry in api.post("/models", body).json()["detail"]:
        assert entry["input"] in (body, {}), "and nothing of how we read it"


@pytest.mark.parametrize("body", ["[]", "1", "null", '"x"', '{"name":"M","portfolios":[],"positions":[1]}'])
def test_what_is_no_object_is_called_that(api, body):
    (entry,) = api.post("/models", raw=body).json()["detail"]
    assert entry["type"] == "model_attributes_type"
    assert entry["loc"] in (["body"], ["body", "positions", 0])


def test_malformed_json_is_named_as_such(api):
    (entry,) = api.post("/models", raw=b'{"name":').json()["detail"]
    assert (entry["type"], entry["loc"], entry["msg"]) == ("json_invalid", ["body", 8], "JSON decode error")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html"]
)
def test_a_body_that_is_not_json_is_a_schema_error_in_v1(api, content_type):
    response = api.post("/models", raw=b'{"name":"M","portfolios":["%s"]}' % ID.encode(), content_type=content_type)
    assert response.status_code == 422


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/vnd.api+json", "APPLICATION/JSON"]
)
def test_json_by_other_names_is_json(api, content_type):
    body = b'{"name":"M","portfolios":["%s"]}' % ID.encode()
    assert api.post("/models", raw=body, content_type=content_type).status_code == 201


def test_a_body_over_a_mebibyte_is_too_large(api):
    response = api.post("/models", raw=b'{"name":"' + b"x" * 2**20 + b'"}')
    assert response.status_code == 413
    assert list(response.json()) == ["detail"]


def test_nul_in_a_parameter_is_refused(api):
    assert api.get("/models?sort_by=name%00").status_code in {400, 422}
    assert api.get("/rebalances?sort_by=%00").status_code == 422


def test_what_breaks_inside_is_500_in_json_without_a_word_about_the_inside(api, monkeypatch):
    from models_app.modelling import api as door

    def broken(_models):
        raise RuntimeError("SELECT secret FROM /srv/ordergen")

    monkeypatch.setattr(door, "_bodies", broken)
    response = api.get("/models")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "INTERNAL_SERVER_ERROR"
    assert response.json()["error"]["correlation_id"] == response["X-Correlation-ID"]
    assert b"secret" not in response.content


def test_a_host_that_is_not_ours_is_refused_in_json(db):
    response = Client().get("/api/v1/models", headers={"Host": "evil.example"})
    assert (response.status_code, response.json()) == (400, {"detail": "Bad Request"})


# Documentation


@pytest.mark.parametrize(("path", "to"), [("/docs", "/api/v1/docs"), ("/openapi.json", "/api/v1/openapi.json")])
def test_the_documentation_is_found_where_the_contract_has_it(db, path, to):
    assert Client().get(path)["Location"] == to


@pytest.mark.parametrize("prefix", APIS)
def test_the_documentation_is_served_from_our_own_origin_to_members(prefix, manager):
    client = Client()
    assert client.get(f"{prefix}/openapi.json").status_code == 401
    client.force_login(manager)
    schema = client.get(f"{prefix}/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    assert schema["paths"]
    page = client.get(f"{prefix}/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert not re.search(rb'(?:src|href)="(?:https?:)?//', page.content)


# Health


@pytest.mark.usefixtures("patient_probes")
@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/", "/health/health"])
def test_health_is_open_to_everybody(db, path):
    response = Client().get(path)
    assert response.status_code == 200
    body = response.json()
    assert body["status"] in {"healthy", "ready"}
    assert body["timestamp"].endswith("Z")
    assert body["correlation_id"] == response["X-Correlation-ID"]


def test_liveness_solves_something(db):
    engine = Client().get("/health/live").json()["checks"]["optimization_engine"]
    assert (engine["status"], engine["solver_status"]) == ("healthy", "optimal")


def test_liveness_fails_with_the_optimiser(db, monkeypatch):
    from models_app.portfolio.types import RebalanceSolution
    from ordergen.ops import health

    monkeypatch.setattr(health, "solve", lambda _problem: RebalanceSolution("health", "error"))
    response = Client().get("/health/live")
    assert response.status_code == 503
    assert response.json()["status"] == "unhealthy"
    assert response.json()["error"]
    assert Client().get("/health/ready").json()["status"] == "not_ready"
    assert Client().get("/health/").status_code == 200


def test_readiness_fails_with_the_database(db, monkeypatch):
    from django.db import DatabaseError

    from ordergen.core import db as database

    class Down:
        vendor = "postgresql"

        def cursor(self):
            raise DatabaseError("down")

    monkeypatch.setattr(database, "connection", Down())
    response = Client().get("/health/ready")
    assert response.status_code == 503
    assert response.json()["dependencies"]["database"]["status"] == "unhealthy"


def test_parts_of_the_overall_health_can_be_left_out(db):
    body = Client().get("/health/?include_external=false&include_optimization=false").json()
    assert {"external_services", "optimization_engine"}.isdisjoint(body)
    assert body["uptime_seconds"] >= 0


def test_a_status_is_told_alike_by_every_python():
    """3.13 renamed these four."""
    words = {
        413: "Request Entity Too Large", 414: "Request-URI Too Long", 416: "Requested Range Not Satisfiable",
        422: "Unprocessable Entity", 404: "Not Found",
    }  # fmt: skip
    told = [json.loads(problem(status, "", code=Code.ERROR).content)["title"] for status in words]
    codes = [json.loads(plain_error(RequestFactory().get("/api/v2/"), status).content)["code"] for status in words]

    assert told == list(words.values())
    assert codes == [
        "request_entity_too_large", "request_uri_too_long", "requested_range_not_satisfiable", "unprocessable_entity",
        "not_found",
    ]  # fmt: skip
