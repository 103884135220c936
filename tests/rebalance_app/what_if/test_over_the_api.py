"""API v2: limits that stay, and what a run would propose under several sets of options."""

from decimal import Decimal

import pytest

from rebalance_app.models import Rebalance
from tests.callers import Api
from tests.rebalance_app.approved import approve

pytestmark = pytest.mark.django_db


@pytest.fixture
def v2(manager, key_for):
    """API v2 for the manager."""
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


def _limits(subject, scope="portfolio"):
    return f"/limits/{scope}/{subject.pk}"


def _fields(response):
    assert response.status_code == 422, response.content
    return [error["field"] for error in response.json()["errors"]]


def test_limits_that_were_never_set_are_empty(v2, book):
    answer = v2.get(_limits(book.harbour)).json()

    assert (answer["values"], answer["set_by"], answer["set_at"]) == ({}, None, None)


@pytest.mark.parametrize(
    ("scope", "name", "values"),
    [
        ("model", "model", {"min_cash_weight": "0.02", "max_trades": 9}),
        ("portfolio", "harbour", {"hold": True, "max_turnover": "0.10"}),
        ("security", "aaa", {"lot_size": 100, "can_sell": False}),
    ],
)
def test_limits_that_are_put_are_the_limits_that_are_got(v2, book, scope, name, values):
    path = _limits(getattr(book, name), scope)
    put = v2.put(path, {"values": values, "reason": "mandate"})
    got = v2.get(path).json()

    assert put.status_code == 200, put.content
    assert got == put.json()
    assert (got["values"], got["reason"], got["set_by"]) == (values, "mandate", "maya")


def test_no_values_lift_all_limits(v2, book):
    v2.put(_limits(book.harbour), {"values": {"hold": True}, "reason": "estate"})
    v2.put(_limits(book.harbour), {"values": {}, "reason": "settled"})

    assert v2.get(_limits(book.harbour)).json()["values"] == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"values": {"min_cash": "NaN"}, "reason": "x"}, "values.min_cash"),
        ({"values": {"colour": "red"}, "reason": "x"}, "values.colour"),
        ({"values": {"hold": "yes"}, "reason": "x"}, "values.hold"),
        ({"values": {"min_cash": 0.5}, "reason": "x"}, "values.min_cash"),
        ({"values": {"hold": True}, "reason": " "}, "reason"),
        ({"values": {"hold": True}}, "reason"),
        ({"reason": "x"}, "values"),
        ({"values": {}, "reason": "x", "by": "me"}, "by"),
    ],
)
def test_limits_that_make_no_sense_are_refused_at_their_field(v2, book, body, field):
    assert _fields(v2.put(_limits(book.harbour), body)) == [field]


def test_limits_of_what_there_is_not_are_not_found(v2, book):
    assert v2.get("/limits/portfolio/" + "f" * 24).status_code == 404
    assert v2.put("/limits/model/" + "f" * 24, {"values": {}, "reason": "x"}).status_code == 404
    assert v2.get("/limits/colour/" + "f" * 24).status_code == 422


def test_only_who_edits_models_sets_limits(book, approver, key_for):
    tom = Api("/api/v2", **{"X-API-Key": key_for(approver)})

    assert tom.get(_limits(book.harbour)).status_code == 200
    assert tom.put(_limits(book.harbour), {"values": {"hold": True}, "reason": "x"}).status_code == 403


def test_what_if_answers_every_scenario_with_decimals_as_strings(v2, book):
    body = {"portfolio_id": book.harbour.pk, "options": [{}, {"hold": True}, {"min_cash": "1000000"}]}
    response = v2.post("/what-if", body)
    assert response.status_code == 200, response.content
    answer = response.json()
    plain, held, impossible = answer["scenarios"]

    assert (answer["model_id"], Decimal(answer["market_value"])) == (book.model.pk, 11000)
    assert answer["cash_before"] == "10000.0000"
    assert plain["trades"][0].keys() == {"security_id", "ticker", "side", "quantity", "price", "value"}
    assert isinstance(plain["turnover"], str)
    assert (held["orders"], impossible["orders"]) == (0, None)
    assert impossible["reasons"][0]["code"] == "SHORT_OF_CASH"
    assert not Rebalance.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"options": []}, "options"),
        ({"options": [{}] * 6}, "options"),
        ({"options": [{}, {"mode": "sideways"}]}, "options.1.mode"),
        ({"options": [{"gain_budget": "much"}]}, "options.0.gain_budget"),
        ({"portfolio_id": "zz"}, "portfolio_id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_at_its_field(v2, book, change, field):
    body = {"portfolio_id": book.harbour.pk, "options": [{}]} | change

    assert _fields(v2.post("/what-if", body)) == [field]


def test_only_who_may_launch_asks_what_if(book, viewer, manager, key_for):
    body = {"portfolio_id": book.harbour.pk, "options": [{}]}
    reader = Api("/api/v2", **{"X-API-Key": key_for(manager, "rebalances:read")})

    assert Api("/api/v2", **{"X-API-Key": key_for(viewer)}).post("/what-if", body).status_code == 403
    assert reader.post("/what-if", body).status_code == 403
    assert Api("/api/v2").post("/what-if", body).status_code == 401


def test_what_is_on_its_way_is_named_beside_the_scenarios(v2, book, run, approver):
    asked = {"portfolio_id": book.harbour.pk, "options": [{}]}
    assert v2.post("/what-if", asked).json()["open_orders"] == []

    (bought,) = approve(run, approver, "Harbour", "AAA")
    answer = v2.post("/what-if", asked).json()
    assert [(one["id"], one["quantity"], one["is_unclear"]) for one in answer["open_orders"]] == [
        (bought.pk, bought.quantity, False)
    ]
    assert Decimal(answer["cash_before"]) == book.harbour.cash - bought.value
    assert "AAA" not in {trade["ticker"] for trade in answer["scenarios"][0]["trades"]}
