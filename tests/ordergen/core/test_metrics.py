"""What /metrics says, and that nothing it does can break a request."""

import re

import pytest

from ordergen.core import metrics

pytestmark = pytest.mark.django_db


def _value(client, series):
    found = re.search(rf"^{re.escape(series)} (\S+)$", client.get("/metrics").content.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_requests_are_counted_by_method_route_and_status(client, api):
    series = 'http_requests_total{method="GET",path="/api/v1/model/{model_id}",status="404"}'
    before = _value(client, series)

    for _ in range(3):
        api.get("/model/" + "0" * 24)

    assert _value(client, series) == before + 3


def test_durations_are_in_milliseconds_with_the_promised_buckets(client):
    client.get("/health/live")

    text = client.get("/metrics").content.decode()
    bounds = re.findall(
        r'http_request_duration_milliseconds_bucket\{le="([^"]+)",method="GET",path="/health/live",status="200"\}', text
    )
    assert bounds == [f"{ms}.0" for ms in (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)] + ["+Inf"]


def test_an_address_that_matches_nothing_makes_no_series_of_its_own(client):
    client.get("/api/v1/whatever/1")
    client.get("/nowhere/2")
    client.generic("BREW", "/health/live")

    text = client.get("/metrics").content.decode()
    assert 'method="GET",path="unmatched",status="404"' in text
    assert "whatever" not in text
    assert "nowhere" not in text
    assert "BREW" not in text


def test_the_request_that_asks_is_itself_in_flight(client):
    assert _value(client, "http_requests_in_flight") == 1.0


def test_a_metric_that_cannot_be_written_breaks_no_request(client, monkeypatch):
    def full(*_labels):
        raise OSError("no space left on device")

    monkeypatch.setattr(metrics.REQUESTS, "labels", full)
    monkeypatch.setattr(metrics.IN_FLIGHT, "inc", full)

    assert client.get("/health/live").status_code == 200
