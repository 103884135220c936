"""The pages of people and of one's own account in a real Chromium: they fit, and all can read them."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.ordergen.web.test_in_a_browser import WIDTHS, browser, live_server, opened  # noqa: F401  fixtures

# ruff: noqa: F811  fixtures by name
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("width", "scheme"), [("wide", "dark"), ("narrow", "light")])
def test_every_page_fits_its_width_and_can_be_read_by_all(opened, person, key_for, width, scheme):
    admin, maya = person("admin", name="daniel"), person("manager", name="maya" * 8)
    key_for(maya)
    page = opened(admin, WIDTHS[width], scheme=scheme)
    for address in (
        "/settings/people/",
        "/settings/people/new/",
        f"/settings/people/{maya.pk}/",
        f"/settings/people/{admin.pk}/",
        "/account/sign-ins/",
        "/account/password/",
        "/account/authenticator/",
        "/account/keys/",
        "/help/people/",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{address} scrolls sideways"
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(address, v["id"], v["nodes"][0]["html"]) for v in found] == []
    assert page.said == []


def test_without_script_an_administrator_changes_roles_and_disables(opened, person):
    admin, maya = person("admin", name="daniel"), person("manager", name="maya")
    page = opened(admin, 390, script=False)
    page.goto("/settings/people/")
    page.click("text=maya")
    page.check("input[type=checkbox][value=viewer]")
    page.uncheck("input[type=checkbox][value=manager]")
    page.click("text=Change the roles")
    page.wait_for_selector(".banner.success")
    page.click("text=Disable")
    page.wait_for_selector("text=maya is disabled")
    maya.refresh_from_db()
    assert (maya.roles, maya.is_active) == (["viewer"], False)
