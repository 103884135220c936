import io
import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest

from models_app.files.kinds import KINDS
from models_app.imports import services as import_services
from models_app.imports.services import apply_import, import_file, plan_import
from models_app.investment_models.selectors import model_draft
from models_app.models import Holding, InvestmentModel, Portfolio, Price, Security
from models_app.sources import get_source
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError
from tests.models_app.conftest import HOLDINGS, LOTS, MODELS, PORTFOLIOS, PRICES, SECURITIES

pytestmark = pytest.mark.django_db
ALL = {
    "securities": SECURITIES,
    "prices": PRICES,
    "portfolios": PORTFOLIOS,
    "holdings": HOLDINGS,
    "lots": LOTS,
    "models": MODELS,
}


def counts(plan):
    return plan.n_new, plan.n_changed, plan.n_removed, plan.n_unchanged


def told(plan):
    return [str(problem) for problem in plan.problems.shown]


def holdings_of(name):
    rows = Holding.objects.filter(portfolio__name=name).order_by("security__ticker")
    return [
        (ticker, str(quantity.normalize())) for ticker, quantity in rows.values_list("security__ticker", "quantity")
    ]


def test_a_plan_writes_nothing(plan):
    made = plan("securities", SECURITIES)

    assert counts(made) == (3, 0, 0, 0)
    assert not Security.objects.exists()


@pytest.mark.parametrize("kind", ALL)
def test_importing_a_file_again_changes_nothing(book, load, kind):
    version, events = get_source().data_version(), AuditEvent.objects.count()

    again = load(kind, ALL[kind])

    assert again.n_writes == 0
    assert again.n_unchanged > 0
    assert (get_source().data_version(), AuditEvent.objects.count()) == (version, events)


def test_new_prices_are_added_and_known_ones_corrected(book, load):
    made = load("prices", "ticker,close,date\nKELP,11.25,2026-01-09\nRUNE,5,2026-01-09\nALDR,20.0001,2026-01-09\n")

    assert counts(made) == (1, 1, 0, 1)
    assert [(c.what, c.subject, c.fields) for c in made.changes.shown] == [
        ("changed", "KELP 2026-01-09", (("close", "11", "11.25"),)),
        ("new", "RUNE 2026-01-09", (("close", "", "5"),)),
    ]
    assert Price.objects.count() == 4
    assert Price.objects.get(security__ticker="KELP", date="2026-01-09").close == Decimal("11.25")


def test_holdings_replace_those_of_the_portfolios_in_the_file_and_no_others(book, load):
    made = load("holdings", "portfolio,ticker,quantity\nAldermoor Family,KELP,12\nAldermoor Family,RUNE,1\n")

    assert counts(made) == (1, 1, 1, 0)
    assert [(change.what, change.subject, change.fields[0][1:]) for change in made.changes.shown] == [
        ("changed", "KELP, Aldermoor Family", ("10", "12")),
        ("new", "RUNE, Aldermoor Family", ("", "1")),
        ("removed", "ALDR, Aldermoor Family", ("-3.5", "")),
    ]
    assert holdings_of("Aldermoor Family") == [("KELP", "12"), ("RUNE", "1")]
    assert holdings_of("Bell Foundation") == [("KELP", "7")]


def test_a_quantity_of_zero_is_no_holding(book, load):
    load("holdings", "portfolio,ticker,quantity\nBell Foundation,KELP,0\n")

    assert holdings_of("Bell Foundation") == []


def test_a_portfolio_may_be_named_by_its_id(book, load):
    fund = Portfolio.objects.get(name="Bell Foundation")

    load("holdings", f"portfolio,ticker,quantity\n{fund.pk},RUNE,2\n")

    assert holdings_of("Bell Foundation") == [("RUNE", "2")]


def test_holdings_of_unknown_portfolios_and_securities_are_refused(book, plan):
    made = plan("holdings", "portfolio,ticker,quantity\nNobody,KELP,1\nBell Foundation,NOPE,1\nNobody,NOPE,1\n")

    assert [(problem.line, problem.column) for problem in made.problems.shown] == [
        (2, "portfolio"),
        (3, "ticker"),
        (4, "portfolio"),
        (4, "ticker"),
    ]


def test_with_its_id_a_security_may_get_another_ticker(book, load):
    kelp = Security.objects.get(ticker="KELP")

    made = load("securities", f"security_id,ticker,name\n{kelp.pk},SEAW,Kelp Foods\n,NEWT,Newt Labs\n")

    assert counts(made) == (1, 1, 0, 0)
    kelp.refresh_from_db()
    assert kelp.ticker == "SEAW"


def test_a_ticker_that_belongs_to_another_security_is_refused(book, plan):
    kelp, alder = (Security.objects.get(ticker=ticker) for ticker in ("KELP", "ALDR"))

    made = plan("securities", f"security_id,ticker,name\n{kelp.pk},ALDR,Kelp Foods\n")

    assert told(made) == [f"line 2, ticker 'ALDR': belongs to {alder.pk}, not to {kelp.pk}"]


def test_cash_is_set_by_name_and_a_name_by_id(book, load):
    bell = Portfolio.objects.get(name="Bell Foundation")

    load("portfolios", f"portfolio_id,name,cash\n{bell.pk},Bell & Daughters,100\n,Aldermoor Family,5.5\n")

    bell.refresh_from_db()
    assert (bell.name, bell.cash) == ("Bell & Daughters", Decimal(100))
    assert Portfolio.objects.get(name="Aldermoor Family").cash == Decimal("5.5")


def test_a_model_gets_a_new_version_only_where_its_content_differs(book, load):
    two = MODELS + "Income,RUNE,0.95,0,0,\nIncome,,,,,Bell Foundation\n"
    load("models", two)

    made = load("models", two.replace("0.105", "0.1"))

    assert counts(made) == (0, 1, 0, 1)
    assert made.changes.shown[0].fields == (("ALDR", "10.5 % −1 +1 pp", "10 % −1 +1 pp"),)
    assert dict(InvestmentModel.objects.values_list("name", "version")) == {"Growth": 2, "Income": 1}


def test_a_model_in_another_order_is_the_same_model(book, plan):
    header, *rows = MODELS.splitlines()

    assert counts(plan("models", "\n".join([header, *reversed(rows)]))) == (0, 0, 0, 1)


def test_targets_of_zero_are_dropped_by_the_rules_of_models_and_told(book, load):
    made = load("models", MODELS + "Growth,RUNE,0,0,0,\n")

    assert made.notes == ["A target of 0 is no position of a model, and is left out: RUNE in line 6."]

    model = InvestmentModel.objects.get()
    assert len(model_draft(model).positions) == 2


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            "Growth,KELP,0.123,0.02,0.03,\nGrowth,,,,,Bell Foundation",
            "line 2, target '0.123': Targets go in steps of 0.5 % (0.005).",
        ),
        (
            "Growth,KELP,0.1,0.03,0.02,\nGrowth,,,,,Bell Foundation",
            "line 2, low_drift '0.03': The low band may not be wider than",
        ),
        ("Growth,KELP,0.1,,0.02,", "line 2: is a position without low_drift"),
        (
            "Growth,KELP,0.1,0.01,0.02,Bell Foundation",
            "line 2, portfolio 'Bell Foundation': stands on a position's row",
        ),
        ("Growth,NOPE,0.1,0.01,0.02,", "line 2, ticker 'NOPE': is not known."),
        ("Growth,CASH,0.1,0.01,0.02,", "line 2, ticker 'CASH': is cash, and that is what the targets of a model leave"),
        ("Growth,,,,,Nobody", "line 2, portfolio 'Nobody': is not known."),
        ("Growth,KELP,0.95,0,0,\nGrowth,ALDR,0.005,0,0,\nGrowth,,,,,Bell Foundation", "line 2, model 'Growth': "),
        ("Growth,KELP,0.1,0,0,", "line 2, model 'Growth': "),
        ("Growth,KELP,0.1,0,0,\nGrowth,KELP,0.2,0,0,", "line 3, ticker 'KELP': stands in line 2 already"),
        ("Growth,,,,,Bell Foundation\nGrowth,,,,,Bell Foundation", "line 3, portfolio 'Bell Foundation': stands in"),
    ],
)
def test_a_model_that_breaks_a_rule_is_refused_at_its_line(book, plan, rows, problem):
    made = plan("models", f"model,ticker,target,low_drift,high_drift,portfolio\n{rows}\n")

    assert made.problems.count == 1
    assert told(made)[0].startswith(problem)


def test_weights_are_read_in_per_cent_and_without_the_noise_of_floats(book, load):
    load("models", MODELS.replace("0.4,0.02,0.03", "40%,2 %,3.0%").replace("0.105", "0.10500000000000001"))

    made = model_draft(InvestmentModel.objects.get()).positions
    assert {(str(p.target), f"{p.low_drift.normalize():f}") for p in made} == {("0.400", "0.02"), ("0.105", "0.01")}


def test_a_model_is_not_blamed_for_a_row_that_could_not_be_read(book, plan):
    rows = "Growth,KELP,0.123,0.02,0.03,\nGrowth,,,,,Nobody\n"

    made = plan("models", f"model,ticker,target,low_drift,high_drift,portfolio\n{rows}")

    assert [(problem.line, problem.column) for problem in made.problems.shown] == [(3, "portfolio"), (2, "target")]


def test_every_problem_of_a_file_is_named_with_its_line_and_column(book, plan):
    made = plan(
        "prices",
        'date,ticker,close\n2026-01-02,KELP,"1,0x0"\n2026-13-01,ALDR,5\n2026-01-02,NOPE,5\n2026-01-02,,5\n'
        "2026-01-02,ALDR,5,6\n2026-01-05,KELP,7\n2026-01-05,KELP,7\n\n,,\n2026-01-02,RUNE,-0\n",
    )

    assert [str(problem) for problem in made.problems.by_line] == [
        "line 2, close '1,0x0': is not a number: write a decimal point and no separator of thousands, as in 1234.56",
        "line 3, date '2026-13-01': is not a date: write year-month-day, as in 2026-11-20",
        "line 4, ticker 'NOPE': is not known. Import securities first, or correct the row.",
        "line 5, ticker '': is empty",
        "line 6: has 4 cells; the header has 3. A comma inside a number or a name needs quotes around it.",
        "line 8, ticker 'KELP': stands in line 7 already",
        "line 11, close '-0': has to be above zero",
    ]


@pytest.mark.parametrize(
    "close",
    [
        "NaN",
        "Infinity",
        "-inf",
        "1e30",
        "1E5",
        "1_000",
        "0x10",
        "٣",
        "0",
        "-1",
        "0.00001",
        "1" * 12,
        "9" * 41,
        "=1+1",
        "12 3",
        "5%",
        "--5",
        "1.2.3",
    ],
)
def test_a_price_that_is_no_number_above_zero_is_refused(book, plan, close):
    made = plan("prices", f"date,ticker,close\n2026-01-02,KELP,{close}\n")

    assert [(problem.line, problem.column) for problem in made.problems.shown] == [(2, "close")]


@pytest.mark.parametrize(
    "day",
    ["2026-02-30", "31.02.2026", "20261302", "2026-W01-1", "0001-01-01", "2999-01-01", "today", "46024", "02.01.26x"],
)
def test_what_is_no_day_or_not_in_the_past_is_refused(book, plan, day):
    made = plan("prices", f"date,ticker,close\n{day},KELP,5\n")

    assert [(problem.line, problem.column) for problem in made.problems.shown] == [(2, "date")]


def test_a_price_of_fifteen_digits_is_kept_to_the_last_one(book, load):
    load("prices", "date,ticker,close\n2026-01-02,RUNE,98765432109.8765000\n")

    assert Price.objects.get(security__ticker="RUNE").close == Decimal("98765432109.8765")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file: The file is empty."),
        (b"\xef\xbb\xbf \n", "the file: The file is empty."),
        (b"ticker,name\n", "the file: The file has a header and no rows."),
        (b"ticker,name\nA,x\nB,\x81\x8d\xff\x98\xaa\xde\n", "line 3: Byte 19 (0x81) is not UTF-8, nor any encoding"),
        ("ticker,name\nA,x\n".encode("utf-16-le"), "line 1: Byte 2 is a NUL: this is no text file, or UTF-16 without"),
        (b"ticker,name\nA,x\nB,\0\n", "line 3: Byte 19 is a NUL"),
        (b'ticker,name\nA,x\nB,"y\nC,z\n', "line 3: The quotes of this row do not match"),
        (b'ticker,name\nA,"x" y\n', "line 2: The quotes of this row do not match"),
        (b"name\nx\n", "line 1, ticker '': is missing from the header."),
        (b"ticker,name\nA\n", "line 2: has 1 cells; the header has 2."),
        (b'ticker,name\nA,"x\ny"\n', "line 2, name 'x\\ny': contains a line break"),
        (b"ticker,name\nABCDEFGHIJKLMNOPQRSTU,x\n", "line 2, ticker 'ABCDEFGHIJKLMNOPQRSTU': has 21 characters"),
        (b"ticker,name,security_id\nA,x,12\n", "line 2, security_id '12': is not an id: 24 letters or digits"),
    ],
)
def test_a_file_that_cannot_be_read_without_guessing_is_refused(plan, content, problem):
    assert told(plan("securities", content))[0].startswith(problem)


def test_line_numbers_count_lines_and_not_records(plan):
    made = plan("securities", 'ticker,name\r\n\r\nA,"x"\r\nB,"y\nz"\r\nTOOLONGATICKERTOSTORE,q\r\n')

    assert [problem.line for problem in made.problems.shown] == [4, 6]


def test_a_byte_order_mark_and_any_line_ending_are_fine(load):
    load("securities", b"\xef\xbb\xbfTicker , NAME\rA,x\rB,y\r")

    assert list(Security.objects.values_list("ticker", "name")) == [("A", "x"), ("B", "y")]


def test_a_formula_in_a_name_is_text(load):
    load("securities", "ticker,name\nA,=cmd|' /C calc'!A0\nB,'=1+1\nC,''=1\nD,'quoted'\n")

    names = ["=cmd|' /C calc'!A0", "=1+1", "'=1", "'quoted'"]
    assert list(Security.objects.values_list("name", flat=True)) == names


def test_a_hundred_problems_are_shown_and_all_are_counted(plan):
    made = plan("securities", "ticker,name\n" + "A,x\n" * 301)

    assert (made.problems.count, len(made.problems.shown)) == (300, 100)


def test_twenty_changes_are_shown_and_all_are_counted(plan):
    made = plan("securities", "ticker,name\n" + "".join(f"T{i},x\n" for i in range(301)))

    assert (made.n_new, len(made.changes.shown)) == (301, 20)


def test_a_file_with_one_bad_row_changes_nothing(book, plan, manager):
    made = plan("prices", "date,ticker,close\n2026-01-12,KELP,12\n2026-01-12,ALDR,zero\n")

    with pytest.raises(InvalidInputError, match="line 3, close 'zero'"):
        apply_import(made, by=manager)

    assert Price.objects.count() == 3


def test_a_write_that_fails_half_way_leaves_nothing_behind(book, plan, manager, monkeypatch):
    made = plan("prices", "date,ticker,close\n2026-01-09,KELP,12\n")
    version = get_source().data_version()

    def break_off(*_args, **_kwargs):
        raise RuntimeError("power cut")

    monkeypatch.setattr(import_services, "record", break_off)
    with pytest.raises(RuntimeError, match="power cut"):
        apply_import(made, by=manager)

    assert Price.objects.get(security__ticker="KELP", date="2026-01-09").close == 11
    assert get_source().data_version() == version


def test_a_plan_is_void_once_the_book_has_changed(book, plan, load, manager):
    made = plan("prices", "date,ticker,close\n2026-01-12,KELP,12\n")
    load("prices", "date,ticker,close\n2026-01-12,KELP,13\n")

    with pytest.raises(ConflictError, match="changed since"):
        apply_import(made, by=manager)


def test_a_plan_of_models_is_void_once_a_model_has_changed(book, plan, load, manager):
    made = plan("models", MODELS.replace("0.105", "0.1"))
    load("models", MODELS.replace("0.105", "0.11"))

    with pytest.raises(ConflictError, match="changed since"):
        apply_import(made, by=manager)


def test_an_import_is_one_audit_event_that_says_what_came_from_which_file(book, load, manager):
    load("prices", "date,ticker,close\n2026-01-12,KELP,12\n2026-01-09,KELP,12\n")

    event = AuditEvent.objects.first()
    assert (event.action, event.actor) == ("book.import", "maya")
    assert event.summary == "Imported prices: 1 new, 1 changed"
    assert event.detail["file"] == "prices.csv"
    assert len(event.detail["sha256"]) == 64


def test_who_may_not_import_is_told_who_may(viewer):
    with pytest.raises(NotAllowedError, match="portfolio manager"):
        plan_import("securities", io.BytesIO(b""), viewer)


def test_an_administrator_imports_the_book_but_no_models(manager):
    manager.roles = ["admin"]

    assert plan_import("securities", io.BytesIO(SECURITIES.encode()), manager).is_clean
    with pytest.raises(NotAllowedError):
        plan_import("models", io.BytesIO(MODELS.encode()), manager)


def test_an_unknown_kind_names_the_ones_that_exist(manager):
    with pytest.raises(NotFoundError, match="securities, prices, portfolios, holdings, lots, models"):
        plan_import("orders", io.BytesIO(b""), manager)


def test_a_file_above_the_limit_is_refused_before_the_rest_of_it_is_read(manager, settings):
    settings.IMPORT_MAX_BYTES = 1024**2
    file = io.BytesIO(b"x" * 3 * 1024**2)

    with pytest.raises(InvalidInputError, match="larger than 1 MB"):
        plan_import("prices", file, manager)

    assert file.tell() == 1024**2 + 1


def test_the_command_line_imports_as_the_system(db, tmp_path):
    path = tmp_path / "securities.csv"
    path.write_text(SECURITIES)

    assert import_file("securities", path, None).summary == "securities: 3 new"

    assert Security.objects.count() == 3
    assert AuditEvent.objects.first().actor == "system"


def test_the_command_line_is_told_every_problem_of_a_file(db, tmp_path):
    path = tmp_path / "securities.csv"
    path.write_text("ticker,name\nA,x\nA,y\nA,z\n")

    with pytest.raises(InvalidInputError) as refusal:
        import_file("securities", path, None, dry_run=True)

    first = "line 3, ticker 'A': stands in line 2 already"
    assert refusal.value.message == f"Nothing was imported from securities.csv: {first} (and 1 more)"
    assert list(refusal.value.fields) == ["line 3, ticker 'A'", "line 4, ticker 'A'"]


def test_a_file_that_is_not_there_is_said_in_a_line(db, tmp_path):
    with pytest.raises(InvalidInputError, match=r"none\.csv cannot be read: No such file or directory\."):
        import_file("securities", tmp_path / "none.csv", None)


def test_a_dry_run_only_says_what_would_change(db, tmp_path):
    path = tmp_path / "securities.csv"
    path.write_text(SECURITIES)

    assert import_file("securities", path, None, dry_run=True).n_new == 3

    assert not Security.objects.exists()


@pytest.mark.parametrize("kind", ALL)
def test_the_example_in_the_documentation_can_be_read(plan, kind):
    made = plan(kind, KINDS[kind].example_file)

    assert all("is not known" in str(problem) for problem in made.problems.shown)


@pytest.mark.slow
def test_of_three_processes_that_planned_the_same_import_one_applies_it(tmp_path):
    environment = os.environ | {"ORDERGEN_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "ordergen.settings"}
    environment["DATABASE_URL"] = f"sqlite:///{tmp_path}/race.sqlite3"
    done = subprocess.run(
        [sys.executable, "-m", "tests.models_app.imports.race"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    found = json.loads(done.stdout)
    assert found["outcomes"] == ["applied", "conflict", "conflict"]
    assert (found["securities"], len(found["names"]), found["events"]) == (500, 1, 1)
    assert found["broken_link"] is None
