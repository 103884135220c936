"""Programs find models, drift, runs and orders by what they know of them."""

from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import InvestmentModel
from ordergen.audit.feed import newest
from rebalance_app.runs.launch import run_launch
from tests.builders import portfolio
from tests.callers import Api


@pytest.fixture
def v2(manager, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


@pytest.fixture
def two(book, manager):
    """The model of the small book, which needs a rebalance, and one that nobody needs to touch."""
    idle = portfolio("Idle", "0")
    place = PositionDraft(book.xxx.pk, *(Decimal(text) for text in ("0.5", "0.5", "0.5")))
    return book.model, model_create(draft=ModelDraft("Quiet", (place,), (idle.pk,)), by=manager), idle


def names(v2, **query):
    answer = v2.get(f"/models?{urlencode(query)}")
    assert answer.status_code == 200, answer.content
    return sorted(row["name"] for row in answer.json()["items"])


def test_models_are_found_by_name_portfolio_security_and_need(v2, two, book):
    _, _, idle = two
    assert names(v2) == ["Growth", "Quiet"]
    assert names(v2, name="gro") == ["Growth"]
    assert names(v2, name="%") == []
    assert names(v2, portfolio_id=idle.pk) == ["Quiet"]
    assert names(v2, security_id=book.aaa.pk) == ["Growth"]
    assert names(v2, portfolio_id=idle.pk, security_id=book.aaa.pk) == []
    assert names(v2, needs_rebalance="true") == ["Growth"]
    assert names(v2, needs_rebalance="false") == ["Quiet"]


def test_models_are_found_by_when_they_were_last_rebalanced(v2, two):
    growth, _, _ = two
    then = timezone.now().replace(microsecond=0)
    InvestmentModel.objects.filter(pk=growth.pk).update(last_rebalance_at=then)
    at = then.isoformat().replace("+00:00", "Z")
    later = (then + timedelta(days=1)).isoformat()

    assert names(v2, rebalanced_from=at) == ["Growth"]
    assert names(v2, rebalanced_from=later) == []
    assert names(v2, not_rebalanced_since=at) == ["Quiet"]
    assert names(v2, not_rebalanced_since=later) == ["Growth", "Quiet"], "never is before any time"


def test_models_and_runs_are_found_by_what_changed_since(v2, two, manager):
    growth, _, _ = two
    seen = newest()
    assert names(v2, changed_after=seen) == []
    run = run_launch(by=manager, model_id=growth.pk)
    path = f"/models/{growth.pk}"
    v2.delete(f"{path}/portfolios/{growth.portfolios.first().portfolio_id}")

    assert names(v2, changed_after=seen) == ["Growth"]
    runs = v2.get(f"/runs?changed_after={seen}").json()["items"]
    assert [row["id"] for row in runs] == [run.pk]
    assert v2.get(f"/runs?changed_after={newest()}").json()["items"] == []


def test_drift_is_read_by_state(v2, two):
    rows = v2.get("/drift").json()["items"]
    states = {row["state"] for row in rows}
    assert "breach" in states
    for state in states:
        found = v2.get(f"/drift?state={state}").json()["items"]
        assert [row["portfolio_id"] for row in found] == [row["portfolio_id"] for row in rows if row["state"] == state]
    assert v2.get("/drift?state=awful").status_code == 422


def test_orders_are_filtered_over_the_api(v2, book, manager, run_worker):
    run_worker(run_launch(by=manager, model_id=book.model.pk))
    every = v2.get("/orders").json()["items"]
    bought = v2.get(f"/orders?side=BUY&security_id={book.aaa.pk}&model_id={book.model.pk}").json()["items"]

    assert [o["id"] for o in bought] == [
        o["id"] for o in every if (o["side"], o["security_id"]) == ("BUY", book.aaa.pk)
    ]
    assert v2.get("/orders?proposed_before=2020-01-01T00:00:00Z").json()["items"] == []
    assert v2.get("/orders?proposed_from=2020-01-01T00:00:00Z").json()["items"] == every


@pytest.mark.parametrize(
    "query",
    [
        "proposed_from=2026-11-20", "proposed_from=1700000000", "proposed_from=2026-02-31T00:00:00Z",
        "proposed_from=2026-11-20T00:00:00", "side=buy", "security_id=AAA", "model_id=x", "proposed_before=",
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_meant_is_refused(v2, query):
    answer = v2.get(f"/orders?{query}")
    assert answer.status_code == 422
    assert [entry["field"] for entry in answer.json()["errors"]] == [query.partition("=")[0]]
