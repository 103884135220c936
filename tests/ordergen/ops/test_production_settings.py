"""What an installation in the open is given by its settings, and what a closed network and probes keep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import Site

PRODUCTION = {
    "ORDERGEN_HTTPS": "true",
    "TRUST_PROXY": "true",
    "ALLOWED_HOSTS": "orders.example",
    "SECRET_KEY": "n0t-the-one-of-anybody-else-" * 3,
}
ASK = """
from django.test import Client
client = Client(SERVER_NAME='orders.example')
def told(path, secure=False):
    response = client.get(path, headers={'X-Forwarded-Proto': 'https'} if secure else {})
    names = ('Location', 'Permissions-Policy', 'Content-Security-Policy', 'Strict-Transport-Security')
    found = {name: response[name] for name in names if name in response}
    cookies = {name: [one['path'], one['secure'], one['domain']] for name, one in response.cookies.items()}
    return [response.status_code, found, cookies]
"""


@pytest.fixture
def production(tmp_path: Path) -> Site:
    site = Site(tmp_path, **PRODUCTION)
    assert site.run("migrate").returncode == 0
    return site


def test_djangos_own_check_of_a_deployment_finds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    environment = Site(tmp_path, **PRODUCTION).environment
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_plain_requests_are_sent_to_https_but_for_probes_and_cookies_are_this_hosts_alone(production: Site) -> None:
    asked = "told('/signin/'), told('/signin/', secure=True), told('/health/live'), told('/api/v1/models')"
    plain, secure, probe, v1 = production.ask(f"{ASK}answer = [{asked}]")
    assert (plain[0], plain[1]["Location"]) == (301, "https://orders.example/signin/")
    assert secure[0] == 200
    assert secure[2] == {"__Host-csrftoken": ["/", True, ""]}
    assert "max-age=31536000" in secure[1]["Strict-Transport-Security"]
    assert probe[0] == 200
    assert v1[0] == 301


def test_a_closed_network_keeps_api_v1_on_plain_http(tmp_path: Path) -> None:
    site = Site(tmp_path, ORDERGEN_API_AUTH="none", **PRODUCTION)
    assert site.run("migrate").returncode == 0
    assert [one[0] for one in site.ask(ASK + "answer = [told('/api/v1/models'), told('/signin/')]")] == [200, 301]


def test_the_demo_on_loopback_is_redirected_nowhere(client, db) -> None:
    answer = client.get("/signin/")
    assert answer.status_code == 200
    assert "csrftoken" in answer.cookies


def test_pages_may_use_no_style_attribute_and_nothing_of_the_browser(client, db) -> None:
    answer = client.get("/signin/")
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert policy["style-src"] == "'self'"
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert "camera=()" in answer["Permissions-Policy"]
    assert "Permissions-Policy" not in client.get("/health/live"), "what API v1 answers stays as it is"
    templates = Path(__file__).parents[3] / "templates"
    assert [path for path in templates.rglob("*.html") if " style=" in path.read_text()] == []


def test_what_an_earlier_key_signed_is_good_for_as_long_as_that_is_named(tmp_path: Path) -> None:
    keys = ["a-key-of-before-" * 4, "a-key-of-today--" * 4]
    sign = "from django.core import signing\nanswer = signing.dumps('me')"
    signed = Site(tmp_path, SECRET_KEY=keys[0]).ask(sign)
    read = f"from django.core import signing\nanswer = signing.loads({signed!r})"
    assert Site(tmp_path, SECRET_KEY=keys[1], SECRET_KEY_FALLBACKS=keys[0]).ask(read) == "me"
    with pytest.raises(AssertionError, match="BadSignature"):
        Site(tmp_path, SECRET_KEY=keys[1]).ask(read)
    refused = Site(tmp_path, SECRET_KEY=keys[1], SECRET_KEY_FALLBACKS="short").run("verify")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("token", "open_door", "headers", "status"),
    [
        ("", "required", {}, 200),
        ("", "required", {"X-Forwarded-For": "192.0.2.7"}, 403),
        ("", "required", {"REMOTE_ADDR": "192.0.2.7"}, 403),
        ("", "none", {"REMOTE_ADDR": "192.0.2.7"}, 200),
        ("word", "required", {}, 403),
        ("word", "none", {}, 403),
        ("word", "required", {"Authorization": "Bearer other"}, 403),
        ("word", "required", {"Authorization": "Bearer word", "REMOTE_ADDR": "192.0.2.7"}, 200),
    ],
)
def test_the_figures_of_a_site_are_for_whom_they_are_meant(client, settings, token, open_door, headers, status) -> None:
    settings.METRICS_TOKEN, settings.ORDERGEN_API_AUTH = token, open_door
    address = headers.pop("REMOTE_ADDR", "127.0.0.1")
    answer = client.get("/metrics", headers=headers, REMOTE_ADDR=address)
    assert answer.status_code == status
    assert ("http_requests_total" in answer.content.decode()) is (status == 200)


def test_https_without_a_proxy_that_is_believed_is_said_at_the_start(tmp_path: Path) -> None:
    code = "from ordergen.ops.cli.serve import warnings\nanswer = list(warnings())"
    told = Site(tmp_path, ORDERGEN_HTTPS="true", ORDERGEN_API_AUTH="none").ask(code)
    assert [line.split(":")[0] for line in told] == [
        "ORDERGEN_API_AUTH=none", "ORDERGEN_HTTPS=true without TRUST_PROXY=true"
    ]  # fmt: skip
    assert Site(tmp_path).ask(code) == []
    assert os.environ.get("ORDERGEN_HTTPS") is None
