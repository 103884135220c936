"""An auditor finds who did what, when and to what; and can take it away as a file."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from ordergen.audit.models import AuditEvent
from ordergen.audit.services import record


@pytest.fixture
def auditor(client, person):
    user = person("auditor", name="aisha")
    client.force_login(user)
    return client


@pytest.fixture
def trail(manager, approver, time_machine):
    """Three events about two people."""
    time_machine.move_to(timezone.now(), tick=False)  # no day ends meanwhile
    return [
        record("user.created", manager, "maya: manager", by=None),
        record("user.renamed", manager, "=1+1 <script>", by=manager, detail={"reason": "a whim"}),
        record("user.created", approver, "tom: approver", by=manager),
    ]


def listed(client, query: str) -> list[int]:
    return [event.seq for event, _ in client.get(f"/audit/?{query}").context["rows"]]


def test_events_are_narrowed_by_who_what_when_and_about_whom(auditor, trail, manager):
    today, tomorrow = timezone.now().date(), timezone.now().date() + timedelta(days=1)
    assert listed(auditor, "") == [3, 2, 1]
    assert listed(auditor, "who=maya") == [3, 2]
    assert listed(auditor, "action=user.created") == [3, 1]
    assert listed(auditor, f"object={manager.pk}") == [2, 1]
    assert listed(auditor, f"since={today}&until={today}") == [3, 2, 1]
    assert listed(auditor, f"since={tomorrow}") == []


@pytest.mark.parametrize("value", ["NaN", "1e30", "<script>", "x" * 10_000, "-5", "\N{SLIGHTLY SMILING FACE}"])
@pytest.mark.parametrize("name", ["who", "action", "since", "until", "object", "before"])
def test_the_list_is_never_an_error_whatever_its_address_says(auditor, trail, name, value):
    response = auditor.get(f"/audit/?{name}={value}")
    assert response.status_code == 200
    assert "<script>" not in response.content.decode()


def test_older_events_are_reached_page_by_page_with_the_filter_kept(auditor, trail, monkeypatch):
    monkeypatch.setattr("ordergen.audit.views.PAGE_SIZE", 1)
    assert "who=maya&amp;before=3" in auditor.get("/audit/?who=maya").content.decode()
    assert listed(auditor, "who=maya&before=3") == [2]


def test_one_event_shows_all_that_was_recorded_and_its_place_in_the_chain(auditor, trail):
    text = auditor.get("/audit/2/").content.decode()
    for shown in ("a whim", trail[1].hash, trail[0].hash, "fits its hash", "follows", "/audit/1/", "/audit/3/"):
        assert shown in text


def test_an_altered_event_says_so_on_its_own_page(auditor, trail):
    AuditEvent.objects.filter(seq=2).update(summary="nothing to see")
    assert "was altered" in auditor.get("/audit/2/").content.decode()
    assert 'href="/audit/2/">2</a> does not follow' in auditor.get("/audit/?check=1").content.decode()


def test_what_is_exported_is_what_is_listed_and_no_spreadsheet_runs_it(auditor, trail):
    response = auditor.get("/audit/export.csv?who=maya")
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))
    assert [row["seq"] for row in rows] == ["3", "2"]
    assert rows[1]["summary"] == "'=1+1 <script>"
    assert rows[1]["hash"] == trail[1].hash


@pytest.mark.parametrize("address", ["/audit/", "/audit/1/", "/audit/export.csv"])
def test_only_who_may_read_the_trail_gets_it(client, trail, manager, address):
    client.force_login(manager)
    assert client.get(address).status_code == 403


@pytest.mark.parametrize("address", ["/audit/999/", f"/audit/{'9' * 40}/", "/audit/x/"])
def test_an_event_that_never_was_is_not_found(auditor, trail, address):
    assert auditor.get(address).status_code == 404
