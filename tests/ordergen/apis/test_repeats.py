"""A write that is repeated under its key is done once; what was read before is not sent again; answers are small."""

import gzip

import pytest
from django.db import connection
from django.test import Client

from models_app.models import InvestmentModel, Security
from ordergen.api import APIS
from ordergen.apis.idempotency import forget_old
from ordergen.audit.models import AuditEvent
from ordergen.core.models import KeptAnswer
from rebalance_app.models import Order
from rebalance_app.runs.launch import run_launch
from tests.callers import Api

P = "68a0c0ffee0000000000beef"
MODEL = {"name": "Once", "portfolios": [P]}


@pytest.fixture
def v2(manager, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


def test_a_model_is_made_once_and_answered_twice(v2):
    first = v2.post("/models", MODEL, Idempotency_Key="k")
    again = v2.post("/models", MODEL, Idempotency_Key="k")

    assert InvestmentModel.objects.count() == 1
    assert (again.status_code, again.content) == (201, first.content)
    assert [again[name] for name in ("Location", "ETag")] == [first[name] for name in ("Location", "ETag")]
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")


def test_a_deletion_is_answered_again_and_not_404(v2):
    path = v2.post("/models", MODEL)["Location"].removeprefix("/api/v2")
    first = v2.delete(path, If_Match='"1"', Idempotency_Key="d")
    again = v2.delete(path, If_Match='"1"', Idempotency_Key="d")

    assert (first.status_code, again.status_code, again.content) == (204, 204, b"")
    assert v2.delete(path, If_Match='"1"', Idempotency_Key="e").status_code == 404


def test_a_key_is_for_one_request(v2):
    v2.post("/models", MODEL, Idempotency_Key="k")
    for path, body in (("/models", MODEL | {"name": "Other"}), (f"/models/{P}/portfolios/{P}", None)):
        answer = v2.request("PUT" if body is None else "POST", path, body, Idempotency_Key="k")
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


def test_a_key_is_its_owners_own(v2, person, key_for):
    v2.post("/models", MODEL, Idempotency_Key="k")
    other = Api("/api/v2", **{"X-API-Key": key_for(person("manager", name="mo"))})

    assert other.post("/models", MODEL | {"name": "Mo’s"}, Idempotency_Key="k").status_code == 201


def test_a_refusal_is_not_kept_and_leaves_nothing(v2):
    events = AuditEvent.objects.count()
    assert v2.post("/models", MODEL | {"portfolios": []}, Idempotency_Key="k").status_code == 422
    assert (KeptAnswer.objects.count(), AuditEvent.objects.count()) == (0, events)
    assert v2.post("/models", MODEL, Idempotency_Key="k").status_code == 201


def test_what_fails_halfway_leaves_neither_the_change_nor_its_answer(v2, monkeypatch):
    """As where a process is killed: the answer is kept in the transaction of the change."""

    def broken(*_given):
        raise RuntimeError("the machine stopped")

    with monkeypatch.context() as patched:
        patched.setattr("ordergen.apis.idempotency._keep", broken)
        assert v2.post("/models", MODEL, Idempotency_Key="k").status_code == 500
    assert not InvestmentModel.objects.exists()
    assert v2.post("/models", MODEL, Idempotency_Key="k").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\tb"])
def test_a_key_that_is_none_is_refused_at_its_header(v2, key):
    answer = v2.post("/models", MODEL, Idempotency_Key=key)
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == ["Idempotency-Key"]


def test_a_run_says_that_it_is_the_one_of_before_and_how_it_stands_now(v2, book):
    body = {"model_id": book.model.pk}
    first = v2.post("/runs", body, Idempotency_Key="k")
    v2.post(f"/runs/{first.json()['id']}/cancel")
    again = v2.post("/runs", body, Idempotency_Key="k")

    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert (again.json()["id"], again.json()["state"]) == (first.json()["id"], "cancelled")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", ["k", None])
def test_no_transaction_is_open_while_a_launch_asks_for_prices(v2, book, key, monkeypatch):
    """On SQLite it would keep everybody from writing, for as long as another service takes to answer."""
    from rebalance_app.runs import launch

    asked = []

    def prices(*given):
        asked.append(connection.in_atomic_block)
        return prices_now(*given)

    prices_now = launch.prices_now
    monkeypatch.setattr(launch, "prices_now", prices)
    named = {"Idempotency_Key": key} if key else {}
    assert v2.post("/runs", {"model_id": book.model.pk}, **named).status_code == 202
    assert asked == [False]


def test_decisions_are_taken_once(v2, book, manager, approver, key_for, run_worker):
    tom = Api("/api/v2", **{"X-API-Key": key_for(approver)})
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    seen = {"verdict": "rejected", "comment": "no", "expected_count": run.n_awaiting}
    first = tom.post(f"/runs/{run.pk}/decisions", seen, Idempotency_Key="k")
    again = tom.post(f"/runs/{run.pk}/decisions", seen, Idempotency_Key="k")

    assert (first.status_code, again.content) == (200, first.content), first.content
    assert again["Idempotency-Replayed"] == "true"
    assert AuditEvent.objects.filter(action="orders.rejected").count() == 1
    assert set(Order.objects.values_list("state", flat=True)) == {"rejected"}


def test_a_secret_is_not_kept(manager):
    client = Client()
    client.force_login(manager)
    body = '{"name": "n", "scopes": ["book:read"], "days": 1}'
    answer = client.post("/api/v2/keys", body, "application/json", headers={"Idempotency-Key": "k"})

    assert answer.status_code == 422
    assert not manager.api_keys.exists()


def test_answers_are_kept_for_a_week(v2, time_machine):
    time_machine.move_to("2026-11-20T12:00:00Z")
    v2.post("/models", MODEL, Idempotency_Key="k")
    time_machine.move_to("2026-11-27T11:59:00Z")
    assert forget_old() == 0
    time_machine.move_to("2026-11-27T12:01:00Z")
    assert forget_old() == 1


def test_every_write_offers_the_key():
    document = APIS["/api/v2"].get_openapi_schema(path_prefix="/api/v2/")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names = [parameter["name"] for parameter in operation["parameters"]]
            assert names.count("Idempotency-Key") == (0 if method == "get" else 1), (method, path)


# Reading again


def test_what_the_caller_has_is_not_sent_again(v2, book):
    for path in ("/models", "/orders", f"/portfolios/{book.harbour.pk}", "/drift", "/events", "/me"):
        first = v2.get(path)
        same = v2.get(path, If_None_Match=f'"other", {first["ETag"]}')
        assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"]), path
    before = v2.get("/securities")["ETag"]
    Security.objects.update(name="Renamed")
    assert v2.get("/securities", If_None_Match=before).status_code == 200


def test_an_error_has_no_etag(v2):
    assert "ETag" not in v2.get(f"/models/{P}")


def test_answers_come_compressed_to_who_accepts_it_and_the_etag_stays_good(v2, book):
    plain = v2.get(f"/models/{book.model.pk}")
    small = v2.get(f"/models/{book.model.pk}", Accept_Encoding="gzip")

    assert small["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.content) == plain.content
    assert small["ETag"] == 'W/"1"'
    assert v2.get(f"/models/{book.model.pk}", If_None_Match=small["ETag"]).status_code == 304
    assert v2.delete(f"/models/{book.model.pk}", If_Match=small["ETag"]).status_code == 204


def test_pages_and_v1_are_not_compressed(manager, key_for, book):
    one = Api("/api/v1", **{"X-API-Key": key_for(manager)})
    assert "Content-Encoding" not in one.get("/models", Accept_Encoding="gzip")


def test_a_request_id_is_taken_as_the_correlation_id(v2):
    assert v2.get("/me", X_Request_ID="oms-42")["X-Correlation-ID"] == "oms-42"


def test_documents_open_to_a_bearer_too(manager, key_for):
    for headers in ({"Authorization": f"Bearer {key_for(manager)}"}, {"X-API-Key": key_for(manager)}):
        assert Client().get("/api/v2/openapi.json", headers=headers).status_code == 200
    assert Client().get("/api/v2/openapi.json", headers={"Authorization": "Bearer og_x_y"}).status_code == 401
