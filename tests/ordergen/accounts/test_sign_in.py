"""Signing in: who guesses is stopped, whoever is refused learns nothing, and the audit trail knows."""

from __future__ import annotations

import time
from datetime import timedelta
from statistics import median

import pytest
from django.contrib.auth.hashers import make_password
from django.db.models import F
from django.test import Client

from ordergen.accounts.models import SignIn, Throttle, User
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link

RIGHT = "plough-copper-lantern"
WRONG = "plough-copper-lanterm"


@pytest.fixture(autouse=True)
def _quick_hashes(settings, request):
    """But where the time is what is tested."""
    if "time" not in request.node.name:
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def maya(person) -> User:
    maya = person("manager", name="maya")
    maya.set_password(RIGHT)
    maya.save()
    return maya


def tries(name: str, password: str, *, address: str = "10.1.1.1", **headers: str):
    return Client(REMOTE_ADDR=address).post("/signin/", {"username": name, "password": password}, headers=headers)


def later(minutes: int) -> None:
    """So many minutes pass for everything that was counted."""
    Throttle.objects.update(ends_at=F("ends_at") - timedelta(minutes=minutes))


def test_the_right_password_lets_in_and_a_wrong_one_does_not(maya):
    assert tries("maya", WRONG).status_code == 422
    entered = tries("maya", RIGHT)

    assert (entered.status_code, entered["Location"]) == (302, "/")
    assert entered.cookies["sessionid"].value


@pytest.mark.parametrize("name", ["MAYA", "Maya", "ｍａｙａ"])
def test_a_name_is_the_same_in_any_case_and_width(maya, name):
    assert tries(name, RIGHT).status_code == 302


def test_after_five_wrong_passwords_the_right_one_is_refused_from_anywhere_for_a_while(maya):
    for at in range(5):
        assert tries(["maya", "MAYA"][at % 2], WRONG, address=f"10.1.1.{at}").status_code == 422
    refused = tries("maya", RIGHT, address="10.9.9.9")

    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 15 * 60
    later(minutes=15)
    assert tries("maya", RIGHT, address="10.9.9.9").status_code == 302


def test_fifty_tries_with_made_up_forwarded_addresses_are_fifty_tries_from_one_address(maya):
    answers = [tries(f"name{at}", WRONG, X_Forwarded_For=f"172.16.0.{at}").status_code for at in range(50)]

    assert answers == [422] * 20 + [429] * 30
    assert tries("maya", RIGHT).status_code == 429, "the address is stopped"
    assert tries("maya", RIGHT, address="10.2.2.2").status_code == 302, "the person is not"


def test_behind_a_proxy_that_is_trusted_the_address_is_the_one_that_it_saw(maya, settings):
    settings.TRUST_PROXY = True
    for at in range(20):
        tries(f"name{at}", WRONG, X_Forwarded_For=f"1.2.3.{at}, 192.0.2.7")

    assert tries("maya", RIGHT, X_Forwarded_For="9.9.9.9, 192.0.2.7").status_code == 429
    assert tries("maya", RIGHT, X_Forwarded_For="192.0.2.7, 192.0.2.8").status_code == 302


def test_all_addresses_of_one_ipv6_network_are_one_place(maya):
    for at in range(20):
        tries(f"name{at}", WRONG, address=f"2001:db8:0:1::{at:x}")

    assert tries("maya", RIGHT, address="2001:db8:0:1:ffff::1").status_code == 429
    assert tries("maya", RIGHT, address="2001:db8:0:2::1").status_code == 302


def test_who_signs_in_has_all_tries_again_and_the_address_none_less(maya):
    for _ in range(6):
        assert [tries("maya", WRONG).status_code for _ in range(2)] == [422, 422]
        assert tries("maya", RIGHT).status_code == 302


def test_nobody_can_tell_from_the_answer_whether_a_name_is_somebody_s(maya, person):
    gone = person("manager", name="gone")
    gone.set_password(RIGHT)
    gone.is_active = False
    gone.save()

    seen = {}
    for name, password in (("maya", WRONG), ("gone", RIGHT), ("nobody-has-this", WRONG)):
        answers = [tries(name, password, address=f"10.{at}.1.1") for at in range(7)]
        texts = [answer.content.decode().replace(name, "NAME") for answer in answers]
        seen[name] = [
            (answer.status_code, text.partition("<form")[0]) for answer, text in zip(answers, texts, strict=True)
        ]
    assert [status for status, _ in seen["maya"]] == [422] * 5 + [429] * 2
    assert seen["maya"] == seen["gone"] == seen["nobody-has-this"]
    assert len({text for _, text in seen["maya"]}) == 1, "refused for now and wrong are told in the same words"


@pytest.mark.parametrize("kind", ["nobody", "disabled", "without a password", "tried too often"])
def test_nobody_can_tell_from_the_time_either(maya, kind):
    """Each is refused after one hash, which is nearly all of the time that a wrong password takes."""
    if kind == "disabled":
        User.objects.filter(pk=maya.pk).update(is_active=False)
    if kind == "without a password":
        User.objects.filter(pk=maya.pk).update(password=make_password(None))
    if kind == "tried too often":
        for _ in range(5):
            tries("maya", WRONG)
    name = "nobody" if kind == "nobody" else "maya"
    hashing = _seconds(lambda _: make_password(WRONG))

    spent = _seconds(lambda at: tries(name, WRONG, address=f"10.{at}.3.3"), times=4)

    assert hashing * 0.8 < spent < hashing * 2 + 0.1


def _seconds(what, times: int = 3) -> float:
    spent = []
    for at in range(times):
        started = time.process_time()
        what(at)
        spent.append(time.process_time() - started)
    return median(spent)


def test_the_audit_trail_has_sign_ins_failures_refusals_and_sign_outs_but_no_password(maya):
    client = Client(REMOTE_ADDR="10.1.1.1", headers={"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"})
    for _ in range(5):
        client.post("/signin/", {"username": "maya", "password": WRONG})
    later(15)
    client.post("/signin/", {"username": "maya", "password": RIGHT})
    client.get("/audit/")
    client.get("/audit/")
    client.post("/signout/")

    events = list(AuditEvent.objects.order_by("seq"))
    assert [event.action for event in events] == [
        *["sign_in.failed"] * 5, "sign_in.locked", "signed_in", "access.refused", "signed_out",
    ]  # fmt: skip
    assert {event.object_id for event in events} == {maya.pk}
    assert {event.detail["address"] for event in events} == {"10.1.1.1"}
    assert [event.actor for event in events[-4:]] == ["system", "maya", "maya", "maya"]
    assert events[-2].summary == "maya was refused GET /audit/"
    assert RIGHT not in str(list(AuditEvent.objects.values()))
    assert WRONG not in str(list(AuditEvent.objects.values()))
    assert first_broken_link() is None


def test_of_a_name_that_nobody_has_the_trail_keeps_no_more_than_three_characters(db):
    tries("plough-copper-lantern", "x")
    tries("\x1b[31m\u202ered", "x")

    first, second = AuditEvent.objects.order_by("seq")
    assert first.summary == "Sign-in as plo… (21 characters) failed"
    assert second.summary.startswith("Sign-in as \N{REPLACEMENT CHARACTER}[3…")
    assert not Throttle.objects.filter(key__contains="plough").exists()


@pytest.mark.parametrize("name", ["", "x" * 5_000, "<script>alert(1)</script>", "ma\x00ya", "\ud800", "' OR 1=1 --"])
def test_a_hostile_name_is_an_ordinary_wrong_one(maya, name):
    assert tries(name.encode("utf-8", "replace").decode(), RIGHT).status_code == 422


def test_a_cookie_opens_nothing_after_the_sign_out_even_where_it_was_kept(maya):
    client = Client()
    client.force_login(maya)
    kept = client.cookies["sessionid"].value
    client.post("/signout/")

    thief = Client()
    thief.cookies["sessionid"] = kept
    assert thief.get("/models/").status_code == 302
    assert SignIn.objects.get().ended_at is not None


def test_a_session_has_another_id_after_the_sign_in_than_before(maya):
    client = Client()
    client.cookies["sessionid"] = "a" * 32
    client.post("/signin/", {"username": "maya", "password": RIGHT})
    assert client.cookies["sessionid"].value != "a" * 32


def test_guesses_elsewhere_do_not_keep_a_person_out_of_the_browser_that_knows_them(maya):
    mine, thief = Client(REMOTE_ADDR="10.5.5.5"), Client(REMOTE_ADDR="10.6.6.6")
    form = {"username": "Maya", "password": RIGHT}
    mine.post("/signin/", form)
    for _ in range(6):
        tries("maya", WRONG)
    assert mine.post("/signin/", form).status_code == 302, "the password given again, in the middle of a session"
    mine.post("/signout/")
    thief.cookies["known"] = mine.cookies["known"].value[:-5] + "-----"
    assert thief.post("/signin/", form).status_code == 429, "a cookie that is not ours"
    assert mine.post("/signin/", form).status_code == 302
    mine.post("/signout/")
    codes = [mine.post("/signin/", form | {"password": WRONG}).status_code for _ in range(6)]
    assert codes == [422] * 5 + [429], "who takes the cookie away has five tries"


def test_the_browser_of_one_person_has_no_tries_of_another(maya, person):
    tom = person("approver", name="tom")
    tom.set_password(RIGHT)
    tom.save()
    client = Client()
    client.post("/signin/", {"username": "maya", "password": RIGHT})
    client.post("/signout/")
    for _ in range(5):
        tries("tom", WRONG)
    assert client.post("/signin/", {"username": "tom", "password": RIGHT}).status_code == 429
