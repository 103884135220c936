"""How files of the field are read: what is certain without asking, what has two meanings only by an answer."""

import io
import zipfile
from datetime import date
from decimal import Decimal

import openpyxl
import pytest

from models_app.files.kinds import KINDS
from models_app.reading.days import day_spelling
from models_app.reading.import_progress import ImportProgress
from models_app.reading.known_layouts import FOLDER, shipped_layouts
from models_app.reading.numbers import number_spelling
from models_app.reading.problems import FileProblems
from models_app.reading.reading import Known, read
from models_app.reading.spelling import Cells

HOLDINGS = "portfolio,ticker,quantity\n"


@pytest.fixture
def reading():
    def read_it(content, kind="holdings", **answers):
        raw = content if isinstance(content, bytes) else content.encode()
        known = Known({key.replace("__", "."): value for key, value in answers.items()}, shipped_layouts())
        return read(raw, KINDS[kind], known, FileProblems(), ImportProgress())

    return read_it


def column(*texts):
    return Cells(range(2, len(texts) + 2), texts)


def numbers(*texts, answers=None, is_documented=False, is_weight=False):
    return number_spelling(
        "close", column(*texts), answers or {}, is_documented=is_documented, is_weight=is_weight, may_be_empty=False
    )


def in_plain(spelling, *texts):
    return [spelling.plain(text) if spelling.plain else text for text in texts]


def keys(found):
    return [question.key for question in found.questions]


def told(found):
    return [str(problem) for problem in found.problems.shown]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("40,25", "40.25"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+100", "100"),
        ("(1,234.50)", "-1234.50"),
        ("1,234.50-", "-1234.50"),
        ("−3,5", "-3.5"),
        ("1'234.50", "1234.50"),
        ("1’234’567", "1234567"),
        ("1\u202f234,5", "1234.5"),
        ("1\u00a0234\u00a0567", "1234567"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("12,34,567.8", "1234567.8"),
        ("1234.567", "1234.567"),
        ("0.500", "0.500"),
        ("0,500", "0.500"),
        ("$1,234.50", "1234.50"),
        ("-$5.00", "-5.00"),
        ("US$ 12.10", "12.10"),
        ("1.234,50 €", "1234.50"),
        ("EUR 12,5", "12.5"),
        ("333,7442 Stück", "333.7442"),
        ("17 shares", "17"),
    ],
)
def test_a_number_with_one_meaning_is_read(text, plain):
    found = numbers(text)

    assert (found.question, found.contradiction) == (None, None)
    assert in_plain(found, text) == [plain]


@pytest.mark.parametrize("text", ["1.234", "1,234", "$1,234", "12.345 €", "-1,234"])
def test_a_number_with_two_meanings_is_asked_about(text):
    assert numbers(text).question.key == "decimal.close"
    by_mark = {mark: in_plain(numbers(text, answers={"decimal.close": mark}), text)[0] for mark in ".,"}
    assert abs(Decimal(by_mark["."])) * 1000 == abs(Decimal(by_mark[","])) or (
        abs(Decimal(by_mark[","])) * 1000 == abs(Decimal(by_mark["."]))
    )


@pytest.mark.parametrize(
    ("proof", "meant"), [("12,5", "1234"), ("12.5", "1.234"), ("1.234,5", "1234"), ("0.1", "1.234")]
)
def test_one_certain_number_decides_for_its_column(proof, meant):
    assert in_plain(numbers("1.234", proof), "1.234") == [meant]


def test_a_point_is_the_decimal_one_where_the_file_is_as_documented():
    assert numbers("1.234", is_documented=True).question is None
    assert numbers("1,234", is_documented=True).question is not None


def test_a_column_with_both_marks_is_refused_at_its_line():
    line, message = numbers("1.5", "2", "3,5").contradiction

    assert line == 4
    assert "'1.5' in line 2" in message


def test_a_column_in_two_currencies_is_refused_in_words():
    assert numbers("$5.00", "€6.00").contradiction == (
        3,
        "is an amount in €, but line 2 has $; one column has one currency",
    )


@pytest.mark.parametrize(
    "text", ["12 GBX", "1e5", "1,2,3", "1.2.3", "12 3", "--5", "(5", "5)", "-5-", "(-5)", "٣", "1_000", "NaN"]
)
def test_what_is_no_number_stays_as_it_is_written(text):
    assert in_plain(numbers(text), text) == [text]


def test_per_cent_is_a_fraction_where_the_column_holds_weights():
    assert in_plain(numbers("33.33%", is_weight=True), "33.33%") == ["0.3333"]
    assert in_plain(numbers("2,5 %", is_weight=True), "2,5 %") == ["0.025"]
    assert in_plain(numbers("5%"), "5%") == ["5%"]


def days(*texts, **answers):
    found = day_spelling("date", column(*texts), {key.replace("__", "."): value for key, value in answers.items()})
    return found, in_plain(found, *texts)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27", "2026-11-27 00:00:00", "2026/11/27", "2026.11.27", "20261127", "20261127;093000", "27.11.2026",
        "11/27/2026", "27/11/2026", "27-11-2026", "27 Nov 2026", "27. November 2026", "Nov 27, 2026", "27-Nov-2026",
        "Fri, 27 Nov 2026", "November 27th, 2026", "2026-11-27T16:00:00", "2026-11-27T00:00:00Z", "11/27/2026 4:00 PM",
        "27 novembre 2026", "27 de noviembre 2026".replace("de ", ""),
    ],
)  # fmt: skip
def test_a_day_with_one_meaning_is_read(text):
    found, plain = days(text)

    assert found.question is None
    assert plain == ["2026-11-27"]


@pytest.mark.parametrize("text", ["02/03/2026", "02.03.2026", "2-3-2026", "11/27/26", "02/03/26"])
def test_a_day_with_two_meanings_is_asked_about(text):
    assert days(text)[0].question.key == "order.date"


def test_a_day_above_twelve_proves_the_order_of_those_written_like_it_and_of_no_others():
    assert days("02/03/2026", "13/02/2026")[1] == ["2026-03-02", "2026-02-13"]
    assert days("02/03/2026", "02/13/2026")[1] == ["2026-02-03", "2026-02-13"]
    assert days("02/03/2026", "13.02.2026")[0].question is not None


def test_a_day_that_is_the_same_in_every_order_needs_no_answer():
    assert days("05/05/2026")[0].question is None


def test_days_in_two_orders_are_refused_at_the_line_of_the_second():
    line, message = days("13/04/2026", "04/13/2026")[0].contradiction

    assert (line, "'13/04/2026' in line 2" in message) == (3, True)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "31/02/2026", "2026-W01-1", "46353", "2026-11-27T23:00:00Z", "tomorrow"]
)
def test_what_is_no_day_or_another_one_elsewhere_stays_as_it_is_written(text):
    assert days(text)[1] == [text]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.csv")), ids=lambda path: path.stem)
def test_each_shipped_layout_reads_its_sample_without_a_question(reading, path):
    found = reading(path.read_bytes(), portfolio="Bell Foundation")

    assert (found.layout.name, keys(found), told(found)) == (
        next(layout.name for layout in shipped_layouts() if path.with_suffix(".json").read_text().count(layout.name)),
        [],
        [],
    )
    assert all(row.values["quantity"] > 0 for row in found.rows)
    assert len(found.rows) >= 1


def test_a_layout_does_not_leave_out_what_it_does_not_know(reading):
    content = (FOLDER / "schwab-positions.csv").read_bytes().replace(b'"12.5031"', b'"--"')

    assert keys(reading(content, portfolio="Bell")) == ["leave_out"]


def test_a_file_as_documented_needs_no_answer(reading):
    found = reading(HOLDINGS + "Bell,KELP,1.234\nBell,RUNE,5\n")

    assert (keys(found), [row.values["quantity"] for row in found.rows]) == ([], [Decimal("1.234"), Decimal(5)])


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_every_separator_is_seen_and_a_decimal_comma_with_it(reading, separator):
    found = reading(
        "portfolio,ticker,quantity\nBell,KELP,1 234,5\n".replace(",", separator)
        .replace("4;5", "4,5")
        .replace("4\t5", "4,5")
        .replace("4|5", "4,5")
    )

    assert [row.values["quantity"] for row in found.rows] == [Decimal("1234.5")]


def test_a_thousand_behind_semicolons_is_asked_about(reading):
    assert keys(reading("portfolio;ticker;quantity\nBell;KELP;1.234\n")) == ["decimal.quantity"]
    found = reading("portfolio;ticker;quantity\nBell;KELP;1.234\n", decimal__quantity=",")
    assert found.rows[0].values["quantity"] == 1234


def test_a_column_without_name_and_content_is_nothing_and_any_other_is_asked_about(reading):
    assert keys(reading("portfolio,ticker,quantity,,\nBell,KELP,3,,\n,,,,\n")) == []
    assert keys(reading("portfolio,ticker,quantity,note\nBell,KELP,3,keep\n")) == ["column.note"]
    assert len(reading("portfolio,ticker,quantity,note\nBell,KELP,3,keep\n", column__note="").rows) == 1


def test_totals_and_notes_are_left_out_by_choice_and_listed(reading):
    content = HOLDINGS + "Bell,KELP,3\nTotal,,3\nas of yesterday,,\n"
    assert keys(reading(content)) == ["leave_out"]

    found = reading(content, leave_out="yes")
    assert [(row.line, row.text) for row in found.left_out.shown] == [(3, "Total · 3"), (4, "as of yesterday")]
    assert [row.line for row in found.rows] == [2]
    assert told(reading(content, leave_out="no")) == [
        "line 3, ticker '': is empty",
        "line 4, ticker '': is empty",
        "line 4, quantity '': is empty",
    ]


def test_a_row_in_which_somebody_forgot_a_cell_is_a_problem_and_no_note(reading):
    assert told(reading(HOLDINGS + "Bell,KELP,3\nBell,,4\nBell,RUNE,\n", leave_out="yes")) == [
        "line 3, ticker '': is empty",
        "line 4, quantity '': is empty",
    ]


def test_securities_that_stand_twice_are_added_up_by_choice(reading):
    content = HOLDINGS + "Bell,KELP,3.5\nBell,RUNE,1\nBell,KELP,4\n"

    assert keys(reading(content)) == ["repeated"]
    found = reading(content, repeated="add")
    assert [row.values["quantity"] for row in found.rows] == [Decimal("7.5"), 1]
    assert "KELP, Bell: 3.5 in line 2 and 4 in line 4" in found.notes[0]


def test_a_file_that_names_no_portfolio_is_of_the_one_that_is_said(reading):
    assert keys(reading("ticker,quantity\nKELP,3\n")) == ["portfolio"]
    assert reading("ticker,quantity\nKELP,3\n", portfolio="Bell").rows[0].values["portfolio"] == "Bell"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_as_its_mark_says(reading, codec):
    found = reading("ticker,name\nA,Bäcker\n".encode(codec), "securities")

    assert (keys(found), found.rows[0].values["name"]) == ([], "Bäcker")


def test_an_older_encoding_is_shown_by_the_names_that_prove_it(reading):
    content = "ticker,name\nA,ok\nB,Müller\n".encode("cp1252")
    (question,) = reading(content, "securities").questions

    assert "byte 21 (0xFC) in line 3" in question.text
    assert question.options[0] == ("cp1252", "Windows-1252 (Western Europe): Müller")
    assert len({meaning.partition(": ")[2] for _, meaning in question.options}) == len(question.options)
    assert reading(content, "securities", encoding="cp1252").rows[1].values["name"] == "Müller"


def test_names_that_were_saved_in_a_wrong_encoding_are_asked_about(reading):
    content = "name,cash\nMÃ¼ller Stiftung,150\nBäcker,1\n"
    (question,) = reading(content, "portfolios").questions

    assert question.evidence == ("MÃ¼ller Stiftung,150 → Müller Stiftung,150",)
    names = [row.values["name"] for row in reading(content, "portfolios", encoding="twice").rows]
    assert names == ["Müller Stiftung", "Bäcker"]
    assert reading(content, "portfolios", encoding="utf-8").rows[0].values["name"] == "MÃ¼ller Stiftung"


def test_a_blank_behind_a_closing_quote_is_no_fault(reading):
    found = reading(HOLDINGS + '"Bell, Sons" ,"KELP" , 100 \n"Bell ""B""",\t"RUNE"\t,1\n')

    assert [row.values["portfolio"] for row in found.rows] == ["Bell, Sons", 'Bell "B"']


def workbook(*rows, **sheets):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, of_sheet in sheets.items():
        sheet = book.create_sheet(title)
        for row in of_sheet:
            sheet.append(row)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def test_a_workbook_gives_numbers_and_days_as_they_are(reading):
    found = reading(
        workbook(["date", "ticker", "close"], [date(2026, 3, 2), "KELP", 1.234], [date(2026, 3, 2), "RUNE", 0.1 + 0.2]),
        "prices",
    )

    assert [(row.values["date"], row.values["close"]) for row in found.rows] == [
        (date(2026, 3, 2), Decimal("1.2340")),
        (date(2026, 3, 2), Decimal("0.3")),
    ]


def test_of_several_sheets_one_is_chosen(reading):
    content = workbook(["something", "else"], Prices=[["date", "ticker", "close"], [date(2026, 3, 2), "KELP", 5]])

    assert "sheet" in keys(reading(content, "prices"))
    assert len(reading(content, "prices", sheet="Prices").rows) == 1


def test_a_formula_without_a_value_is_an_empty_cell(reading):
    content = workbook(["portfolio", "ticker", "quantity"], ["Bell", "KELP", "=1+1"], ["Bell", "RUNE", 1])

    assert keys(reading(content)) == ["leave_out"]
    assert told(reading(content, leave_out="no")) == ["line 2, quantity '': is empty"]


def archive(**parts):
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name.replace("__", "/"), content)
    return saved.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0" + b"\0" * 500, "old .xls workbook, or one with a password"),
        (b"PK\x03\x04" + b"x" * 100, "is broken"),
        (archive(hello="x"), "an archive, and no .xlsx workbook"),
        (archive(xl__workbook="<x/>"), "cannot be read"),
        (archive(xl__workbook="<x/>", xl__vbaProject="x").replace(b"vbaProject", b"vbaProjbin"), "cannot be read"),
        (archive(xl__sheet=b"0" * (260 * 2**20)), "unpacks to more than 250 MB"),
    ],
)
def test_what_is_no_plain_workbook_is_refused_in_words(reading, content, message):
    (problem,) = told(reading(content))
    assert message in problem


def test_a_workbook_with_macros_is_refused(reading):
    saved = io.BytesIO(workbook(["ticker", "name"], ["A", "B"]))
    with zipfile.ZipFile(saved, "a") as book:
        book.writestr("xl/vbaProject.bin", b"x")

    assert "has macros" in told(reading(saved.getvalue(), "securities"))[0]
