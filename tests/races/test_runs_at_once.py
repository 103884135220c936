"""Launching, cancelling, solving and sweeping at the same moment, each in a connection of its own."""

import threading
import time
from datetime import timedelta
from functools import partial

from django.utils import timezone

from ordergen.core.errors import ConflictError
from ordergen.ops.verify import CHECKS, Check, verify_all
from rebalance_app.models import PortfolioRebalance, Rebalance
from rebalance_app.runs import lifecycle as cancelling
from rebalance_app.runs import solve_chunk as solve
from rebalance_app.runs import store
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_cancel, run_stop
from rebalance_app.runs.solve_chunk import _claim, chunk_solve
from rebalance_app.runs.sweep import sweep

TRIALS = 6
MANY_TRIALS = 50
SECONDS = 25.0  # a slow machine makes only as many trials in it as it can, but always a few


def test_of_two_launches_over_one_portfolio_one_starts(book, manager, run_worker, at_once):
    launch = partial(run_launch, by=manager, model_id=book.model.pk)
    for _ in range(TRIALS):
        before = Rebalance.objects.count()
        outcomes = at_once(launch, partial(launch, portfolio_ids=[book.cash_only.pk]))
        started = [outcome for outcome in outcomes if isinstance(outcome, Rebalance)]

        assert Rebalance.objects.count() == before + 1
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "Rebalance"]
        run_worker(started[0])
    assert verify_all()["faults"] == []


def test_the_same_key_sent_twice_at_once_starts_one_run_and_answers_both(book, manager, run_worker, at_once):
    for trial in range(TRIALS):
        launch = partial(run_launch, by=manager, model_id=book.model.pk, idempotency_key=f"key-{trial}")
        one, other = at_once(launch, launch)

        assert isinstance(one, Rebalance), one
        assert isinstance(other, Rebalance), other
        assert one.pk == other.pk
        run_worker(one)


def test_verifying_sees_one_moment_while_a_worker_stores(book, manager, at_once, monkeypatch):
    run = run_launch(by=manager, model_id=book.model.pk)

    def counted_before_and_after():
        before = Rebalance.objects.get(pk=run.pk).n_done
        assert at_once(partial(chunk_solve, run_id=run.pk, chunk=0)) == [None]
        yield f"{before} done, {PortfolioRebalance.objects.exclude(state='queued').count()} rows"

    monkeypatch.setitem(CHECKS, "counters_count", Check(("I2",), of_tables=counted_before_and_after))
    assert verify_all()["faults"] == ["counters_count: 0 done, 0 rows"]
    monkeypatch.undo()
    assert Rebalance.objects.get(pk=run.pk).n_done == run.n_portfolios
    assert verify_all()["faults"] == []


def test_two_workers_on_one_chunk_propose_once(book, manager, at_once):
    for _ in range(TRIALS):
        run = run_launch(by=manager, model_id=book.model.pk)
        work = partial(chunk_solve, run_id=run.pk, chunk=0)
        assert at_once(work, work, sweep)[:2] == [None, None]
        sweep()
        run.refresh_from_db()

        assert run.state == "completed"
        assert run.n_done == run.n_portfolios
    assert verify_all()["faults"] == []


def test_after_a_cancellation_was_answered_nothing_more_is_proposed(book, manager, at_once):
    """Cancel races claim, store and finish; what the canceller saw when the answer came is what stays."""
    deadline, trials = time.monotonic() + SECONDS, 0
    while trials < TRIALS or (trials < MANY_TRIALS and time.monotonic() < deadline):
        trials += 1
        run = run_launch(by=manager, model_id=book.model.pk)

        def cancel(run=run):
            run_cancel(by=manager, run_id=run.pk)
            return set(run.orders.values_list("pk", flat=True))

        def work(run=run, pause=trials % 7):
            time.sleep(pause * 0.004)
            chunk_solve(run_id=run.pk, chunk=0)

        def refuse_late_cancel(outcome, run=run):
            assert isinstance(outcome, ConflictError), outcome
            assert Rebalance.objects.get(pk=run.pk).state == "completed"

        seen, solved = at_once(cancel, work)
        sweep()
        run.refresh_from_db()

        assert solved is None
        assert not run.is_active
        if isinstance(seen, set):
            assert run.state == "cancelled"
            assert set(run.orders.values_list("pk", flat=True)) == seen
        else:
            refuse_late_cancel(seen)
    assert verify_all()["faults"] == []


def test_a_cancellation_and_the_first_claim_do_not_wait_for_each_other(book, manager, at_once, monkeypatch):
    """The worst moment: the run is marked as cancelled and its rows are not yet."""
    run = run_launch(by=manager, model_id=book.model.pk)
    marked = threading.Event()

    class SlowClock:
        @staticmethod
        def now():
            marked.set()
            time.sleep(0.5)
            return timezone.now()

    def work():
        marked.wait(timeout=20)
        chunk_solve(run_id=run.pk, chunk=0)

    monkeypatch.setattr(cancelling, "timezone", SlowClock)
    outcomes = at_once(partial(run_cancel, by=manager, run_id=run.pk), work)
    sweep()
    run.refresh_from_db()

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert (run.state, run.orders.count()) == ("cancelled", 0)
    assert verify_all()["faults"] == []


def test_a_cancellation_answered_while_proposals_are_written_leaves_none_of_them(book, manager, at_once, monkeypatch):
    """The worst moment: rows written, counters not yet. PostgreSQL answers the canceller then, SQLite lets it wait."""
    run = run_launch(by=manager, model_id=book.model.pk)
    written, write = threading.Event(), store.bulk_insert

    def write_slowly(*arguments):
        n_orders = write(*arguments)
        written.set()
        time.sleep(0.5)
        return n_orders

    def cancel():
        written.wait(timeout=20)
        run_cancel(by=manager, run_id=run.pk)
        return run.orders.count()

    monkeypatch.setattr(store, "bulk_insert", write_slowly)
    outcomes = at_once(cancel, partial(chunk_solve, run_id=run.pk, chunk=0))
    run.refresh_from_db()
    seen = run.n_orders if isinstance(outcomes[0], ConflictError) else outcomes[0]

    assert run.orders.count() == run.n_orders == seen
    assert not run.is_active
    assert verify_all()["faults"] == []


def test_of_two_workers_one_claims_a_row_whatever_its_run_went_through(book, manager, at_once):
    for _ in range(TRIALS):
        run = run_launch(by=manager, model_id=book.model.pk)
        claims = at_once(*[partial(solve._claim, run.pk, 0)] * 4)

        assert sum(claim is not None for claim in claims) == 1
        assert set(run.portfolios.values_list("attempt", flat=True)) == {1}
        run_cancel(by=manager, run_id=run.pk)
        run.portfolios.update(lease_until=timezone.now() - timedelta(seconds=1))
        sweep()


def test_a_run_that_stops_while_another_worker_writes_ends_once_and_counts(
    book, manager, at_once, monkeypatch, settings
):
    settings.CHUNK_SIZE = 1
    write = store.bulk_insert

    def write_slowly(*arguments):
        n_orders = write(*arguments)
        time.sleep(0.2)
        return n_orders

    monkeypatch.setattr(store, "bulk_insert", write_slowly)
    for _ in range(TRIALS):
        run = run_launch(by=manager, model_id=book.model.pk)
        _claim(run.pk, 2)
        stop = partial(run_stop, run.pk, first=run.portfolios.get(chunk=2).pk, why="The service does not answer.")
        outcomes = at_once(
            partial(chunk_solve, run_id=run.pk, chunk=0),
            partial(chunk_solve, run_id=run.pk, chunk=1),
            lambda stop=stop: time.sleep(0.1) or stop(),
        )
        run.refresh_from_db()

        assert outcomes == [None, None, None]
        assert run.state == "stopped"
        assert run.n_done == run.n_portfolios
    assert verify_all()["faults"] == []


def test_workers_at_one_run_put_the_orders_of_several_earlier_ones_out_of_date_side_by_side(
    book, manager, run_worker, at_once, settings
):
    """Each counts at the same earlier runs, and none waits for what another one has locked."""
    settings.CHUNK_SIZE = 1
    for _ in range(TRIALS):
        both = [book.harbour.pk, book.cash_only.pk]
        launch = partial(run_launch, by=manager, model_id=book.model.pk)
        earlier = [run_worker(launch(portfolio_ids=[key])) for key in both]
        run = launch(portfolio_ids=both)
        outcomes = at_once(*(partial(chunk_solve, run_id=run.pk, chunk=chunk) for chunk in (0, 1)))

        assert outcomes == [None, None]
        for old in earlier:
            assert set(old.orders.values_list("state", flat=True)) == {"superseded"}
    assert verify_all()["faults"] == []
