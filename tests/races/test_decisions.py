"""Two people at once, each in a connection of their own: one effect, and counters that count."""

from functools import partial

from ordergen.errors import ConflictError
from ordergen.verify import verify_all
from rebalance_app.models import Decision, Order
from rebalance_app.services.approve import order_decide, run_decide
from rebalance_app.services.cancel import rebalance_cancel
from rebalance_app.services.launch import rebalance_launch
from rebalance_app.services.solve import chunk_solve

TRIALS = 6


def _unexpected(outcomes):
    """What was raised though nobody announced it."""
    return [error for error in outcomes if isinstance(error, Exception) and not isinstance(error, ConflictError)]


def test_of_two_approvers_at_once_one_has_an_effect(book, manager, approver, person, run_worker, at_once):
    ann = person("approver", name="ann")
    for _ in range(TRIALS):
        run = run_worker(rebalance_launch(by=manager, model_id=book.model.pk))
        ids = list(run.orders.values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(run_decide, by=ann, rebalance_id=run.pk, verdict="approved"),
        )
        run.refresh_from_db()

        assert not _unexpected(outcomes)
        assert Decision.objects.filter(order__rebalance=run).count() == len(ids)
        assert run.n_approved == len(ids)
        order_decide(by=ann, order_ids=ids, verdict="rejected", comment="makes room for the next trial")
    assert verify_all()["faults"] == []


def test_one_approves_while_the_other_rejects(book, manager, approver, person, run_worker, at_once):
    ann = person("approver", name="ann")
    for _ in range(TRIALS):
        run = run_worker(rebalance_launch(by=manager, model_id=book.model.pk))
        ids = list(run.orders.values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(order_decide, by=ann, order_ids=ids, verdict="rejected", comment="no"),
        )

        assert not _unexpected(outcomes)
        # the rejection stands either way: it came first, or it took the approval back
        assert set(run.orders.values_list("state", flat=True)) == {"rejected"}
    assert verify_all()["faults"] == []


def test_an_order_is_approved_or_superseded_and_never_both(book, manager, approver, run_worker, at_once):
    for _ in range(TRIALS):
        old = run_worker(rebalance_launch(by=manager, model_id=book.model.pk))
        new = rebalance_launch(by=manager, model_id=book.model.pk)
        outcomes = at_once(
            partial(run_decide, by=approver, rebalance_id=old.pk, verdict="approved"),
            partial(chunk_solve, rebalance_id=new.pk, chunk=0),
        )
        states = set(old.orders.values_list("state", flat=True))

        assert not _unexpected(outcomes)
        assert states in ({"approved"}, {"superseded"})
        if states == {"approved"}:
            ids = list(old.orders.values_list("pk", flat=True))
            order_decide(by=approver, order_ids=ids, verdict="rejected", comment="makes room for the next trial")
    assert verify_all()["faults"] == []


def test_decisions_over_two_runs_and_a_cancellation_do_not_wait_for_each_other(
    book, manager, approver, person, run_worker, at_once
):
    """A decision locks the runs it counts in, a cancellation its run; both append to the one audit trail."""
    lee, harbour = [book.cash_only.pk], [book.harbour.pk]
    for _ in range(TRIALS):
        first = run_worker(rebalance_launch(by=manager, model_id=book.model.pk, portfolio_ids=lee))
        second = rebalance_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.tiny.pk, *harbour])
        chunk_solve(rebalance_id=second.pk, chunk=0)
        third = rebalance_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.tiny.pk])
        ids = list(Order.objects.filter(rebalance__in=(first, second)).values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="rejected", comment="no"),
            partial(rebalance_cancel, by=manager, rebalance_id=third.pk),
            partial(chunk_solve, rebalance_id=third.pk, chunk=0),
        )

        assert not _unexpected(outcomes)
    assert verify_all()["faults"] == []
