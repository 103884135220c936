"""More work than there is room for: it waits, or is refused with when to come back; never an error, never lost."""

from __future__ import annotations

import itertools
import re
import threading
from contextlib import contextmanager
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from ordergen.accounts.models import User
from ordergen.audit.services import take_turn
from ordergen.core.db import atomic
from ordergen.ops.cli import main
from rebalance_app.models import Rebalance
from rebalance_app.runs import launch, wait
from rebalance_app.runs.backlog import run_progress, seconds_for
from rebalance_app.runs.launch import run_launch
from tests.callers import Api

NOW = timezone.now()


@pytest.fixture
def v1(manager, key_for) -> Api:
    return Api("/api/v1", **{"X-API-Key": key_for(manager)})


@pytest.fixture
def v2(manager, key_for) -> Api:
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


@pytest.fixture
def page(manager) -> Client:
    client = Client()
    client.force_login(manager)
    return client


@pytest.fixture
def only_one(settings):
    settings.RUNS_PER_PERSON = 1


@contextmanager
def somebody_writes():
    """Another connection holds what every launch and every sign-in has to write; ours gives up on it soon."""
    begun, done = threading.Event(), threading.Event()

    def hold():
        with atomic():
            take_turn()
            User.objects.update(first_name="Busy")
            begun.set()
            done.wait(timeout=300)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert begun.wait(timeout=60)
    options = connection.settings_dict["OPTIONS"]
    with pytest.MonkeyPatch.context() as patch, connection.cursor() as cursor:
        patch.setitem(options, "timeout", 0.05)  # SQLite's
        if connection.vendor == "postgresql":
            cursor.execute("SET lock_timeout = '50ms'")
        try:
            yield
        finally:
            done.set()
            thread.join()
            if connection.vendor == "postgresql":
                cursor.execute("SET lock_timeout = '20s'")


def typed(html: str) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html)
    return {name: unescape(value) for name, value in fields}


def form_of(page: Client, book, **more: str) -> dict[str, str]:
    html = page.get(f"/rebalances/new?model={book.model.pk}").content.decode()
    return typed(html) | {"scope": "all", "mode": "to_target", "note": 'for "Q4" & <more>'} | more


def test_a_busy_database_is_said_with_when_to_come_back_and_what_was_typed_can_be_sent_again(book, page, v1, v2):
    form, address = form_of(page, book), f"/rebalances/new?model={book.model.pk}"
    with somebody_writes():
        refused = page.post(address, form)
        problem = v2.post("/runs", {"model_id": book.model.pk})
        detail = v1.post(f"/model/{book.model.pk}/rebalance")
    for response in (refused, problem, detail):
        assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert (problem.json()["code"], problem["Content-Type"]) == ("busy", "application/problem+json")
    assert "busy" in detail.json()["detail"]
    assert not Rebalance.objects.exists()
    again = typed(refused.content.decode())
    assert again.items() >= form.items() - {("csrfmiddlewaretoken", form.get("csrfmiddlewaretoken"))}
    assert page.post(address, again)["Location"] == f"/rebalances/{Rebalance.objects.get().pk}/"
    assert Rebalance.objects.get().note == 'for "Q4" & <more>'


def test_a_password_is_not_sent_back_when_signing_in_was_not_possible(client, manager, monkeypatch):
    manager.set_password("correct horse battery")
    manager.save()
    with somebody_writes():
        refused = client.post("/signin/", {"username": manager.username, "password": "correct horse battery"})
    assert refused.status_code == 503
    assert "correct horse" not in refused.content.decode()
    assert typed(refused.content.decode())["username"] == manager.username


def test_one_person_has_so_many_runs_under_way_and_is_told_so_by_every_door(book, page, v1, v2, only_one, capsys):
    first = v2.post("/runs", {"model_id": book.model.pk, "portfolio_ids": [book.tiny.pk]}, Idempotency_Key="once")
    assert first.status_code == 202
    again = v2.post("/runs", {"model_id": book.model.pk, "portfolio_ids": [book.tiny.pk]}, Idempotency_Key="once")
    assert again.json()["id"] == first.json()["id"], "a repetition starts nothing"
    refusals = [
        page.post(f"/rebalances/new?model={book.model.pk}", form_of(page, book)),
        v1.post(f"/portfolio/{book.harbour.pk}/rebalance"),
        v2.post("/runs", {"model_id": book.model.pk, "portfolio_ids": [book.harbour.pk]}),
    ]
    for response in refusals:
        assert (response.status_code, response["Retry-After"]) == (429, "30")
        assert "as many as one person may have" in response.content.decode()
    capsys.readouterr()  # what the server logged of its refusals
    assert main(["rebalance", "--portfolio", "Harbour", "--as", "maya"]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("ordergen: You have 1 run under way")
    assert complaint.count("\n") == 1
    assert Rebalance.objects.count() == 1


def test_a_full_installation_answers_503_but_an_idle_one_takes_any_run(book, page, v1, v2, settings, run_worker):
    settings.MAX_QUEUED = 1
    first = v2.post("/runs", {"model_id": book.model.pk, "portfolio_ids": [book.tiny.pk, book.cash_only.pk]})
    assert first.status_code == 202
    refusals = [
        page.post(f"/rebalances/new?model={book.model.pk}", form_of(page, book)),
        v1.post(f"/portfolio/{book.harbour.pk}/rebalance"),
        v2.post("/runs", {"model_id": book.model.pk, "portfolio_ids": [book.harbour.pk]}),
    ]
    for response in refusals:
        assert response.status_code == 503
        assert int(response["Retry-After"]) >= 5
        assert "2 portfolios wait for the workers already" in response.content.decode()
    run_worker(Rebalance.objects.get())
    assert v2.post("/runs", {"model_id": book.model.pk}).status_code == 202


def test_launches_at_the_same_moment_cannot_share_the_last_place(book, manager, only_one, at_once):
    ids = (book.harbour.pk, book.tiny.pk, book.cash_only.pk)
    at_once(*(lambda key=key: run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[key]) for key in ids))
    assert Rebalance.objects.count() == 1


@pytest.mark.parametrize("error", [OperationalError("connection refused"), ZeroDivisionError("nobody expected this")])
def test_a_broker_that_is_down_delays_a_run_and_refuses_none(book, v2, monkeypatch, run_worker, error):
    def down(*_: object) -> None:
        raise error

    monkeypatch.setattr(launch.current_app, "send_task", down)
    answer = v2.post("/runs", {"model_id": book.model.pk})
    assert answer.status_code == 202
    assert run_worker(Rebalance.objects.get(pk=answer.json()["id"])).n_done == 3


def test_callers_who_wait_for_their_run_leave_room_for_others(book, manager, monkeypatch):
    run = run_launch(by=manager, model_id=book.model.pk)
    monkeypatch.setattr(wait, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(wait, "_sleep", lambda _: pytest.fail("there was no place to wait"))
    with wait._places:
        assert wait.run_wait(run_id=run.pk, seconds=60).is_active


def test_a_run_says_what_waits_before_it_and_how_long_that_takes_once_it_is_measured(book, manager, v2, time_machine):
    time_machine.move_to(NOW, tick=False)
    first = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk, book.tiny.pk])
    second = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.cash_only.pk])
    waiting = v2.get(f"/runs/{second.pk}").json()["progress"]
    assert waiting == {"portfolios_ahead": 2, "runs_ahead": 1, "seconds_left": None}
    Rebalance.objects.filter(pk=first.pk).update(started_at=NOW - timedelta(seconds=10), n_solved=1)
    waiting = v2.get(f"/runs/{second.pk}").json()["progress"]
    assert waiting == {"portfolios_ahead": 1, "runs_ahead": 1, "seconds_left": 20}
    client = Client()
    client.force_login(manager)
    assert "waiting behind 1 portfolio of 1 run, about 20" in " ".join(
        client.get(f"/rebalances/{second.pk}/").content.decode().replace("\N{NO-BREAK SPACE}", " ").split()
    )
    begun = Rebalance(pk="x", number=9, n_portfolios=4, n_solved=1, started_at=NOW)
    assert run_progress(begun, NOW + timedelta(seconds=10)).portfolios_ahead == 0
    assert v2.get(f"/runs/{first.pk}").json()["progress"]["runs_ahead"] == 0


def test_an_estimate_is_near_the_truth_and_does_not_flicker():
    """Two workers take a second for each chunk of a hundred, a little apart; they begin when they have started up."""
    run = Rebalance(number=1, n_portfolios=10_000, started_at=NOW)
    told = []
    for tenth in range(500):
        now = tenth / 10
        run.n_solved = 100 * (int(max(0, now - 0.5)) + int(max(0, now - 0.9)))
        left = seconds_for(run.n_portfolios - run.n_done, [run], NOW + timedelta(seconds=now))
        if left is not None:
            told.append(left)
            assert abs(left - (50.7 - now)) <= 16
    assert len(told) > 440, "it is known soon"
    assert all(later <= earlier + 5 for earlier, later in itertools.pairwise(told))
