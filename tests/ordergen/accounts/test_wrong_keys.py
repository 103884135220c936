"""Keys that open nothing are counted by address; those that open something are never kept waiting."""

import pytest

from ordergen.accounts.keys import create_api_key, revoke_api_key
from ordergen.audit.models import AuditEvent
from tests.callers import Api

WRONG = "og_0123456789_" + "x" * 43


def asking(prefix: str, key: str) -> Api:
    return Api(prefix, **{"X-API-Key": key})


def test_after_twenty_wrong_keys_an_address_waits_and_a_right_key_from_it_does_not(manager, key_for, no_files):
    wrong, right = asking("/api/v2", WRONG), asking("/api/v2", key_for(manager))
    answers = [wrong.get("/models") for _ in range(22)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 2
    assert answers[-1].json()["code"] == "throttled"
    assert 0 < int(answers[-1]["Retry-After"]) <= 900
    assert right.get("/models").status_code == 200
    assert AuditEvent.objects.filter(action="api_key.refused").count() == 2, "the first and the last"


def test_api_v1_answers_a_wrong_key_as_it_always_has(db, no_files):
    wrong = asking("/api/v1", WRONG)
    assert {wrong.get("/models").status_code for _ in range(25)} == {401}


def test_the_trail_says_whose_key_it_was_and_never_what_was_sent(manager, no_files):
    key, plain = create_api_key(user=manager, name="old", scopes=["book:read"], days=5)
    revoke_api_key(key=key, by=manager)
    asking("/api/v2", plain).get("/models")
    asking("/api/v2", "my password, by mistake").get("/models")

    event = AuditEvent.objects.get(action="api_key.refused")
    assert event.summary == "Key old of maya was refused"
    assert "mistake" not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("key", ["", "og__", "og_%00_x", "ö" * 10, "x" * 4000])
def test_a_hostile_key_is_an_ordinary_wrong_one(db, no_files, key):
    assert asking("/api/v2", key.encode("latin-1", "replace").decode("latin-1")).get("/models").status_code == 401


def test_a_refusal_of_a_key_is_in_the_trail_once(manager, key_for, no_files):
    narrow = asking("/api/v2", key_for(manager, "book:read"))
    assert [narrow.get("/models").status_code for _ in range(3)] == [403] * 3
    event = AuditEvent.objects.get(action="access.refused")
    assert (event.actor, event.summary) == ("maya", "maya was refused GET /api/v2/models")
