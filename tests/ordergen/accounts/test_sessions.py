"""How long a sign-in lasts, where one is signed in, and one's own password."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from ordergen.accounts.models import SignIn, User
from ordergen.audit.models import AuditEvent
from rebalance_app.runs.launch import run_launch

PASSWORD = "plough-copper-lantern"
ANOTHER = "harbour-walnut-sextant"
CHANGE = {"old_password": PASSWORD, "new_password": ANOTHER, "new_password_again": ANOTHER}


@pytest.fixture(autouse=True)
def _quick_hashes(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def maya(manager) -> User:
    manager.set_password(PASSWORD)
    manager.save()
    return manager


def browser(user: User, device: str = "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0", **more) -> Client:
    signed_in = Client(headers={"User-Agent": device}, REMOTE_ADDR="192.0.2.1", **more)
    signed_in.post("/signin/", {"username": user.username, "password": PASSWORD})
    return signed_in


def is_in(client: Client) -> bool:
    return client.get("/help/").status_code == 200


def ago(**time: int) -> timezone.datetime:
    return timezone.now() - timedelta(**time)


def test_who_does_nothing_for_half_an_hour_is_signed_out(maya):
    client = browser(maya)
    SignIn.objects.update(seen_at=ago(minutes=29))
    assert is_in(client)
    assert SignIn.objects.get().seen_at > ago(minutes=1)
    SignIn.objects.update(seen_at=ago(minutes=31))
    assert not is_in(client)


def test_a_page_that_asks_by_itself_does_not_count_as_somebody_being_there(maya):
    client = browser(maya)
    SignIn.objects.update(seen_at=ago(minutes=29))
    assert client.get("/help/", headers={"X-By-Itself": "1"}).status_code == 200
    assert SignIn.objects.get().seen_at < ago(minutes=28)


def test_who_is_always_busy_gives_the_password_again_after_twelve_hours(maya):
    client = browser(maya)
    SignIn.objects.update(at=ago(hours=11, minutes=59))
    assert is_in(client)
    SignIn.objects.update(at=ago(hours=12, minutes=1))
    assert not is_in(client)


def test_a_busy_session_writes_nothing_for_a_minute(maya, django_assert_num_queries):
    client = browser(maya)
    before = SignIn.objects.get()
    is_in(client)
    assert SignIn.objects.get().seen_at == before.seen_at


def test_a_session_from_before_sign_ins_were_kept_asks_for_the_password(maya):
    client = browser(maya)
    session = client.session
    del session["sign_in"]
    session.save()
    assert not is_in(client)


def test_one_sees_where_one_is_signed_in_and_ends_it_elsewhere(maya):
    here, phone = browser(maya), browser(maya, "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/604.1")
    page = here.get("/account/sign-ins/").content.decode()
    assert page.index("Firefox on Windows") < page.index("this browser") < page.index("Safari on iPhone")
    assert "192.0.2.1" in page

    other = SignIn.objects.get(device__contains="iPhone")
    here.post("/account/sign-ins/end/", {"only": other.pk})
    assert (is_in(here), is_in(phone)) == (True, False)
    again = browser(maya, "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/604.1")
    here.post("/account/sign-ins/end/")
    assert (is_in(here), is_in(again)) == (True, False)
    assert AuditEvent.objects.filter(action="sessions.ended", actor="maya").count() == 2


def test_nobody_ends_the_sign_in_of_another(maya, approver):
    tom, mine = Client(), browser(maya)
    tom.force_login(approver)
    tom.post("/account/sign-ins/end/", {"only": SignIn.objects.get(user=maya).pk})
    assert is_in(mine)


def test_another_password_ends_every_other_sign_in_and_lets_in_from_now_on(maya):
    here, elsewhere = browser(maya), browser(maya)
    changed = here.post("/account/password/", CHANGE)

    assert changed.status_code == 302
    assert (is_in(here), is_in(elsewhere)) == (True, False)
    maya.refresh_from_db()
    assert maya.check_password(ANOTHER)
    event = AuditEvent.objects.get(action="password.changed")
    assert event.summary == "maya chose another password; 1 other sign-ins ended"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"old_password": "not this one"}, "old_password"),
        ({"new_password": "short", "new_password_again": "short"}, "new_password"),
        ({"new_password": "password1234", "new_password_again": "password1234"}, "new_password"),
        ({"new_password_again": "harbour-walnut-sextand"}, "new_password_again"),
        ({"new_password": PASSWORD, "new_password_again": PASSWORD}, "new_password"),
        ({"new_password": "x" * 5000, "new_password_again": "x" * 5000}, "new_password"),
        ({"new_password": "plough\x00copper-lantern", "new_password_again": ANOTHER}, "new_password"),
    ],
)
def test_a_password_that_is_not_to_be_is_refused_at_its_field(maya, change, field):
    client = browser(maya)
    refused = client.post("/account/password/", CHANGE | change)

    assert refused.status_code == 422
    assert f'id="id_{field}_error"' in refused.content.decode()
    assert PASSWORD not in refused.content.decode()
    maya.refresh_from_db()
    assert maya.check_password(PASSWORD)


def test_who_stands_at_an_open_browser_cannot_guess_the_present_password(maya):
    client = browser(maya)
    codes = [client.post("/account/password/", CHANGE | {"old_password": f"guess {n}"}).status_code for n in range(6)]
    assert codes == [422] * 5 + [429]
    assert client.post("/account/password/", CHANGE).status_code == 429


def test_a_key_needs_the_password_again_where_it_was_given_a_while_ago(maya):
    wanted = {"name": "nightly", "days": "30", "scopes": ["book:read"]}
    client = browser(maya)
    SignIn.objects.update(confirmed_at=ago(minutes=11))
    asked = client.post("/account/keys/", wanted)

    assert asked.status_code == 401
    assert "Your password, please" in asked.content.decode()
    assert not maya.api_keys.exists()
    assert client.get("/account/keys/").status_code == 200, "looking needs no password"
    kept = asked.context["kept"]
    on = client.post("/signin/", {"username": "maya", "password": PASSWORD, "kept": kept})
    assert "You can go on" in on.content.decode()
    assert SignIn.objects.count() == 1, "it is the same sign-in"
    assert client.post("/account/keys/", wanted).status_code == 201
    assert AuditEvent.objects.filter(action="sign_in.confirmed").count() == 1


def test_a_part_of_a_page_says_that_it_wants_the_password_again(maya):
    client = browser(maya)
    SignIn.objects.update(confirmed_at=ago(minutes=11))
    asked = client.post("/account/keys/", {}, headers={"HX-Request": "true"})
    assert (asked.status_code, asked["X-Sign-In"]) == (401, "confirm")
    assert client.get("/signin/still/?to=/account/keys/").status_code == 401
    assert client.get("/signin/still/?to=/models/new/").status_code == 204


def test_another_person_s_password_is_another_sign_in_and_confirms_nothing(maya, approver):
    approver.set_password(PASSWORD)
    approver.save()
    client = browser(maya)
    client.post("/signin/", {"username": approver.username, "password": PASSWORD})
    assert "tom" in client.get("/account/sign-ins/").content.decode()
    assert SignIn.objects.filter(user=approver).count() == 1


def test_decisions_and_limits_want_the_password_again(book, maya, approver, run_worker):
    run = run_worker(run_launch(by=maya, model_id=book.model.pk))
    order = run.orders.first()
    approver.set_password(PASSWORD)
    approver.save()
    client = browser(approver)
    SignIn.objects.update(confirmed_at=ago(minutes=11))
    for address in ("/orders/decision", f"/limits/model/{book.model.pk}/"):
        assert client.get("/signin/still/", {"to": address}).status_code == 401
        assert client.post(address, {"order": order.pk, "verdict": "approved"}).status_code == 401
    api = client.post("/api/v2/orders/decisions", {"order_ids": [order.pk]}, content_type="application/json")
    assert (api.status_code, api.json()["code"]) == (403, "confirm_password")
    order.refresh_from_db()
    assert order.state == "proposed"


def _views(patterns, prefix: str = "/"):
    for entry in patterns:
        address = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _views(entry.url_patterns, address)
        else:
            yield address, entry.callback


def test_no_page_is_open_to_everybody_but_those_that_are_named_here():
    """New views are closed by themselves; those of the APIs declare their need, which the tests of the APIs hold."""
    pages = [(address, view) for address, view in _views(get_resolver().url_patterns) if "api/v" not in address]
    is_open = sorted(address for address, view in pages if not getattr(view, "login_required", True))

    assert len(pages) > 40
    assert is_open == sorted([
        "/signin/", "/signin/still/", "/signout/", "/metrics", "/docs", "/redoc", "/openapi.json", "/health/",
        "/health/health", "/health/live", "/health/ready", "/^health(?:/.*)?$", "/^api(?:/.*)?$",
    ])  # fmt: skip
