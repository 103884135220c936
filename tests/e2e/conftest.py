"""The demo, served by its supervisor with a real worker, and a real browser in front of it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import CHROMIUM_FLAGS, PATIENCE
from tests.site import Site, eventually, free_port

expect.set_options(timeout=PATIENCE)


@dataclass
class Demo:
    site: Site
    address: str
    password: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Iterator[Demo]:
    """`ordergen demo` in a place of its own, as `make demo` runs it."""
    site = Site(tmp_path_factory.mktemp("demo"), OPTIMIZATION_TIMEOUT="10")
    port = free_port()
    site.start("demo", "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(address), 300)
    yield Demo(site, address, (site.home / "demo-password").read_text())
    site.stop()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health/live", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


class Visitor:
    """Somebody at a browser of their own. What the browser complains about is kept in `complaints`."""

    def __init__(self, context: BrowserContext, demo: Demo) -> None:
        self.demo = demo
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def open(self, path: str) -> Page:
        self.page.goto(self.demo.address + path)
        return self.page

    def sign_in(self, name: str) -> Page:
        page = self.open("/signin/")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(self.demo.password)
        page.keyboard.press("Enter")
        page.wait_for_url(self.demo.address + "/")
        return page


@pytest.fixture
def visitor(browser: Browser, demo: Demo) -> Iterator:
    """Makes visitors: `visitor()`, `visitor(color_scheme="dark")`, `visitor(java_script_enabled=False)`."""
    contexts = []

    def make(**options) -> Visitor:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        return Visitor(context, demo)

    yield make
    for context in contexts:
        context.close()
