"""Figures that lists are made from: they say what the live view says, and never look newer than they are."""

import io
import random
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection

from models_app.drift_index import changed as changes
from models_app.drift_index import invalidate as marks
from models_app.drift_index import read as figures
from models_app.drift_index import recompute, refresh
from models_app.drift_index.changed import book_changed
from models_app.drift_index.document import document_of, documents_at_once
from models_app.drift_index.live_drift import portfolio_view, read_inputs
from models_app.imports.services import apply_import, plan_import
from models_app.investment_models.rules import ModelDraft
from models_app.investment_models.selectors import ModelRow, model_draft
from models_app.modelling import services
from models_app.models import DriftFigures, FiguresRefresh, Holding, InvestmentModel, ModelFigures, Portfolio, Price
from models_app.portfolios.views import PORTFOLIO_COLUMNS
from models_app.sources import get_source
from models_app.sources.book_source import PortfolioInfo
from models_app.sources.parse import MalformedAnswerError
from models_app.tasks import refresh_figures, sweep_figures
from ordergen.audit import services as audit
from tests.builders import draft, portfolio, position, security, together

pytestmark = pytest.mark.django_db
TICKERS = ("AAA", "BBB", "CCC", "DDD")


@pytest.fixture
def book(manager):
    """Two models over a dozen portfolios of every kind: calm, wild, short, fractional, poor, unpriced, empty, alone."""
    with together():
        ids = [
            security(ticker, price).id for ticker, price in zip(TICKERS, ("10", "33.3333", "7", "0.01"), strict=True)
        ]
        security("XXX", price=None)
        security("OUT", "50")
        made = {
            "calm": portfolio("Calm", "3000", AAA="200", BBB="60", CCC="285", DDD="100000"),
            "over": portfolio("Over", "3000", AAA="400", BBB="60", CCC="100"),
            "short": portfolio("Short", "9000", AAA="-5", BBB="60"),
            "fractional": portfolio("Fractional", "3000.0001", AAA="200.5", BBB="60"),
            "overdrawn": portfolio("Overdrawn", "-12.34", AAA="500", BBB="60"),
            "poor": portfolio("Poor", "1", AAA="200", BBB="60", CCC="285"),
            "outside": portfolio("Outside", "3000", AAA="200", OUT="1"),
            "unpriced": portfolio("Unpriced", "3000", AAA="200", XXX="7"),
            "worthless": portfolio("Worthless"),
            "indebted": portfolio("Indebted", "-9999", AAA="1"),
            "tiny": portfolio("Tiny", "20", BBB="1"),
            "alone": portfolio("ALONE", "100", AAA="1", XXX="1"),
        }
    followers = tuple(made[name].id for name in made if name != "alone")
    targets = ("0.2", "0.2", "0.2", "0.1")
    rows = [position(key, target, "0.02", "0.03") for key, target in zip(ids, targets, strict=True)]
    made["model"] = services.model_create(draft=draft(*rows, name="Growth", portfolios=followers), by=manager)
    second = draft(position(ids[0], "0.5", "0.1", "0.1"), name="Income", portfolios=(made["calm"].id, made["tiny"].id))
    made["second"] = services.model_create(draft=second, by=manager)
    return made


@pytest.fixture
def later(monkeypatch):
    """Every change is too large to be computed with it, as on the book of a firm."""
    monkeypatch.setattr(changes, "FEW", -1)


def live(row):
    """What the live view says of a row of figures."""
    view = portfolio_view(row.portfolio_id, row.model_id or None)
    model = ModelRow(view.model, model_draft(view.model)) if view.model else None
    return document_of(view, model).columns()


def check_all():
    """Asserts that each pair has its row, and that it says what the live view says; returns how many."""
    rows = list(DriftFigures.objects.all())
    pairs = {(p.pk, m.model_id) for p in Portfolio.objects.all() for m in _followed(p.pk)}
    pairs |= {(p.pk, "") for p in Portfolio.objects.all() if not _followed(p.pk)}
    assert {(row.portfolio_id, row.model_id) for row in rows} == pairs
    for row in rows:
        expected = live(row)
        assert {name: _plain(getattr(row, name)) for name in expected} == expected
        assert not row.is_old
    check_models()
    return len(rows)


def _followed(portfolio_id):
    from models_app.models import ModelPortfolio

    return list(ModelPortfolio.objects.filter(portfolio_id=portfolio_id))


def _plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


def check_models():
    """The sums of each model are those of its portfolios' live views."""
    for model in InvestmentModel.objects.all():
        views = [portfolio_view(row.portfolio_id, model.pk) for row in DriftFigures.objects.filter(model_id=model.pk)]
        told = ModelFigures.objects.get(pk=model.pk, changed=None).told
        assert Decimal(told["market_value"]) == sum(view.drift.market_value or 0 for view in views)
        for key, found in figures.model_stands([model])[0].in_each.items():
            lines = [line for view in views for line in view.positions if line.security_id == key]
            assert found.n_over == sum(line.state == "over" for line in lines)
            assert found.n_under == sum(line.state == "under" for line in lines)
            drifts = sorted(line.drift.drift for line in lines if line.drift.drift is not None)
            middle = (drifts[len(drifts) // 2] + drifts[~(len(drifts) // 2)]) / 2
            assert abs(found.median_drift - middle) <= Decimal("0.000001")


def test_figures_are_what_the_live_view_says(book):
    assert check_all() == 14


def test_arrays_and_the_general_way_each_answer_for_their_own(book):
    followers = list(DriftFigures.objects.filter(model_id=book["model"].pk))
    row = ModelRow(book["model"], model_draft(book["model"]))
    infos = [(PortfolioInfo(f.portfolio_id, f.portfolio_name), row) for f in followers]
    answered = documents_at_once(row, [info.id for info, _ in infos], read_inputs(get_source(), infos))
    names = {f.portfolio_name for f in followers if f.portfolio_id in answered}
    assert names == {"Calm", "Over", "Short", "Overdrawn", "Poor", "Outside"}


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_a_random_book_are_what_the_live_view_says(manager, seed):
    rng = random.Random(seed)
    ids = [security(ticker, f"{rng.uniform(0.01, 300):.4f}").id for ticker in TICKERS]
    targets = [f"{rng.randrange(1, 46) / 200:.3f}" for _ in ids]
    highs = [rng.choice(("0.003", "0.05")) for _ in ids]
    rows = [position(key, target, "0.002", high) for key, target, high in zip(ids, targets, highs, strict=True)]
    funds = []
    for n in range(15):
        held = {ticker: str(rng.choice((0, rng.randrange(900), rng.randrange(9) / 2))) for ticker in TICKERS}
        funds.append(portfolio(f"Fund {n}", f"{rng.uniform(-500, 40_000):.2f}", **held).id)
    services.model_create(draft=ModelDraft("Random", tuple(rows), tuple(funds)), by=manager)
    assert check_all() == 15


def test_a_portfolio_of_absurd_numbers_is_computed_like_any_other(book, manager):
    security("HUGE", "99999999999.9999")
    absurd = portfolio("Absurd", "99999999999.9999", AAA="-9999999999", HUGE="0.0001")
    enormous = portfolio("Enormous", "1", HUGE="99999999999.9999")
    ids = [absurd.id, enormous.id]
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=ids, by=manager)
    assert check_all() == 16


def test_whatever_is_changed_the_next_look_knows_it(book, manager):
    services.model_position_update(model_id=book["model"].pk, position=position(_id("AAA"), "0.3"), by=manager)
    check_all()
    services.model_portfolios_remove(model_id=book["second"].pk, portfolio_ids=[book["calm"].id], by=manager)
    services.model_portfolios_remove(model_id=book["model"].pk, portfolio_ids=[book["calm"].id], by=manager)
    check_all()
    assert figures.rows_of().get(portfolio_id=book["calm"].id).state == "no_model"
    services.model_delete(model_id=book["second"].pk, version=2, by=manager)
    check_all()
    assert not ModelFigures.objects.filter(pk=book["second"].pk).exists()
    Price.objects.filter(security__ticker="BBB").update(close=Decimal("12.5"))
    book_changed()
    check_all()
    Holding.objects.filter(portfolio=book["over"], security__ticker="AAA").update(quantity=1)
    Portfolio.objects.filter(pk=book["over"].id).update(name="Under, now", cash=5)
    book_changed([book["over"].id])
    check_all()
    assert figures.rows_of().get(portfolio_id=book["over"].id).portfolio_key == "under, now"


def _id(ticker):
    from models_app.models import Security

    return Security.objects.get(ticker=ticker).pk


def test_what_has_changed_is_never_shown_as_current(book, client, manager, later):
    assert figures.freshness().is_current
    Price.objects.filter(security__ticker="AAA").update(close=Decimal(99))
    book_changed()
    fresh = figures.freshness()
    assert (fresh.is_current, fresh.n_old, fresh.is_running) == (False, 14, False)
    client.force_login(manager)
    for page in ("/", "/portfolios/", "/models/", f"/models/{book['model'].pk}/"):
        assert b"The figures wait to be refreshed." in client.get(page).content, page
    answer = client.get("/api/v2/drift").json()
    assert (answer["n_outdated"], {item["is_outdated"] for item in answer["items"]}) == (14, {True})

    assert refresh.refresh() == 14
    assert figures.freshness().is_current
    check_all()
    answer = client.get("/api/v2/drift").json()
    assert (answer["n_outdated"], {item["is_outdated"] for item in answer["items"]}) == (0, {False})
    assert "Figures as of" in client.get("/portfolios/").content.decode()


def test_a_save_does_not_wait_for_what_takes_long_and_leaves_it_old(book, manager, monkeypatch):
    monkeypatch.setattr(recompute, "AT_ONCE_SECONDS", -1)
    services.model_position_update(model_id=book["model"].pk, position=position(_id("AAA"), "0.3"), by=manager)
    old = {row.portfolio_name for row in DriftFigures.objects.exclude(changed=None)}
    assert old == {"Fractional", "Unpriced", "Worthless", "Indebted", "Tiny"}
    assert figures.freshness(book["model"].pk).n_old == 5
    refresh.refresh()
    check_all()


def test_a_portfolio_without_figures_is_not_computed_yet_and_in_no_state(book, client, manager, later):
    portfolio("Brand new", "1000", AAA="5")
    row = figures.rows_of().get(portfolio_name="Brand new")
    assert (row.state, row.computed_at) == ("not_computed", None)
    client.force_login(manager)
    page = client.get("/portfolios/?state=not_computed").content.decode()
    assert "Brand new" in page
    assert "Not computed yet" in page
    assert "1 of 15 has none yet" in " ".join(page.split())
    assert figures.counts(figures.rows_of()).total == 15
    refresh.refresh()
    assert figures.rows_of().get(portfolio_name="Brand new").state == "no_model"


def test_a_change_while_figures_are_computed_leaves_them_old(book, later, monkeypatch):
    book_changed()
    compute = recompute._compute

    def disturbed(rows, deadline):
        found = compute(rows, deadline)
        monkeypatch.setattr(recompute, "_compute", compute)
        Price.objects.filter(security__ticker="AAA").update(close=Decimal(77))
        book_changed([book["over"].id])
        return found

    monkeypatch.setattr(recompute, "_compute", disturbed)
    recompute.recompute_rows(recompute.outdated_rows(None))
    assert [row.portfolio_name for row in DriftFigures.objects.exclude(changed=None)] == ["Over"]
    refresh.refresh()
    assert figures.rows_of().get(portfolio_id=book["over"].id).told == live_told(book["over"].id, book["model"].pk)


def live_told(portfolio_id, model_id):
    return live(figures.rows_of().get(portfolio_id=portfolio_id, model_id=model_id))["told"]


def test_one_refreshes_at_a_time_and_a_dead_one_is_replaced(book, later):
    book_changed()
    FiguresRefresh.objects.update(token="a" * 24, lease_until=datetime.now(UTC) + timedelta(seconds=60))
    assert figures.freshness().is_running
    assert refresh.refresh() == 0
    FiguresRefresh.objects.update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    assert not figures.freshness().is_running
    assert refresh.refresh() == 14


def test_the_sweeper_does_what_no_worker_did(book, later, monkeypatch):
    book_changed()
    assert not refresh.is_left_lying(), "a worker may be about to"
    monkeypatch.setattr(refresh, "PATIENCE", timedelta(seconds=-1))
    sweep_figures()
    assert refresh.waiting_since() is None
    assert not DriftFigures.objects.exclude(changed=None).exists()


def test_figures_that_cannot_be_computed_do_not_end_the_sweeper(book, later, monkeypatch, caplog):
    def fail(*_arguments):
        raise ZeroDivisionError("a bug")

    book_changed()
    monkeypatch.setattr(refresh, "PATIENCE", timedelta(seconds=-1))
    monkeypatch.setattr(recompute, "_compute", fail)
    sweep_figures()
    assert "a bug" in caplog.text
    assert "ZeroDivisionError: a bug" in figures.freshness().fault
    assert refresh.waiting_since() is not None, "nothing is taken for computed"


def test_another_band_of_near_makes_every_figure_old(book, settings):
    settings.NEAR_BAND = "0.1"
    assert figures.freshness().n_old == 14
    assert refresh.waiting_since() is not None
    refresh.refresh()
    assert figures.freshness().is_current
    check_all()


def test_a_book_that_was_there_before_the_figures_is_found(book):
    DriftFigures.objects.all().delete()
    FiguresRefresh.objects.all().delete()
    assert refresh.waiting_since() is not None
    refresh.refresh()
    assert check_all() == 14


def test_a_refresh_ends_when_its_time_is_up(book, later, monkeypatch):
    monkeypatch.setattr(refresh, "ROWS_AT_A_TIME", 4)
    book_changed()
    assert refresh.refresh(seconds=0) == 0
    assert refresh.refresh() == 14


@contextmanager
def counted(queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as seen:
        yield
    queries.append(len(seen))


def test_more_portfolios_do_not_cost_more_queries(book, client, manager):
    client.force_login(manager)
    pages = ("/", "/portfolios/", "/models/", f"/models/{book['model'].pk}/", "/api/v2/drift")
    few, many = [], []
    for page in pages:
        with counted(few):
            client.get(page)
    with together():
        more = [portfolio(f"More {n}", "1000", AAA="5", BBB="5").id for n in range(20)]
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=more, by=manager)
    for page in pages:
        with counted(many):
            assert client.get(page).status_code == 200
    assert all(now <= before for before, now in zip(few, many, strict=True))
    assert max(few) <= 25


@pytest.mark.parametrize("sort", [sign + c.name for c in PORTFOLIO_COLUMNS if c.sorts for sign in ("", "-")])
def test_pages_in_any_order_show_each_portfolio_once(book, sort):
    from django.http import QueryDict

    from ordergen.web.tables import KeyedTable

    def page(query):
        return KeyedTable(figures.rows_of(), PORTFOLIO_COLUMNS, QueryDict(query), default="-use", total=14, size=4)

    query, seen = f"sort={sort}", []
    while query is not None:
        table = page(query)
        assert (table.first, table.last) == (len(seen) + 1, len(seen) + len(table.rows))
        seen += table.rows
        query = table.next_href.removeprefix("?") or None
    assert len({row.pk for row in seen}) == len(seen) == 14
    field = next(c.field for c in PORTFOLIO_COLUMNS if c.name == sort.lstrip("-"))
    values = [getattr(row, field) for row in seen]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=sort.startswith("-")) + [None] * (len(values) - len(known))


def test_the_api_walks_the_firm_by_key_from_the_worst(book, client, manager):
    client.force_login(manager)
    items, cursor = [], ""
    while cursor is not None:
        answer = client.get(f"/api/v2/drift?limit=3&cursor={cursor}").json()
        items, cursor = items + answer["items"], answer["next_cursor"]
    assert len({(item["portfolio_id"], item["model_id"]) for item in items}) == len(items) == 14
    endless = [item["portfolio_name"] for item in items if item["model_id"] and item["band_use"] is None]
    assert endless == [item["portfolio_name"] for item in items[: len(endless)]], "no band ranks above every number"
    assert {"Outside", "Tiny"} == set(endless) - {"Calm"}
    uses = [Decimal(item["band_use"]) for item in items[len(endless) :] if item["model_id"]]
    assert uses == sorted(uses, reverse=True)
    poor = next(item for item in items if item["portfolio_name"] == "Poor")
    one = client.get(f"/api/v2/portfolios/{poor['portfolio_id']}/drift").json()
    for name in ("market_value", "cash", "total_drift"):
        assert Decimal(poor[name]) == Decimal(one[name])
    for name in ("cash_weight", "total_drift_weight", "band_use"):
        assert Decimal(poor[name]) == Decimal(one[name]).quantize(Decimal("0.000001"))
    for name in ("state", "breaches", "trades_to_target", "model_name"):
        assert poor[name] == one[name]


def test_the_sums_of_a_model_that_is_gone_go_too(book):
    ModelFigures.objects.create(model_id="f" * 24, changed="0" * 24)
    assert not figures.freshness().is_current
    refresh.refresh()
    assert figures.freshness().is_current
    check_models()


def test_a_model_that_changes_while_it_is_summed_up_stops_nobody(book, later, manager, monkeypatch):
    """Its version is read first and its positions then: a save in between has another number of them."""
    read = recompute._model_rows

    def disturbed(ids):
        rows = read(ids)
        row = rows[book["model"].pk]
        fewer = ModelDraft(row.draft.name, row.draft.positions[:-1], ())
        return rows | {book["model"].pk: ModelRow(row.model, fewer)}

    monkeypatch.setattr(recompute, "_model_rows", disturbed)
    recompute.sum_up_models(list(ModelFigures.objects.filter(pk=book["model"].pk)))


def test_who_changes_takes_the_turn_to_record_before_the_figures(book, manager, monkeypatch):
    """In one order everywhere: else an import and a save wait for each other, and PostgreSQL fails one of them."""
    taken = []
    for module in (audit, marks):
        monkeypatch.setattr(module, "one_at_a_time", taken.append)
    rows = io.BytesIO(b"date,ticker,close\n2026-11-20,AAA,11\n")
    apply_import(plan_import("prices", rows, None), by=None)
    assert list(dict.fromkeys(taken)) == ["audit", "figures"]
    taken.clear()
    services.model_position_update(model_id=book["model"].pk, position=position(_id("AAA"), "0.3"), by=manager)
    assert list(dict.fromkeys(taken)) == ["audit", "figures"]


@pytest.fixture
def failing(monkeypatch):
    """`failing(Calm=ZeroDivisionError("a bug"))`: whoever computes figures of that portfolio gets this error."""
    read = recompute.read_inputs

    def fail(**errors):
        def reading(source, pairs):
            for info, _ in pairs:
                if info.name in errors:
                    raise errors[info.name]
            return read(source, pairs)

        monkeypatch.setattr(recompute, "read_inputs", reading)

    return fail


def left():
    return {row.portfolio_name for row in DriftFigures.objects.exclude(changed=None)}


def test_a_portfolio_that_raises_what_nobody_expected_keeps_no_other_waiting_and_is_told(book, later, failing):
    book_changed()
    failing(Calm=ZeroDivisionError("a bug"))
    with pytest.raises(ExceptionGroup) as raised:
        refresh.refresh()
    assert {type(error) for error in raised.value.exceptions} == {ZeroDivisionError}
    assert left() == {"Calm"}
    assert figures.freshness().fault.startswith("Calm: The figures could not be computed: ZeroDivisionError: a bug")
    assert not figures.freshness().is_running, "nobody holds the lease"


def test_of_several_that_cannot_be_computed_each_is_told_in_the_worker_s_log(book, later, failing, caplog):
    book_changed()
    failing(Over=ZeroDivisionError("a bug"), Tiny=ArithmeticError("another"), Poor=MalformedAnswerError("Poor is odd."))
    refresh_figures.apply()
    for told in ("ZeroDivisionError: a bug", "ArithmeticError: another", "figures of Over", "Poor is odd."):
        assert told in caplog.text
    assert left() == {"Over", "Tiny", "Poor"}
    assert "And 3 more" in figures.freshness().fault, "Tiny follows two models"


def test_a_model_that_cannot_be_summed_up_keeps_no_other_waiting(book, later, monkeypatch):
    book_changed()
    sum_up = recompute._summed_up

    def failing(row):
        if row.model.name == "Growth":
            raise ZeroDivisionError("a bug")
        return sum_up(row)

    monkeypatch.setattr(recompute, "_summed_up", failing)
    with pytest.raises(ExceptionGroup) as raised:
        refresh.refresh()
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError]
    assert [row.pk for row in ModelFigures.objects.exclude(changed=None)] == [book["model"].pk]


def test_what_ends_a_refresh_hides_nothing_that_went_wrong_before(book, later, failing, monkeypatch):
    def refuse(_marked):
        raise DatabaseError("no more room")

    book_changed()
    failing(Over=ZeroDivisionError("a bug"))
    monkeypatch.setattr(refresh, "sum_up_models", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        refresh.refresh()
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError, DatabaseError]
    assert not figures.freshness().is_running


def test_a_lease_that_cannot_be_given_back_hides_nothing_either(book, later, failing, monkeypatch):
    def refuse(*_arguments):
        raise DatabaseError("no more room")

    book_changed()
    failing(Over=ZeroDivisionError("a bug"))
    monkeypatch.setattr(refresh, "_release", refuse)
    with pytest.raises(ExceptionGroup) as raised:
        refresh.refresh()
    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError, DatabaseError]
    monkeypatch.undo()
    FiguresRefresh.objects.update(lease_until=datetime.now(UTC))
    assert refresh.refresh() == 1, "the lease lapses, and another goes on"


def bad_query(*_arguments):
    with connection.cursor() as cursor:
        cursor.execute("SELECT no_such_column FROM models_app_portfolio")


def bug(*_arguments):
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize("fault", [bug, bad_query])
def test_a_save_stands_though_its_figures_cannot_be_computed(book, manager, client, monkeypatch, caplog, fault):
    monkeypatch.setattr(recompute, "_compute", fault)
    services.model_position_update(model_id=book["model"].pk, position=position(_id("AAA"), "0.3"), by=manager)
    assert book["model"].positions.get(security_id=_id("AAA")).target == Decimal("0.3")
    assert len(left()) == 11, "they are marked for a worker"
    assert "Traceback" in caplog.text
    client.force_login(manager)
    assert "The figures could not be computed: " in client.get("/portfolios/").content.decode()

    monkeypatch.undo()
    refresh.refresh()
    assert figures.freshness().is_current
    check_all()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OSError("no broker"), ZeroDivisionError("a bug")])
def test_a_worker_that_cannot_be_told_is_no_fault_of_the_save(book, manager, later, monkeypatch, caplog, error):
    def fail(_name):
        raise error

    monkeypatch.setattr(changes.current_app, "send_task", fail)
    services.model_position_update(model_id=book["model"].pk, position=position(_id("AAA"), "0.3"), by=manager)
    assert str(error) in caplog.text
    assert refresh.waiting_since() is not None, "the sweeper finds it"


@pytest.mark.django_db(transaction=True)
def test_what_loses_the_transaction_loses_the_save_and_says_so(book, manager, monkeypatch):
    """As a lost connection does, or a full disk on SQLite: there is nothing left to go back to."""

    def lose(*_arguments):
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
        raise DatabaseError("the transaction is gone")

    monkeypatch.setattr(recompute, "_compute", lose)
    with pytest.raises(DatabaseError, match="the transaction is gone"):
        services.model_position_update(model_id=book["model"].pk, position=position(_id("AAA"), "0.3"), by=manager)
    assert book["model"].positions.get(security_id=_id("AAA")).target == Decimal("0.2")


def test_a_portfolio_that_is_refused_keeps_no_other_waiting(book, later, failing, monkeypatch):
    book_changed()
    failing(Calm=MalformedAnswerError("The summary of Calm is wrong."))
    before = DriftFigures.objects.exclude(changed=None).values_list("changed", flat=True).first()
    assert refresh.refresh() == 12
    still = DriftFigures.objects.exclude(changed=None)
    assert {(row.portfolio_name, row.changed > before) for row in still} == {("Calm", True)}
    assert figures.freshness().fault.startswith("The summary of Calm is wrong.")
    assert refresh.refresh() == 0, "it rests after a fault"
    FiguresRefresh.objects.update(lease_until=None)
    monkeypatch.undo()
    assert refresh.refresh() == 2
    check_all()
    assert figures.freshness().is_current
