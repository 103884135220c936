"""API v2 for administrators who signed in does what the page of people does, and no key may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from ordergen.accounts.keys import SCOPES, create_api_key, find_api_key
from ordergen.accounts.models import SignIn, User
from tests.callers import Api


@pytest.fixture(autouse=True)
def _quick_hashes(settings, no_files):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def desk(person) -> Api:
    api = Api("/api/v2")
    api.client.force_login(person("admin", name="daniel"))
    return api


def test_people_are_listed_page_by_page_and_without_whom_the_open_api_acts_as(desk, person, key_for):
    for at in range(3):
        key_for(person("viewer", name=f"p{at}"))
    first = desk.get("/people?limit=2").json()
    second = desk.get(f"/people?limit=2&cursor={first['next_cursor']}").json()

    assert [row["username"] for page in (first, second) for row in page["items"]] == ["daniel", "p0", "p1", "p2"]
    assert second["next_cursor"] is None
    assert first["items"][0] | {"id": "", "last_sign_in_at": ""} == {
        "id": "", "username": "daniel", "roles": ["admin"], "is_active": True, "last_sign_in_at": "",
        "n_sign_ins": 1, "n_keys": 0,
    }  # fmt: skip


def test_somebody_is_created_given_roles_disabled_and_enabled(desk):
    made = desk.post("/people", {"username": "rosa", "roles": ["viewer"]})
    rosa = User.objects.get(username="rosa")
    assert made.status_code == 201
    assert rosa.check_password(made.json()["one_time_password"])
    at = f"/people/{rosa.pk}"

    assert desk.put(f"{at}/roles", {"roles": ["approver"], "seen": ["viewer"]}).json()["roles"] == ["approver"]
    assert desk.put(f"{at}/roles", {"roles": ["manager"], "seen": ["viewer"]}).status_code == 409
    assert desk.post(f"{at}/disable").json()["is_active"] is False
    assert desk.post(f"{at}/enable").json()["is_active"] is True
    once = desk.post(f"{at}/password").json()["one_time_password"]
    rosa.refresh_from_db()
    assert rosa.check_password(once)


def test_keys_and_sign_ins_of_anybody_end_at_once(desk, manager):
    key, plain = create_api_key(user=manager, name="nightly", scopes=["book:read"], days=5)
    browser = Client()
    browser.force_login(manager)
    at = f"/people/{manager.pk}"

    assert [row["name"] for row in desk.get(f"{at}/keys").json()] == ["nightly"]
    assert desk.delete(f"{at}/keys/{key.pk}").status_code == 204
    assert find_api_key(plain) is None
    assert desk.post(f"{at}/sign-out").json() == {"n_ended": 1}
    assert browser.get("/models/").status_code == 302


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"username": "two words", "roles": ["viewer"]}, "username"),
        ({"username": "mаya", "roles": ["viewer"]}, "username"),
        ({"username": "DANIEL", "roles": ["viewer"]}, "username"),
        ({"username": "rosa", "roles": ["root"]}, "roles"),
        ({"username": "rosa", "roles": "viewer"}, "roles"),
        ({"username": "rosa", "roles": [True]}, "roles.0"),
        ({"username": 5, "roles": []}, "username"),
        ({"username": "rosa", "roles": [], "is_superuser": True}, "is_superuser"),
    ],
)
def test_somebody_who_cannot_be_is_refused_at_the_field(desk, body, field):
    refused = desk.post("/people", body)
    assert refused.status_code in (409, 422)
    assert refused.json()["errors"][0]["field"] == field
    assert User.objects.count() == 1


def test_an_administrator_s_key_manages_nobody(person):
    _, plain = create_api_key(user=person("admin"), name="all", scopes=list(SCOPES), days=5)
    assert Api("/api/v2", **{"X-API-Key": plain}).get("/people").status_code == 401


def test_an_old_sign_in_gives_the_password_again_first(desk, manager):
    SignIn.objects.update(confirmed_at=timezone.now() - timedelta(minutes=11))
    refused = desk.post(f"/people/{manager.pk}/disable")
    assert (refused.status_code, refused.json()["code"]) == (403, "confirm_password")
    assert desk.get("/people").status_code == 200
    assert desk.post("/keys", {"name": "k", "scopes": ["book:read"], "days": 5}).status_code == 403
