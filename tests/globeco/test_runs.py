"""Rebalances on the book of the GlobeCo services: through API v1, and in what a person sees."""

import io

import pytest
from django.core.cache import cache

from models_app.drift_index.refresh import refresh, waiting_since
from models_app.exports.services import export
from models_app.imports.services import apply_import, import_file, plan_import
from models_app.models import DriftFigures, InvestmentModel, Security
from models_app.sources import get_source
from models_app.sources import globeco as source_module
from models_app.sources.book_source import PortfolioInfo
from models_app.sources.globeco import GlobecoSource
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import InvalidInputError, UnavailableError
from ordergen.ops.verify import verify_all
from rebalance_app.models import PortfolioRebalance, PriceSnapshot, Rebalance
from rebalance_app.orders.decide import run_decide
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.solve_chunk import chunk_solve
from tests.callers import Api
from tests.globeco.book import id_of

pytestmark = pytest.mark.django_db


def test_a_model_of_ten_portfolios_takes_one_call_each_and_three_for_the_rest(api, worker, globeco, model):
    answer = api.post(f"/model/{model.pk}/rebalance")

    assert answer.status_code == 200, answer.content
    elements = answer.json()
    assert [element["portfolio_name"] for element in elements] == [f"Account {n:04}" for n in range(10)]
    assert {element["status"] for element in elements} == {"solved"}
    asked = [call["service"] for call in globeco.calls()]
    assert {name: asked.count(name) for name in asked} == {
        "portfolio": 1,
        "security": 1,
        "pricing": 1,
        "accounting": 10,
    }


def test_all_portfolios_of_a_run_see_one_price_although_pricing_draws_a_new_one_per_call(api, worker, globeco, model):
    quotes = {globeco.ask(3, "GET", "/api/v1/price/S000")[1]["close"] for _ in range(5)}
    assert len(quotes) > 1
    rebalance_id = api.post(f"/model/{model.pk}/rebalance").json()[0]["rebalance_id"]

    stored = api.get(f"/rebalance/{rebalance_id}").json()

    security = next(iter(model.positions.values_list("security_id", flat=True)))
    prices = {line["price"] for p in stored["portfolios"] for line in p["positions"] if line["security_id"] == security}
    assert len(prices) == 1


def test_a_portfolio_without_balances_is_worth_nothing_and_trades_nothing(api, worker, globeco, model, ids):
    api.post(f"/model/{model.pk}/portfolio", {"portfolios": [ids[0][-1]]})

    answer = api.post(f"/portfolio/{ids[0][-1]}/rebalance")

    assert (answer.status_code, answer.json()["transactions"]) == (200, [])


def test_a_portfolio_that_no_service_knows_fails_alone(api, worker, globeco, model):
    stranger = id_of("nobody")
    api.post(f"/model/{model.pk}/portfolio", {"portfolios": [stranger]})

    elements = api.post(f"/model/{model.pk}/rebalance").json()

    assert {e["portfolio_id"] for e in elements if e["status"] == "failed"} == {stranger}
    assert api.post(f"/portfolio/{stranger}/rebalance").status_code == 404


@pytest.mark.parametrize("service", ["portfolio", "security", "pricing"])
def test_an_outage_at_launch_is_503_and_nothing_is_written(api, globeco, model, service):
    globeco.fault(service, "down")
    before = AuditEvent.objects.count()

    answer = api.post(f"/model/{model.pk}/rebalance")

    assert (answer.status_code, f"{service} service" in answer.json()["detail"]) == (503, True)
    assert (Rebalance.objects.count(), PriceSnapshot.objects.count()) == (0, 0)
    assert AuditEvent.objects.count() == before


def test_an_outage_in_a_run_stops_it_at_once_and_says_why_once(api, worker, globeco, model, settings):
    settings.CHUNK_SIZE = 3
    globeco.fault("accounting", "down")

    answer = api.post(f"/model/{model.pk}/rebalance")

    assert answer.status_code == 503
    assert [reason["code"] for reason in answer.json()["reasons"]] == ["SERVICE_DOWN"]
    run = Rebalance.objects.get()
    assert (run.state, run.n_failed, run.n_cancelled, run.n_orders) == ("stopped", 1, 9, 0)
    assert InvestmentModel.objects.get().last_rebalance_at is None
    assert verify_all()["violations"] == 0
    assert api.get("/rebalances").json() == [], "a stopped run is never listed as a success"


@pytest.fixture
def v2(manager, key_for, settings):
    settings.CHUNK_SIZE = 4
    return Api("/api/v2", **{"X-API-Key": key_for(manager)})


def test_what_was_proposed_before_the_outage_stays_and_the_rest_can_be_tried_again(
    v2, globeco, model, manager, run_worker
):
    run = run_launch(by=manager, model_id=model.pk)
    chunk_solve(run_id=run.pk, chunk=0)
    globeco.fault("accounting", "500_before")
    chunk_solve(run_id=run.pk, chunk=1)
    globeco.heal()

    run.refresh_from_db()
    assert (run.state, run.n_solved, run.n_failed, run.n_cancelled) == ("stopped", 4, 1, 5)
    assert verify_all()["violations"] == 0
    retried = v2.post(f"/runs/{run.pk}/retry")
    assert (retried.status_code, retried.json()["n_portfolios"]) == (202, 6)
    again = run_worker(Rebalance.objects.get(pk=retried.json()["id"]))
    assert (again.state, again.n_solved) == ("completed", 6)


def test_the_word_of_the_request_goes_with_the_worker_s_calls(api, worker, globeco, model):
    api.post(f"/model/{model.pk}/rebalance", X_Correlation_ID="portal-4711")

    assert {call["correlation"] for call in globeco.calls("accounting")} == {"portal-4711"}
    finished = AuditEvent.objects.get(action="rebalance.finished")
    assert finished.request_id == "portal-4711"


def test_a_security_without_a_price_fails_its_portfolios_by_name(api, worker, globeco, model):
    globeco.fault("pricing", "short")
    last = id_of("security 504")
    api.post(
        f"/model/{model.pk}/position",
        {"security_id": last, "target": "0.05", "low_drift": "0.01", "high_drift": "0.01"},
    )
    answer = api.post(f"/model/{model.pk}/rebalance")

    assert answer.status_code == 422
    assert "S504" in answer.content.decode()


@pytest.fixture
def browser(client, manager):
    client.force_login(manager)
    return client


def test_pages_show_names_and_tickers_of_the_services(browser, globeco, model, manager, run_worker, ids):
    run = run_worker(run_launch(by=manager, model_id=model.pk))
    refresh()
    proposal = PortfolioRebalance.objects.filter(rebalance=run).first()
    pages = {
        "/models/": "Growth",
        f"/models/{model.pk}/": "S000",
        f"/models/{model.pk}/edit/": "Simulated Company 0",
        "/portfolios/": "Account 0011",
        f"/portfolios/{ids[0][0]}/": "S000",
        f"/portfolios/{ids[0][0]}/history/": "Account 0000",
        f"/rebalances/{run.pk}/": "Account 0003",
        f"/rebalances/{run.pk}/portfolios/{proposal.portfolio_id}/": "Simulated Company",
        "/orders/": "Account 000",
    }
    for path, words in pages.items():
        page = browser.get(path)
        assert (page.status_code, words in page.content.decode()) == (200, True), path


def test_a_page_whose_service_is_down_says_which(browser, globeco, model, ids):
    globeco.fault("accounting", "down")

    page = browser.get(f"/portfolios/{ids[0][0]}/")

    assert page.status_code == 503
    assert "portfolio accounting service" in page.content.decode()


@pytest.mark.parametrize("service", ["accounting", "portfolio", "security", "pricing"])
def test_no_page_pretends_that_there_is_nothing_while_a_service_is_down(
    browser, globeco, model, ids, settings, service
):
    settings.EXTERNAL_SERVICE_RETRIES = 0
    globeco.fault(service, "500_before")
    portfolio, security = ids[0][0], ids[1][0]
    paths = [
        "/", "/models/", "/models/new/", f"/models/{model.pk}/", f"/models/{model.pk}/edit/",
        "/portfolios/", f"/portfolios/{portfolio}/", f"/portfolios/{portfolio}/history/", "/limits/", "/import/",
        f"/limits/portfolio/{portfolio}/", f"/limits/security/{security}/", f"/rebalances/new?model={model.pk}",
        "/x/securities/?q=S00",
    ]  # fmt: skip

    failed = 0
    for path in paths:
        cache.clear()
        source_module.services.cache_clear()
        page = browser.get(path)
        text = page.content.decode()
        assert page.status_code in {200, 503}, (path, text)
        if page.status_code == 503:
            failed += 1
            assert f"{service} service" in text, path

    assert failed >= 2, "what is not kept as figures is read now"


def test_lists_keep_the_figures_they_have_when_a_service_is_down_and_say_so(browser, globeco, model, settings):
    assert "Nobody has looked yet" in browser.get("/portfolios/").content.decode()
    assert refresh() == 12
    told = dict(DriftFigures.objects.values_list("portfolio_name", "told"))
    before = browser.get("/portfolios/").content.decode()
    assert ("Account 0011" in before, "could not be refreshed" in before) == (True, False)
    globeco.fault("accounting", "down")
    settings.FIGURES_SECONDS = 1e-9  # the next look is due

    assert refresh() == 0

    page = browser.get("/portfolios/").content.decode()
    assert "The figures could not be refreshed." in page
    assert "portfolio accounting service" in page
    assert "Account 0011" in page
    assert dict(DriftFigures.objects.values_list("portfolio_name", "told")) == told


def test_a_book_that_does_not_tell_of_its_changes_is_looked_through_by_the_clock(globeco, model, settings):
    assert refresh() == 12
    assert waiting_since() is None, "nothing is due"
    assert refresh() == 0
    settings.FIGURES_SECONDS = 1e-9
    assert waiting_since() is not None
    assert refresh() == 12
    settings.FIGURES_SECONDS = 0
    assert waiting_since() is None, "never"


@pytest.mark.usefixtures("patient_probes")
def test_readiness_names_the_service_that_is_down(browser, globeco):
    assert browser.get("/health/ready").status_code == 200
    globeco.fault("pricing", "down")

    answer = browser.get("/health/ready")

    services = answer.json()["dependencies"]["external_services"]
    assert answer.status_code == 503
    assert [name for name, check in services.items() if check["status"] != "healthy"] == ["pricing_service"]


@pytest.mark.parametrize("by_a_person", [True, False])
def test_only_models_can_be_imported_into_a_book_that_is_kept_elsewhere(globeco, manager, tmp_path, by_a_person):
    file = tmp_path / "securities.csv"
    file.write_text("security_id,ticker,name\n,KELP,Kelp\n")

    with pytest.raises(InvalidInputError, match="only models can be imported"):
        import_file("securities", file, manager if by_a_person else None)
    assert not Security.objects.exists()


def test_import_pages_say_that_the_book_is_kept_elsewhere(browser, globeco):
    index = browser.get("/import/").content.decode()
    refused = browser.get("/import/holdings/")

    assert "only models can be uploaded" in index
    assert "/import/holdings/" not in index
    assert "/import/models/" in index
    assert "/export/holdings.csv" in index
    assert "/export/lots.csv" not in index, "the services know no lots"
    assert (refused.status_code, "kept by other services" in refused.content.decode()) == (422, True)
    assert browser.get("/import/models/").status_code == 200


def test_what_the_services_keep_is_exported_in_files_that_another_installation_takes(
    browser, globeco, model, ids, settings
):
    kinds = ("securities", "prices", "portfolios", "holdings", "models")
    files = {kind: b"".join(browser.get(f"/export/{kind}.csv").streaming_content) for kind in kinds}
    there = get_source().balances(ids[0])
    model.delete()

    settings.ORDERGEN_SOURCE = "local"
    for kind, content in files.items():
        plan = plan_import(kind, io.BytesIO(content), None)
        assert plan.n_rows > 0, kind
        apply_import(plan, by=None)

    assert {key: info.name for key, info in get_source().portfolios().items()}.keys() == set(ids[0])
    assert get_source().balances(ids[0]) == there
    assert get_source().latest_prices(ids[1]).keys() == set(ids[1])
    assert InvestmentModel.objects.get().name == "Growth"


@pytest.mark.parametrize(
    ("kind", "service"),
    [("securities", "security"), ("prices", "pricing"), ("portfolios", "accounting"), ("holdings", "accounting")],
)
def test_an_export_in_an_outage_is_no_file_at_all(browser, globeco, kind, service):
    globeco.fault(service, "down")

    answer = browser.get(f"/export/{kind}.csv")

    assert (answer.status_code, answer["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert f"{service} service" in answer.content.decode()


def test_tax_lots_which_no_service_keeps_are_no_empty_file(browser, globeco):
    answer = browser.get("/export/lots.csv")

    assert (answer.status_code, "no tax lots" in answer.content.decode()) == (422, True)


def test_two_portfolios_of_one_name_are_told_apart_in_an_export_by_their_ids(globeco, monkeypatch, ids):
    monkeypatch.setattr(GlobecoSource, "portfolios", lambda *_: {key: PortfolioInfo(key, "Smith") for key in ids[0]})

    rows = "".join(export("holdings")).splitlines()[1:]

    assert {row.split(",")[0] for row in rows} == set(ids[0][:-1]), "the last one holds nothing"


def test_an_approval_asks_once_for_each_portfolio_and_takes_the_prices_that_are_kept(
    globeco, model, manager, approver, run_worker
):
    run = run_worker(run_launch(by=manager, model_id=model.pk))
    globeco.forget()
    decided = run_decide(by=approver, run_id=run.pk, verdict="approved")

    assert (decided.n_decided, decided.reasons) == (run.n_orders, {})
    assert {call["service"] for call in globeco.calls()} == {"accounting"}
    assert len(globeco.calls()) == run.portfolios.filter(n_orders__gt=0).count()


def test_while_accounting_is_down_nothing_is_approved_and_anything_that_pays_for_nothing_rejected(
    globeco, model, manager, approver, run_worker
):
    run = run_worker(run_launch(by=manager, model_id=model.pk))
    globeco.fault("accounting", "down")
    with pytest.raises(UnavailableError, match="accounting"):
        run_decide(by=approver, run_id=run.pk, verdict="approved")
    assert run_decide(by=approver, run_id=run.pk, verdict="rejected", comment="no").n_decided == run.n_orders
