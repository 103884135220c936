"""An administrator in charge of people: on a page and by command, at once, and never without another administrator."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from ordergen.accounts.models import SignIn, User
from ordergen.accounts.services import person_disable, person_enable, roles_change, user_create
from ordergen.apis.auth import service_user
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, NotAllowedError
from ordergen.ops.cli import main
from tests.callers import Api

PASSWORD = "plough-copper-lantern"
BUTTONS = ("disable", "enable", "sign-out", "password", "roles")


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def admin(person) -> User:
    return person("admin", name="daniel")


@pytest.fixture
def desk(admin) -> Client:
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def maya(db) -> User:
    return user_create(username="maya", password=PASSWORD, roles=["manager"])


def signed_in(user: User, password: str = PASSWORD) -> Client:
    client = Client()
    client.post("/signin/", {"username": user.username, "password": password})
    return client


def press(desk: Client, person: User, button: str, **form: object):
    return desk.post(f"/settings/people/{person.pk}/{button}/", form)


def test_the_list_says_who_may_do_what_and_how_they_are_in(desk, maya, key_for):
    signed_in(maya)
    key_for(maya)
    page = desk.get("/settings/people/").content.decode()

    row = re.search(r"<tr>\s*<th scope=\"row\"><a [^>]+>maya</a>.*?</tr>", page, re.DOTALL)[0]
    assert "Portfolio manager" in row
    assert re.findall(r'<td class="num">(\d+)</td>', row) == ["1", "1"]


def test_somebody_new_signs_in_with_the_password_that_is_shown_once_and_chooses_another_first(desk):
    made = desk.post("/settings/people/new/", {"username": "rosa", "roles": ["approver", "viewer"]})
    (once,) = re.findall(r"\b[0-9a-f]{6}(?:-[0-9a-f]{6}){3}\b", made.content.decode())
    rosa = User.objects.get(username="rosa")
    client = signed_in(rosa, once)

    assert made.status_code == 201
    assert once not in desk.get(f"/settings/people/{rosa.pk}/").content.decode()
    assert client.get("/models/")["Location"] == "/account/password/"
    assert client.get("/models/", headers={"HX-Request": "true"})["HX-Redirect"] == "/account/password/"
    assert client.get("/api/v2/me").status_code == 403
    client.post("/account/password/", {"old_password": once, "new_password": PASSWORD, "new_password_again": PASSWORD})
    assert client.get("/models/").status_code == 200
    assert AuditEvent.objects.get(action="user.created").actor == "daniel"


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"username": "", "roles": ["viewer"]}, "username"),
        ({"username": "MAYA", "roles": ["viewer"]}, "username"),
        ({"username": "mаya", "roles": ["viewer"]}, "username"),
        ({"username": "ma\x00ya", "roles": ["viewer"]}, "username"),
        ({"username": "rosa", "roles": []}, "roles"),
        ({"username": "rosa", "roles": ["root"]}, "roles"),
    ],
)
def test_somebody_who_cannot_be_is_refused_at_the_field(desk, maya, form, field):
    refused = desk.post("/settings/people/new/", form)
    assert refused.status_code == 422
    assert f'id="id_{field}_error"' in refused.content.decode()
    assert User.objects.count() == 2


def test_who_is_disabled_is_out_at_once_in_the_middle_of_a_session_with_a_key_in_use(desk, maya, key_for, no_files):
    browser, program = signed_in(maya), Api("/api/v2", **{"X-API-Key": key_for(maya)})
    assert (browser.get("/models/").status_code, program.get("/models").status_code) == (200, 200)

    press(desk, maya, "disable")

    assert (browser.get("/models/").status_code, program.get("/models").status_code) == (302, 401)
    assert signed_in(maya).get("/models/").status_code == 302
    press(desk, maya, "enable")
    assert (browser.get("/models/").status_code, program.get("/models").status_code) == (302, 401), "nothing revives"
    assert signed_in(maya).get("/models/").status_code == 200
    actions = (
        AuditEvent.objects.filter(object_id=maya.pk, actor="daniel").order_by("seq").values_list("action", flat=True)
    )
    assert list(actions) == ["user.disabled", "user.enabled"]
    assert AuditEvent.objects.filter(action="api_key.revoked", actor="daniel").count() == 1


def test_other_roles_hold_from_the_next_request_on_for_pages_and_keys(desk, maya, key_for, no_files):
    browser, program = signed_in(maya), Api("/api/v2", **{"X-API-Key": key_for(maya)})
    assert browser.get("/audit/").status_code == 403

    press(desk, maya, "roles", roles=["auditor"], seen="manager")

    assert browser.get("/audit/").status_code == 200
    assert program.get("/audit").status_code == 200
    assert program.post("/models", {"name": "x"}).status_code in (403, 422)
    event = AuditEvent.objects.get(action="user.roles_changed")
    assert (event.summary, event.detail) == ("maya: manager → auditor", {"before": ["manager"], "after": ["auditor"]})


def test_roles_that_somebody_else_changed_meanwhile_are_looked_at_again(desk, maya):
    roles_change(person=maya, roles=["viewer"], by=None)
    assert press(desk, maya, "roles", roles=["manager", "approver"], seen="manager").status_code == 409
    maya.refresh_from_db()
    assert maya.roles == ["viewer"]


def test_an_administrator_signs_somebody_out_and_revokes_their_key(desk, maya, key_for, no_files):
    browser, program = signed_in(maya), Api("/api/v2", **{"X-API-Key": key_for(maya)})
    press(desk, maya, "sign-out")
    assert browser.get("/models/").status_code == 302
    assert program.get("/models").status_code == 200
    press(desk, maya, f"keys/{maya.api_keys.get().pk}/revoke")
    assert program.get("/models").status_code == 401


def test_a_password_that_was_lost_is_replaced_by_one_for_once(desk, maya):
    browser = signed_in(maya)
    page = press(desk, maya, "password").content.decode()
    (once,) = re.findall(r"\b[0-9a-f]{6}(?:-[0-9a-f]{6}){3}\b", page)
    assert browser.get("/models/").status_code == 302
    assert signed_in(maya).get("/models/").status_code == 302, "the old one is over"
    assert signed_in(maya, once).get("/models/")["Location"] == "/account/password/"
    assert once not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize("role", ["viewer", "manager", "approver", "auditor"])
def test_nobody_but_an_administrator_sees_or_changes_people(person, maya, role):
    client = Client()
    client.force_login(person(role))
    assert "/settings/people/" not in client.get("/help/").content.decode()
    for path in ("", "new/", f"{maya.pk}/"):
        assert client.get(f"/settings/people/{path}").status_code == 403
    for button in BUTTONS:
        assert press(client, maya, button).status_code == 403
    assert User.objects.get(pk=maya.pk).is_active


def test_what_cannot_be_undone_wants_the_password_again(desk, maya):
    SignIn.objects.update(confirmed_at=timezone.now() - timedelta(minutes=11))
    for button in BUTTONS:
        assert press(desk, maya, button).status_code == 401, button
    assert desk.post("/settings/people/new/", {"username": "rosa", "roles": ["admin"]}).status_code == 401
    assert User.objects.count() == 2


def test_nobody_changes_their_own_rights(desk, admin):
    for button in ("disable", "roles", "password"):
        assert press(desk, admin, button, roles=["admin", "approver"], seen="admin").status_code == 403
    admin.refresh_from_db()
    assert (admin.roles, admin.is_active) == (["admin"], True)


def test_the_last_administrator_stays_one_by_every_door(admin, maya, capsys):
    with pytest.raises(ConflictError):
        roles_change(person=admin, roles=["viewer"], by=None)
    with pytest.raises(ConflictError):
        person_disable(person=admin, by=None)
    assert main(["people", "disable", "daniel"]) == 1
    assert main(["people", "roles", "daniel", "viewer"]) == 1
    assert capsys.readouterr().err.count("This is the last administrator") == 2
    admin.refresh_from_db()
    assert (admin.roles, admin.is_active) == (["admin"], True)
    assert not AuditEvent.objects.filter(object_id=admin.pk).exists()


def test_whom_the_open_api_acts_as_is_nobody_to_sign_in_or_to_be_promoted(admin, desk):
    service = service_user()
    assert "/settings/people/" + service.pk not in desk.get("/settings/people/").content.decode()
    assert press(desk, service, "password").status_code == 403
    assert press(desk, service, "roles", roles=["approver"], seen="manager").status_code == 403


@pytest.mark.parametrize("path", ["", "roles/", "disable/", "keys/x/revoke/"])
def test_somebody_who_is_not_there_is_not_found(desk, path):
    address = f"/settings/people/{'f' * 24}/{path}"
    assert (desk.post(address) if path else desk.get(address)).status_code == 404


def test_the_command_does_what_the_page_does(admin, maya, key_for, capsys):
    key_for(maya)
    browser = signed_in(maya)
    assert main(["people", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["maya"]["roles"], rows["maya"]["signed_in"], rows["maya"]["keys"]) == (["manager"], 1, 1)

    assert main(["people", "revoke-keys", "MAYA"]) == 0
    assert main(["people", "sign-out", "maya"]) == 0
    assert main(["people", "roles", "maya", "viewer", "auditor"]) == 0
    assert main(["people", "disable", "maya"]) == 0
    assert main(["people", "enable", "maya"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 keys of maya are revoked"
    assert said[2] == "maya: auditor, viewer"
    assert browser.get("/models/").status_code == 302
    assert main(["people", "new-password", "maya"]) == 0
    once = capsys.readouterr().out.strip()
    assert signed_in(maya, once).get("/models/")["Location"] == "/account/password/"
    assert main(["people", "list"]) == 0
    assert "auditor,viewer" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["disable", "nobody"], ["roles", "maya", "root"], ["roles", "nobody"]])
def test_the_command_says_in_one_line_what_it_cannot_do(maya, admin, capsys, arguments):
    assert main(["people", *arguments]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_who_was_an_administrator_when_the_page_was_opened_is_asked_again(admin, person, maya):
    other = person("admin", name="dora")
    roles_change(person=admin, roles=["viewer"], by=other)
    stale = User.objects.get(pk=admin.pk)
    stale.roles = ["admin"]
    for deed in (person_disable, person_enable):
        with pytest.raises(NotAllowedError):
            deed(person=maya, by=stale)
