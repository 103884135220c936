"""The pages of runs and orders in a real Chromium: the policy holds, nothing is cut off, the keyboard is enough."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.db import connection
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from rebalance_app.models import Order, Rebalance
from rebalance_app.runs.launch import run_launch
from tests.browser import CHROMIUM_FLAGS, PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDTHS = {"wide": 1440, "narrow": 390}
DRAWN = """document.fonts.status === "loaded" &&
  [...document.querySelectorAll("[data-figure]")].every((figure) => figure.querySelector(".main-svg"))"""
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def browser(chromium, monkeypatch) -> Iterator[Browser]:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's loop runs in the thread of the test
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
        connection.close()  # while the loop runs, Django has this thread use another connection than without it


@pytest.fixture
def live_server(own_connections) -> Iterator[LiveServer]:
    """Answers a page that asks by itself while the test writes, so the two do not share a connection."""
    server = LiveServer("localhost")
    yield server
    server.stop()


@pytest.fixture
def opened(browser, live_server, client):
    """`opened(user, width, script=…)` is a page of a signed-in person; what the console says is in `page.said`."""

    def make(user, width: int = 1440, *, script: bool = True, scheme: str = "light") -> Page:
        client.force_login(user)
        context = browser.new_context(
            base_url=live_server.url,
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            color_scheme=scheme,
        )
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
        page = context.new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        return page

    return make


@pytest.fixture
def run(book, manager, run_worker):
    return run_worker(run_launch(by=manager, model_id=book.model.pk))


@pytest.mark.parametrize(("width", "scheme"), [("wide", "light"), ("wide", "dark"), ("narrow", "light")])
def test_every_page_keeps_the_policy_fits_its_width_and_can_be_read_by_all(opened, run, person, width, scheme):
    both = person("manager", "approver", name="both")
    waiting = run_launch(by=both, model_id=run.model_id)
    harbour = run.portfolios.get(portfolio_name="Harbour")
    page = opened(both, WIDTHS[width], scheme=scheme)
    for address in (
        "/rebalances/",
        f"/rebalances/new?model={run.model_id}",
        f"/rebalances/{waiting.pk}/",
        f"/rebalances/{run.pk}/",
        f"/rebalances/{run.pk}/portfolios/{harbour.portfolio_id}/",
        "/orders/",
        f"/orders/{Order.objects.first().pk}/",
    ):
        page.goto(address)
        page.wait_for_function(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{address} scrolls sideways"
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        assert [(address, v["id"], v["nodes"][0]["html"]) for v in found] == []
    assert page.said == []


def test_the_widest_tables_fit_with_the_figures_of_a_large_book(opened, run, manager):
    """Runs at 1280, positions of a proposal at 1440 pixels, filled in by hand: such a book takes minutes to make."""
    fill = """texts => document.querySelectorAll("table.dense tbody tr:not(.group)").forEach(
        row => Object.entries(texts).forEach(([place, text]) => row.cells[place].textContent = text))"""
    fits = "[...document.querySelectorAll('.scroll')].every(region => region.scrollWidth <= region.clientWidth)"
    Rebalance.objects.update(
        model_name="Global Balanced Growth and Income 20", n_portfolios=10_000, n_solved=9_900, n_orders=10**6
    )
    page = opened(manager, 1280)
    page.goto("/rebalances/")
    page.evaluate(fill, {10: " Featherstonehaugh", 12: "12 min 34 s", 9: "1,000,000"})
    assert "With failures" in page.inner_text("main")
    assert page.evaluate(fits)

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"/rebalances/{run.pk}/portfolios/{run.portfolios.get(portfolio_name='Harbour').portfolio_id}/")
    large = {
        2: "12,345",
        3: "1,234.56",
        4: "1,234,567.89",
        5: "123,456",
        6: "123,456",
        13: "Under its band, stopped by its band",
    }
    page.evaluate(fill, large)
    assert page.evaluate(fits)


def test_an_approver_needs_only_the_keyboard_to_select_and_approve(opened, run, approver):
    page = opened(approver)
    page.goto("/orders/")
    for key in "jxjx":
        page.keyboard.press(key)
    assert page.text_content("[data-chosen]") == "2 selected"
    page.focus("text=Approve…")
    page.keyboard.press("Enter")
    page.wait_for_selector("#dialog[open]")
    assert page.evaluate("document.activeElement.id") == "id_comment"
    page.keyboard.type("Checked; g r j x ? are only letters here")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".banner.success")
    assert Order.objects.filter(state="approved").count() == 2
    assert page.said == []


def test_on_a_slow_machine_a_page_leaves_the_focus_where_the_first_keys_put_it(opened, run, approver):
    page = opened(approver)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 20})
    page.goto("/orders/")
    page.keyboard.press("j")
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert page.evaluate("document.activeElement.closest('tbody tr') !== null")
    assert page.said == []
    page.keyboard.press("?")
    assert page.evaluate("document.activeElement.id") == "keys-title"


def test_two_keys_typed_quickly_lead_on_although_the_page_comes_to_the_second_one_late(opened, run, approver):
    page = opened(approver)
    page.goto("/orders/")
    page.evaluate("""() => {
        const pressed = (key) => new KeyboardEvent("keydown", { key, bubbles: true });
        document.body.dispatchEvent(pressed("g"));
        const second = pressed("m"), until = performance.now() + 2000;
        while (performance.now() < until);
        document.body.dispatchEvent(second);
    }""")
    page.wait_for_url("**/models/", timeout=10_000)
    assert page.said == []


def test_without_script_an_approver_approves_and_the_menu_opens(opened, run, approver):
    page = opened(approver, 390, script=False)
    page.goto("/orders/")
    page.click(".open-rail")
    page.click("nav.rail >> text=Orders")
    page.check("tbody .pick input >> nth=0")
    page.click("text=Approve…")
    expect(page.locator("main")).to_contain_text("Approve 1 order?")
    page.click("main button[type=submit]")
    page.wait_for_selector(".banner.success")
    assert Order.objects.filter(state="approved").count() == 1


def test_a_run_page_becomes_the_result_by_itself(opened, book, manager, run_worker):
    waiting = run_launch(by=manager, model_id=book.model.pk)
    page = opened(manager)
    page.goto(f"/rebalances/{waiting.pk}/")
    assert "0 of 3" in page.text_content("#progress")
    run_worker(waiting)
    page.wait_for_selector("text=Completed with failures")
    assert page.said == []


def test_the_theme_stays_as_chosen_and_the_charts_follow(opened, run, manager):
    page = opened(manager)
    harbour = run.portfolios.get(portfolio_name="Harbour")
    page.goto(f"/rebalances/{run.pk}/portfolios/{harbour.portfolio_id}/")
    label, ink = page.locator(".xtick text").first, "label => getComputedStyle(label).fill"
    light = label.evaluate(ink)
    page.click("[data-theme-toggle]")
    expect(label).not_to_have_css("fill", light)
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert label.evaluate(ink) != light
