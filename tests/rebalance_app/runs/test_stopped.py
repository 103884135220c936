"""A run whose book cannot be read: it stops once, and nothing that others are doing slips in behind it."""

import pytest

from models_app.sources.local import LocalSource
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import UnavailableError
from ordergen.ops.verify import verify_all
from rebalance_app.models import Rebalance
from rebalance_app.runs import solve_chunk as solve
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_stop
from rebalance_app.runs.sweep import sweep

pytestmark = pytest.mark.django_db
DOWN = "The ledger does not answer."


@pytest.fixture
def run(book, manager, settings):
    """Three portfolios, each a chunk of its own."""
    settings.CHUNK_SIZE = 1
    return run_launch(by=manager, model_id=book.model.pk)


@pytest.fixture
def outage(monkeypatch):
    def balances(_self, _ids):
        raise UnavailableError(DOWN)

    monkeypatch.setattr(LocalSource, "balances", balances)


def _counts(run):
    run.refresh_from_db()
    return run.state, run.n_failed, run.n_cancelled, run.n_orders


def test_the_portfolio_that_met_the_outage_says_why_and_the_others_end_without_a_reason(run, outage):
    solve.chunk_solve(run_id=run.pk, chunk=1)

    assert _counts(run) == ("stopped", 1, 2, 0)
    reasons = list(run.portfolios.order_by("chunk").values_list("state", "reason_code", "reason"))
    assert reasons == [("cancelled", "", ""), ("failed", "SERVICE_DOWN", DOWN), ("cancelled", "", "")]
    assert AuditEvent.objects.get(action="rebalance.stopped").detail["why"] == DOWN
    assert verify_all()["violations"] == 0


def test_what_another_worker_finds_after_the_stop_is_thrown_away(run, monkeypatch):
    gather = solve.gather

    def gather_while_another_stops(*given):
        found = gather(*given)
        solve._claim(run.pk, 2)
        run_stop(run.pk, first=run.portfolios.get(chunk=2).pk, why=DOWN)
        return found

    monkeypatch.setattr(solve, "gather", gather_while_another_stops)
    solve.chunk_solve(run_id=run.pk, chunk=0)

    assert _counts(run) == ("stopped", 1, 2, 0)
    assert verify_all()["violations"] == 0


def test_a_run_stops_once_and_no_message_or_sweep_revives_it(run, outage):
    for _ in range(2):
        for chunk in range(3):
            solve.chunk_solve(run_id=run.pk, chunk=chunk)
        sweep()

    assert _counts(run) == ("stopped", 1, 2, 0)
    assert AuditEvent.objects.filter(action__startswith="rebalance.").count() == 2, "launched and stopped"


def test_a_run_that_has_ended_is_not_stopped(run, run_worker):
    run_worker(run)
    before = _counts(run)

    run_stop(run.pk, first=run.portfolios.first().pk, why=DOWN)

    assert _counts(run) == before
    assert Rebalance.objects.get().state == "completed"
