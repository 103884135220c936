"""What-if: one frozen portfolio under several sets of options, side by side, and nothing is written."""

import sys
import time
from decimal import Decimal

import pytest

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import Price, TaxLot
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import InvalidInputError, NotAllowedError, NotFoundError
from rebalance_app.limits.services import limits_set
from rebalance_app.models import LimitSet, Order, PriceSnapshot, Rebalance
from rebalance_app.runs.launch import run_launch
from rebalance_app.solving import solver_process
from rebalance_app.solving.solver_process import SolverChild
from rebalance_app.what_if import services as service
from rebalance_app.what_if.services import what_if
from tests.rebalance_app.approved import approve, state_anew

pytestmark = pytest.mark.django_db
SILENT = [sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(600)"]
DYING = [sys.executable, "-c", "import os; os.abort()"]
BINDING = {"min_cash": "4720"}  # above what the nearest whole shares leave: a programme has to be solved


def _ask(book, by, *options, portfolio=None, **more):
    return what_if(by=by, portfolio_id=(portfolio or book.harbour).pk, options=options, **more)


def test_scenarios_stand_side_by_side_in_the_order_they_were_asked_for(book, manager):
    found = _ask(book, manager, {}, {"hold": True}, {"mode": "invest_cash"})
    plain, held, invested = found.scenarios

    assert (found.model, found.portfolio_name) == (book.model, "Harbour")
    assert [each["status"] for each in found.scenarios] == ["optimal"] * 3
    assert (held["orders"], held["turnover"], held["drift_after"]) == (0, "0.000000", held["drift_before"])
    assert all(trade["side"] == "BUY" for trade in invested["trades"])
    assert Decimal(plain["drift_after"]) < Decimal(invested["drift_after"]) < Decimal(held["drift_after"])
    assert (plain["breaches_left"], held["breaches_left"]) == (0, held["breaches_before"])


def test_a_scenario_proposes_what_the_run_then_proposes(book, manager, run_worker):
    (scenario,) = _ask(book, manager, {}).scenarios
    run = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
    row = run.portfolios.get()
    orders = {(order.ticker, order.side, order.quantity, order.value) for order in Order.objects.filter(rebalance=run)}

    assert {(t["ticker"], t["side"], t["quantity"], Decimal(t["value"])) for t in scenario["trades"]} == orders
    assert Decimal(scenario["cash_after"]) == row.cash_after
    assert Decimal(scenario["drift_before"]) == row.drift_before
    assert Decimal(scenario["drift_after"]) == row.drift_after
    assert Decimal(scenario["traded"]) == row.buy_value + row.sell_value


def test_cost_and_turnover_are_what_the_trades_come_to(book, manager):
    (scenario,) = _ask(book, manager, {"cost_bps": "10", "ticket_cost": "2"}).scenarios
    traded = sum(Decimal(trade["price"]) * trade["quantity"] for trade in scenario["trades"])

    assert Decimal(scenario["traded"]) == traded
    assert Decimal(scenario["cost"]) == round(traded / 1000 + 2 * scenario["orders"], 4)
    assert Decimal(scenario["turnover"]) == (traded / 2 / 11000).quantize(Decimal("0.000001"))


def test_limits_in_force_narrow_every_scenario_and_say_whose_they_are(book, manager):
    limits_set(by=manager, scope="portfolio", subject_id=book.harbour.pk, values={"hold": True}, reason="estate")
    found = _ask(book, manager, {}, {"hold": False})

    assert [each["orders"] for each in found.scenarios] == [0, 0]
    assert found.scenarios[0]["limits"]["hold"] == {"value": True, "level": "portfolio"}


def test_nothing_is_written(book, manager):
    kinds = (Rebalance, PriceSnapshot, Order, LimitSet, AuditEvent)
    before = [kind.objects.count() for kind in kinds]
    _ask(book, manager, {}, {"mode": "within_bands"})

    assert [kind.objects.count() for kind in kinds] == before


def test_a_scenario_without_an_answer_says_why_and_the_others_are_answered(book, manager):
    impossible, possible = _ask(book, manager, {"min_cash": "1000000"}, {}).scenarios

    assert (impossible["status"], impossible["orders"], impossible["trades"]) == ("infeasible", None, [])
    assert impossible["reasons"][0]["code"] == "SHORT_OF_CASH"
    assert possible["status"] == "optimal"


def test_a_share_larger_than_its_band_is_told_with_its_ticker(book, manager):
    (scenario,) = _ask(book, manager, {}, portfolio=book.tiny).scenarios

    assert scenario["status"] == "infeasible"
    assert any("CCC" in reason["message"] for reason in scenario["reasons"])


@pytest.mark.slow
def test_the_nearest_answer_is_told_with_tickers_and_makes_no_trades(book, manager):
    (scenario,) = _ask(book, manager, {"nearest": True}, portfolio=book.tiny).scenarios

    assert (scenario["status"], scenario["trades"]) == ("infeasible", [])
    assert scenario["nearest"]["trades"]
    assert any("CCC" in reason["message"] for reason in scenario["nearest"]["reasons"])


def test_a_price_that_is_too_old_makes_no_trades_here_either(book, manager, settings):
    settings.PRICE_MAX_AGE_DAYS = 1
    price = Price.objects.get(security=book.ccc)
    Price.objects.filter(pk=price.pk).update(date=price.date.replace(year=price.date.year - 1))
    (scenario,) = _ask(book, manager, {}).scenarios

    assert (scenario["status"], scenario["reasons"][0]["code"]) == ("error", "STALE_PRICE")


def test_a_portfolio_of_two_models_is_asked_which(book, manager):
    line = PositionDraft(book.aaa.pk, Decimal("0.50"), Decimal("0.05"), Decimal("0.05"))
    other = model_create(draft=ModelDraft("Other", (line,), (book.harbour.pk,)), by=manager)

    with pytest.raises(InvalidInputError) as refused:
        _ask(book, manager, {})
    assert "model_id" in refused.value.fields
    assert _ask(book, manager, {}, model_id=other.pk).model == other


def test_a_portfolio_that_does_not_follow_the_model_is_refused(book, manager):
    line = PositionDraft(book.aaa.pk, Decimal("0.50"), Decimal("0.05"), Decimal("0.05"))
    other = model_create(draft=ModelDraft("Other", (line,), (book.tiny.pk,)), by=manager)

    with pytest.raises(InvalidInputError, match="does not follow Other"):
        _ask(book, manager, {}, model_id=other.pk)


def test_what_makes_no_sense_is_refused_with_the_number_of_its_scenario(book, manager):
    with pytest.raises(InvalidInputError) as refused:
        _ask(book, manager, {}, {"max_turnover": "-1"})
    assert list(refused.value.fields) == ["options.1.max_turnover"]
    for wrong in ([], [{}] * 6):
        with pytest.raises(InvalidInputError):
            _ask(book, manager, *wrong)


def test_nobody_asks_without_the_right_or_about_nothing(book, viewer, manager):
    with pytest.raises(NotAllowedError):
        _ask(book, viewer, {})
    with pytest.raises(NotFoundError):
        what_if(by=manager, portfolio_id="f" * 24, options=[{}])


@pytest.fixture
def child(monkeypatch):
    """A child of this test's own, and never a wait for its start."""
    own = SolverChild()
    monkeypatch.setattr(service, "_child", own)
    yield own
    own.close()


def test_a_solver_that_crashes_fails_its_scenario_alone(book, manager, child, monkeypatch):
    monkeypatch.setattr(solver_process, "COMMAND", DYING)
    lost, plain = _ask(book, manager, BINDING, {}).scenarios

    assert (lost["status"], lost["reasons"][0]["code"], lost["trades"]) == ("error", "SOLVER_CRASHED", [])
    assert plain["status"] == "optimal"


def test_a_solver_that_hangs_is_killed_in_time(book, manager, child, monkeypatch, settings):
    monkeypatch.setattr(solver_process, "COMMAND", SILENT)
    settings.SOLVER_GRACE_SECONDS = 0.3
    child._start()
    started = time.monotonic()
    (lost,) = _ask(book, manager, BINDING | {"time_limit": "0.5"}).scenarios

    assert (lost["status"], lost["reasons"][0]["code"]) == ("error", "SOLVER_KILLED")
    assert time.monotonic() - started < 5


def test_who_finds_the_solver_taken_is_told_instead_of_waiting_for_ever(book, manager, child):
    with service._one_at_a_time:
        (told,) = _ask(book, manager, BINDING | {"time_limit": "0.2"}).scenarios

    assert told["reasons"][0]["code"] == "SOLVER_BUSY"


def test_nobody_waits_longer_for_a_scenario_than_its_ten_seconds(book, manager):
    (scenario,) = _ask(book, manager, {"time_limit": 30}).scenarios

    assert scenario["limits"]["time_limit"] == {"value": 10.0, "level": "run"}


@pytest.mark.slow
def test_a_binding_cash_floor_is_kept_by_the_programme_outside_this_process(book, manager, child):
    floor, none = _ask(book, manager, BINDING, {}).scenarios

    assert (floor["status"], floor["method"], none["method"]) == ("optimal", "milp", "separable")
    assert Decimal(floor["cash_after"]) >= 4720 > Decimal(none["cash_after"])
    assert Decimal(floor["gap"]) <= Decimal("0.01")
    assert Decimal(floor["drift_after"]) >= Decimal(none["drift_after"])


def test_what_is_on_its_way_counts_as_done_in_every_scenario_and_is_named(book, manager, approver, run, run_worker):
    (bought,) = approve(run, approver, "Harbour", "AAA")
    found = _ask(book, manager, {}, {"hold": True})
    again = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
    proposed = {(order.ticker, order.side, order.quantity) for order in again.orders.all()}

    assert [(one.order.pk, one.shares) for one in found.coming] == [(bought.pk, bought.quantity)]
    assert {(t["ticker"], t["side"], t["quantity"]) for t in found.scenarios[0]["trades"]} == proposed
    assert "AAA" not in {ticker for ticker, _, _ in proposed}, "it was ordered before"
    assert found.before.cash == book.harbour.cash - bought.value
    assert found.scenarios[1]["orders"] == 0


def test_a_portfolio_with_an_unclear_order_has_no_scenario_and_the_order_is_named(book, manager, approver, run):
    approve(run, approver, "Harbour", "AAA")
    state_anew(book.harbour)
    (scenario,) = _ask(book, manager, {}).scenarios

    assert (scenario["status"], scenario["reasons"][0]["code"]) == ("error", "OPEN_ORDER")
    assert "AAA of run #1 is open" in scenario["reasons"][0]["message"]


def test_the_gain_of_sales_is_told_beside_a_buy_on_its_way_and_not_beside_a_sale(book, manager, approver, run):
    """Which lots a sale takes that is not done yet, nobody knows; a buy takes none."""
    TaxLot.objects.create(
        portfolio=book.harbour, security=book.xxx, reference="1", quantity=10, cost=80, acquired_on="2020-01-01"
    )
    approve(run, approver, "Harbour", "AAA")
    (told,) = _ask(book, manager, {"gain_budget": "500"}).scenarios
    approve(run, approver, "Harbour", "XXX")
    (refused,) = _ask(book, manager, {"gain_budget": "500"}).scenarios

    assert (told["status"], told["realised_gain"]) == ("optimal", "200.0000"), told["reasons"]
    assert refused["reasons"][0]["code"] == "OPEN_ORDER"
