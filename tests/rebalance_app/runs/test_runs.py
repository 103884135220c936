"""A run, from launch to its last portfolio."""

import sqlite3
from datetime import date, timedelta
from decimal import Decimal

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create, model_portfolios_remove
from models_app.models import Holding, Price
from models_app.portfolio.types import Reason
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from ordergen.ops.verify import verify_all
from rebalance_app.models import Order, PriceSnapshot, Rebalance
from rebalance_app.optimiser.batch_solve import batch_solve
from rebalance_app.proposals import stored as proposals
from rebalance_app.runs import solve_chunk as solve
from rebalance_app.runs import store
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_cancel, run_finish, run_retry, run_stop
from rebalance_app.runs.solve_chunk import chunk_solve
from rebalance_app.runs.sweep import sweep
from tests.builders import portfolio, security

pytestmark = pytest.mark.django_db


def _rows(run):
    return {row.portfolio_name: row for row in run.portfolios.all()}


def _shares(row):
    return {line["ticker"]: Decimal(line["quantity_after"]) for line in proposals.lines(row)}


def test_a_run_proposes_what_the_arithmetic_says(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    harbour = _rows(run)["Harbour"]

    assert run.state == "completed"
    assert harbour.state == "solved"
    assert harbour.market_value == 11000
    # 25 % of 11,000 at 20 is 137.5 shares: of two equal neighbours the one nearer to the holding of none
    assert _shares(harbour) == {"AAA": 330, "BBB": 137, "CCC": 4, "XXX": 0}
    assert harbour.cash_after == Decimal("4708.60")
    orders = {o.ticker: (o.side, o.quantity, o.reason) for o in run.orders.filter(portfolio_id=book.harbour.pk)}
    assert orders["XXX"] == ("SELL", 10, "NOT_IN_MODEL")
    assert orders["AAA"] == ("BUY", 330, "BREACH_UNDER")
    assert verify_all()["violations"] == 0


def test_a_portfolio_too_small_for_its_band_is_infeasible_and_says_why(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    tiny = _rows(run)["Tiny"]

    assert (tiny.state, tiny.n_orders) == ("infeasible", 0)
    assert "CCC" in tiny.reason or book.ccc.pk in tiny.reason
    assert run.n_infeasible == 1
    assert not run.orders.filter(portfolio_id=book.tiny.pk).exists()


def test_a_run_over_chosen_portfolios_touches_no_other(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.cash_only.pk]))

    assert list(_rows(run)) == ["Lee"]


def test_a_held_security_without_a_price_fails_that_portfolio_by_name_and_no_other(book, manager, run_worker):
    unpriced = security("NOP", price=None)
    Holding.objects.create(portfolio=book.harbour, security=unpriced, quantity=5)
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    rows = _rows(run)

    assert (rows["Harbour"].state, rows["Harbour"].reason_code) == ("failed", "MISSING_PRICE")
    assert "NOP" in rows["Harbour"].reason
    assert rows["Lee"].state == "solved"
    assert not run.orders.filter(portfolio_id=book.harbour.pk).exists()


def test_a_price_far_behind_the_others_is_never_traded_on(book, manager, run_worker):
    old = date(2026, 11, 20) - timedelta(days=settings.PRICE_MAX_AGE_DAYS + 1)
    Price.objects.filter(security=book.xxx).update(date=old)
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))

    assert _rows(run)["Harbour"].reason_code == "STALE_PRICE"
    assert _rows(run)["Lee"].state == "solved"


def test_a_model_none_of_whose_securities_is_priced_starts_nothing(book, manager):
    lonely = security("LON", price=None)
    draft = ModelDraft(
        "Lonely", (PositionDraft(lonely.pk, Decimal("0.5"), Decimal("0.1"), Decimal("0.1")),), (book.tiny.pk,)
    )
    model = model_create(draft=draft, by=manager)

    with pytest.raises(InvalidInputError, match="has a price"):
        run_launch(by=manager, model_id=model.pk)
    assert not Rebalance.objects.exists()
    assert not PriceSnapshot.objects.exists()


def test_a_model_without_positions_would_sell_everything_and_is_refused(book, manager):
    model = model_create(draft=ModelDraft("Empty", (), (book.tiny.pk,)), by=manager)

    with pytest.raises(InvalidInputError, match="no positions"):
        run_launch(by=manager, model_id=model.pk)


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor", "admin"])
def test_only_a_portfolio_manager_launches(book, person, role):
    with pytest.raises(NotAllowedError):
        run_launch(by=person(role), model_id=book.model.pk)


def test_an_unknown_model_or_a_foreign_portfolio_starts_nothing(book, manager):
    stranger = portfolio("Stranger", "1000")
    with pytest.raises(NotFoundError):
        run_launch(by=manager, model_id="f" * 24)
    with pytest.raises(InvalidInputError) as refused:
        run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[stranger.pk])
    assert "portfolio_ids" in refused.value.fields
    assert not Rebalance.objects.exists()


@pytest.mark.parametrize(
    "options", [{"min_cash": "NaN"}, {"min_cash": True}, {"no_such": 1}, {"mode": "sell_all"}, {"time_limit": 10**6}]
)
def test_an_option_that_makes_no_sense_is_refused_at_its_field(book, manager, options):
    with pytest.raises(InvalidInputError) as refused:
        run_launch(by=manager, model_id=book.model.pk, options=options)
    assert next(iter(options)) in " ".join(refused.value.fields)


def test_the_same_key_starts_one_run_and_other_content_under_it_is_refused(book, manager):
    first = run_launch(by=manager, model_id=book.model.pk, idempotency_key="k1")
    again = run_launch(by=manager, model_id=book.model.pk, idempotency_key="k1")

    assert again.pk == first.pk
    with pytest.raises(ConflictError):
        run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.tiny.pk], idempotency_key="k1")


def test_a_portfolio_is_in_one_open_run_at_a_time(book, manager):
    run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk])

    with pytest.raises(ConflictError, match="Harbour is being rebalanced by run #1"):
        run_launch(by=manager, model_id=book.model.pk)


def test_a_message_of_another_installation_is_said_in_the_log(book, manager, run_worker, caplog):
    """Two that share a broker take each other's messages: nothing is lost, but their runs crawl."""
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    chunk_solve(run_id=run.pk, chunk=0)
    assert "another installation" not in caplog.text
    chunk_solve(run_id="0" * 24, chunk=7)
    assert "does another installation use this broker?" in caplog.text


def test_a_message_too_many_changes_nothing(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    before = list(Order.objects.order_by("pk").values())
    chunk_solve(run_id=run.pk, chunk=0)
    chunk_solve(run_id="0" * 24, chunk=7)
    run_finish(run.pk)

    assert list(Order.objects.order_by("pk").values()) == before
    assert AuditEvent.objects.filter(action="rebalance.finished").count() == 1


def test_a_cancelled_run_starts_nothing_more_and_ends(book, manager, run_worker):
    run = run_launch(by=manager, model_id=book.model.pk)
    run_cancel(by=manager, run_id=run.pk)
    chunk_solve(run_id=run.pk, chunk=0)
    run.refresh_from_db()

    assert (run.state, run.n_cancelled, run.n_orders) == ("cancelled", 3, 0)
    with pytest.raises(ConflictError):
        run_cancel(by=manager, run_id=run.pk)
    assert verify_all()["violations"] == 0


def _claim_and_die(run, minutes_ago=5):
    """What a worker leaves behind that was killed after its claim."""
    lapsed = timezone.now() - timedelta(minutes=minutes_ago)
    for row in run.portfolios.filter(state="queued"):
        row.state, row.token, row.attempt, row.lease_until = "solving", "dead", row.attempt + 1, lapsed
        row.save()


def test_what_a_dead_worker_held_is_solved_by_another(book, manager, run_worker):
    run = run_launch(by=manager, model_id=book.model.pk)
    _claim_and_die(run)
    assert sweep().requeued == 3
    chunks = set(run.portfolios.values_list("chunk", flat=True))
    run = run_worker(run)

    assert len(chunks) == 3, "each travels alone from now on"
    assert run.state == "completed"
    assert {row.attempt for row in run.portfolios.all()} == {2}


def test_a_portfolio_that_kills_its_worker_three_times_fails_and_the_run_ends(book, manager):
    run = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk])
    for _ in range(settings.MAX_ATTEMPTS):
        _claim_and_die(run)
        swept = sweep()
    run.refresh_from_db()

    assert swept.given_up == 1
    assert (run.state, run.n_failed) == ("completed", 1)
    assert run.portfolios.get().reason_code == "POISON"


def _lapse(run):
    run.portfolios.filter(state="solving").update(lease_until=timezone.now() - timedelta(minutes=5))


def _attempt(run):
    """What a worker and then, its lease over, a sweeper make of each chunk that waits."""
    for chunk in list(run.portfolios.filter(state="queued").values_list("chunk", flat=True)):
        with pytest.raises(ValueError, match=r"no such.+row"):
            chunk_solve(run_id=run.pk, chunk=chunk)
    _lapse(run)
    sweep()


@pytest.fixture
def defect(book, manager, monkeypatch):
    """A run over one portfolio, and an exception of ours, or NumPy's, in every attempt at it."""

    def broken(*_):
        raise ValueError("no such\0 row")

    monkeypatch.setattr(solve, "batch_solve", broken)
    return run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk])


def test_an_exception_in_a_worker_is_told_as_what_it_is_from_the_first_attempt_to_the_last(defect):
    told = "The program failed with ValueError: no such row. The worker's log tells where."
    _attempt(defect)
    waiting = defect.portfolios.get()
    assert (waiting.state, waiting.reason_code, waiting.reason) == ("queued", "INTERNAL_ERROR", told)
    for _ in range(settings.MAX_ATTEMPTS - 1):
        _attempt(defect)
    row = defect.portfolios.get()

    assert (row.state, row.attempt, row.reason_code, row.reason) == ("failed", 3, "INTERNAL_ERROR", told)
    assert verify_all()["violations"] == 0


def test_an_exception_of_an_earlier_attempt_is_no_reason_once_another_begins(defect, monkeypatch, run_worker):
    _attempt(defect)
    monkeypatch.setattr(solve, "batch_solve", batch_solve)
    row = run_worker(defect).portfolios.get()

    assert (row.state, row.attempt, row.reason_code, row.reason) == ("solved", 2, "", "")


def test_a_worker_that_dies_at_the_last_attempt_is_not_said_to_have_raised_what_an_earlier_one_did(defect):
    _attempt(defect)
    for _ in range(settings.MAX_ATTEMPTS - 1):
        solve._claim(defect.pk, defect.portfolios.get().chunk)
        _lapse(defect)
        sweep()
    row = defect.portfolios.get()

    assert (row.state, row.reason_code) == ("failed", "POISON")
    assert row.reason.startswith("Tried 3 times, and the last time its worker died.")


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(book, manager, run_worker, monkeypatch):
    """The row was taken over while the first worker slept; its late answer is thrown away whole."""
    run = run_launch(by=manager, model_id=book.model.pk)
    original = solve.gather

    def overtaken(*arguments):
        run.portfolios.update(token="another")
        return original(*arguments)

    monkeypatch.setattr(solve, "gather", overtaken)
    chunk_solve(run_id=run.pk, chunk=0)
    run.refresh_from_db()

    assert (run.n_orders, run.n_done) == (0, 0)
    assert not Order.objects.exists()


def test_a_later_run_supersedes_what_nobody_decided_on(book, manager, run_worker):
    first = run_worker(run_launch(by=manager, model_id=book.model.pk))
    second = run_worker(run_launch(by=manager, model_id=book.model.pk))
    first.refresh_from_db()

    assert set(first.orders.values_list("state", flat=True)) == {"superseded"}
    assert (first.n_awaiting, first.n_superseded) == (0, first.n_orders)
    assert set(second.orders.values_list("state", flat=True)) == {"proposed"}
    assert verify_all()["violations"] == 0


def test_a_portfolio_whose_solver_died_does_not_wait_for_the_rest_of_its_chunk(book, manager, monkeypatch):
    """Its lease has lapsed for good: what the worker renews for its other portfolios leaves this one alone."""
    run = run_launch(by=manager, model_id=book.model.pk)
    claim = solve._claim(run.pk, 0)
    solve._give_back(claim, claim.rows[0], Reason("SOLVER_CRASHED", details={"said": "it is gone"}))

    assert claim.renew()
    assert sweep().requeued == 1
    assert run.portfolios.get(pk=claim.rows[0].pk).state == "queued"


def test_a_claim_on_a_run_that_is_being_cancelled_ends_its_portfolios(book, manager):
    """The sweeper queued them again at the very moment somebody cancelled."""
    run = run_launch(by=manager, model_id=book.model.pk)
    Rebalance.objects.filter(pk=run.pk).update(cancel_requested=True)
    chunk_solve(run_id=run.pk, chunk=0)

    assert set(run.portfolios.values_list("state", flat=True)) == {"cancelled"}
    assert not run.portfolios.filter(finished_at=None).exists()


def test_what_a_cancelled_run_left_with_a_dead_worker_ends_as_cancelled_with_its_time(book, manager):
    run = run_launch(by=manager, model_id=book.model.pk)
    _claim_and_die(run)
    run_cancel(by=manager, run_id=run.pk)
    sweep()
    run.refresh_from_db()

    assert (run.state, run.n_cancelled) == ("cancelled", 3)
    assert not run.portfolios.filter(finished_at=None).exists()


def test_a_model_that_changes_while_its_run_is_prepared_starts_nothing(book, manager, monkeypatch):
    from rebalance_app.runs import launch

    prepare = launch.prices_now

    def change_meanwhile(source, model):
        type(model).objects.filter(pk=model.pk).update(version=model.version + 1)
        return prepare(source, model)

    monkeypatch.setattr(launch, "prices_now", change_meanwhile)
    with pytest.raises(ConflictError, match="changed at this moment"):
        run_launch(by=manager, model_id=book.model.pk)
    assert not Rebalance.objects.exists()


def test_an_order_beyond_what_can_be_kept_is_refused_by_name_and_takes_no_other_down(book, manager, run_worker):
    Price.objects.filter(security=book.xxx).update(close=Decimal(100000))
    Holding.objects.filter(security=book.xxx).update(quantity=Decimal(100000000))
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    rows = _rows(run)

    assert (rows["Harbour"].state, rows["Harbour"].reason_code) == ("failed", "TOO_LARGE")
    assert "XXX" in rows["Harbour"].reason
    assert rows["Lee"].state == "solved"
    assert verify_all()["faults"] == []


def test_a_cash_floor_beyond_every_portfolio_is_infeasible_and_no_crash(book, manager, run_worker):
    options = {"min_cash": "999999999999999"}
    run = run_worker(run_launch(by=manager, model_id=book.model.pk, options=options))

    assert set(run.portfolios.values_list("state", "attempt")) == {("infeasible", 1)}


def test_a_lease_is_longer_than_any_single_step_of_a_worker():
    step = settings.OPTIMIZATION_TIMEOUT + settings.SOLVER_OVERHEAD_SECONDS
    assert step + 20 < settings.LEASE_SECONDS


def test_what_failed_is_tried_again_by_a_run_of_its_own(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    again = run_retry(by=manager, run_id=run.pk)

    assert list(_rows(again)) == ["Tiny"]
    with pytest.raises(ConflictError, match="still going"):
        run_retry(by=manager, run_id=again.pk)


def test_what_no_longer_follows_the_model_is_not_tried_again(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    model_portfolios_remove(model_id=book.model.pk, portfolio_ids=[book.tiny.pk], by=manager)

    with pytest.raises(ConflictError, match="no failed portfolios"):
        run_retry(by=manager, run_id=run.pk)


def test_a_run_that_was_stopped_is_tried_again_whole(book, manager):
    run = run_launch(by=manager, model_id=book.model.pk)
    run_stop(run.pk, first=run.portfolios.first().pk, why="The accounting service does not answer.")
    again = run_retry(by=manager, run_id=run.pk)

    assert set(_rows(again)) == {"Harbour", "Lee", "Tiny"}


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor", "admin"])
def test_only_a_portfolio_manager_tries_again(book, manager, person, run_worker, role):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    with pytest.raises(NotAllowedError):
        run_retry(by=person(role), run_id=run.pk)


def _lock_refused():
    """What the driver says when it waited for a lock in vain."""
    if connection.vendor == "postgresql":
        return psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")
    refused = sqlite3.OperationalError("database is locked")
    refused.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return refused


def test_a_database_that_is_busy_for_a_moment_costs_no_answer(book, manager, run_worker, monkeypatch):
    write, asked = store._store, []

    def busy_once(*given):
        asked.append(given)
        if len(asked) == 1:
            raise OperationalError("busy") from _lock_refused()
        write(*given)

    monkeypatch.setattr(store, "_store", busy_once)
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))

    assert (run.state, run.n_failed, run.n_done) == ("completed", 0, run.n_portfolios)
    assert set(run.portfolios.values_list("attempt", flat=True)) == {1}
    assert verify_all()["violations"] == 0
