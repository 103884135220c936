"""Answers that are written past their operation's response model say exactly what the model documents."""

import json
from decimal import Decimal

import pytest
from jsonschema_rs import validator_for

from ordergen.api import APIS
from rebalance_app.models import Rebalance
from rebalance_app.runs.launch import run_launch
from tests.callers import Api

PATHS = [
    "/api/v1/models",
    "/api/v1/model/{model_id}",
    "/api/v1/rebalances",
    "/api/v1/rebalance/{rebalance_id}",
    "/api/v1/rebalance/{rebalance_id}/portfolios",
    "/api/v1/rebalance/{rebalance_id}/portfolio/{portfolio_id}/positions",
    "/api/v2/models",
    "/api/v2/orders",
    "/api/v2/runs/{run_id}/proposals",
]


@pytest.fixture
def ids(book, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    portfolio = book.harbour.pk
    return {"run_id": run.pk, "rebalance_id": run.pk, "model_id": book.model.pk, "portfolio_id": portfolio}


@pytest.mark.parametrize("path", PATHS)
def test_names_and_types_are_those_of_the_document(path, manager, key_for, ids):
    response = Api("", **{"X-API-Key": key_for(manager)}).get(path.format(**ids))

    assert (response.status_code, response["Content-Type"]) == (200, "application/json"), response.content
    body = response.json()
    assert body, "an empty list would prove nothing"
    validator_for(documented(path)).validate(body)


def documented(path):
    """The schema of a successful answer, with names that it does not have forbidden."""
    prefix = path[: len("/api/v1")]
    document = json.loads(json.dumps(APIS[prefix].get_openapi_schema(path_prefix=f"{prefix}/")))
    for part in document["components"]["schemas"].values():
        if "properties" in part:
            part["additionalProperties"] = False
    answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    return {"components": document["components"], **answer}


def test_money_of_a_stored_rebalance_is_the_float_nearest_to_it(manager, key_for, ids):
    """Whatever way it is worked out: as decimals, which are slow, or as whole ticks."""
    stored = Api("/api/v1", **{"X-API-Key": key_for(manager)}).get(f"/rebalance/{ids['run_id']}").json()
    kept = {row.portfolio_id: row for row in Rebalance.objects.get().portfolios.all()}
    lines = [(kept[p["portfolio_id"]], line) for p in stored["portfolios"] for line in p["positions"]]
    assert lines
    for row, line in lines:
        worth, price = row.market_value, _exact(line["price"])
        assert line["adjusted_position_market_value"] == float(price * _exact(line["adjusted_quantity"]))
        weight = price * _exact(line["adjusted_quantity"]) / worth
        assert line["actual"] == float(weight)
        assert line["actual_drift"] == float(weight - _exact(line["target"]))


def _exact(number):
    return Decimal(str(number))
