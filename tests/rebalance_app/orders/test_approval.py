"""Who may decide on an order, and what an approval is worth."""

import sqlite3
from decimal import Decimal

import pytest
from django.db import OperationalError, transaction

from models_app.drift_index.changed import book_changed
from models_app.models import Holding, Portfolio, Price
from models_app.sources.local import LocalSource
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError, UnavailableError
from ordergen.ops.verify import verify_all
from rebalance_app.judging import book_now
from rebalance_app.models import Decision, OpenOrders, Order
from rebalance_app.orders import decide as approve
from rebalance_app.orders.decide import content_hash, order_decide, run_decide
from rebalance_app.runs.launch import run_launch

pytestmark = pytest.mark.django_db
NOT_COUNTED = "Run #1 has orders on their way that this proposal does not count: rebalance again."


@pytest.fixture
def run(book, manager, run_worker):
    return run_worker(run_launch(by=manager, model_id=book.model.pk))


def _locked():
    error = OperationalError("database is locked")
    error.__cause__ = sqlite3.OperationalError("database is locked")
    error.__cause__.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def _raises(error):
    def fail(*_arguments):
        raise error

    return fail


def _ids(run):
    return list(run.orders.order_by("pk").values_list("pk", flat=True))


def test_an_approver_approves_and_it_is_recorded_with_who_when_and_why(run, approver):
    decided = order_decide(by=approver, order_ids=_ids(run), verdict="approved", comment="checked")
    run.refresh_from_db()
    decision = Decision.objects.first()

    assert (decided.n_decided, decided.skipped) == (run.n_orders, [])
    assert (run.n_approved, run.n_awaiting) == (run.n_orders, 0)
    assert (decision.decided_by, decision.comment) == (approver, "checked")
    assert decision.content_hash == content_hash(decision.order)
    assert AuditEvent.objects.filter(action="orders.approved", actor="tom").count() == 1
    assert verify_all()["violations"] == 0


def test_who_launched_the_run_cannot_approve_it_whatever_roles_they_hold(book, person, run_worker):
    both = person("manager", "approver", "admin", name="both")
    both.is_superuser = both.is_staff = True
    both.save()
    run = run_worker(run_launch(by=both, model_id=book.model.pk))
    decided = run_decide(by=both, run_id=run.pk, verdict="approved")

    assert decided.n_decided == 0
    assert decided.reasons == {"You launched this run: another approver must decide.": run.n_orders}
    assert not Decision.objects.exists()


def test_what_is_left_alone_is_counted_and_only_its_beginning_named(book, run, manager, approver, monkeypatch):
    monkeypatch.setattr(approve, "MOST_NAMED", 2)
    monkeypatch.setattr(approve, "PORTFOLIOS_AT_ONCE", 1)
    manager.roles = ["manager", "approver"]
    manager.save()
    own = run_decide(by=manager, run_id=run.pk, verdict="approved")
    Portfolio.objects.update(cash=0)
    poor = run_decide(by=approver, run_id=run.pk, verdict="approved")

    assert (own.n_skipped, own.skipped) == (run.n_orders, [(key, next(iter(own.reasons))) for key in _ids(run)[:2]])
    assert (poor.n_skipped, len(poor.skipped), len(poor.reasons)) == (run.n_orders, 2, 1)
    with pytest.raises(ConflictError, match="look again"):
        run_decide(by=manager, run_id=run.pk, verdict="approved", expected_count=run.n_orders + 1)


@pytest.mark.parametrize("role", ["viewer", "manager", "auditor", "admin"])
def test_only_an_approver_decides(run, person, role):
    with pytest.raises(NotAllowedError):
        order_decide(by=person(role, name="x"), order_ids=_ids(run), verdict="approved")
    assert not Decision.objects.exists()


def test_a_second_decision_on_an_order_is_skipped_and_said(run, approver, person):
    first, *_ = _ids(run)
    order_decide(by=approver, order_ids=[first], verdict="approved")
    again = order_decide(by=person("approver", name="ann"), order_ids=[first], verdict="approved")

    assert again.n_decided == 0
    assert again.skipped == [(first, "It is approved already.")]


def test_an_approval_can_be_taken_back_with_a_reason(run, approver):
    first, *_ = _ids(run)
    order_decide(by=approver, order_ids=[first], verdict="approved")
    order_decide(by=approver, order_ids=[first], verdict="rejected", comment="price moved")
    run.refresh_from_db()

    assert (run.n_approved, run.n_rejected) == (0, 1)
    assert verify_all()["violations"] == 0


def test_a_rejection_needs_a_reason(run, approver):
    with pytest.raises(InvalidInputError) as refused:
        order_decide(by=approver, order_ids=_ids(run), verdict="rejected", comment="  ")
    assert "comment" in refused.value.fields


@pytest.mark.parametrize("verdict", ["", "APPROVED", "sent"])
def test_a_verdict_that_does_not_exist_decides_nothing(run, approver, verdict):
    with pytest.raises(InvalidInputError):
        order_decide(by=approver, order_ids=_ids(run), verdict=verdict)


def test_an_unknown_order_fails_the_whole_request(run, approver):
    with pytest.raises(NotFoundError):
        order_decide(by=approver, order_ids=[*_ids(run), "f" * 24], verdict="approved")
    assert not Decision.objects.exists()


def test_a_count_that_changed_meanwhile_asks_to_look_again(run, approver):
    with pytest.raises(ConflictError, match="look again"):
        run_decide(by=approver, run_id=run.pk, verdict="approved", expected_count=run.n_orders - 1)
    assert not Decision.objects.exists()


def test_a_large_run_is_decided_some_portfolios_at_a_time_and_whole(run, approver, monkeypatch):
    monkeypatch.setattr(approve, "PORTFOLIOS_AT_ONCE", 1)
    decided = run_decide(by=approver, run_id=run.pk, verdict="approved", expected_count=run.n_orders)
    n_portfolios = run.portfolios.filter(n_orders__gt=0).count()
    run.refresh_from_db()

    assert n_portfolios > 1
    assert (decided.n_decided, run.n_approved, run.n_awaiting) == (run.n_orders, run.n_orders, 0)
    assert AuditEvent.objects.filter(action="orders.approved").count() == n_portfolios
    assert verify_all()["violations"] == 0


def test_a_large_decision_that_is_stopped_says_how_much_of_it_was_done(run, approver, monkeypatch):
    class ChangingSource(LocalSource):
        """A book that somebody changes between the second read and the second transaction."""

        reads = 0

        def data_version(self):
            self.reads += 1
            return "changed" if self.reads == 4 else "as it was"

    source = ChangingSource()
    monkeypatch.setattr(approve, "PORTFOLIOS_AT_ONCE", 1)
    monkeypatch.setattr(book_now, "get_source", lambda: source)
    first = run.portfolios.filter(n_orders__gt=0).order_by("pk").first()

    with pytest.raises(ConflictError, match=f"Before that, {first.n_orders} orders were approved"):
        run_decide(by=approver, run_id=run.pk, verdict="approved")
    run.refresh_from_db()
    assert run.n_approved == first.n_orders == Decision.objects.count()


@pytest.mark.parametrize(
    ("stopped_by", "why"),
    [
        (UnavailableError("The book does not answer."), "The book does not answer."),
        (_locked(), "The database is busy."),
    ],
)
def test_whatever_stops_a_large_decision_does_not_claim_that_nothing_was_changed(
    run, approver, client, monkeypatch, stopped_by, why
):
    decide, calls = approve._decide, []

    def stop_at_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise stopped_by
        return decide(*arguments)

    monkeypatch.setattr(approve, "PORTFOLIOS_AT_ONCE", 1)
    monkeypatch.setattr(approve, "_decide", stop_at_the_second)
    client.force_login(approver)
    form = {"run": run.pk, "expected": run.n_orders, "verdict": "approved", "comment": ""}
    answer = client.post("/orders/decision", form)
    done, page = Decision.objects.count(), answer.content.decode()

    assert answer.status_code == 409
    assert 0 < done < run.n_orders
    assert f"{why} Before that, {done} orders were approved." in page
    assert "Nothing was changed" not in page


def test_what_stops_a_large_decision_at_its_first_part_is_said_as_it_is(run, approver, monkeypatch):
    monkeypatch.setattr(approve, "_decide", _raises(_locked()))
    with pytest.raises(OperationalError):
        run_decide(by=approver, run_id=run.pk, verdict="approved")


def test_no_order_of_a_portfolio_is_approved_once_a_holding_of_one_has_changed(book, run, approver):
    """A buy would spend the cash of a sale that is not approved."""
    Holding.objects.filter(portfolio=book.harbour, security=book.xxx).update(quantity=7)
    decided = run_decide(by=approver, run_id=run.pk, verdict="approved")
    orders = run.orders.filter(portfolio_id=book.harbour.pk)

    assert orders.filter(side="BUY").exists()
    assert set(dict(decided.skipped)) == set(orders.values_list("pk", flat=True))
    assert set(decided.reasons) == {"The holding of XXX has changed since this was proposed: rebalance again."}
    assert decided.n_decided == run.n_orders - orders.count() > 0


def test_nor_is_one_of_them_that_is_chosen_without_the_others(book, run, approver):
    Holding.objects.filter(portfolio=book.harbour, security=book.xxx).update(quantity=7)
    orders = run.orders.filter(portfolio_id=book.harbour.pk)
    buy, sale = orders.filter(side="BUY")[0], orders.get(ticker="XXX")
    assert order_decide(by=approver, order_ids=[buy.pk], verdict="approved").n_decided == 0

    order_decide(by=approver, order_ids=[sale.pk], verdict="rejected", comment="out of date")
    assert order_decide(by=approver, order_ids=[buy.pk], verdict="approved").n_decided == 1, "by itself it was seen to"


def test_orders_are_not_approved_once_the_cash_is_gone(book, run, approver):
    Portfolio.objects.filter(pk=book.harbour.pk).update(cash=Decimal("9999.99"))
    decided = run_decide(by=approver, run_id=run.pk, verdict="approved")

    assert {why for _, why in decided.skipped} == {
        "The portfolio has less cash than when this was proposed: rebalance again."
    }
    assert len(decided.skipped) == run.orders.filter(portfolio_id=book.harbour.pk).count()


def test_the_same_trade_is_not_approved_twice_from_one_holding(book, run, manager, approver, run_worker):
    run_decide(by=approver, run_id=run.pk, verdict="approved")
    second = run_worker(run_launch(by=manager, model_id=book.model.pk))
    decided = run_decide(by=approver, run_id=second.pk, verdict="approved")

    assert decided.n_decided == 0
    assert all("reject those first" in why for _, why in decided.skipped)


def test_cash_that_an_approved_order_is_to_spend_is_not_spent_by_another_run(book, run, manager, approver, run_worker):
    """Run 1 buys AAA with Lee's cash; run 2, from the same holdings, may not buy BBB with it before that is booked."""
    bought = run.orders.get(portfolio_id=book.cash_only.pk, ticker="AAA")
    rest = run.orders.filter(portfolio_id=book.cash_only.pk).exclude(pk=bought.pk)
    order_decide(by=approver, order_ids=[bought.pk], verdict="approved")
    order_decide(by=approver, order_ids=list(rest.values_list("pk", flat=True)), verdict="rejected", comment="not now")
    only = [book.cash_only.pk]
    blind = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=only, open_orders=OpenOrders.IGNORE)
    early = run_decide(by=approver, run_id=run_worker(blind).pk, verdict="approved")

    assert early.n_decided == 0
    assert set(early.reasons) == {NOT_COUNTED}

    seeing = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=only))
    assert run_decide(by=approver, run_id=seeing.pk, verdict="approved").n_skipped == 0
    approved = Order.objects.filter(portfolio_id=book.cash_only.pk, state="approved")
    assert approved.filter(ticker="AAA").count() == 1
    assert sum(order.value for order in approved) <= book.cash_only.cash


def test_a_book_that_changes_while_it_is_looked_at_approves_nothing(run, approver, monkeypatch):
    from models_app.drift_index.changed import book_changed
    from models_app.sources.local import LocalSource

    read = LocalSource.balances

    def read_while_an_import_commits(self, ids):
        balances = read(self, ids)
        monkeypatch.setattr(LocalSource, "balances", read)
        with transaction.atomic():
            book_changed()
        return balances

    monkeypatch.setattr(LocalSource, "balances", read_while_an_import_commits)
    with pytest.raises(ConflictError, match="look again"):
        run_decide(by=approver, run_id=run.pk, verdict="approved")
    assert not Decision.objects.exists()


@pytest.fixture(params=["1234.12345678", "12345678901.1234567891"])
def delivered(request, monkeypatch, book):
    """The quantity of XXX that Harbour holds at an accountant who counts further than four decimals."""
    quantity, read = Decimal(request.param), LocalSource.balances

    def as_delivered(self, ids):
        balances = read(self, ids)
        if book.harbour.pk in balances:
            balances[book.harbour.pk].quantities[book.xxx.pk] = quantity
        return balances

    monkeypatch.setattr(LocalSource, "balances", as_delivered)
    Price.objects.filter(security=book.xxx).update(close="0.0001")  # nor is the largest worth more than can be kept
    with transaction.atomic():
        book_changed([book.harbour.pk])
    return quantity


def test_an_order_knows_the_holding_to_its_last_decimal_and_can_be_approved(
    delivered, book, manager, approver, run_worker
):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    decided = run_decide(by=approver, run_id=run.pk, verdict="approved")
    sold = run.orders.filter(security_id=book.xxx.pk)

    assert decided.reasons == {}
    assert set(sold.values_list("quantity_before", flat=True)) == {delivered}
    assert verify_all()["violations"] == 0


def test_what_is_approved_and_not_yet_traded_is_seen_of_a_holding_to_its_last_decimal(
    delivered, book, manager, approver, run_worker
):
    first = run_worker(run_launch(by=manager, model_id=book.model.pk))
    run_decide(by=approver, run_id=first.pk, verdict="approved")
    again = run_worker(run_launch(by=manager, model_id=book.model.pk, open_orders=OpenOrders.IGNORE))
    decided = run_decide(by=approver, run_id=again.pk, verdict="approved")

    assert first.number == 1
    assert (decided.n_decided, set(decided.reasons)) == (0, {NOT_COUNTED})

    netted = run_worker(run_launch(by=manager, model_id=book.model.pk))
    assert netted.n_orders == 0, "all that was wanted is on its way"


def test_a_rejection_asks_the_book_nothing(run, approver, monkeypatch):
    from models_app.sources.local import LocalSource
    from ordergen.core.errors import UnavailableError

    def down(self, ids):
        raise UnavailableError("The accounting service does not answer.")

    monkeypatch.setattr(LocalSource, "balances", down)
    decided = run_decide(by=approver, run_id=run.pk, verdict="rejected", comment="no")
    assert decided.n_decided == run.n_orders


def test_the_book_is_read_outside_the_transaction_that_decides(run, approver, monkeypatch):
    from django.db import connection

    from models_app.sources.local import LocalSource

    read, depths = LocalSource.balances, []

    def watched(self, ids):
        depths.append(len(connection.savepoint_ids))
        return read(self, ids)

    monkeypatch.setattr(LocalSource, "balances", watched)
    run_decide(by=approver, run_id=run.pk, verdict="approved")
    assert depths == [0], "a service may take seconds, and the lock would be held meanwhile"
