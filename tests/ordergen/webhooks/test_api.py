"""Webhooks over API v2: set up, looked at, paused, resumed, repeated and ended."""

import pytest
from standardwebhooks import Webhook as Verifier

from ordergen.audit.models import AuditEvent
from ordergen.core.models import KeptAnswer
from ordergen.webhooks.deliver import deliver
from tests.callers import Api
from tests.ordergen.webhooks.receiver import status


@pytest.fixture
def ada(admin, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(admin, "webhooks:manage")})


def test_its_life_over_the_api(ada, listening, happen):
    receiver = listening(status(500))
    made = ada.post("/webhooks", {"url": receiver.url, "kinds": ["book"], "description": "The OMS"})
    assert made.status_code == 201, made.content
    webhook = made.json()
    path = made["Location"].removeprefix("/api/v2")
    (seq,) = happen()

    deliver(webhook["id"])
    assert ada.get(path).json()["failures"] == 1
    assert ada.post(f"{path}/pause").json()["state"] == "paused"
    assert ada.post(f"{path}/pause").json()["code"] == "changed_meanwhile"
    assert ada.post(f"{path}/resume").json()["state"] == "active"
    deliver(webhook["id"])
    headers, body = receiver.messages[-1]
    assert Verifier(ada.get(f"{path}/secret").json()["secret"]).verify(body, headers)["data"]["seq"] == seq
    attempts = ada.get(f"{path}/attempts").json()["items"]
    assert [(one["seq"], one["status"], one["fault"]) for one in attempts] == [
        (seq, 204, ""), (seq, 500, "The receiver answered 500."),
    ]  # fmt: skip
    assert ada.post(f"{path}/replay", {"after": seq - 1}).json()["cursor"] == seq - 1
    assert ada.delete(path).status_code == 204
    assert ada.post(f"{path}/resume").status_code == 409
    assert [one["state"] for one in ada.get("/webhooks").json()["items"]] == ["ended"]
    verbs = list(AuditEvent.objects.filter(object_id=webhook["id"]).order_by("seq").values_list("action", flat=True))
    assert verbs == [f"webhook.{verb}" for verb in ("created", "paused", "resumed", "replayed", "ended")]


def test_a_new_one_may_begin_in_the_past(ada, listening, happen):
    seqs = happen(2)
    receiver = listening()
    webhook = ada.post("/webhooks", {"url": receiver.url, "after": seqs[0]}).json()
    deliver(webhook["id"])

    assert receiver.seqs == seqs[1:]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": 5}, "url"),
        ({"url": ""}, "url"),
        ({"kinds": ["orders", "secrets"]}, "kinds.1"),
        ({"kinds": ["orders; drop"]}, "kinds.0"),
        ({"kinds": "orders"}, "kinds"),
        ({"after": 10**15}, "after"),
        ({"after": 10**30}, "after"),
        ({"after": True}, "after"),
        ({"secret": "mine"}, "secret"),
        ({"description": "x" * 201}, "description"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(ada, listening, change, field):
    answer = ada.post("/webhooks", {"url": listening().url} | change)

    assert answer.status_code == 422, answer.content
    assert field in [entry["field"] for entry in answer.json()["errors"]]


def test_a_secret_is_told_where_it_is_asked_for_and_nowhere_else(ada, listening):
    made = ada.post("/webhooks", {"url": listening().url}, Idempotency_Key="k")
    secret = ada.get(f"/webhooks/{made.json()['id']}/secret").json()["secret"]

    assert secret.startswith("whsec_")
    for path in ("/webhooks", f"/webhooks/{made.json()['id']}"):
        assert secret not in ada.get(path).content.decode()
    assert secret not in made.content.decode()
    assert not KeptAnswer.objects.filter(body__contains="whsec_").exists()


def test_one_that_never_was_is_not_found(ada):
    for path in ("", "/attempts"):
        assert ada.get(f"/webhooks/{'0' * 24}{path}").status_code == 404
    for verb in ("pause", "resume"):
        assert ada.post(f"/webhooks/{'0' * 24}/{verb}").status_code == 404
