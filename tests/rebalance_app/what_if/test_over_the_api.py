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


def replaced(v2, path, body):
    """Replaces the limits that there are."""
    return v2.put(path, body, If_Match=v2.get(path)["ETag"])


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
    put = replaced(v2, path, {"values": values, "reason": "mandate"})
    got = v2.get(path).json()

    assert put.status_code == 200, put.content
    assert got == put.json()
    assert (got["values"], got["reason"], got["set_by"]) == (values, "mandate", "maya")


def test_no_values_lift_all_limits(v2, book):
    replaced(v2, _limits(book.harbour), {"values": {"hold": True}, "reason": "estate"})
    replaced(v2, _limits(book.harbour), {"values": {}, "reason": "settled"})

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
    assert _fields(replaced(v2, _limits(book.harbour), body)) == [field]


def test_a_second_put_does_not_lift_a_floor_that_it_did_not_see(v2, book):
    path = _limits(book.harbour)
    empty = v2.get(path)["ETag"]
    floor = {"values": {"min_cash": "500"}, "reason": "mandate"}
    assert v2.put(path, floor).json()["code"] == "precondition_required"
    assert v2.put(path, floor, If_Match=empty).status_code == 200
    stale = v2.put(path, {"values": {"hold": True}, "reason": "estate"}, If_Match=empty)

    assert (stale.status_code, stale.json()["code"]) == (412, "stale_version")
    assert "Maya" in stale.json()["detail"] or "maya" in stale.json()["detail"]
    assert v2.get(path).json()["values"] == {"min_cash": "500"}


def test_a_patch_changes_what_it_names_and_lifts_what_is_null(v2, book):
    path = _limits(book.harbour)
    replaced(v2, path, {"values": {"min_cash": "500", "hold": True}, "reason": "mandate"})
    answer = v2.request("PATCH", path, {"values": {"hold": None, "max_turnover": "0.1"}, "reason": "settled"})

    assert answer.json()["values"] == {"min_cash": "500", "max_turnover": "0.1"}
    assert answer["ETag"] == v2.get(path)["ETag"]
    assert _fields(v2.request("PATCH", path, {"values": {"colour": "red"}, "reason": "x"})) == ["values.colour"]
    assert _fields(v2.request("PATCH", path, {"values": {}, "reason": "x"})) == ["values"]
    stale = v2.request("PATCH", path, {"values": {"hold": True}, "reason": "x"}, If_Match='"none"')
    assert stale.status_code == 412


def test_an_etag_that_a_proxy_made_weak_is_known_and_a_foreign_one_refused(v2, book):
    path = _limits(book.harbour)
    tag = replaced(v2, path, {"values": {"hold": True}, "reason": "estate"})["ETag"]
    assert v2.get(path, If_None_Match=f"W/{tag}").status_code == 304
    assert v2.put(path, {"values": {}, "reason": "x"}, If_Match=f"W/{tag}").status_code == 200
    assert _fields(v2.put(path, {"values": {}, "reason": "x"}, If_Match="12")) == ["If-Match"]


def test_limits_of_what_there_is_not_are_not_found(v2, book):
    assert v2.get("/limits/portfolio/" + "f" * 24).status_code == 404
    assert v2.put("/limits/model/" + "f" * 24, {"values": {}, "reason": "x"}, If_Match='"none"').status_code == 404
    assert v2.get("/limits/colour/" + "f" * 24).status_code == 422


def test_only_who_edits_models_sets_limits(book, approver, key_for):
    tom = Api("/api/v2", **{"X-API-Key": key_for(approver)})

    assert tom.get(_limits(book.harbour)).status_code == 200
    assert (
        tom.put(_limits(book.harbour), {"values": {"hold": True}, "reason": "x"}, If_Match='"none"').status_code == 403
    )


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
