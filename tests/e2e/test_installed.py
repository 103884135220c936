"""What `pip install` of the built wheel leads to, in an environment elsewhere: the demo, its pages, state in place.

Nothing is fetched: the environment finds what ordergen needs in the one that runs the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Demo, Visitor, answers
from tests.site import Site, eventually, free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = ("/", "/models/", "/portfolios/", "/rebalances/", "/orders/", "/import/", "/help/", "/account/keys/")
API_DOCUMENTS = ("/api/v1/docs", "/api/v2/docs")


@dataclass
class Installed:
    """An environment with the wheel in it, and the folder where its owner's programs keep their data."""

    wheel: Path
    environment: Path
    data: Path

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.environment)}))


def run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(source: Path, target: str, to: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", to, cwd=source)
    (built,) = to.glob("*.tar.gz" if target == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    """Built as a release is: the source distribution from the clone, and the wheel from nothing but that."""
    home = tmp_path_factory.mktemp("installed")
    with tarfile.open(build(ROOT, "sdist", home / "dist")) as archive:
        archive.extractall(home / "source", filter="data")
    (source,) = (home / "source").iterdir()
    made = Installed(build(source, "wheel", home / "dist"), home / "environment", home / "data")
    run(sys.executable, "-m", "venv", "--without-pip", made.environment)
    python = made.environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", made.wheel)
    (made.packages / "those_of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    return made


@pytest.fixture(scope="module")
def demo(installed: Installed, tmp_path_factory) -> Iterator[Demo]:
    """`ordergen demo`, typed in an empty folder by somebody who has set nothing."""
    site = Site(installed.data / "ordergen", XDG_DATA_HOME=str(installed.data))
    site.program = [str(installed.environment / "bin" / "ordergen")]
    site.folder = tmp_path_factory.mktemp("empty")
    site.log = site.folder.with_suffix(".log")
    del site.environment["ORDERGEN_HOME"]
    port = free_port()
    site.start("demo", "--port", str(port))
    address = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(address), 300)
    yield Demo(site, address, (site.home / "demo-password").read_text())
    site.stop()


def test_the_wheel_has_the_packages_with_their_pages_and_nothing_beside_them(installed):
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ordergen", "models_app", "rebalance_app"}
    assert {f"{package}/py.typed" for package in ("ordergen", "models_app", "rebalance_app")} <= set(names)
    for folder in ("templates", "static"):
        here = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {name.removeprefix("ordergen/assets/") for name in names if f"/assets/{folder}/" in name} == here
    licences = {name.split("/licenses/")[1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "static/vendor/inter/LICENSE", "static/vendor/plotly/LICENSE"}


@pytest.mark.browser
def test_an_installed_demo_shows_every_page_with_its_files(browser, demo):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    visitor = Visitor(context, demo)
    page = visitor.sign_in("maya")
    answered: dict[str, int] = {}
    page.on("response", lambda got: answered.update({got.url.removeprefix(demo.address): got.status}))
    reached = set(PAGES)
    for start in ("/models/", "/portfolios/", "/rebalances/", "/help/"):
        visitor.open(start)
        links = page.locator("main a[href^='/']").evaluate_all("all => all.map(a => a.getAttribute('href'))")
        reached |= {link.split("#")[0] for link in links[:8] if not link.startswith("/api/")}
    assert len(reached) > 25
    for path in sorted(reached):
        visitor.open(path)
        assert page.locator("h1").count() == 1, path
    visitor.open("/portfolios/")
    page.locator("tbody th a[href^='/portfolios/']").first.click()
    expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    for path in API_DOCUMENTS:
        visitor.open(path)
        expect(page.locator(".opblock").first).to_be_visible()
    assert {path: status for path, status in answered.items() if status >= 400} == {}
    assert {Path(path).suffix for path in answered if path.startswith("/static/")} >= {".css", ".js", ".svg", ".woff2"}
    assert visitor.complaints == []
    context.close()


def test_state_lies_in_the_owner_s_data_folder_and_nothing_is_written_elsewhere(installed, demo):
    assert (demo.site.home / "ordergen.sqlite3").stat().st_size > 0
    assert str(demo.site.home) in demo.site.log.read_text()
    assert list(demo.site.folder.iterdir()) == []
    assert not (installed.packages / "var").exists()


def test_state_that_an_earlier_release_left_among_the_packages_is_used_and_said(installed):
    """Also a new installation over it goes on with what is there; it is never begun anew without a word."""
    left = installed.packages / "var"
    left.mkdir()
    try:
        (left / "secret-key").write_text("k" * 60)
        inherited = {k: v for k, v in os.environ.items() if k not in {"ORDERGEN_HOME", "DATABASE_URL"}}
        elsewhere = inherited | {"XDG_DATA_HOME": str(installed.data / "unused")}
        program = installed.environment / "bin" / "ordergen"
        done = subprocess.run([program, "migrate"], env=elsewhere, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert (left / "ordergen.sqlite3").exists()
        assert str(left) in done.stderr
        assert "move that folder" in done.stderr
        assert not (installed.data / "unused").exists()
    finally:
        shutil.rmtree(left)
