"""What is typed into the editor becomes a draft, and every fault stands where it was typed."""

from decimal import Decimal

import pytest
from django.http import QueryDict

from models_app.modelling.forms import ModelEditor, fraction
from models_app.sources import get_source
from tests.builders import portfolio, security


@pytest.fixture
def book(db):
    return {"a": security("AAA", name="Alpha"), "b": security("BBB"), "p": portfolio("Smith Trust")}


def editor(book, rows, **fields):
    """Each row is "AAA 5 1 2"; a dash is an empty cell."""
    data = QueryDict(mutable=True)
    data.update({"name": "Growth", "reason": "why", "portfolio": book["p"].id} | fields)
    for row in rows:
        cells = ["" if cell == "-" else cell for cell in row.split(" ")]
        for name, cell in zip(("security", "target", "low", "high"), cells, strict=True):
            data.appendlist(name, cell)
    made = ModelEditor(get_source(), model_id=None, version=0, saved=None)
    made.read(data)
    return made


@pytest.mark.parametrize(("text", "value"), [
    ("7.5", "0.075"), (" 7.5 % ", "0.075"), ("7.5%", "0.075"), ("1.00 pp", "0.01"), ("0", "0"), ("1e1", "0.1"),
    ("0.0000000001", "0.000000000001"), ("-5", "-0.05"),
])  # fmt: skip
def test_a_number_in_per_cent_is_read_exactly(text, value):
    assert fraction(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "abc", "7,5", "NaN", "Infinity", "1e30", "1e999999999", "5" * 25, "--5", "5 5"])
def test_what_is_no_sensible_number_becomes_nan(text):
    assert fraction(text).is_nan()


def test_tickers_in_any_case_and_ids_both_name_a_security(book):
    made = editor(book, [" aaa ".replace(" ", "") + " 5 1 2", f"{book['b'].id} 10 1 1"])
    draft = made.check()
    assert [p.security_id for p in draft.positions] == [book["a"].id, book["b"].id]
    assert made.rows[0].name == "Alpha"


def test_blank_rows_are_nothing_and_rows_at_zero_are_dropped_on_save(book):
    made = editor(book, ["- - - -", "AAA 5 1 2", "BBB 0 0 0", "- - - -"])
    assert made.rows[2].warning == "A row at 0 % is removed on save."
    assert [p.security_id for p in made.check().positions] == [book["a"].id]


def test_every_fault_stands_at_the_cell_it_was_typed_in_and_the_text_is_kept(book):
    made = editor(book, ["AAA 12.3 1 2", "- - - -", "ZZZ x 3 2", "AAA 5 1 2"], name=" ", reason="", portfolio="")
    assert made.check() is None
    assert list(made.rows[0].errors) == ["target"]
    assert set(made.rows[2].errors) == {"security", "target", "low"}
    assert made.rows[2].errors["security"] == "The book has no security ZZZ."
    assert list(made.rows[3].errors) == ["security"]
    assert set(made.errors) == {"name", "reason", "portfolios"}
    assert made.rows[2].target == "x"
    assert [place for place, _ in made.faults] == [
        "name", "target-0", "security-2", "target-2", "low-2", "security-3", "portfolios", "reason",
    ]  # fmt: skip


def test_a_sum_above_95_per_cent_is_said_with_the_positions(book):
    made = editor(book, ["AAA 90 1 2", "BBB 5.5 1 2"])
    assert made.check() is None
    assert "95.5 %" in made.errors["positions"]
    assert made.totals.target == Decimal("0.955")


def test_the_sums_and_bands_survive_text_that_is_no_number(book):
    made = editor(book, ["AAA 1e30 NaN -", "BBB 5 x 1"])
    assert made.totals.target == Decimal("0.05")
    assert [row.band for row in made.rows] == [None, None]
    assert made.segments == [("BBB", Decimal("0.05"))]
    assert made.rows[0].change is None


def test_a_band_never_reaches_below_zero(book):
    made = editor(book, ["AAA 0.5 1 2"])
    assert made.rows[0].band == (Decimal(0), Decimal("0.025"))
    assert "below 0 %" in made.rows[0].warning


@pytest.mark.parametrize("text", [
    "ticker\ttarget\nAAA\t6\t0.5\t1\nBBB\t4\t1\t1", "AAA;6;0.5;1\nBBB;4;1;1",
    "aaa, 6, 0.5, 1\r\nBBB, 4, 1, 1, extra\n\n",
])  # fmt: skip
def test_pasted_rows_change_known_rows_and_add_the_others(book, text):
    made = editor(book, ["AAA 5 1 2", "- - - -"], paste=text)
    made.take_pasted_rows()
    rows = [(row.security, row.target, row.low, row.high) for row in made.rows]
    assert rows == [("AAA", "6", "0.5", "1"), ("BBB", "4", "1", "1")]
    assert made.pasted == ""


def test_a_pasted_row_that_is_unknown_is_kept_for_correction(book):
    made = editor(book, [], paste="WHAT, 5")
    made.take_pasted_rows()
    assert [(row.security, row.target, row.low) for row in made.rows] == [("WHAT", "5", "")]
    assert made.check() is None


def test_nothing_pasted_changes_nothing(book):
    made = editor(book, ["AAA 5 1 2"], paste="  \n")
    made.take_pasted_rows()
    assert len(made.rows) == 1


@pytest.mark.parametrize("number", [-1, 5, 10**9])
def test_removing_a_row_that_is_not_there_removes_nothing(book, number):
    made = editor(book, ["AAA 5 1 2"])
    made.remove_row(number)
    assert len(made.rows) == 1


def test_after_removing_a_row_the_next_one_has_the_focus(book):
    made = editor(book, ["AAA 5 1 2", "BBB 5 1 2"])
    made.remove_row(0)
    assert [(row.security, row.focus) for row in made.rows] == [("BBB", True)]


def test_a_portfolio_that_follows_another_model_says_which(book, manager):
    from models_app.modelling import services
    from tests.builders import draft

    services.model_create(draft=draft(name="Income", portfolios=(book["p"].id,)), by=manager)
    made = editor(book, [], q="smith")
    assert [(choice.name, choice.also_in) for choice in made.chosen] == [("Smith Trust", ["Income"])]
    assert made.found == []
