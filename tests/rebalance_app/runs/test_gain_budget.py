"""A gain budget in real runs: what it keeps, what is told of it, and what happens where gains are unknown."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import InvestmentModel, Portfolio, Security, TaxLot
from ordergen.core.errors import InvalidInputError
from ordergen.ops.verify import verify_all
from rebalance_app.limits.services import limits_set
from rebalance_app.models import Order
from rebalance_app.orders.decide import run_decide
from rebalance_app.proposals import stored as proposals
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_retry
from rebalance_app.what_if.services import what_if
from tests.builders import portfolio, security, together

pytestmark = pytest.mark.django_db


@dataclass
class Lots:
    """A model of 30 and 20 per cent, each band 5 points wide, and two portfolios worth 10,000 with 400 AAA at 10.

    ridge   300 AAA bought at 4 and 100 at 9: of 100 sold, the 100 at 9 go first and gain 1 each
    dale    the same holdings, and no lots
    """

    aaa: Security
    bbb: Security
    ridge: Portfolio
    dale: Portfolio
    model: InvestmentModel


def lot(owner, of, reference, quantity, cost, day="2025-01-10"):
    return TaxLot.objects.create(
        portfolio=owner,
        security=of,
        reference=reference,
        acquired_on=date.fromisoformat(day),
        quantity=Decimal(quantity),
        cost=Decimal(cost),
    )


@pytest.fixture
def lots(manager):
    with together():
        aaa, bbb = security("AAA", "10"), security("BBB", "20")
        ridge, dale = (portfolio(name, "4000", AAA="400", BBB="100") for name in ("Ridge", "Dale"))
    for reference, quantity, cost, day in (("A1", "300", "4", "2020-05-04"), ("A2", "100", "9", "2024-02-01")):
        lot(ridge, aaa, reference, quantity, cost, day)
    lot(ridge, bbb, "B1", "100", "20")
    band = Decimal("0.05")
    positions = (PositionDraft(aaa.pk, Decimal("0.30"), band, band), PositionDraft(bbb.pk, Decimal("0.20"), band, band))
    model = model_create(draft=ModelDraft("Growth", positions, (ridge.pk, dale.pk)), by=manager)
    return Lots(aaa, bbb, ridge, dale, model)


@pytest.fixture
def ridge_run(lots, manager, run_worker):
    """Runs Ridge alone with these options; gives back its row."""

    def run(**options):
        launched = run_launch(by=manager, model_id=lots.model.pk, portfolio_ids=[lots.ridge.pk], options=options)
        return run_worker(launched).portfolios.get()

    return run


def _sales(row):
    return {order.ticker: order.quantity for order in Order.objects.filter(proposal=row, side="SELL")}


def test_without_a_budget_the_run_sells_to_target_and_never_reads_a_lot(lots, manager, run_worker):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        run = run_worker(run_launch(by=manager, model_id=lots.model.pk))

    assert {order.quantity for order in run.orders.filter(ticker="AAA")} == {100}
    assert not [query for query in queries if "taxlot" in query["sql"]]
    assert all("lots" not in row.document for row in run.portfolios.all())


def test_a_budget_holds_sales_back_and_the_proposal_says_what_they_realise_and_of_which_lots(ridge_run):
    row = ridge_run(gain_budget="60")
    (line,) = [line for line in proposals.lines(row) if line["side"] == "SELL"]

    assert _sales(row) == {"AAA": 60}
    assert row.document["limits"]["gain_budget"] == {"value": "60", "level": "run"}
    assert Decimal(row.document["realised_gain"]) == 60
    assert Decimal(line["realised_gain"]) == 60
    assert [(lot["reference"], lot["acquired_on"], Decimal(lot["quantity"])) for lot in line["lots_sold"]] == [
        ("A2", "2024-02-01", 60)
    ]
    assert verify_all()["violations"] == 0


def test_where_bands_force_more_gain_than_the_budget_there_is_no_answer_and_it_says_what_would_do(ridge_run):
    row = ridge_run(gain_budget="0")

    assert (row.state, row.n_orders) == ("infeasible", 0)
    assert "Raise the budget to 50.00" in row.reason
    assert row.document["realised_gain"] is None
    assert row.document["lots"], "the inputs are kept for the auditor, whatever came of them"


def test_a_loss_makes_room_for_a_gain(ridge_run, lots):
    lot(lots.ridge, lots.aaa, "A3", "40", "15")
    TaxLot.objects.filter(reference="A1").update(quantity=260)
    row = ridge_run(gain_budget="-140")

    assert _sales(row) == {"AAA": 100}, "40 at a loss of 5 each, 60 at a gain of 1"
    assert Decimal(row.document["realised_gain"]) == -140


@pytest.mark.parametrize(
    ("run", "own", "model", "narrowest"),
    [
        ("80", "60", "70", "portfolio"),
        ("60", "80", "70", "run"),
        ("80", "70", "60", "model"),
        ("60", None, "60", "run"),
    ],
)
def test_of_the_budgets_of_run_portfolio_and_model_the_narrower_holds(  # noqa: PLR0917
    lots, manager, ridge_run, run, own, model, narrowest
):
    for scope, subject, value in (("portfolio", lots.ridge, own), ("model", lots.model, model)):
        limits_set(by=manager, scope=scope, subject_id=subject.pk, values={"gain_budget": value}, reason="mandate")
    row = ridge_run(gain_budget=run)

    assert row.document["limits"]["gain_budget"] == {"value": "60", "level": narrowest}
    assert _sales(row) == {"AAA": 60}


def test_a_portfolio_whose_lots_do_not_add_up_fails_alone_and_says_by_how_much(lots, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=lots.model.pk, options={"gain_budget": "60"}))
    rows = {row.portfolio_name: row for row in run.portfolios.all()}

    assert rows["Ridge"].state == "solved"
    assert (rows["Dale"].state, rows["Dale"].reason_code, rows["Dale"].n_orders) == ("failed", "UNKNOWN_GAIN", 0)
    assert "AAA do not add up to its holding: 0 in lots, 400 held (and so for 1 more)" in rows["Dale"].reason
    assert "import lots that add up" in rows["Dale"].reason
    assert verify_all()["violations"] == 0


def test_what_failed_for_want_of_lots_can_be_tried_again_once_they_are_there(lots, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=lots.model.pk, options={"gain_budget": "60"}))
    lot(lots.dale, lots.aaa, "D1", "400", "9.5")
    lot(lots.dale, lots.bbb, "D2", "100", "20")
    again = run_worker(run_retry(by=manager, run_id=run.pk))

    assert [(row.portfolio_name, row.state) for row in again.portfolios.all()] == [("Dale", "solved")]


def test_a_budget_on_one_portfolio_reads_the_lots_of_no_other(lots, manager, run_worker):
    limits_set(by=manager, scope="portfolio", subject_id=lots.ridge.pk, values={"gain_budget": "60"}, reason="mandate")
    run = run_worker(run_launch(by=manager, model_id=lots.model.pk))
    sold = dict(run.orders.filter(ticker="AAA").values_list("portfolio_name", "quantity"))

    assert sold == {"Ridge": 60, "Dale": 100}


def test_a_portfolio_on_hold_needs_no_lots(lots, manager, run_worker):
    limits_set(
        by=manager, scope="portfolio", subject_id=lots.dale.pk, values={"hold": True, "gain_budget": "0"}, reason="x"
    )
    run = run_launch(by=manager, model_id=lots.model.pk, portfolio_ids=[lots.dale.pk])

    assert run_worker(run).n_no_trades == 1
    assert verify_all()["violations"] == 0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"realised_gain": "59"}, "its sales realise 60"),
        ({"realised_gain": None}, "its sales realise 60"),
        ({"lots": {}}, "do not add up"),
        ({"cost": "8.5"}, "the realised gain is above its budget"),
    ],
)
def test_an_auditor_finds_a_gain_or_a_lot_that_was_changed_afterwards(ridge_run, lots, change, fault):
    row = ridge_run(gain_budget="60")
    if "cost" in change:
        row.document["lots"][lots.aaa.pk][1][3] = change["cost"]
    else:
        row.document |= change
    row.save(update_fields=["document"])

    assert any(fault in said for said in verify_all()["faults"])


def test_once_its_lots_are_others_a_proposal_is_not_approved(ridge_run, lots, approver):
    row = ridge_run(gain_budget="60")
    TaxLot.objects.filter(reference="A2").update(cost=8)
    decided = run_decide(by=approver, run_id=row.rebalance_id, verdict="approved")

    assert decided.n_decided == 0
    assert {reason for _, reason in decided.skipped} == {
        "The tax lots of the portfolio have changed since this was proposed: rebalance again."
    }
    assert run_decide(by=approver, run_id=row.rebalance_id, verdict="rejected", comment="stale").n_decided == 1


def test_the_same_lots_written_again_stand_in_nobodys_way(ridge_run, lots, approver):
    row = ridge_run(gain_budget="60")
    old = TaxLot.objects.get(reference="A1")
    old.delete()
    lot(lots.ridge, lots.aaa, "A1", "300.0", "4.0000", "2020-05-04")

    assert run_decide(by=approver, run_id=row.rebalance_id, verdict="approved").n_decided == 1


def test_a_book_without_lots_refuses_a_budget_at_every_door_and_asks_nobody(lots, manager, settings):
    limits_set(by=manager, scope="model", subject_id=lots.model.pk, values={"gain_budget": "1"}, reason="mandate")
    settings.ORDERGEN_SOURCE = "globeco"
    doors = (
        lambda: limits_set(
            by=manager, scope="model", subject_id=lots.model.pk, values={"gain_budget": "2"}, reason="mandate"
        ),
        lambda: what_if(by=manager, portfolio_id=lots.ridge.pk, options=[{"gain_budget": "1"}]),
    )
    for door in doors:
        with pytest.raises(InvalidInputError, match="needs tax lots"):
            door()


def test_what_if_says_what_each_scenario_realises_with_and_without_a_budget(lots, manager):
    found = what_if(by=manager, portfolio_id=lots.ridge.pk, options=[{}, {"gain_budget": "60"}, {"gain_budget": "0"}])

    assert [each["realised_gain"] for each in found.scenarios] == ["100.0000", "60.0000", None]
    assert [each["status"] for each in found.scenarios] == ["optimal", "optimal", "infeasible"]


def test_what_if_leaves_an_unknown_gain_open_and_keeps_no_budget_by_it(lots, manager):
    plain, budgeted = what_if(by=manager, portfolio_id=lots.dale.pk, options=[{}, {"gain_budget": "60"}]).scenarios

    assert (plain["status"], plain["realised_gain"]) == ("optimal", None)
    assert (budgeted["status"], budgeted["reasons"][0]["code"]) == ("error", "UNKNOWN_GAIN")


def test_fractions_of_shares_in_lots_are_counted_exactly(lots, ridge_run):
    TaxLot.objects.filter(reference="A2").update(quantity=Decimal("99.5001"))
    TaxLot.objects.filter(reference="A1").update(quantity=Decimal("300.4999"))
    row = ridge_run(gain_budget="102.4995")

    assert Decimal(row.document["realised_gain"]) == Decimal("99.5001") + 6 * Decimal("0.4999")
    assert _sales(row) == {"AAA": 100}
    assert _sales(ridge_run(gain_budget="102.4994")) == {"AAA": 99}


def test_the_page_of_the_proposal_shows_budget_gain_and_lots(client, lots, ridge_run, viewer):
    row = ridge_run(gain_budget="60")
    client.force_login(viewer)
    page = client.get(f"/rebalances/{row.rebalance_id}/portfolios/{lots.ridge.pk}/").content.decode()

    assert "of at most 60.00 (run)" in page
    assert "Which lots are sold" in page
    assert ">A2<" in page
    assert ">A1<" not in page


def test_the_page_of_the_portfolio_shows_what_is_not_realised_yet(client, lots, viewer):
    client.force_login(viewer)
    ridge = client.get(f"/portfolios/{lots.ridge.pk}/").content.decode()
    dale = client.get(f"/portfolios/{lots.dale.pk}/").content.decode()

    assert "unrealised gain +1,900.00" in ridge
    assert "Tax lots" not in dale

    TaxLot.objects.filter(reference="A1").update(quantity=299)
    ridge = client.get(f"/portfolios/{lots.ridge.pk}/").content.decode()
    assert "399 in lots, 400 held" in ridge
    assert "unrealised gain <" in ridge, "unknown, and not the sum of what is known"
