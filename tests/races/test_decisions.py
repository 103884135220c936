"""Two people at once, each in a connection of their own: one effect, and counters that count."""

import multiprocessing
import os
import signal
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import Holding
from ordergen.core.errors import ConflictError
from ordergen.ops.verify import verify_all
from rebalance_app.models import Decision, Order
from rebalance_app.orders import decide as approve
from rebalance_app.orders.decide import order_decide, run_decide
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_cancel
from rebalance_app.runs.solve_chunk import chunk_solve
from tests.builders import portfolio, security, together

TRIALS = 6


def _unexpected(outcomes):
    """What was raised though nobody announced it."""
    return [error for error in outcomes if isinstance(error, Exception) and not isinstance(error, ConflictError)]


def test_of_two_approvers_at_once_one_has_an_effect(book, manager, approver, person, run_worker, at_once):
    ann = person("approver", name="ann")
    for _ in range(TRIALS):
        run = run_worker(run_launch(by=manager, model_id=book.model.pk))
        ids = list(run.orders.values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(run_decide, by=ann, run_id=run.pk, verdict="approved"),
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
        run = run_worker(run_launch(by=manager, model_id=book.model.pk))
        ids = list(run.orders.values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(order_decide, by=ann, order_ids=ids, verdict="rejected", comment="no"),
        )

        assert not _unexpected(outcomes)
        # the rejection stands either way: it came first, or it took the approval back
        assert set(run.orders.values_list("state", flat=True)) == {"rejected"}
    assert verify_all()["faults"] == []


def test_of_two_buys_that_only_a_sale_pays_for_together_one_is_approved(manager, approver, person, run_worker, at_once):
    """7,000 in cash pay for 6,000 of RUNE or for 3,500 of MOSS; both need the 3,000 of the sale."""
    with together():
        security("KELP", "40")
        rune, moss = security("RUNE", "8"), security("MOSS", "100")
        owner = portfolio("Fell", "7000", KELP="75")
    lines = tuple(
        PositionDraft(s.pk, Decimal(t), Decimal("0.05"), Decimal("0.05")) for s, t in ((rune, "0.6"), (moss, "0.35"))
    )
    model = model_create(draft=ModelDraft("Core", lines, (owner.pk,)), by=manager)
    ann = person("approver", name="ann")
    for _ in range(TRIALS):
        run = run_worker(run_launch(by=manager, model_id=model.pk))
        rune_buy, moss_buy = (run.orders.get(ticker=ticker).pk for ticker in ("RUNE", "MOSS"))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=[rune_buy], verdict="approved"),
            partial(order_decide, by=ann, order_ids=[moss_buy], verdict="approved"),
        )

        assert not _unexpected(outcomes)
        (approved,) = run.orders.filter(state="approved").values_list("pk", flat=True)
        order_decide(by=ann, order_ids=[approved], verdict="rejected", comment="makes room for the next trial")
    assert verify_all()["faults"] == []


def test_buys_are_approved_or_their_sale_is_taken_back_and_never_both(
    book, manager, approver, person, run_worker, at_once
):
    ann = person("approver", name="ann")
    book.harbour.cash = 0
    book.harbour.save()
    Holding.objects.filter(portfolio=book.harbour).update(quantity=100)
    for _ in range(TRIALS):
        run = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
        sale, buys = run.orders.get(side="SELL"), run.orders.filter(side="BUY")
        ids = list(buys.values_list("pk", flat=True))
        order_decide(by=approver, order_ids=[sale.pk], verdict="approved")
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(order_decide, by=ann, order_ids=[sale.pk], verdict="rejected", comment="no"),
        )
        sale.refresh_from_db()

        assert not _unexpected(outcomes)
        if any(isinstance(outcome, ConflictError) for outcome in outcomes):
            assert sale.state == "approved", "buys came between its book and its turn"
        assert (sale.state == "approved") == (buys.filter(state="approved").count() > 0)
        left = list(run.orders.filter(state="approved").values_list("pk", flat=True))
        if left:
            order_decide(by=ann, order_ids=left, verdict="rejected", comment="makes room for the next trial")
    assert verify_all()["faults"] == []


def test_an_order_is_approved_or_superseded_and_never_both(book, manager, approver, run_worker, at_once):
    for _ in range(TRIALS):
        old = run_worker(run_launch(by=manager, model_id=book.model.pk))
        new = run_launch(by=manager, model_id=book.model.pk)
        outcomes = at_once(
            partial(run_decide, by=approver, run_id=old.pk, verdict="approved"),
            partial(chunk_solve, run_id=new.pk, chunk=0),
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
        first = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=lee))
        second = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.tiny.pk, *harbour])
        chunk_solve(run_id=second.pk, chunk=0)
        third = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.tiny.pk])
        ids = list(Order.objects.filter(rebalance__in=(first, second)).values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="rejected", comment="no"),
            partial(run_cancel, by=manager, run_id=third.pk),
            partial(chunk_solve, run_id=third.pk, chunk=0),
        )

        assert not _unexpected(outcomes)
    assert verify_all()["faults"] == []


def _die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def _decide_and_die(client, form, step):
    """In a process of its own: the second time that the request comes to `step`, nothing of the process is left."""
    acts = iter((getattr(approve, step), _die))

    def act(*arguments):
        return next(acts)(*arguments)

    setattr(approve, step, act)
    approve.PORTFOLIOS_AT_ONCE = 1
    client.post("/orders/decision", form)


@pytest.mark.parametrize("step", ["_decide_portfolios", "_tell"], ids=["between two transactions", "before a commit"])
def test_a_decision_that_is_killed_half_way_is_finished_by_asking_again(
    book, manager, approver, run_worker, client, step
):
    """As where a server is restarted or killed while somebody approves a million orders."""
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    first, second = run.portfolios.filter(n_orders__gt=0).order_by("pk")
    form = {"run": run.pk, "expected": run.n_awaiting, "verdict": "approved", "comment": ""}
    client.force_login(approver)
    connection.close()
    killed = multiprocessing.get_context("fork").Process(target=_decide_and_die, args=(client, form, step))
    killed.start()
    killed.join(timeout=60)
    run.refresh_from_db()

    assert killed.exitcode == -signal.SIGKILL
    assert (run.n_approved, run.n_awaiting) == (first.n_orders, second.n_orders)
    assert Decision.objects.count() == first.n_orders
    assert verify_all()["faults"] == []
    assert client.post("/orders/decision", form).status_code == 409, "it is not what was seen any more"

    again = client.post("/orders/decision", form | {"expected": run.n_awaiting})
    run.refresh_from_db()
    assert again.status_code == 302
    assert (run.n_approved, run.n_awaiting) == (run.n_orders, 0)
    assert set(Decision.objects.values_list("order_id", flat=True)) == set(run.orders.values_list("pk", flat=True))
    assert Decision.objects.count() == run.n_orders, "none twice"
    assert verify_all()["faults"] == []
