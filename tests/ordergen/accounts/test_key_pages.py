"""The page of one's own API keys."""

import re

import pytest
from django.test import Client

from ordergen.accounts.keys import create_api_key, find_api_key
from ordergen.accounts.models import ApiKey

WANTED = {"name": "nightly import", "days": "30", "scopes": ["models:read", "book:read"]}


@pytest.fixture
def maya(client, manager):
    client.force_login(manager)
    return client


def test_a_key_is_shown_in_the_answer_that_made_it_and_never_again(maya, manager):
    made = maya.post("/account/keys/", WANTED)

    (plain,) = re.findall(r"og_[0-9a-f]{10}_[\w-]{20,}", made.content.decode())
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    assert find_api_key(plain).user == manager
    assert find_api_key(plain).scopes == ["book:read", "models:read"]
    again = maya.get("/account/keys/").content.decode()
    assert plain not in again
    assert plain[:13] in again
    assert "in force" in again


@pytest.mark.parametrize("change", [{"name": " "}, {"days": "0"}, {"days": "366"}, {"scopes": []}, {"scopes": ["all"]}])
def test_a_key_that_cannot_be_meant_is_not_made(maya, change):
    refused = maya.post("/account/keys/", WANTED | change)

    assert refused.status_code == 422
    assert f'id="id_{next(iter(change))}_error"' in refused.content.decode()
    assert not ApiKey.objects.exists()


def test_a_revoked_key_opens_nothing_at_once_and_stays_on_the_page(maya, manager):
    key, plain = create_api_key(user=manager, name="old", scopes=["book:read"], days=5)

    page = maya.post(f"/account/keys/{key.pk}/revoke/", follow=True).content.decode()

    assert find_api_key(plain) is None
    assert "revoked" in page
    assert f"/account/keys/{key.pk}/revoke/" not in page


def test_nobody_sees_or_revokes_the_keys_of_another(maya, approver):
    key, plain = create_api_key(user=approver, name="of Tom", scopes=["book:read"], days=5)

    assert "of Tom" not in maya.get("/account/keys/").content.decode()
    assert maya.post(f"/account/keys/{key.pk}/revoke/").status_code == 404
    assert find_api_key(plain) == key


def test_keys_are_for_people_who_signed_in(db, manager, client):
    _, plain = create_api_key(user=manager, name="k", scopes=["book:read"], days=5)
    assert client.get("/account/keys/", headers={"X-API-Key": plain})["Location"].startswith("/signin/")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(manager)
    assert strict.post("/account/keys/", WANTED).status_code == 403
