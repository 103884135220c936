"""A second factor: for who wants it, and for whom a role wants it."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from django.test import Client

from ordergen.accounts.models import Authenticator, SignIn, User
from ordergen.accounts.services import user_create
from ordergen.accounts.sign_in.authenticator import (
    STEP_SECONDS,
    authenticator_add,
    code_at,
    is_right,
    new_seed,
    secret_of,
)
from ordergen.audit.models import AuditEvent
from ordergen.ops.cli import main

PASSWORD = "plough-copper-lantern"


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def tom(db) -> User:
    return user_create(username="tom", password=PASSWORD, roles=["approver"])


def code(seed: str, steps: int = 0) -> str:
    return code_at(secret_of(seed), int(time.time()) // STEP_SECONDS + steps)


def with_app(user: User) -> str:
    """Gives the person an authenticator that was last used a minute ago; returns its seed."""
    seed = new_seed()
    authenticator_add(user=user, seed=seed, code=code(seed))
    Authenticator.objects.update(last_step=int(time.time()) // STEP_SECONDS - 3)
    return seed


def enters(name: str, given: str = "", password: str = PASSWORD) -> bool:
    form = {"username": name, "password": password, "code": given}
    return Client().post("/signin/", form).status_code == 302


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_standard(seconds, expected):
    """The last six of the eight digits in RFC 6238, appendix B."""
    assert code_at(b"12345678901234567890", seconds // STEP_SECONDS) == expected


def test_the_password_alone_no_longer_lets_in_and_the_code_alone_neither(tom):
    seed = with_app(tom)
    assert not enters("tom")
    assert not enters("tom", "000000")
    assert not enters("tom", code(seed), password="wrong")
    assert enters("tom", code(seed))


def test_a_code_is_used_once_and_none_older_after_it(tom):
    seed = with_app(tom)
    assert is_right(tom, code(seed))
    assert not is_right(tom, code(seed))
    assert not is_right(tom, code(seed, -1))


@pytest.mark.parametrize(("steps", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_the_telephone_s_clock_may_be_half_a_minute_off(tom, steps, fits, time_machine):
    time_machine.move_to(2_000_000_010, tick=False)
    seed = with_app(tom)
    assert is_right(tom, code(seed, steps)) == fits


@pytest.mark.parametrize("given", ["12345", "1234567", "abcdef", "", "１２３４５６", "x" * 500, "-00001", "12 34"])
def test_what_is_no_code_is_a_wrong_one(tom, given):
    with_app(tom)
    assert not is_right(tom, given)


def test_codes_are_guessed_no_more_often_than_passwords(tom):
    seed = with_app(tom)
    for at in range(5):
        assert not enters("tom", f"{at:06}")
    assert not enters("tom", code(seed))


def test_who_has_none_is_told_the_same_as_who_has_one(tom):
    user_create(username="rosa", password=PASSWORD, roles=["viewer"])
    with_app(tom)
    told = {
        name: Client().post("/signin/", {"username": name, "password": password}).content.decode().partition("<form")[0]
        for name, password in (("tom", PASSWORD), ("rosa", "wrong"), ("nobody", "wrong"))
    }
    assert len(set(told.values())) == 1


def test_the_database_alone_gives_no_codes_and_a_replaced_key_still_counts(tom, settings):
    seed = with_app(tom)
    given, old = code(seed), settings.SECRET_KEY
    settings.SECRET_KEY = "another key of more than fifty characters, as it has to be"
    assert not is_right(tom, given)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert is_right(tom, given)


def test_an_app_is_added_on_a_page_with_its_first_code(tom, client):
    client.force_login(tom)
    page = client.get("/account/authenticator/").content.decode()
    (secret,) = re.findall(r"secret=(\w+)&", page)
    seed = client.session["authenticator_seed"]
    assert client.post("/account/authenticator/", {"code": "000"}).status_code == 422
    assert client.get("/account/authenticator/").content.decode().count(secret) == 1, "it stays the same meanwhile"

    assert client.post("/account/authenticator/", {"code": code(seed)}).status_code == 302
    assert "Remove it" in client.get("/account/sign-ins/").content.decode()
    client.post("/account/authenticator/remove/")
    assert enters("tom")
    actions = AuditEvent.objects.filter(action__startswith="authenticator").order_by("seq")
    assert list(actions.values_list("action", flat=True)) == ["authenticator.added", "authenticator.removed"]


def test_a_role_that_wants_one_leads_there_first(tom, client, settings, no_files):
    settings.AUTHENTICATOR_ROLES = ["approver"]
    client.force_login(tom)
    assert client.get("/orders/")["Location"] == "/account/authenticator/"
    assert client.get("/api/v2/me").status_code == 403
    client.get("/account/authenticator/")
    client.post("/account/authenticator/", {"code": code(client.session["authenticator_seed"])})
    assert client.get("/orders/").status_code == 200
    client.post("/account/authenticator/remove/")
    assert client.get("/orders/")["Location"] == "/account/authenticator/"


def test_the_dialog_over_a_page_asks_for_the_code_of_who_has_an_app(tom, client):
    client.force_login(tom)
    assert 'id="signin-code"' not in client.get("/help/").content.decode()
    with_app(tom)
    assert 'id="signin-code"' in client.get("/help/").content.decode()


def test_an_administrator_helps_who_lost_the_app(tom, person, client, capsys):
    with_app(tom)
    client.force_login(person("admin"))
    client.post(f"/settings/people/{tom.pk}/authenticator/remove/")
    assert enters("tom")
    with_app(tom)
    assert main(["people", "remove-authenticator", "tom"]) == 0
    assert enters("tom")
    assert SignIn.objects.filter(user=tom).count() == 2


def test_a_role_that_there_is_not_is_refused_at_the_start(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "ordergen.ops.cli", "people", "list"],
        env={"ORDERGEN_HOME": str(tmp_path), "ORDERGEN_AUTHENTICATOR_ROLES": "approver,root", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "names 'root'" in ran.stderr
