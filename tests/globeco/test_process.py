"""ordergen as it is run: its command line, web server and worker, beside services that are processes too."""

import re

import pytest

from tests.globeco.client import Globeco
from tests.ordergen.apis.test_over_http import Portal
from tests.site import Site, eventually, free_port

pytestmark = pytest.mark.slow
BAND = {"target": "0.11", "low_drift": "0.03", "high_drift": "0.03"}


@pytest.fixture
def services():
    running = Globeco("--portfolios", "40", "--positions", "8")
    yield running
    running.stop()


@pytest.fixture
def site(tmp_path, services):
    site = Site(
        tmp_path,
        ORDERGEN_SOURCE="globeco",
        ORDERGEN_FIGURES_SECONDS="0",
        EXTERNAL_SERVICE_PAUSE="0.05",
        ORDERGEN_V1_WAIT_SECONDS="100",
        **services.urls,
    )
    assert site.run("migrate").returncode == 0
    yield site
    site.stop()


def _portal(site):
    assert site.run("create-user", "maya", "--role", "manager", stdin="a-long-enough-word\n").returncode == 0
    scopes = [part for scope in ("models:write", "models:read", "rebalances:write") for part in ("--scope", scope)]
    made = site.run("create-api-key", "maya", "portal", *scopes, "--days", "3")
    assert made.returncode == 0, made.stderr
    port = free_port()
    site.start("serve", "--port", str(port))
    portal = Portal(port, made.stdout.strip())
    eventually(portal.is_ready, 180)
    return portal


def test_the_portal_rebalances_through_a_real_worker_and_every_part_knows_the_request(site, services):
    portal, book = _portal(site), services.control("GET", "/book")
    positions = [{"security_id": key, **BAND} for key in list(book["securities"])[:8]]
    body = {"name": "Growth", "positions": positions, "portfolios": list(book["portfolios"])[:30]}
    status, model = portal.ask("POST", "/api/v1/models", body)
    assert status == 201, model
    services.forget()

    status, elements = portal.ask("POST", f"/api/v1/model/{model['model_id']}/rebalance", correlation="portal-4711")

    assert (status, len(elements)) == (200, 30), elements
    assert {element["status"] for element in elements} == {"solved"}
    asked = [call["service"] for call in services.calls()]
    assert {name: asked.count(name) for name in asked} == {
        "portfolio": 1,
        "security": 1,
        "pricing": 1,
        "accounting": 30,
    }
    assert {call["correlation"] for call in services.calls()} == {"portal-4711"}
    assert re.search(r"\[portal-4711\] run #1: chunk 0 of \d+ portfolios done", site.log.read_text())
    assert 'path="/api/v1/model/{model_id}/rebalance",status="200"} 1.0' in portal.text("/metrics")
    counted = re.search(r'service="portfolio accounting service",status="200"\} (\d+)', portal.text("/metrics"))
    assert int(counted[1]) >= 30, "the worker's calls are counted where the web server is asked"

    services.fault("accounting", "down")
    status, answer = portal.ask("POST", f"/api/v1/model/{model['model_id']}/rebalance")
    assert (status, [reason["code"] for reason in answer["reasons"]]) == (503, ["SERVICE_DOWN"])
    assert site.run("verify").returncode == 0

    status, answer = portal.ask("GET", f"/api/v1/models?sort_by={'a' * 7000}")
    assert (status, "detail" in answer) == (400, True), "JSON, not the server's own 414 in HTML"


def test_a_key_that_cannot_be_made_says_why_in_one_line(site):
    assert site.run("create-user", "maya", "--role", "manager", stdin="a-long-enough-word\n").returncode == 0

    refused = site.run("create-api-key", "maya", "portal", "--scope", "everything", "--days", "9999")

    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "book:read" in refused.stderr
    assert "365 days" in refused.stderr


def test_an_open_api_is_said_at_start(tmp_path):
    site = Site(tmp_path, ORDERGEN_API_AUTH="none")
    assert site.run("migrate").returncode == 0
    site.start("web", "--port", str(free_port()))
    try:
        eventually(lambda: "ORDERGEN_API_AUTH=none" in site.log.read_text(), 180)
    finally:
        site.stop()
