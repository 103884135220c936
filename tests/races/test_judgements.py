"""An approval against what makes it wrong at the same moment: an import, a model, a limit, a second approver."""

from dataclasses import replace
from decimal import Decimal
from functools import partial

from models_app.drift_index.changed import book_changed
from models_app.investment_models.selectors import model_version
from models_app.modelling.services import model_update
from models_app.models import Holding, InvestmentModel, Portfolio
from ordergen.core.db import atomic
from ordergen.core.errors import ConflictError
from ordergen.ops.verify import verify_all
from rebalance_app.limits.services import limits_set
from rebalance_app.models import Order, OrderMove
from rebalance_app.orders.decide import order_decide, run_decide
from rebalance_app.runs.launch import run_launch

TRIALS = 6


def _unexpected(outcomes):
    return [error for error in outcomes if isinstance(error, Exception) and not isinstance(error, ConflictError)]


def _is_refused(outcome):
    return isinstance(outcome, ConflictError)


def _take_back(run, by):
    left = list(run.orders.filter(state="approved").values_list("pk", flat=True))
    if left:
        order_decide(by=by, order_ids=left, verdict="rejected", comment="makes room for the next trial")


def _change_holding(owner, security, quantity):
    """As an import does: the rows and the book's version in one transaction."""
    with atomic():
        book_changed([owner.pk])  # takes the turn first
        Holding.objects.filter(portfolio=owner, security=security).update(quantity=quantity)
        Portfolio.objects.filter(pk=owner.pk).update(cash=Decimal(10_000))


def test_an_import_and_an_approval_never_both_stand_where_they_contradict(book, manager, approver, run_worker, at_once):
    """Harbour's XXX is counted anew, as another number, while its orders are approved."""
    approved = refused = 0
    for trial in range(TRIALS):
        _change_holding(book.harbour, book.xxx, 10)
        run = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
        ids = list(run.orders.values_list("pk", flat=True))
        decision, imported = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(_change_holding, book.harbour, book.xxx, 9 - trial % 2),
        )

        assert not _unexpected([decision, imported])
        assert imported is None
        states = set(run.orders.values_list("state", flat=True))
        if _is_refused(decision) or not decision.n_decided:
            assert states == {"proposed"}
            refused += 1
        else:
            assert states == {"approved"}, "it came first, from the holdings as they were then"
            approved += 1
        _take_back(run, approver)
    assert approved + refused == TRIALS
    assert verify_all()["faults"] == []


def test_an_approval_is_by_the_model_as_it_is_or_outdated(book, manager, approver, run_worker, at_once):
    weights = (Decimal("0.30"), Decimal("0.26"))
    for trial in range(TRIALS):
        now = InvestmentModel.objects.get(pk=book.model.pk)
        run = run_worker(run_launch(by=manager, model_id=now.pk, portfolio_ids=[book.harbour.pk]))
        _, draft = model_version(now.pk, now.version)
        lines = tuple(
            replace(one, target=weights[(trial + 1) % 2]) if one.security_id == book.aaa.pk else one
            for one in draft.positions
        )
        change = partial(model_update, model_id=now.pk, version=now.version, by=manager)
        decision, changed = at_once(
            partial(run_decide, by=approver, run_id=run.pk, verdict="approved", comment="I know"),
            partial(change, draft=replace(draft, positions=lines)),
        )

        assert not _unexpected([decision, changed])
        (state,) = set(run.orders.values_list("state", flat=True))
        assert state in ("approved", "outdated")
        assert (decision.n_decided, decision.n_outdated) == (
            (run.n_orders, 0) if state == "approved" else (0, run.n_orders)
        )
        assert OrderMove.objects.filter(order__rebalance=run).count() == decision.n_outdated
        _take_back(run, approver)
    assert verify_all()["faults"] == []


def test_a_hold_is_before_an_approval_or_after_it(book, manager, approver, run_worker, at_once):
    hold = partial(limits_set, by=manager, scope="portfolio", subject_id=book.harbour.pk, reason="transfer")
    for _ in range(TRIALS):
        run = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
        ids = list(run.orders.values_list("pk", flat=True))
        decision, held = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"), partial(hold, values={"hold": True})
        )

        assert not _unexpected([decision, held])
        assert decision.n_decided in (0, len(ids)), "all of it before the hold, or none after it"
        assert run.orders.filter(state="approved").count() == decision.n_decided
        hold(values={})
        _take_back(run, approver)
    assert verify_all()["faults"] == []


def test_of_two_approvers_who_both_find_a_proposal_outdated_one_moves_it(
    book, manager, approver, person, run_worker, at_once
):
    ann = person("approver", name="ann")
    for trial in range(TRIALS):
        run = run_worker(run_launch(by=manager, model_id=book.model.pk))
        now = InvestmentModel.objects.get(pk=book.model.pk)
        _, draft = model_version(now.pk, now.version)
        target = Decimal("0.26") if trial % 2 else Decimal("0.30")
        lines = tuple(
            replace(one, target=target - Decimal("0.01")) if one.security_id == book.aaa.pk else one
            for one in draft.positions
        )
        model_update(model_id=now.pk, version=now.version, by=manager, draft=replace(draft, positions=lines))
        ids = list(run.orders.values_list("pk", flat=True))
        outcomes = at_once(
            partial(order_decide, by=approver, order_ids=ids, verdict="approved"),
            partial(run_decide, by=ann, run_id=run.pk, verdict="approved"),
        )
        run.refresh_from_db()

        assert not _unexpected(outcomes)
        assert run.n_outdated == run.n_orders
        assert OrderMove.objects.filter(order__in=ids).count() == len(ids), "each once"
    assert not Order.objects.filter(state="approved").exists()
    assert verify_all()["faults"] == []
