"""No client stops the web server by being slow, and what it promises to all others holds meanwhile."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import time

import pytest

from benchmarks.slow_clients import SlowClients, answers, others_meanwhile
from ordergen.ops.web_worker import BODY_SECONDS, HEADER_SECONDS
from tests.site import Site, eventually, free_port

pytestmark = pytest.mark.slow

FILL = """
from datetime import date, timedelta
from django.conf import settings
from django.test import Client
from models_app.models import Price, Security
from ordergen.accounts.services import user_create
for n in range(200):
    one = Security.objects.create(ticker=f'S{n:04}', name=f'Security {n}')
    days = [date(2000, 1, 1) + timedelta(days=d) for d in range(1000)]
    Price.objects.bulk_create([Price(security=one, date=day, close=7) for day in days])
client = Client()
client.force_login(user_create(username='reader', password='a-long-enough-word', roles=['viewer']))
answer = f'{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}'
"""
UPLOAD = (
    b"POST /signin/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 12\r\nConnection: close\r\n\r\nusername"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    assert site.run("migrate").returncode == 0
    site.port = free_port()
    site.cookie = site.ask(FILL)
    site.process = site.start("web", "--port", str(site.port))
    eventually(lambda: answers(site.port, "/health/live"), 60)
    yield site
    site.stop()


@pytest.mark.parametrize("n", [80, 400])
@pytest.mark.parametrize(("kind", "patience"), [("headers", HEADER_SECONDS), ("body", BODY_SECONDS)])
def test_others_are_served_while_clients_send_a_byte_a_second_and_those_are_sent_off(site, kind, patience, n) -> None:
    with SlowClients(site.port, kind, n) as slow:
        health = others_meanwhile(site.port, "/health/live", patience / 2)
        page = others_meanwhile(site.port, "/signin/", patience / 2)
        eventually(lambda: len(slow.suffered) >= n, 15)
    assert (health.refused, page.refused) == (0, 0)
    assert min(len(health.answers), len(page.answers)) > 20
    # All but a few: on a busy machine a connection may be lost while it is made.
    assert patience - 1 < sorted(slow.suffered)[n // 20]
    assert sorted(slow.suffered)[n // 2] < patience + 5


@pytest.mark.parametrize("n", [80, 400])
def test_others_are_served_while_somebody_reads_downloads_a_byte_a_second(site, n) -> None:
    """And are cut off after a while: then there is room for another download of the same person."""
    with SlowClients(site.port, "readers", n, path="/export/prices.csv", cookie=site.cookie):
        time.sleep(5)  # so many questions at once are answered first, though with a refusal
        health = others_meanwhile(site.port, "/health/live", 8)
        page = others_meanwhile(site.port, "/signin/", 8)
        eventually(lambda: _ask(site, "/export/prices.csv")[0] == 200, BODY_SECONDS + 20)
    assert (health.refused, page.refused) == (0, 0)


def test_a_third_download_at_a_time_of_one_person_is_refused_with_the_reason(site) -> None:
    """Each process counts for itself, so a question may meet one in which nothing is under way yet."""
    with SlowClients(site.port, "readers", 40, path="/export/prices.csv", cookie=site.cookie):
        status, headers, body = eventually(lambda: _refused(site), BODY_SECONDS)
    assert (status, headers["Retry-After"]) == (429, "10")
    assert "Other downloads of yours are under way. Wait for them." in body
    eventually(lambda: _ask(site, "/export/prices.csv")[0] == 200, 30)


def _refused(site: Site) -> tuple[int, http.client.HTTPMessage, str] | None:
    """Another download's answer, where it is a refusal."""
    answer = _ask(site, "/export/prices.csv")
    return answer if answer[0] >= 400 else None


def test_a_connection_is_kept_after_an_answer_that_was_streamed(site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("GET", "/export/securities.csv", headers={"Cookie": site.cookie})
    first = connection.getresponse()
    assert (first.headers["Transfer-Encoding"], first.headers["Connection"]) == ("chunked", None)
    assert first.read().count(b"\n") == 201
    kept = connection.sock
    connection.request("GET", "/health/live")
    assert connection.getresponse().status == 200
    assert connection.sock is kept
    connection.close()


def test_what_is_larger_than_any_upload_is_refused_by_its_length_alone(site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.putrequest("POST", "/import/prices/")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    refused = connection.getresponse()
    assert refused.status == 413
    assert re.search(rb"exceeds max_body of \d+", refused.read())


def test_who_has_begun_a_request_when_the_server_is_stopped_is_answered(site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), 30) as begun:
        begun.sendall(UPLOAD)
        time.sleep(0.5)
        site.process.send_signal(signal.SIGTERM)
        time.sleep(2)
        begun.sendall(b"=abc")
        received = b""
        while part := begun.recv(1 << 16):
            received += part
    assert received.startswith(b"HTTP/1.1 403"), "the form lacks its token: Django has seen it"
    assert site.process.wait(15) == 0
    assert not answers(site.port, "/health/live")


def _ask(site: Site, path: str) -> tuple[int, http.client.HTTPMessage, str]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    connection.request("GET", path, headers={"Cookie": site.cookie, "Connection": "close"})
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()
