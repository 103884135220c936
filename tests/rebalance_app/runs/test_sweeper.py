"""What the sweeper does when messages are lost, the broker is down, or workers take nothing."""

from datetime import timedelta

import pytest
from django.db import InterfaceError
from django.utils import timezone

from ordergen.ops import cli
from ordergen.ops.verify import verify_all
from rebalance_app.runs import solve_chunk as solve
from rebalance_app.runs import sweep as sweeping
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.sweep import sweep
from rebalance_app.tasks import stand_in

pytestmark = pytest.mark.django_db


class Broker:
    """Takes messages while it is up, and keeps them."""

    def __init__(self) -> None:
        self.up, self.asked, self.messages = True, 0, []

    def enqueue(self, run_id, chunks):
        self.asked += 1
        self.messages += [(run_id, chunk) for chunk in chunks] if self.up else []
        return self.up


@pytest.fixture
def broker(monkeypatch):
    monkeypatch.setattr(sweeping.time, "sleep", lambda _seconds: None)
    broker = Broker()
    monkeypatch.setattr(sweeping, "enqueue", broker.enqueue)
    return broker


@pytest.fixture
def run(book, manager, settings):
    settings.CHUNK_SIZE = 1
    return run_launch(by=manager, model_id=book.model.pk)


def _told(run, seconds_ago, **which):
    run.portfolios.filter(**which).update(enqueued_at=timezone.now() - timedelta(seconds=seconds_ago))


def test_a_message_that_nobody_took_is_sent_again_after_half_a_minute_and_not_before(run, broker):
    _told(run, 29)
    assert sweep().resent == 0

    _told(run, 31)
    assert sweep().resent == 3
    assert broker.messages == [(run.pk, 0), (run.pk, 1), (run.pk, 2)]
    assert sweep().resent == 0, "it was just sent"


def _at_work(run, settings, **which):
    """Workers are at these portfolios of the run."""
    lease = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    run.portfolios.filter(**which).update(state="solving", token="busy", attempt=1, lease_until=lease)


def test_while_workers_are_at_a_run_only_what_was_queued_again_is_sent_again(run, broker, settings):
    _told(run, 31)
    run.portfolios.filter(chunk=1).update(
        state="solving", token="dead", attempt=1, lease_until=timezone.now() - timedelta(seconds=1)
    )
    _at_work(run, settings, chunk=0)

    assert (sweep().resent, len(broker.messages)) == (1, 1)
    assert broker.messages[0][1] > 2, "in a chunk of its own"
    assert sweep().resent == 0, "it waits its turn like the others"


@pytest.fixture
def behind(book, manager, run, settings):
    """A run that waits for minutes while workers are at one that was launched a little earlier."""
    settings.CHUNK_SIZE = 200
    run.portfolios.filter(portfolio_id=book.tiny.pk).update(state="failed", finished_at=timezone.now())
    behind = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.tiny.pk])
    _at_work(run, settings, state="queued")
    _told(run, 305)
    _told(behind, 300)
    return behind


def test_a_run_that_waits_behind_another_is_neither_sent_again_nor_done_by_the_sweeper(behind, broker):
    assert [sweep().resent for _ in range(3)] == [0, 0, 0]
    assert not stand_in()
    assert broker.messages == []


def test_a_message_is_sent_again_when_workers_have_long_gone_on_to_what_was_sent_after_it(run, behind, broker):
    _told(run, 200)  # as if it had been launched so much later
    assert (sweep().resent, broker.messages) == (1, [(behind.pk, 0)])
    assert sweep().resent == 0


def test_between_two_chunks_a_worker_is_still_at_work(run, broker, monkeypatch):
    """At that moment nobody has a row: the sweeper looks once more, and does not compete with who is only slow."""
    _told(run, 31)
    meanwhile = iter([0, 1])
    monkeypatch.setattr(sweeping.time, "sleep", lambda _: solve.chunk_solve(run_id=run.pk, chunk=next(meanwhile)))

    assert sweep().resent == 0
    assert not stand_in()
    assert run.portfolios.filter(state="queued").count() == 1


def test_a_broker_that_is_down_is_asked_once_in_a_sweep_and_not_for_each_run(book, manager, broker):
    for portfolio in (book.harbour, book.cash_only, book.tiny):
        _told(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[portfolio.pk]), 31)
    broker.up = False
    sweep()
    assert (broker.asked, broker.messages) == (1, [])

    broker.up = True
    sweep()
    assert len(broker.messages) == 2, "the first is told again half a minute after it was tried"


def test_without_broker_and_workers_the_sweeper_ends_the_run_itself(run, broker):
    broker.up = False
    assert not stand_in(), "workers have a moment to take what they were just told of"

    _told(run, 16)
    assert [stand_in() for _ in range(4)] == [True, True, True, False]
    run.refresh_from_db()
    assert (run.state, run.n_solved, run.n_infeasible) == ("completed", 2, 1)
    assert verify_all()["faults"] == []


def test_the_sweeper_leaves_the_work_to_workers_who_are_at_it(run, broker, settings):
    _told(run, 16)
    lease = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
    _at_work(run, settings, chunk=0)
    assert not stand_in()

    run.portfolios.filter(chunk=0).update(lease_until=lease - timedelta(seconds=settings.OPTIMIZATION_TIMEOUT + 31))
    assert not stand_in(), "one programme may take so long, and no lease is renewed while it does"

    run.portfolios.filter(chunk=0).update(lease_until=lease - timedelta(seconds=settings.OPTIMIZATION_TIMEOUT + 33))
    assert stand_in(), "nobody has taken or renewed anything for longer than that: they hang"


def test_the_sweeper_does_a_few_portfolios_and_sweeps_again(book, manager, broker, monkeypatch):
    monkeypatch.setattr(sweeping, "FEW", 2)
    run = run_launch(by=manager, model_id=book.model.pk)
    _told(run, 16)
    assert set(run.portfolios.values_list("chunk", flat=True)) == {0}

    assert stand_in()
    assert run.portfolios.filter(state="queued", chunk=0).count() == run.n_portfolios - 2
    assert stand_in()
    run.refresh_from_db()
    assert run.state == "completed"
    assert verify_all()["faults"] == []


def test_a_chunk_that_fails_in_the_sweeper_does_not_end_it(run, broker, monkeypatch, caplog):
    def fail(*_arguments):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(solve, "gather", fail)
    _told(run, 16, chunk=0)

    assert stand_in()
    assert "a bug" in caplog.text
    assert run.portfolios.filter(attempt=1).count() == 1


def test_a_portfolio_travels_alone_whichever_sweeper_queues_it_again(run):
    """Its row alone gives its chunk: two that look for a free number at once would tie two portfolios together."""

    def swept():
        lapsed = {"state": "solving", "attempt": 1, "lease_until": timezone.now() - timedelta(minutes=5)}
        run.portfolios.update(token="dead", **lapsed)
        assert sweep().requeued == 3
        return dict(run.portfolios.values_list("portfolio_id", "chunk"))

    first, second = swept(), swept()

    assert first == second
    assert len(set(first.values())) == 3


def test_a_database_that_cuts_its_connections_does_not_end_the_sweeper(monkeypatch, capsys):
    happenings = iter([InterfaceError("connection already closed"), None, KeyboardInterrupt()])

    def look():
        if happening := next(happenings):
            raise happening

    monkeypatch.setattr(sweeping, "sweep", look)
    monkeypatch.setattr("ordergen.ops.cli.sweep.time.sleep", lambda _seconds: None)
    monkeypatch.setattr("django.db.connection.close", lambda: None)

    assert cli.main(["sweep", "--forever"]) == 130
    assert "connection already closed; trying again" in capsys.readouterr().err
