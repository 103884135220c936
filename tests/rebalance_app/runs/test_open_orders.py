"""What a run does about orders of earlier runs that are on their way: said at the launch, kept, and repeated."""

import json
import re
from decimal import Decimal

import pytest

from models_app.models import TaxLot
from ordergen.ops.cli import main
from ordergen.ops.verify import verify_all
from rebalance_app.models import OpenOrders, Rebalance
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_retry
from tests.callers import Api
from tests.markup import flat, hidden, words
from tests.rebalance_app.approved import approve

pytestmark = pytest.mark.django_db


@pytest.fixture
def v2(manager, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


def launch(client, book, **fields):
    page = client.get(f"/rebalances/new?model={book.model.pk}")
    form = {"scope": "all", "mode": "to_target", "idempotency_key": hidden(page, "idempotency_key")}
    return client.post(f"/rebalances/new?model={book.model.pk}", form | fields)


@pytest.mark.parametrize(("given", "kept"), [("net", "net"), ("leave_out", "leave_out"), ("", "net")])
def test_the_launch_page_takes_the_choice_and_the_run_says_it(as_manager, book, given, kept):
    launch(as_manager, book, open_orders=given)
    run = Rebalance.objects.get()

    assert run.open_orders == kept
    said = {"net": "Count them as done", "leave_out": "Leave their portfolios out"}[kept]
    assert f"Orders on their way {said}" in words(as_manager.get(f"/rebalances/{run.pk}/"))


def test_what_api_v1_promises_is_no_choice_of_a_person(as_manager, book):
    answer = launch(as_manager, book, open_orders="ignore")

    assert answer.status_code == 422
    assert 'href="#id_open_orders' in answer.content.decode()
    assert not Rebalance.objects.exists()


@pytest.mark.parametrize("given", ["net", "leave_out"])
def test_api_v2_takes_the_choice_and_gives_it_back(v2, book, given):
    run = v2.post("/runs", {"model_id": book.model.pk, "open_orders": given}).json()

    assert run["open_orders"] == given
    assert v2.get(f"/runs/{run['id']}").json()["open_orders"] == given
    assert v2.get("/runs").json()["items"][0]["open_orders"] == given


@pytest.mark.parametrize("given", ["ignore", "NET", True, None, "net\0"])
def test_api_v2_names_the_field_of_a_choice_that_there_is_not(v2, book, given):
    answer = v2.post("/runs", {"model_id": book.model.pk, "open_orders": given})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["open_orders"]
    assert not Rebalance.objects.exists()


def test_another_choice_is_another_request(v2, book):
    body = {"model_id": book.model.pk}
    v2.post("/runs", body, idempotency_key="k")

    assert v2.post("/runs", body | {"open_orders": "leave_out"}, idempotency_key="k").status_code == 409


def test_a_retry_keeps_leaving_out_and_counts_otherwise(book, manager, run_worker):
    """What API v1 did not count is counted when somebody repeats it: nothing is ordered twice by repeating."""
    for given, again in (("leave_out", "leave_out"), ("net", "net"), ("ignore", "net")):
        run = run_worker(run_launch(by=manager, model_id=book.model.pk, open_orders=OpenOrders(given)))
        assert run.portfolios.filter(state="infeasible").exists(), "Tiny cannot be solved"
        assert run_retry(by=manager, run_id=run.pk).open_orders == again
        run_worker(Rebalance.objects.first())


def test_the_page_of_a_retry_begins_with_the_choice_of_the_run(as_manager, book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk, open_orders=OpenOrders.LEAVE_OUT))
    page = as_manager.get(f"/rebalances/new?again={run.pk}").content.decode()

    assert flat(page).count('value="leave_out"') == 1
    assert re.search(r'value="leave_out"[^>]*checked', page)


def test_the_command_line_takes_the_choice(book, manager, capsys):
    assert main(["rebalance", "--model", "Growth", "--as", "maya", "--json", "--open-orders", "leave-out"]) in (0, 3)

    assert json.loads(capsys.readouterr().out)["open_orders"] == "leave_out"
    assert Rebalance.objects.get().open_orders == "leave_out"


def test_the_command_line_does_not_take_what_is_no_choice(book, manager, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["rebalance", "--model", "Growth", "--open-orders", "ignore"])
    assert stopped.value.code == 2
    assert not Rebalance.objects.exists()


@pytest.fixture
def lots(book):
    """What Harbour holds was bought at 80."""
    bought = {"quantity": 10, "cost": 80, "acquired_on": "2020-01-01", "reference": "1"}
    return TaxLot.objects.create(portfolio=book.harbour, security=book.xxx, **bought)


def test_a_gain_budget_knows_that_what_is_bought_and_not_there_yet_has_no_lots(
    book, lots, run, approver, manager, run_worker
):
    approve(run, approver, "Harbour", "AAA")
    again = run_worker(run_launch(by=manager, model_id=book.model.pk, options={"gain_budget": "200"}))
    row = again.portfolios.get(portfolio_name="Harbour")

    assert (row.state, Decimal(row.document["realised_gain"])) == ("solved", 200), row.reason
    assert row.document["open_orders"][0]["ticker"] == "AAA"
    assert verify_all()["violations"] == 0


def test_a_gain_budget_leaves_out_what_has_a_sale_on_its_way(book, lots, run, approver, manager, run_worker):
    approve(run, approver, "Harbour", "XXX")
    again = run_worker(run_launch(by=manager, model_id=book.model.pk, options={"gain_budget": "200"}))
    row = again.portfolios.get(portfolio_name="Harbour")

    assert (row.state, row.reason_code) == ("failed", "OPEN_ORDER")
    assert "Which tax lots it takes is not known" in row.reason
