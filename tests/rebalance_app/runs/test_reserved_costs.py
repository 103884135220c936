"""Runs keep what their orders cost above the cash floor, unless they were asked not to, or come from API v1."""

import html
import re
from decimal import Decimal

import pytest

from ordergen.ops.verify import verify_all
from rebalance_app.models import PortfolioRebalance, Rebalance
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_retry
from rebalance_app.runs.wait import run_by_name
from tests.callers import Api
from tests.markup import flat

pytestmark = pytest.mark.django_db
FLOOR = Decimal("4771.45")  # what Harbour keeps before such costs
ASKED = {"min_cash": str(FLOOR), "cost_bps": "10", "ticket_cost": "5"}
LAUNCH = "/rebalances/new?model="


@pytest.fixture
def launched(book, manager, run_worker):
    """Harbour's proposal of a run with these options."""

    def make(**options):
        run = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk], options=options)
        return run_worker(run).portfolios.get()

    return make


def left(proposal):
    return Decimal(proposal.document["cash_after"]), Decimal(proposal.document["cash_after_costs"])


def test_a_run_that_says_nothing_of_it_leaves_the_floor_after_costs(launched):
    proposal, carefree = launched(**ASKED), launched(**ASKED, reserve_costs=False)

    assert (proposal.rebalance.options["reserve_costs"], left(carefree)[0]) == (True, FLOOR)
    assert left(proposal)[0] > left(proposal)[1] >= FLOOR > left(carefree)[1]
    assert proposal.document["limits"]["reserve_costs"] == {"value": True, "level": "run"}
    assert verify_all()["faults"] == []


def test_where_nothing_costs_anything_arrays_answer_and_nothing_is_said_of_costs(launched):
    proposal = launched(min_cash="1")
    cash, after = left(proposal)

    assert (proposal.method, cash) == ("separable", after)
    assert "reserve_costs" not in proposal.document["limits"]


def test_the_command_line_keeps_costs_and_api_v1_does_not(book, manager, key_for, run_worker):
    run_by_name(by=manager, portfolio="Harbour")
    v1 = Api("/api/v1", **{"X-API-Key": key_for(manager)})
    assert v1.post(f"/model/{book.model.pk}/rebalance", Prefer="respond-async").status_code == 202

    assert [run.options["reserve_costs"] for run in Rebalance.objects.order_by("number")] == [True, False]


def test_a_run_from_before_is_tried_again_as_it_was_and_its_proposals_are_still_right(launched, manager):
    answered = launched(**ASKED, reserve_costs=False)
    run = answered.rebalance
    run.options.pop("reserve_costs")
    run.save()
    del answered.document["cash_after_costs"]
    answered.save()
    assert verify_all()["faults"] == []

    PortfolioRebalance.objects.filter(pk=answered.pk).update(state="failed")
    assert run_retry(by=manager, run_id=run.pk).options["reserve_costs"] is False


def test_an_answer_whose_costs_are_taken_from_the_floor_is_found(launched):
    carefree = launched(**ASKED, reserve_costs=False)
    Rebalance.objects.filter(pk=carefree.rebalance_id).update(options=ASKED | {"reserve_costs": True})

    assert any("cash after the trades is below its floor" in fault for fault in verify_all()["faults"])


def test_cash_after_costs_stands_beside_cash_on_the_page_and_in_api_v2(client, launched, manager, key_for):
    proposal = launched(**ASKED)
    client.force_login(manager)
    page = html.unescape(
        client.get(f"/rebalances/{proposal.rebalance_id}/portfolios/{proposal.portfolio_id}/").content.decode()
    )
    told = (
        Api("/api/v2", **{"X-API-Key": key_for(manager)})
        .get(f"/runs/{proposal.rebalance_id}/proposals/{proposal.portfolio_id}")
        .json()
    )
    before, after = left(proposal)

    assert re.search(rf"<dt>= Cash after costs</dt>\s*<dd>{after:,.2f}", flat(page))
    assert f"<dt>− costs</dt><dd>{before - after:,.2f}" in flat(page)
    assert (Decimal(told["cash_after"]), Decimal(told["cash_after_costs"])) == (before, after)


def test_the_launch_page_offers_it_ticked_and_takes_no_for_an_answer(client, book, manager):
    client.force_login(manager)
    page = client.get(LAUNCH + book.model.pk).content.decode()
    assert re.search(r'name="reserve_costs"[^>]* checked', page)

    key = re.search(r'name="idempotency_key" value="([^"]+)"', page)[1]
    form = {"scope": "all", "mode": "to_target", "idempotency_key": key}
    for box, kept in (({"reserve_costs": "on"}, True), ({}, False)):
        Rebalance.objects.update(state="completed")
        PortfolioRebalance.objects.update(state="no_trades")
        client.post(LAUNCH + book.model.pk, form | {"idempotency_key": f"{key}{kept}"} | box)
        assert Rebalance.objects.order_by("-number")[0].options["reserve_costs"] is kept
