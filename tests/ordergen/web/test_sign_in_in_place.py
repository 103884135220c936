"""A sign-in that ends in the middle of an edit: the password is asked in place, and nothing that was typed is lost."""

# ruff: noqa: F811  fixtures by name

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page, expect

from models_app.models import ModelVersion
from ordergen.accounts.models import SignIn
from rebalance_app.models import Order
from rebalance_app.runs.launch import run_launch
from tests.ordergen.web.test_in_a_browser import browser, live_server, opened  # noqa: F401  fixtures

PASSWORD = "plough-copper-lantern"
browsing = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def maya(manager, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    manager.set_password(PASSWORD)
    manager.save()
    return manager


def sign_in_ends() -> None:
    SignIn.objects.update(ended_at=timezone.now())


def editing(page: Page, model_id: str) -> Page:
    page.goto(f"/models/{model_id}/edit/")
    page.fill("#reason", "typed before the end")
    page.wait_for_load_state("networkidle")  # the form is checked while it is typed
    return page


def last_reason(model_id: str) -> str:
    return ModelVersion.objects.filter(model_id=model_id).latest("version").reason


class TestInABrowser:
    pytestmark = browsing

    def test_a_part_of_a_page_waits_for_the_password_and_then_comes(self, opened, book, maya):
        page = editing(opened(maya), book.model.pk)
        sign_in_ends()
        with page.expect_response(lambda answer: answer.status == 401):
            page.fill("#low-0", "0.1")
        expect(page.locator("#signin")).to_be_visible()
        assert page.evaluate("document.activeElement.id") == "signin-password"
        page.keyboard.type("not my password")
        page.keyboard.press("Enter")
        expect(page.locator("#signin [data-refusal]")).to_contain_text("do not belong together")
        page.fill("#signin-password", PASSWORD)
        with page.expect_response(lambda answer: "/check/" in answer.url and answer.status == 200):
            page.keyboard.press("Enter")
        expect(page.locator("#signin")).to_be_hidden()
        assert page.input_value("#reason") == "typed before the end"
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_url(f"**/models/{book.model.pk}/")
        assert last_reason(book.model.pk) == "typed before the end"
        assert [said for said in page.said if "401" not in said and "422" not in said] == []

    def test_a_form_waits_for_the_password_and_is_then_sent_once(self, opened, book, maya):
        page = editing(opened(maya, 390), book.model.pk)
        before = ModelVersion.objects.count()
        sign_in_ends()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("#signin")).to_be_visible()
        page.get_by_role("button", name="Not now").click()
        assert page.input_value("#reason") == "typed before the end"
        page.get_by_role("button", name="Save", exact=True).click()
        page.fill("#signin-password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/models/{book.model.pk}/")
        assert last_reason(book.model.pk) == "typed before the end"
        assert ModelVersion.objects.count() == before + 1

    def test_an_approval_waits_for_a_password_that_was_given_a_while_ago(
        self, opened, book, maya, approver, run_worker
    ):
        run_worker(run_launch(by=maya, model_id=book.model.pk))
        approver.set_password(PASSWORD)
        approver.save()
        page = opened(approver)
        page.goto("/orders/")
        SignIn.objects.update(confirmed_at=timezone.now() - timedelta(minutes=11))
        page.check("tbody .pick input >> nth=0")
        page.click("text=Approve…")
        page.fill("#id_comment", "looked at")
        page.click("#dialog button[type=submit]")
        expect(page.locator("#signin")).to_contain_text("a while since you gave your password")
        assert not Order.objects.filter(state="approved").exists()
        page.fill("#signin-password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector(".banner.success")
        assert Order.objects.filter(state="approved").count() == 1

    def test_without_script_the_form_is_kept_over_the_sign_in(self, opened, book, maya):
        page = editing(opened(maya, script=False), book.model.pk)
        sign_in_ends()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("main")).to_contain_text("Your sign-in has ended. Nothing was changed yet")
        assert page.input_value("#id_username") == "maya"
        page.fill("#id_password", "wrong")
        page.get_by_role("button", name="Sign in").click()
        page.fill("#id_password", PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.click("summary")
        expect(page.locator("dl.kv")).to_contain_text("typed before the end")
        page.get_by_role("button", name="Send it now").click()
        page.wait_for_url(f"**/models/{book.model.pk}/")
        assert last_reason(book.model.pk) == "typed before the end"


@pytest.fixture
def signed_out(maya) -> Client:
    """Maya's browser after her sign-in has ended."""
    client = Client()
    client.force_login(maya)
    sign_in_ends()
    return client


def test_a_password_and_a_file_are_not_kept(signed_out):
    form = {
        "old_password": "secret-old",
        "new_password": "secret-new",
        "new_password_again": "secret-new",
        "name": 'a "name" & <b>',
    }
    page = signed_out.post("/account/keys/", form)

    assert page.status_code == 401
    assert b"secret" not in page.content
    assert (
        "&quot;name&quot;" in page.content.decode() or "\\&quot;name\\&quot; &amp; &lt;b&gt;" in page.content.decode()
    )


def test_a_part_of_a_page_is_answered_401_and_a_page_leads_to_the_sign_in(signed_out):
    part = signed_out.get("/models/", headers={"HX-Request": "true"})
    page = signed_out.get("/models/?sort=name")

    assert (part.status_code, part["X-Sign-In"], part.content) == (401, "ended", b"")
    assert (page.status_code, page["Location"]) == (302, "/signin/?next=/models/%3Fsort%3Dname")


@pytest.mark.parametrize(
    "kept",
    [
        '["https://evil.example/", [["a", "b"]]]',
        '["//evil.example/", [["a", "b"]]]',
        '["javascript:alert(1)", []]',
        '["/models/", [["a"]]]',
        '["/models/", {"a": 1}]',
        '["/models/", [["a", 5]]]',
        "[" * 100_000,
        "NaN",
        "",
    ],
)
def test_what_is_kept_is_sent_to_this_site_only_and_read_strictly(client, maya, kept):
    entered = client.post("/signin/", {"username": "maya", "password": PASSWORD, "kept": kept})
    assert (entered.status_code, entered["Location"]) == (302, "/")


def test_what_is_kept_is_shown_and_not_run(client, maya):
    kept = json.dumps(["/models/new/", [["name", "<script>alert(1)</script>"], ["name", '"><img src=x>']]])
    page = client.post("/signin/", {"username": "maya", "password": PASSWORD, "kept": kept}).content.decode()

    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert page.count('name="name"') == 2


def test_a_form_of_another_site_is_refused_before_anything_of_it_is_kept(maya):
    strict = Client(enforce_csrf_checks=True)
    refused = strict.post("/models/new/", {"name": "of another site"})
    assert refused.status_code == 403
    assert b"of another site" not in refused.content


def test_before_a_form_is_sent_it_can_be_asked_whether_it_would_be_taken(client, maya, signed_out):
    client.force_login(maya)
    assert client.get("/signin/still/?to=/models/new/").status_code == 204
    assert signed_out.get("/signin/still/?to=/models/new/").status_code == 401
    assert client.get("/signin/still/", {"to": "//\x00[" * 500}).status_code in (204, 422)
