"""The sweeper takes back what a worker is just about to finish: one of the two has the row, never both."""

from datetime import timedelta
from functools import partial

from django.utils import timezone

from ordergen.ops.verify import verify_all
from rebalance_app.runs import solve_chunk as solve
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.solve_chunk import chunk_solve
from rebalance_app.runs.sweep import sweep

TRIALS = 8


def _late(run, gather):
    """Reads the book for so long that the lease has lapsed."""

    def read(*arguments):
        work = gather(*arguments)
        run.portfolios.filter(attempt=1).update(lease_until=timezone.now() - timedelta(seconds=1))
        return work

    return read


def test_a_worker_and_the_sweeper_that_gave_it_up_end_each_portfolio_once(
    book, manager, run_worker, at_once, monkeypatch
):
    gather = solve.gather
    for _ in range(TRIALS):
        run = run_launch(by=manager, model_id=book.model.pk)
        monkeypatch.setattr(solve, "gather", _late(run, gather))
        outcomes = at_once(partial(chunk_solve, run_id=run.pk, chunk=0), sweep, sweep)
        monkeypatch.setattr(solve, "gather", gather)
        run = run_worker(run)

        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert (run.state, run.n_done) == ("completed", run.n_portfolios)
        assert run.orders.count() == run.n_orders == len(set(run.orders.values_list("portfolio_id", "security_id")))
    assert verify_all()["faults"] == []
