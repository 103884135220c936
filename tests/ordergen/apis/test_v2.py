"""API v2: the book, models, drift, runs, proposals, orders and decisions, under its own conventions."""

from decimal import Decimal

import pytest
from django.utils import timezone

from models_app.models import InvestmentModel, Price, TaxLot
from rebalance_app.models import Order, Rebalance
from tests.callers import Api

A, B = "0000000000000000000000A1", "0000000000000000000000A2"
P, Q = "68a0c0ffee0000000000beef", "68a0c0ffee0000000000bee0"


@pytest.fixture
def v2(manager, key_for):
    """API v2 for the manager."""
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


@pytest.fixture
def tom(approver, key_for):
    """API v2 for the approver."""
    return Api("/api/v2", **{"X-API-Key": key_for(approver)})


def position(security_id=A, target="0.30", low_drift="0.05", high_drift="0.05"):
    return {"security_id": security_id, "target": target, "low_drift": low_drift, "high_drift": high_drift}


def model(name="Balanced", positions=None, portfolios=(P,), **more):
    return {"name": name, "positions": positions or [position()], "portfolios": list(portfolios), **more}


def problem(response, status, code):
    """The problem document, after checking that it is one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail", "code", "correlation_id"} <= body.keys()
    assert (body["status"], body["code"]) == (status, code)
    assert body["correlation_id"] == response["X-Correlation-ID"]
    return body


def fields(response):
    return [error["field"] for error in problem(response, 422, "invalid_input")["errors"]]


@pytest.fixture
def saved(v2):
    response = v2.post("/models", model())
    assert response.status_code == 201, response.content
    return response.json()


# Errors


def test_a_broken_rule_names_its_field(v2):
    response = v2.post("/models", model(" ", [position(target="0.123"), position(A)]))
    assert fields(response) == ["name", "positions.0.target", "positions.1.security_id"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"approved": True}, "approved"),
        ({"version": 1}, "version"),
        ({"name": 5}, "name"),
        ({"positions": [position(target=0.3)]}, "positions.0.target"),
        ({"positions": [position(target="1e-2")]}, "positions.0.target"),
        ({"positions": [position(target="NaN")]}, "positions.0.target"),
        ({"positions": [position(target=True)]}, "positions.0.target"),
        ({"positions": [position() | {"owner": "me"}]}, "positions.0.owner"),
        ({"positions": [position("short")]}, "positions.0.security_id"),
        ({"portfolios": ["zz"]}, "portfolios.0"),
        ({"portfolios": P}, "portfolios"),
    ],
)
def test_a_body_is_taken_exactly_as_documented_or_not_at_all(v2, change, field):
    assert fields(v2.post("/models", model() | change)) == [field]
    assert not InvestmentModel.objects.exists()


@pytest.mark.parametrize(
    "raw", [b'{"name":"a","name":"b"}', b'{"name":NaN}', b"{", b'{"name":"\\u0000"}', b"[" * 50_000, b"\xff"]
)
def test_json_that_cannot_be_read_is_a_problem(v2, raw):
    problem(v2.post("/models", raw=raw), 422, "invalid_json")


def test_what_is_no_number_is_named_where_it_stands(v2):
    for raw, field in ((b'{"options":{"min_cash":NaN}}', "options.min_cash"), (b'{"a":[{"b":-Infinity}]}', "a.0.b")):
        (error,) = problem(v2.post("/runs", raw=raw), 422, "invalid_json")["errors"]
        assert error["field"] == field


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_only_json_is_taken(v2, content_type):
    problem(v2.post("/models", raw=b"{}", content_type=content_type), 415, "unsupported_media_type")


def test_every_other_refusal_is_a_problem_too(v2, tom, monkeypatch):
    problem(v2.get("/nothing"), 404, "not_found")
    problem(v2.get(f"/models/{P}"), 404, "not_found")
    problem(v2.request("PATCH", "/models"), 405, "method_not_allowed")
    problem(Api("/api/v2").get("/models"), 401, "unauthorized")
    problem(tom.post("/models", model()), 403, "not_allowed")
    problem(v2.post("/models", raw=b" " * (2**20 + 1)), 413, "request_entity_too_large")
    from models_app.drift_index import api_v2

    monkeypatch.setattr(api_v2.read, "freshness", lambda _model: 1 / 0)
    problem(v2.get("/drift"), 500, "internal_server_error")


@pytest.mark.parametrize("given", ["short", "g" * 24, "%00", "A" * 24, "a" * 3000])
def test_an_id_that_is_none_is_refused(v2, given):
    for path in (f"/models/{given}", f"/runs/{given}", f"/orders/{given}", f"/portfolios/{given}"):
        assert v2.get(path).status_code == 422


# Models


def test_a_model_has_its_version_as_etag(v2, saved):
    path = f"/models/{saved['id']}"
    response = v2.get(path)
    assert response["ETag"] == '"1"'
    assert response.json() == saved
    assert saved["positions"] == [position(target="0.3")]
    assert (saved["target_sum"], saved["n_positions"]) == ("0.3", 1)
    assert v2.get(path, If_None_Match='"1"').status_code == 304
    assert v2.get(path, If_None_Match='"2"').status_code == 200


def test_a_created_model_says_where_it_is(v2):
    response = v2.post("/models", model())
    assert response["Location"] == f"/api/v2/models/{response.json()['id']}"
    assert response["ETag"] == '"1"'


def test_a_change_says_which_version_it_was_made_from(v2, saved):
    path = f"/models/{saved['id']}"
    problem(v2.put(path, model("New")), 428, "precondition_required")
    assert fields(v2.put(path, model("New"), If_Match="1")) == ["If-Match"]
    changed = v2.put(path, model("New", reason="review"), If_Match='"1"')
    assert (changed.status_code, changed["ETag"], changed.json()["version"]) == (200, '"2"', 2)
    problem(v2.put(path, model("Newer"), If_Match='"1"'), 412, "stale_version")
    problem(v2.delete(path, If_Match='"1"'), 412, "stale_version")
    problem(v2.delete(path), 428, "precondition_required")
    assert v2.delete(path, If_Match='"2"').status_code == 204
    problem(v2.get(path), 404, "not_found")


def test_a_name_that_is_taken_is_a_conflict_at_its_field(v2, saved):
    other = v2.post("/models", model("Other")).json()
    body = problem(v2.put(f"/models/{other['id']}", model(), If_Match='"1"'), 409, "name_taken")
    assert body["errors"][0]["field"] == "name"


def test_versions_tell_who_and_why_and_what_changed(v2, saved):
    path = f"/models/{saved['id']}"
    v2.put(path, model("New", [position(B)], reason="review"), If_Match='"1"')
    latest, _ = v2.get(f"{path}/versions").json()
    assert (latest["version"], latest["saved_by"], latest["reason"]) == (2, "maya", "review")
    assert v2.get(f"{path}/versions/1").json()["name"] == "Balanced"
    changes = v2.get(f"{path}/diff?from_version=1&to_version=2").json()["changes"]
    assert [(change["what"], change["kind"]) for change in changes] == [
        ("name", "changed"),
        ("position", "added"),
        ("position", "removed"),
    ]
    assert v2.get(f"{path}/versions/9").status_code == 404
    assert v2.get(f"{path}/versions/99999999999999999999").status_code == 404


# Pages


def walk(api, path):
    """Every item of every page."""
    items, cursor = [], ""
    while True:
        body = api.get(f"{path}{'&' if '?' in path else '?'}limit=2&cursor={cursor}").json()
        assert len(body["items"]) <= 2
        items += body["items"]
        if (cursor := body["next_cursor"]) is None:
            return items


def test_pages_follow_one_another_without_a_gap_while_rows_are_added(v2):
    for n in range(5):
        v2.post("/models", model(f"M{n}"))
    first = v2.get("/models?limit=2").json()
    v2.post("/models", model("late"))
    second = v2.get(f"/models?limit=2&cursor={first['next_cursor']}").json()
    assert [row["name"] for row in first["items"] + second["items"]] == ["M4", "M3", "M2", "M1"]
    assert len(walk(v2, "/models")) == 6


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=W251bGxd", "cursor=W10", "limit=0", "limit=201", "cursor=%00", "cursor=WyJcdTAwMDAiXQ"],
)
def test_a_cursor_or_limit_that_no_page_gave_is_refused(v2, query):
    for path in ("/models", "/runs", "/orders", "/portfolios", "/securities", "/drift"):
        assert v2.get(f"{path}?{query}").status_code == 422


# The book and drift


def test_the_book_is_read_with_names_and_prices(v2, book):
    assert [row["ticker"] for row in walk(v2, "/securities")] == ["AAA", "BBB", "CCC", "XXX"]
    assert [row["ticker"] for row in walk(v2, "/securities?q=ccc")] == ["CCC"]
    security = v2.get(f"/securities/{book.ccc.pk}").json()
    assert (security["price"], security["price_date"]) == ("62.8500", "2026-11-20")
    assert [row["name"] for row in walk(v2, "/portfolios")] == ["Harbour", "Lee", "Tiny"]
    harbour = v2.get(f"/portfolios/{book.harbour.pk}").json()
    assert Decimal(harbour["market_value"]) == 11000
    assert harbour["models"] == [{"id": book.model.pk, "name": "Growth"}]
    (holding,) = harbour["holdings"]
    assert (holding["ticker"], Decimal(holding["value"])) == ("XXX", 1000)
    assert v2.get(f"/portfolios/{P}").status_code == 404
    assert v2.get(f"/securities/{A}").status_code == 404


def test_lots_are_read_with_what_is_not_realised_and_null_where_they_do_not_add_up(v2, book):
    address = f"/portfolios/{book.harbour.pk}/lots"
    assert v2.get(address).json() == []
    lot = TaxLot.objects.create(
        portfolio=book.harbour, security=book.xxx, reference="X1", acquired_on="2024-05-06", quantity=10, cost=80
    )
    (told,) = v2.get(address).json()
    assert (told["ticker"], told["adds_up"], Decimal(told["gain"])) == ("XXX", True, 200)
    assert told["lots"] == [
        {
            "reference": "X1",
            "acquired_on": "2024-05-06",
            "quantity": "10.0000",
            "cost": "80.0000",
            "gain": "200.00000000",
        }
    ]
    TaxLot.objects.filter(pk=lot.pk).update(quantity=9)
    (told,) = v2.get(address).json()
    assert (told["adds_up"], told["gain"], told["cost"]) == (False, None, None)
    assert v2.get(f"/portfolios/{P}/lots").status_code == 404


def test_a_proposal_under_a_gain_budget_tells_its_gain_and_the_lots_of_each_sale(v2, book, run_worker):
    TaxLot.objects.create(
        portfolio=book.harbour, security=book.xxx, reference="X1", acquired_on="2024-05-06", quantity=10, cost=80
    )
    body = {"model_id": book.model.pk, "portfolio_ids": [book.harbour.pk], "options": {"gain_budget": "200"}}
    run_id = v2.post("/runs", body).json()["id"]
    run_worker(Rebalance.objects.get(pk=run_id))
    document = v2.get(f"/runs/{run_id}/proposals/{book.harbour.pk}").json()["document"]
    (sale,) = [line for line in document["positions"] if line["side"] == "SELL"]

    assert document["limits"]["gain_budget"] == {"value": "200", "level": "run"}
    assert Decimal(document["realised_gain"]) == Decimal(sale["realised_gain"]) == 200
    assert [(lot["reference"], Decimal(lot["gain"])) for lot in sale["lots_sold"]] == [("X1", 200)]
    orders = [v2.get(f"/orders/{order.pk}").json() for order in Order.objects.order_by("ticker")]
    assert [(order["ticker"], order["realised_gain"]) for order in orders][1:] == [
        ("BBB", None),
        ("CCC", None),
        ("XXX", sale["realised_gain"]),
    ]


def test_drift_is_read_for_a_portfolio_a_model_and_the_firm(v2, book):
    drift = v2.get(f"/portfolios/{book.harbour.pk}/drift?model_id={book.model.pk}").json()
    by_ticker = {line["ticker"]: line for line in drift["positions"]}
    assert Decimal(by_ticker["AAA"]["drift"]) == Decimal("-0.3")
    assert Decimal(by_ticker["AAA"]["band_use"]) == -6
    assert all(isinstance(line["drift"], str) for line in drift["positions"])
    assert v2.get(f"/portfolios/{book.harbour.pk}/drift?model_id={P}").status_code == 404
    of_model = walk(v2, f"/models/{book.model.pk}/drift")
    assert {row["portfolio_name"] for row in of_model} == {"Harbour", "Lee", "Tiny"}
    assert walk(v2, "/drift") == of_model
    assert v2.get(f"/models/{P}/drift").status_code == 404


def test_an_unpriced_portfolio_has_nulls_and_no_guess(v2, book):
    Price.objects.filter(security=book.xxx).delete()
    drift = v2.get(f"/portfolios/{book.harbour.pk}/drift").json()
    assert (drift["state"], drift["market_value"]) == ("unpriced", None)


# Runs, proposals, orders, decisions


@pytest.fixture
def run(v2, book, run_worker):
    """A finished run over the small book."""
    response = v2.post("/runs", {"model_id": book.model.pk, "note": "weekly"})
    assert response.status_code == 202, response.content
    run_worker(Rebalance.objects.get(pk=response.json()["id"]))
    return v2.get(f"/runs/{response.json()['id']}").json()


def test_a_run_is_launched_and_followed(v2, book, run_worker):
    response = v2.post("/runs", {"model_id": book.model.pk, "portfolio_ids": [book.harbour.pk]})
    queued = response.json()
    assert (response.status_code, response["Location"]) == (202, f"/api/v2/runs/{queued['id']}")
    assert (queued["state"], queued["n_portfolios"], queued["n_done"]) == ("queued", 1, 0)
    run_worker(Rebalance.objects.get(pk=queued["id"]))
    ended = v2.get(f"/runs/{queued['id']}").json()
    assert (ended["state"], ended["n_done"], ended["outcomes"]["solved"], ended["n_awaiting"]) == ("completed", 1, 1, 4)
    assert ended["launched_at"].endswith("Z")


def test_the_same_idempotency_key_starts_one_run(v2, book):
    body = {"model_id": book.model.pk}
    first = v2.post("/runs", body, Idempotency_Key="k")
    assert v2.post("/runs", body, Idempotency_Key="k").json()["id"] == first.json()["id"]
    problem(
        v2.post("/runs", body | {"portfolio_ids": [book.harbour.pk]}, Idempotency_Key="k"),
        409,
        "idempotency_key_reused",
    )
    problem(v2.post("/runs", body | {"note": "another"}, Idempotency_Key="k"), 409, "idempotency_key_reused")
    assert Rebalance.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"options": {"min_cash": 100.5}}, "options.min_cash"),
        ({"options": {"min_cash": "abc"}}, "options.min_cash"),
        ({"options": {"nonsense": "1"}}, "options.nonsense"),
        ({"options": {"max_turnover": "50"}}, "options.max_turnover"),
        ({"options": {"time_limit": "86400"}}, "options.time_limit"),
        ({"portfolio_ids": []}, "portfolio_ids"),
        ({"portfolio_ids": [P]}, "portfolio_ids"),
        ({"note": "x" * 501}, "note"),
        ({"state": "completed"}, "state"),
        ({"launched_by": P}, "launched_by"),
    ],
)
def test_a_launch_that_cannot_be_meant_starts_nothing(v2, book, change, field):
    assert {name.removesuffix(".0") for name in fields(v2.post("/runs", {"model_id": book.model.pk} | change))} == {
        field
    }
    assert not Rebalance.objects.exists()


def test_a_run_is_cancelled_once(v2, book):
    run_id = v2.post("/runs", {"model_id": book.model.pk}).json()["id"]
    cancelled = v2.post(f"/runs/{run_id}/cancel").json()
    assert (cancelled["state"], cancelled["outcomes"]["cancelled"]) == ("cancelled", 3)
    problem(v2.post(f"/runs/{run_id}/cancel"), 409, "run_ended")


def test_failures_are_tried_again_in_a_new_run(v2, book, run):
    again = v2.post(f"/runs/{run['id']}/retry")
    assert (again.status_code, again.json()["n_portfolios"]) == (202, 1)
    assert again.json()["note"] == f"Failures of run #{run['number']}"
    problem(v2.post(f"/runs/{again.json()['id']}/retry"), 409, "run_active")


def test_runs_are_filtered_and_paged(v2, book, run):
    assert [row["id"] for row in walk(v2, f"/runs?state=completed&model_id={book.model.pk}")] == [run["id"]]
    assert walk(v2, "/runs?state=queued") == []
    assert v2.get("/runs?state=nonsense").status_code == 422


def test_proposals_tell_every_outcome(v2, book, run):
    rows = {row["portfolio_name"]: row for row in walk(v2, f"/runs/{run['id']}/proposals")}
    assert rows["Harbour"]["state"] == "solved"
    assert Decimal(rows["Harbour"]["market_value"]) == 11000
    assert (rows["Tiny"]["state"], rows["Tiny"]["n_orders"]) == ("infeasible", 0)
    assert rows["Tiny"]["reason"]
    assert len(walk(v2, f"/runs/{run['id']}/proposals?state=infeasible")) == 1
    whole = v2.get(f"/runs/{run['id']}/proposals/{book.harbour.pk}").json()
    assert whole["document"]["positions"]
    assert v2.get(f"/runs/{run['id']}/proposals/{P}").status_code == 404
    assert v2.get(f"/runs/{P}/proposals").status_code == 404


def test_orders_are_listed_and_decided_by_somebody_else(v2, tom, book, run):
    orders = walk(v2, f"/orders?run_id={run['id']}&portfolio_id={book.harbour.pk}&state=proposed")
    assert {order["ticker"] for order in orders} == {"AAA", "BBB", "CCC", "XXX"}
    body = {"order_ids": [order["id"] for order in orders], "verdict": "approved", "comment": "fine"}
    decided = tom.post("/orders/decisions", body)
    assert decided.status_code == 200
    assert decided.json() == {"n_decided": 4, "n_skipped": 0, "n_outdated": 0, "reasons": {}, "skipped": []}
    order = v2.get(f"/orders/{orders[0]['id']}").json()
    assert order["state"] == "approved"
    assert (order["decisions"][0]["decided_by"], order["decisions"][0]["comment"]) == ("tom", "fine")
    again = tom.post("/orders/decisions", body).json()
    assert (again["n_decided"], again["reasons"]) == (0, {"It is approved already.": 4})
    assert (again["n_skipped"], {left["order_id"] for left in again["skipped"]}) == (4, set(body["order_ids"]))


def test_nobody_approves_what_they_launched_by_key_either(person, key_for, book, run_worker):
    both = Api("/api/v2", **{"X-API-Key": key_for(person("manager", "approver", name="both"))})
    run_id = both.post("/runs", {"model_id": book.model.pk}).json()["id"]
    run_worker(Rebalance.objects.get(pk=run_id))
    n_orders = Order.objects.count()
    verdict = {"verdict": "approved", "expected_count": n_orders}
    decided = both.post(f"/runs/{run_id}/decisions", verdict).json()
    assert (decided["n_decided"], decided["n_skipped"], len(decided["skipped"])) == (0, n_orders, n_orders)
    assert set(Order.objects.values_list("state", flat=True)) == {"proposed"}


def test_a_run_is_decided_whole_only_as_it_was_seen(tom, run):
    seen = {"verdict": "rejected", "comment": "not now", "expected_count": run["n_awaiting"]}
    problem(tom.post(f"/runs/{run['id']}/decisions", seen | {"expected_count": 1}), 409, "changed_meanwhile")
    assert fields(tom.post(f"/runs/{run['id']}/decisions", seen | {"comment": ""})) == ["comment"]
    assert fields(tom.post(f"/runs/{run['id']}/decisions", seen | {"verdict": "maybe"})) == ["verdict"]
    assert tom.post(f"/runs/{run['id']}/decisions", seen).json()["n_decided"] == run["n_awaiting"]


def test_an_order_nobody_proposed_is_not_found_and_nothing_is_decided(tom, run):
    known = Order.objects.first().pk
    response = tom.post("/orders/decisions", {"order_ids": [known, P], "verdict": "approved"})
    problem(response, 404, "not_found")
    assert not Order.objects.exclude(state="proposed").exists()


# The caller


def test_the_caller_learns_who_they_are(tom):
    assert tom.get("/me").json() == {
        "username": "tom",
        "name": "tom",
        "roles": ["approver"],
        "permissions": ["book.read", "order.decide"],
    }


def test_a_person_makes_lists_and_revokes_their_own_keys(manager, approver):
    maya, tom = Api("/api/v2"), Api("/api/v2")
    maya.client.force_login(manager)
    tom.client.force_login(approver)
    made = maya.post("/keys", {"name": "nightly", "scopes": ["models:read"], "days": 30})
    assert made.status_code == 201
    key = made.json()
    assert Api("/api/v2", **{"X-API-Key": key["key"]}).get("/models").status_code == 200
    (listed,) = maya.get("/keys").json()
    assert "key" not in listed
    assert listed["last_used_at"]
    assert tom.get("/keys").json() == []
    problem(tom.delete(f"/keys/{key['id']}"), 404, "not_found")
    assert maya.delete(f"/keys/{key['id']}").status_code == 204
    assert Api("/api/v2", **{"X-API-Key": key["key"]}).get("/models").status_code == 401
    assert fields(maya.post("/keys", {"name": "", "scopes": ["all"], "days": 400})) == ["name", "scopes", "days"]


def test_the_audit_trail_is_for_auditors(v2, person, key_for, saved):
    auditor = Api("/api/v2", **{"X-API-Key": key_for(person("auditor"))})
    problem(v2.get("/audit"), 403, "not_allowed")
    (event,) = walk(auditor, f"/audit?object_id={saved['id']}")
    assert (event["action"], event["actor"]) == ("model.create", "maya")
    sequence = [one["seq"] for one in walk(auditor, "/audit")]
    assert sequence == sorted(sequence, reverse=True)
    assert len(sequence) == sequence[0]


# Limits


def test_who_asks_too_often_is_told_when_to_come_back(v2, tom, settings, time_machine):
    time_machine.move_to(timezone.now(), tick=False)  # no minute ends meanwhile
    settings.API_READS_PER_MINUTE = 2
    from django.core.cache import cache

    cache.clear()
    statuses = [v2.get("/models").status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    limited = v2.get("/models")
    problem(limited, 429, "too_many_requests")
    assert 0 < int(limited["Retry-After"]) <= 60
    assert tom.get("/models").status_code == 200, "a limit is each person's own"
    assert v2.post("/models", model()).status_code == 201, "writes are counted apart"
    cache.clear()


@pytest.mark.usefixtures("cache_is_down")
def test_a_cache_that_is_down_refuses_nobody_and_lifts_no_limit(v2, tom, settings, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    settings.API_READS_PER_MINUTE = 2
    assert [v2.get("/models").status_code for _ in range(3)] == [200, 200, 429]
    assert tom.get("/models").status_code == 200
