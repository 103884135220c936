import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models_app.exports.services import export
from models_app.files.kinds import KINDS
from models_app.imports.services import apply_import, plan_import
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import Holding, InvestmentModel, Portfolio, Price, Security, TaxLot
from ordergen.core.canonical import canonical
from ordergen.core.csv import BYTE_ORDER_MARK, FORMULA_STARTS, guard, unguard
from ordergen.core.errors import NotFoundError
from ordergen.core.ids import object_id

pytestmark = pytest.mark.django_db

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
formulas = st.text(st.sampled_from("'=-@+1\", x"), min_size=1, max_size=8)
names = st.one_of(words, formulas).map(str.strip).filter(lambda name: name and not looks_damaged(name))
money = st.decimals(Decimal(-99999999999), Decimal(99999999999), places=4)
costs = st.decimals(Decimal(0), Decimal(99999999999), places=4)
prices = st.decimals(Decimal("0.0001"), Decimal(99999999999), places=4)
days = st.dates(min_value=date(1900, 1, 1), max_value=date(2026, 1, 1))


def looks_damaged(name):
    """Whether a name reads like UTF-8 that was taken for Windows-1252, which an import asks about."""
    try:
        return name.encode("cp1252").decode("utf-8") != name
    except UnicodeError:
        return False


def files(draw):
    """The six files of a book of up to four securities, portfolios and models with difficult names."""
    tickers = draw(st.lists(names, min_size=1, max_size=4, unique_by=canonical))  # what looks alike is asked about
    funds = draw(st.lists(names, min_size=1, max_size=4, unique_by=canonical))
    pick, fund = st.sampled_from(tickers), st.sampled_from(funds)
    quantities = money.filter(bool)
    by_pair = {"min_size": 1, "max_size": 8, "unique_by": lambda row: row[:2]}
    models = [
        row
        for model in draw(st.lists(names, min_size=1, max_size=3, unique=True))
        for row in _model_rows(draw, model, tickers, funds)
    ]
    return {
        "securities": [(ticker, draw(st.one_of(st.just(""), names))) for ticker in tickers],
        "prices": draw(st.lists(st.tuples(days, pick, prices), **by_pair)),
        "portfolios": [(name, draw(money)) for name in funds],
        "holdings": draw(st.lists(st.tuples(fund, pick, quantities), **by_pair)),
        "lots": draw(st.lists(st.tuples(fund, pick, names, days, prices, costs), **by_pair | {"unique_by": _lot})),
        "models": models,
    }


def _lot(row):
    return *row[:2], unguard(row[2])


def _model_rows(draw, model, tickers, funds):
    steps = st.tuples(st.integers(1, 40), st.integers(0, 500_000), st.integers(0, 500_000))
    for ticker in tickers:
        target, low, extra = draw(steps)
        low_drift, high_drift = Decimal(low) / 10**6, Decimal(low + extra) / 10**6
        yield (model, ticker, Decimal(target) / 200, low_drift, high_drift, "")
    yield from ((model, "", "", "", "", fund) for fund in funds)


def written(kind, rows):
    text = io.StringIO()
    header = [name for name in KINDS[kind].header if name not in ("security_id", "portfolio_id")]
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


def take_in(kind, text, by):
    plan = plan_import(kind, io.BytesIO(text.encode()), by)
    assert [str(problem) for problem in plan.problems.shown] == []
    return apply_import(plan, by=by)


def wipe():
    for table in (TaxLot, Holding, Price, InvestmentModel, Portfolio, Security):
        table.objects.all().delete()


def export_all():
    return {kind: "".join(export(kind)) for kind in KINDS}


@given(text=st.text(st.sampled_from("'=+-@\t\r\0 xÄ＝"), max_size=6))
def test_unguarding_undoes_guarding_whatever_the_text(text):
    assert unguard(guard(text)) == text
    assert not guard(text).startswith(tuple(FORMULA_STARTS))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_exported_imports_without_a_change_here_and_in_an_empty_book(data, manager):
    with transaction.atomic():
        for kind, rows in files(data.draw).items():
            take_in(kind, written(kind, rows), manager)
        exported = export_all()

        for kind, text in exported.items():
            assert take_in(kind, text, manager).n_writes == 0
        wipe()
        for kind, text in exported.items():
            take_in(kind, text, manager)
        assert export_all() == exported
        transaction.set_rollback(True)


def test_an_export_has_the_documented_columns_and_plain_numbers(book):
    texts = export_all()

    assert all(text.startswith(BYTE_ORDER_MARK) for text in texts.values())
    texts = {kind: text.removeprefix(BYTE_ORDER_MARK) for kind, text in texts.items()}
    assert texts["prices"].splitlines() == [
        "date,ticker,close",
        "2026-01-02,KELP,10.5",
        "2026-01-09,ALDR,20.0001",
        "2026-01-09,KELP,11",
    ]
    assert [text.splitlines()[0] for text in texts.values()] == [",".join(kind.header) for kind in KINDS.values()]


def test_a_cell_that_a_spreadsheet_would_run_is_guarded_and_a_negative_number_is_not(load):
    load("securities", "ticker,name\nKELP,=cmd|' /C calc'!A0\n")
    load("portfolios", "name,cash\n@home,-5\n")

    assert "KELP,'=cmd|' /C calc'!A0" in "".join(export("securities"))
    assert ",'@home,-5" in "".join(export("portfolios"))


@pytest.mark.parametrize(
    "ticker", ["MAR2", "1E5", "TRUE", "wahr", "=X", "0005", "3-4", "Dec 5", "123456789012345", "10 pm"]
)
def test_what_a_spreadsheet_would_make_something_else_of_is_guarded_and_comes_back(load, ticker):
    load("securities", f"ticker,name\n{ticker},Example\n")
    exported = "".join(export("securities"))

    assert f",'{ticker},Example" in exported
    assert load("securities", exported).n_unchanged == 1


@pytest.mark.parametrize("text", ["KELP", "MAY", "MARKS", "BRK.B", "3M", "7203", "Aldermoor Family", "A1", "350"])
def test_what_a_spreadsheet_leaves_alone_is_written_as_it_is(text):
    assert guard(text) == text


def test_an_empty_book_exports_headers(db):
    assert export_all() == {name: BYTE_ORDER_MARK + f"{','.join(kind.header)}\r\n" for name, kind in KINDS.items()}


def test_a_model_of_securities_that_the_book_lacks_keeps_their_ids(book, manager):
    ids = [object_id(), object_id()]
    drift = Decimal("0.01")
    model_create(
        draft=ModelDraft("Elsewhere", (PositionDraft(ids[0], Decimal("0.5"), drift, drift),), (ids[1],)), by=manager
    )

    text = "".join(export("models"))

    assert f"Elsewhere,{ids[0]},0.5,0.01,0.01," in text
    assert take_in("models", text, manager).n_writes == 0


def test_a_long_export_comes_in_pieces(load):
    load("securities", "ticker,name\n" + "".join(f"T{i},x\n" for i in range(4_500)))

    pieces = list(export("securities"))

    assert len(pieces) == 4
    assert sum(piece.count("\r\n") for piece in pieces) == 4_501


def test_an_unknown_kind_is_refused_at_once(db):
    with pytest.raises(NotFoundError):
        export("orders")
