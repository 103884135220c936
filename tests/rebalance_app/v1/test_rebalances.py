"""API v1's rebalances: triggers and stored results of the drop-in contract, sections 1.2, 1.3 and 3."""

import json
from decimal import Decimal

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import TypeAdapter

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create, model_update
from models_app.models import Holding, Portfolio, Price
from ordergen.audit.models import AuditEvent
from rebalance_app.models import PortfolioRebalance, Rebalance, RunState
from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed, of_optimiser, verify_failed
from rebalance_app.optimiser.solution import refused
from rebalance_app.solving.failures import SolverHungError, SolverRaisedError, SolverWrongError, of_process, worker_died
from rebalance_app.solving.load import gather
from rebalance_app.v1.schemas import RebalanceTrigger, StoredPortfolio, StoredPosition, StoredRebalance
from tests.builders import portfolio
from tests.rebalance_app.optimiser.build import problem

NOBODY = "68a0c0ffee0000000000beef"
NO_SOLUTION = "no feasible solution exists"


def as_problems(facts, rows):
    """The chunk without its block: every portfolio goes one by one."""
    work = gather(facts, rows)
    return work.without(np.zeros(len(work.batch_rows), dtype=bool))


def fits(schema, response, status=200):
    """The body, after checking it against the documented schema: same names, same JSON types."""
    assert response.status_code == status, response.content
    assert TypeAdapter(schema).validate_json(response.content, strict=True)
    body = response.json()
    one = body[0] if isinstance(body, list) else body
    assert one.keys() == (getattr(schema, "__args__", (schema,))[0]).model_fields.keys()
    return body


@pytest.fixture
def lee(book):
    """The portfolio with 5,000 in cash and nothing else: MV 5000, A 150, B 62 or 63, C 2 shares at most."""
    return book.cash_only.pk


@pytest.fixture
def triggered(api, worker, book):
    """The body of a rebalance of Harbour alone: check value (a) of the contract."""
    return fits(RebalanceTrigger, api.post(f"/portfolio/{book.harbour.pk}/rebalance"))


# Triggers


def test_one_portfolio_is_rebalanced_to_the_contracts_check_value(triggered, book):
    bought = {line["security_id"]: line for line in triggered["transactions"]}
    assert (bought[book.aaa.pk]["quantity"], bought[book.ccc.pk]["quantity"]) == (330, 4)
    assert bought[book.bbb.pk]["quantity"] in {137, 138}
    assert bought[book.xxx.pk] | {"trade_date": ""} == {
        "transaction_type": "SELL",
        "security_id": book.xxx.pk,
        "quantity": 10,
        "trade_date": "",
    }
    assert {line["transaction_type"] for key, line in bought.items() if key != book.xxx.pk} == {"BUY"}
    assert triggered["portfolio_id"] == book.harbour.pk
    assert triggered["portfolio_name"] == "Harbour"
    assert (triggered["status"], triggered["message"]) == ("solved", "")


def test_drifts_cover_every_security_held_or_targeted_in_strings(triggered, book):
    drifts = {line["security_id"]: line for line in triggered["drifts"]}
    assert drifts.keys() == {book.aaa.pk, book.bbb.pk, book.ccc.pk, book.xxx.pk}
    assert drifts[book.ccc.pk]["actual"] == "0.0229", "4 x 62.85 / 11000, from the new quantity, to four places"
    sold = drifts[book.xxx.pk]
    assert Decimal(sold["original_quantity"]) == 10
    assert [Decimal(sold[name]) for name in ("adjusted_quantity", "target", "low_drift", "high_drift")] == [0] * 4
    assert sold["actual"] == "0.0000"
    assert Decimal(drifts[book.aaa.pk]["target"]) == Decimal("0.3")


def test_a_model_is_rebalanced_with_one_element_per_portfolio_failures_included(api, worker, book):
    body = fits(list[RebalanceTrigger], api.post(f"/model/{book.model.pk}/rebalance"))
    by_name = {element["portfolio_name"]: element for element in body}
    assert by_name.keys() == {"Harbour", "Lee", "Tiny"}
    assert len({element["rebalance_id"] for element in body}) == 1
    assert by_name["Lee"]["transactions"]
    tiny = by_name["Tiny"]
    assert (tiny["status"], tiny["transactions"], tiny["drifts"]) == ("infeasible", [], [])
    assert "CCC" in tiny["message"]


def test_a_rebalance_stamps_the_model_without_raising_its_version(api, triggered, book):
    model = api.get(f"/model/{book.model.pk}").json()
    assert model["version"] == 1
    assert model["last_rebalance_date"].endswith("Z")


def test_an_infeasible_portfolio_is_422_with_reasons_and_nothing_is_stored_as_a_success(api, worker, book):
    response = api.post(f"/portfolio/{book.tiny.pk}/rebalance")
    assert response.status_code == 422
    body = response.json()
    assert body["detail"] == NO_SOLUTION
    assert body["reasons"][0]["security_id"] == book.ccc.pk
    assert body["reasons"][0]["message"]
    assert api.get("/rebalances").json() == []
    assert api.get(f"/rebalance/{body['rebalance_id']}").json()["portfolios"][0]["status"] == "infeasible"


@pytest.mark.parametrize(
    "failure",
    [
        of_optimiser(NoAnswerInTime(), 30.0),
        of_optimiser(SolverFailed("kUnknown"), 30.0),
        verify_failed("cash after the trades is below its floor"),
        of_process(SolverHungError("it was killed"), 30.0),
        of_process(SolverWrongError("there are more orders than allowed"), 30.0),
        of_process(SolverRaisedError("ValueError: a defect"), 30.0),
        worker_died(3),
    ],
    ids=lambda reason: reason.code,
)
def test_whatever_fails_in_the_solver_is_422_with_its_reason(failure, api, worker, book, monkeypatch):
    """Out of time as well as a defect: nothing that the book lacks, so no 503, which says that it may pass."""
    unsolved = refused(problem(0), "error", (failure,))
    monkeypatch.setattr("rebalance_app.runs.solve_chunk.gather", as_problems)
    monkeypatch.setattr("rebalance_app.runs.solve_chunk.solve_separable", lambda problems: [unsolved for _ in problems])
    response = api.post(f"/portfolio/{book.harbour.pk}/rebalance")

    assert (response.status_code, response.json()["detail"]) == (422, NO_SOLUTION)
    assert [reason["code"] for reason in response.json()["reasons"]] == [failure.code]
    assert api.get("/rebalances").json() == [], "nothing is stored as a success"


def test_a_model_of_which_every_portfolio_failed_is_422(api, worker, book, manager):
    position = PositionDraft(book.ccc.pk, Decimal("0.02"), Decimal(0), Decimal(0))
    model = model_create(draft=ModelDraft("Tight", (position,), (book.tiny.pk, book.cash_only.pk)), by=manager)
    response = api.post(f"/model/{model.pk}/rebalance")
    assert (response.status_code, response.json()["detail"]) == (422, NO_SOLUTION)
    assert {reason["portfolio_name"] for reason in response.json()["reasons"]} == {"Tiny", "Lee"}


@pytest.mark.parametrize("path", ["/model/{}/rebalance", "/portfolio/{}/rebalance"])
@pytest.mark.parametrize(("given", "status"), [("short", 400), ("z" * 24, 400), (NOBODY, 404)])
def test_a_trigger_needs_an_id_that_exists(api, path, given, status):
    response = api.post(path.format(given))
    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)


def test_a_model_without_positions_is_refused_and_sells_nothing(api, book, manager):
    draft = ModelDraft("Growth", (), (book.harbour.pk,))
    model_update(model_id=book.model.pk, version=1, draft=draft, by=manager)
    response = api.post(f"/model/{book.model.pk}/rebalance")
    assert (response.status_code, isinstance(response.json()["detail"], str)) == (422, True)
    assert not Rebalance.objects.exists()


def test_a_missing_price_is_503_naming_the_security(api, worker, book):
    Price.objects.filter(security=book.xxx).delete()
    response = api.post(f"/portfolio/{book.harbour.pk}/rebalance")
    assert response.status_code == 503
    assert book.xxx.pk in response.content.decode() or "XXX" in response.json()["detail"]


def test_a_missing_price_fails_its_element_of_a_model_run_and_sells_nothing(api, worker, book):
    Price.objects.filter(security=book.xxx).delete()
    body = api.post(f"/model/{book.model.pk}/rebalance").json()
    harbour = next(element for element in body if element["portfolio_name"] == "Harbour")
    assert (harbour["status"], harbour["transactions"]) == ("failed", [])
    assert harbour["message"]


def test_a_model_without_any_price_is_503(api, book):
    Price.objects.all().delete()
    response = api.post(f"/model/{book.model.pk}/rebalance")
    assert response.status_code == 503
    assert isinstance(response.json()["detail"], str)


def test_a_new_portfolio_without_balances_has_no_transactions(api, worker, book, manager):
    empty = portfolio("Empty")
    api.post(f"/model/{book.model.pk}/portfolio", {"portfolios": [empty.pk]})
    body = fits(RebalanceTrigger, api.post(f"/portfolio/{empty.pk}/rebalance"))
    assert body["transactions"] == []
    stored = api.get(f"/rebalance/{body['rebalance_id']}/portfolios").json()[0]
    assert stored["market_value"] == 0.0


def test_a_short_position_is_bought_back(api, worker, book):
    Holding.objects.filter(portfolio=book.harbour).update(quantity=-5)
    body = api.post(f"/portfolio/{book.harbour.pk}/rebalance").json()
    cover = next(line for line in body["transactions"] if line["security_id"] == book.xxx.pk)
    assert (cover["transaction_type"], cover["quantity"]) == ("BUY", 5)


def test_an_overdrawn_account_ends_above_its_cash_floor(api, worker, book):
    Portfolio.objects.filter(pk=book.harbour.pk).update(cash=Decimal(-100))
    Holding.objects.filter(portfolio=book.harbour).update(quantity=200)
    body = api.post(f"/portfolio/{book.harbour.pk}/rebalance").json()
    stored = api.get(f"/rebalance/{body['rebalance_id']}").json()["portfolios"][0]
    assert stored["cash_before_rebalance"] == -100.0
    assert stored["cash_after_rebalance"] >= 0


def test_what_remains_of_a_fraction_is_said(api, worker, book):
    Holding.objects.filter(portfolio=book.harbour).update(quantity=Decimal("10.5"))
    body = api.post(f"/portfolio/{book.harbour.pk}/rebalance").json()
    sold = next(line for line in body["transactions"] if line["security_id"] == book.xxx.pk)
    assert sold["quantity"] == 10
    assert "0.5" in body["message"]
    assert "XXX" in body["message"]


def test_a_portfolio_in_several_models_takes_the_named_one_else_the_newest(api, worker, book, manager):
    position = PositionDraft(book.aaa.pk, Decimal("0.5"), Decimal("0.1"), Decimal("0.1"))
    newer = model_create(draft=ModelDraft("Newer", (position,), (book.cash_only.pk,)), by=manager)
    path = f"/portfolio/{book.cash_only.pk}/rebalance"
    body = api.post(path).json()
    assert "Newer" in body["message"]
    assert Rebalance.objects.get(pk=body["rebalance_id"]).model_id == newer.pk
    named = api.post(f"{path}?model_id={book.model.pk}").json()
    assert Rebalance.objects.get(pk=named["rebalance_id"]).model_id == book.model.pk
    assert api.post(f"{path}?model_id={NOBODY}").status_code == 404
    assert api.post(f"{path}?model_id=zzz").status_code == 400


# Patience, repetition


def test_a_run_longer_than_callers_wait_is_503_with_its_id(api, settings, book):
    settings.V1_WAIT_SECONDS = 0
    response = api.post(f"/model/{book.model.pk}/rebalance")
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    stored = api.get(f"/rebalance/{response.json()['rebalance_id']}")
    assert (stored.status_code, stored.json()["status"]) == (200, "queued")
    assert api.get("/rebalances").json() == [], "nothing unfinished is listed as a result"


def test_a_caller_who_prefers_not_to_wait_is_told_where_to_look(api, book):
    response = api.post(f"/model/{book.model.pk}/rebalance", Prefer="respond-async, wait=10")
    assert response.status_code == 202
    assert response["Location"] == f"/api/v1/rebalance/{response.json()['rebalance_id']}"
    assert api.get(response["Location"].removeprefix("/api/v1")).status_code == 200


def test_a_repetition_with_the_same_key_gives_the_run_it_gave_before(api, worker, book):
    path = f"/model/{book.model.pk}/rebalance"
    first = api.post(path, Idempotency_Key="k1").json()
    again = api.post(path, Idempotency_Key="k1")
    assert (again.status_code, again.json()) == (200, first)
    other = api.post(f"/portfolio/{book.harbour.pk}/rebalance", Idempotency_Key="k1")
    assert other.status_code == 409
    assert Rebalance.objects.count() == 1


def test_a_portfolio_that_is_being_rebalanced_is_a_conflict(api, settings, book):
    settings.V1_WAIT_SECONDS = 0
    api.post(f"/model/{book.model.pk}/rebalance")
    assert api.post(f"/portfolio/{book.harbour.pk}/rebalance").status_code == 409


def test_a_stopped_run_is_503_and_never_a_success(api, worker, monkeypatch, book):
    from rebalance_app.v1 import api as door

    run = Rebalance(pk=NOBODY, state=RunState.STOPPED, number=1)
    monkeypatch.setattr(door, "run_wait", lambda **_: run)
    assert api.post(f"/model/{book.model.pk}/rebalance").status_code == 503


# Stored rebalances


def test_a_stored_rebalance_is_all_json_numbers(api, triggered, book):
    body = fits(StoredRebalance, api.get(f"/rebalance/{triggered['rebalance_id']}"))
    (stored,) = body["portfolios"]
    assert (body["version"], body["number_of_portfolios"], body["model_name"]) == (1, 1, "Growth")
    assert body["rebalance_date"].endswith("Z")
    assert stored["market_value"] == 11000.0
    assert stored["cash_before_rebalance"] == 10000.0
    assert stored["cash_after_rebalance"] in {4708.60, 4688.60}
    lines = {line["security_id"]: line for line in stored["positions"]}
    bbb = lines[book.bbb.pk]
    quantity = bbb["adjusted_quantity"]
    assert isinstance(quantity, float)
    assert bbb["adjusted_position_market_value"] == quantity * 20
    assert bbb["actual"] == pytest.approx(quantity * 20 / 11000, abs=1e-15), "unrounded"
    assert bbb["actual_drift"] == pytest.approx(quantity * 20 / 11000 - 0.25, abs=1e-15), "actual minus target"
    assert (bbb["transaction_type"], bbb["trade_quantity"]) == ("BUY", int(quantity))
    assert b'"price":20.0' in api.get(f"/rebalance/{triggered['rebalance_id']}").content


def test_a_position_without_trade_has_nulls_for_it(api, worker, book, lee):
    first = api.post(f"/portfolio/{lee}/rebalance").json()
    for line in first["transactions"]:
        Holding.objects.create(portfolio_id=lee, security_id=line["security_id"], quantity=line["quantity"])
    spent = PortfolioRebalance.objects.get(rebalance=first["rebalance_id"]).cash_after
    Portfolio.objects.filter(pk=lee).update(cash=spent)
    second = api.post(f"/portfolio/{lee}/rebalance").json()
    assert (second["status"], second["transactions"]) == ("no_trades", [])
    line = api.get(f"/rebalance/{second['rebalance_id']}").json()["portfolios"][0]["positions"][0]
    assert (line["transaction_type"], line["trade_quantity"], line["trade_date"]) == (None, None, None)


def test_parts_of_a_rebalance_are_loaded_on_their_own(api, triggered, book):
    path = f"/rebalance/{triggered['rebalance_id']}"
    whole = api.get(path).json()
    assert fits(list[StoredPortfolio], api.get(f"{path}/portfolios")) == whole["portfolios"]
    lines = fits(list[StoredPosition], api.get(f"{path}/portfolio/{book.harbour.pk}/positions"))
    assert lines == whole["portfolios"][0]["positions"]


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/rebalance/zzz/portfolios", 400, "Invalid rebalance ID"),
        (f"/rebalance/{NOBODY}/portfolios", 404, "Rebalance not found"),
        (f"/rebalance/zzz/portfolio/{NOBODY}/positions", 400, "Invalid ID format"),
        (f"/rebalance/{NOBODY}/portfolio/zzz/positions", 400, "Invalid ID format"),
        (f"/rebalance/{NOBODY}/portfolio/{NOBODY}/positions", 404, "Rebalance not found"),
    ],
)
def test_the_lazy_routes_nest_their_errors(api, path, status, title):
    response = api.get(path)
    detail = response.json()["detail"]
    assert (response.status_code, detail["error"], detail["status_code"]) == (status, title, status)
    assert detail["message"]


def test_a_portfolio_that_is_not_in_a_rebalance_is_not_found(api, triggered):
    response = api.get(f"/rebalance/{triggered['rebalance_id']}/portfolio/{NOBODY}/positions")
    assert (response.status_code, response.json()["detail"]["error"]) == (404, "Portfolio not found")


@pytest.mark.parametrize(("given", "status"), [("zzz", 400), (NOBODY, 404)])
def test_a_rebalance_that_is_not_there_is_said(api, given, status):
    response = api.get(f"/rebalance/{given}")
    assert response.status_code == status
    if status == 404:
        assert response.json() == {"detail": f"Rebalance {NOBODY} not found"}


@pytest.fixture
def several(api, worker, book):
    """Ids of three runs: Harbour, Lee, Harbour again."""
    names = (book.harbour, book.cash_only, book.harbour)
    return [api.post(f"/portfolio/{one.pk}/rebalance").json()["rebalance_id"] for one in names]


def ids(response):
    assert response.status_code == 200, response.content
    return [run["rebalance_id"] for run in response.json()]


@pytest.mark.parametrize("path", ["/rebalance/{}", "/rebalance/{}/portfolios", "/rebalances"])
def test_a_stored_run_is_sent_while_it_is_read_and_never_whole_in_memory(api, worker, book, monkeypatch, path):
    """A run of ten thousand portfolios is hundreds of megabytes of JSON."""
    run = api.post(f"/model/{book.model.pk}/rebalance").json()[0]["rebalance_id"]
    whole = api.get(path.format(run)).json()
    monkeypatch.setattr("rebalance_app.v1.api.ROWS_AT_ONCE", 1)
    pieces = iter(api.client.get("/api/v1" + path.format(run), headers=api.headers).streaming_content)
    sent = b""
    while b'"portfolio_name"' not in sent:
        sent += next(pieces)
    with CaptureQueriesContext(connection) as queries:
        rest = b"".join(pieces)

    assert json.loads(sent + rest) == whole
    n_portfolios = PortfolioRebalance.objects.filter(rebalance_id=run).count()
    assert len([query for query in queries if "portfoliorebalance" in query["sql"]]) == n_portfolios > 1


def test_rebalances_are_listed_newest_first_in_pages(api, several):
    first, second, third = several
    assert ids(api.get("/rebalances")) == [third, second, first]
    assert ids(api.get("/rebalances?offset=1&limit=1")) == [second]
    assert ids(api.get("/rebalances?offset=3")) == []
    assert ids(api.get("/rebalances?sort_by=rebalance_date")) == several
    assert ids(api.get("/rebalances?sort_by=-rebalance_id,nonsense")) == [third, second, first]
    assert len(ids(api.get("/rebalances?sort_by=model_name,number_of_portfolios&rebalance_id=x"))) == 3


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "offset=-1", "limit=x", "offset=1e9", "offset=99999999999999999999"]
)
def test_paging_of_rebalances_out_of_range_is_a_schema_error(api, query):
    response = api.get(f"/rebalances?{query}")
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["query", query.split("=")[0]]


def test_rebalances_are_found_by_portfolios(api, several, book):
    first, second, third = several
    assert ids(api.post("/rebalances/portfolios", {"portfolios": [book.harbour.pk.upper()]})) == [third, first]
    assert ids(api.post("/rebalances/portfolios?limit=2", {"portfolios": [book.harbour.pk, book.cash_only.pk]})) == [
        third,
        second,
    ]
    assert ids(api.post("/rebalances/portfolios", {"portfolios": [NOBODY]})) == []


@pytest.mark.parametrize("portfolios", [[], ["short"], ["z" * 24], [NOBODY] * 1001, None, [1]])
def test_a_search_that_cannot_be_meant_is_a_schema_error(api, portfolios):
    response = api.post("/rebalances/portfolios", {"portfolios": portfolios})
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][:2] == ["body", "portfolios"]


def test_a_deleted_rebalance_is_gone_from_the_api_and_kept_in_the_record(api, triggered, book):
    path = f"/rebalance/{triggered['rebalance_id']}"
    assert api.delete(path).status_code == 422
    conflict = api.delete(f"{path}?version=2")
    assert conflict.status_code == 409
    assert "expected 1, got 2" in conflict.json()["detail"]
    response = api.delete(f"{path}?version=1")
    assert (response.status_code, response.json()) == (
        200,
        {"message": f"Rebalance {triggered['rebalance_id']} deleted successfully"},
    )
    assert api.get(path).status_code == 404
    assert api.get(f"{path}/portfolios").status_code == 404
    assert api.delete(f"{path}?version=1").status_code == 404
    assert api.get("/rebalances").json() == []
    assert api.post("/rebalances/portfolios", {"portfolios": [book.harbour.pk]}).json() == []
    assert Rebalance.objects.get(pk=triggered["rebalance_id"]).n_orders > 0
    assert AuditEvent.objects.filter(action="rebalance.hidden", object_id=triggered["rebalance_id"]).exists()


@pytest.mark.parametrize(("given", "status"), [("zzz", 400), (NOBODY, 404)])
def test_deleting_needs_a_rebalance(api, given, status):
    assert api.delete(f"/rebalance/{given}?version=1").status_code == status


def test_deleting_a_model_leaves_its_rebalances(api, triggered, book):
    assert api.delete(f"/model/{book.model.pk}?version=1").status_code == 204
    assert ids(api.get("/rebalances")) == [triggered["rebalance_id"]]
