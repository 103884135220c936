"""A file is explained once: on the page behind its upload, remembered under a name, used by every door, given on."""

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from models_app.imports.services import HowToRead, import_file
from models_app.models import FileLayout, Holding
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import InvalidInputError, NotFoundError
from ordergen.ops.cli import main
from tests.markup import flat

pytestmark = pytest.mark.django_db
BANK = "Depot;;;\n;;;\nWertpapier;Kürzel;Bestand;Kurs\nKelp;KELP;1.234;40,25\nAlder;ALDR;2.500;8,1\nSumme;;3.734;\n"


@pytest.fixture
def page(client, manager):
    client.force_login(manager)
    return client


def upload(page, content, kind="holdings", **said):
    raw = content if isinstance(content, bytes) else content.encode()
    answer = page.post(f"/import/{kind}/", {"file": SimpleUploadedFile("bank.csv", raw), **said})
    assert answer.status_code == 302
    return page.get(answer.url)


def fields(html):
    """The names of the fields of a page's form by what they ask, and the columns' by their name."""
    radios = dict(re.findall(r'<legend>([^<]*)</legend>.*?name="([^"]+)"', html, re.DOTALL))
    texts = {label: name for name, label in re.findall(r'<label for="id_([^"]+)">([^<]*)</label>', html)}
    return {**texts, **radios}


def name_of(html, beginning):
    return next(name for label, name in fields(html).items() if label.startswith(beginning))


def columns(html, **names):
    return {name_of(html, label): name for label, name in names.items()}


def test_a_bank_s_file_is_explained_in_two_steps_and_the_next_one_goes_straight_through(page, book):
    asked = upload(page, BANK, portfolio="Bell Foundation")
    assert asked.url.endswith("/reading/")
    html = page.get(asked.url).content.decode()
    said = columns(html, Wertpapier="", Kürzel="ticker", Bestand="quantity", Kurs="")

    asked = page.get(page.post(asked.url, {**said, "header": "3"}).url)
    html = page.get(asked.url).content.decode()
    assert "decimal comma: 1.234 is 1234" in html
    assert "line 6: Summe · 3.734" in html
    said |= {name_of(html, "Which is the decimal mark"): ",", name_of(html, "1 row looks"): "yes"}
    shown = page.get(page.post(asked.url, {**said, "header": "3", "remember_as": "Bank of Bell"}).url)

    html = flat(shown.content.decode())
    assert "2 rows left out" in html
    assert "Import 2 changes" in html
    assert FileLayout.objects.get().header == ["wertpapier", "kürzel", "bestand", "kurs"]
    assert AuditEvent.objects.first().summary == "Saved the layout “Bank of Bell” for holdings"

    again = flat(upload(page, BANK.replace("1.234;", "1.235;"), portfolio="Bell Foundation").content.decode())
    assert "layout “Bank of Bell”" in again
    assert "1,235" not in again
    assert '<th scope="row">KELP, Bell Foundation</th>' in again


def test_an_answer_that_is_missing_is_said_at_its_question_and_what_was_said_stays(page, book):
    asked = upload(page, BANK.encode("cp1252"), portfolio="Bell Foundation")
    answer = page.post(asked.url, {})

    assert answer.status_code == 422
    assert "Choose one: the file does not say." in answer.content.decode()


def test_columns_that_are_missing_or_named_twice_are_said(page, book):
    asked = upload(page, BANK, portfolio="Bell Foundation")
    html = page.get(asked.url).content.decode()
    twice = page.post(asked.url, columns(html, Kürzel="quantity", Bestand="quantity"))

    assert twice.status_code == 422
    html = twice.content.decode()
    assert "Two columns are read as quantity" in html
    assert "No column is read as ticker yet" in html
    assert html.count('<option value="quantity" selected>') == 2


def test_a_portfolio_that_the_book_lacks_is_said_at_its_field(page, book):
    raw = SimpleUploadedFile("bank.csv", BANK.encode())
    answer = page.post("/import/holdings/", {"file": raw, "portfolio": "Nobody"})

    assert answer.status_code == 422
    assert "The book has no portfolio of this name" in answer.content.decode()
    asked = upload(page, "ticker,quantity\nKELP,1\n")
    html = page.get(asked.url).content.decode()
    answer = page.post(
        asked.url,
        {name_of(html, "The file names no portfolio"): "Nobody", "column-0": "ticker", "column-1": "quantity"},
    )
    assert answer.status_code == 422
    assert "The book has no portfolio of this name" in answer.content.decode()


def test_another_line_of_names_asks_anew_what_its_columns_are(page, book):
    asked = upload(page, BANK, portfolio="Bell Foundation")
    answer = page.post(asked.url, {"header": "1"})
    html = page.get(page.get(answer.url).url).content.decode()

    assert "Depot" in fields(html)
    assert "Kürzel" not in fields(html)


def test_script_in_a_name_of_a_column_is_text(page, book):
    asked = upload(page, "portfolio,ticker,quantity,<script>alert(1)</script>\nBell Foundation,KELP,1,x\n")

    html = page.get(asked.url).content.decode()
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html


def test_a_file_as_documented_is_asked_nothing(page, book):
    shown = upload(page, "portfolio,ticker,quantity\nBell Foundation,KELP,1.234\n")

    assert "Import 1 change" in flat(shown.content.decode())


def test_what_is_confirmed_is_read_as_it_was_shown(page, book):
    asked = upload(page, "ticker,quantity\nKELP,41\n", portfolio="Bell Foundation")
    html = asked.content.decode()
    seen = re.search(r'name="seen" value="(\w+)"', html)[1]
    address = re.search(r'action="(/import/holdings/[^"]+)"', html)[1]

    assert page.post(address, {"seen": seen}).status_code == 302
    assert Holding.objects.get(portfolio__name="Bell Foundation").quantity == 41


def test_a_layout_that_was_saved_meanwhile_shows_the_file_again_and_imports_nothing(page, bank):
    html = upload(page, BANK, portfolio="Bell Foundation").content.decode()
    seen = re.search(r'name="seen" value="(\w+)"', html)[1]
    address = re.search(r'action="(/import/holdings/[^"]+)"', html)[1]
    layout = FileLayout.objects.get()
    layout.answers |= {"leave_out": "summe\nalder"}
    layout.save()

    assert page.post(address, {"seen": seen}).status_code == 409
    assert not Holding.objects.filter(quantity=1234).exists()


def test_who_may_not_import_sees_no_layouts(client, viewer):
    client.force_login(viewer)

    assert [client.get(f"/import/{page}").status_code for page in ("layouts/", "layouts.json")] == [403, 403]


@pytest.fixture
def bank(tmp_path, book):
    """A file of the bank, explained on the command line, and its layout."""
    path = tmp_path / "bank.csv"
    path.write_text(BANK)
    answers = {"column.kürzel": "ticker", "column.bestand": "quantity", "decimal.quantity": ",", "leave_out": "summe"}
    header = ["wertpapier", "kürzel", "bestand", "kurs"]
    FileLayout.objects.create(
        name="Bank of Bell", kind="holdings", header=header, answers=answers, saved_at="2026-11-30T00:00:00Z"
    )
    return path


def test_the_command_line_reads_by_name_and_says_what_it_left_out(bank, manager, capsys):
    said = ["import", "holdings", str(bank), "--as", "bank of bell", "--portfolio", "Bell Foundation"]

    assert main(said) == 0
    printed = capsys.readouterr()
    assert printed.out == "holdings: 1 new, 1 changed\n"
    assert "left out: line 6, left out by choice: Summe · 3.734" in printed.err
    assert Holding.objects.get(portfolio__name="Bell Foundation", security__ticker="KELP").quantity == 1234


def test_the_command_line_prints_every_problem_and_every_question(bank, manager, tmp_path, capsys):
    path = tmp_path / "prices.csv"
    path.write_text("date,ticker,close\n" + "".join(f"2026-01-{day:02},KELP,x\n" for day in range(1, 29)) * 5)
    assert main(["import", "prices", str(path)]) == 1
    *lines, last = capsys.readouterr().err.splitlines()
    assert len(lines) == 140
    assert last.startswith("ordergen: Nothing was imported from prices.csv: line 2, close 'x': is not a number")

    bank.write_text(BANK.replace("Kurs", "Preis"))
    assert main(["import", "holdings", str(bank)]) == 1
    printed = capsys.readouterr().err
    assert "The file names no portfolio. Which one is it of? Answer portfolio=…" in printed
    assert "column.wertpapier, column.kürzel, column.bestand, column.preis" in printed


def test_a_layout_that_is_not_there_or_of_another_shape_is_said(bank, manager, tmp_path):
    with pytest.raises(NotFoundError, match="there are: “Bank of Bell”, “DEGIRO"):
        import_file("holdings", bank, None, how=HowToRead(layout="Bank of Nobody"))
    other = tmp_path / "other.csv"
    other.write_text("portfolio,ticker,quantity\nBell Foundation,KELP,1\n")
    with pytest.raises(InvalidInputError, match="no file like “Bank of Bell”: it lacks bestand, kurs"):
        import_file("holdings", other, None, how=HowToRead(layout="Bank of Bell"))


def test_an_answer_without_a_key_is_wrong(bank, manager, capsys):
    assert main(["import", "holdings", str(bank), "--answer", "yes"]) == 1
    assert "write KEY=VALUE" in capsys.readouterr().err


def test_layouts_go_from_one_installation_to_another(page, bank):
    exported = page.get("/import/layouts.json").content
    FileLayout.objects.all().delete()

    page.post("/import/layouts/", {"file": SimpleUploadedFile("layouts.json", exported)})
    assert json.loads(page.get("/import/layouts.json").content) == json.loads(exported)
    assert FileLayout.objects.get().saved_by.username == "maya"
    assert "Bank of Bell" in page.get("/import/layouts/").content.decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "no JSON"),
        (b"[]", "no list named layouts"),
        (b'{"layouts": [1]}', "exactly name, kind, header and answers"),
        (b'{"layouts": [{"name": "A", "kind": "orders", "header": ["a"], "answers": {}}]}', "no kind of file"),
        (b'{"layouts": [{"name": "A", "kind": ["prices"], "header": ["a"], "answers": {}}]}', "no kind of file"),
        (b'{"layouts": [{"name": "A", "kind": "prices", "header": [1], "answers": {}}]}', "header has to be a list"),
        (b'{"layouts": [{"name": "A", "kind": "prices", "header": ["a"], "answers": {"x": 1}}]}', "object of at most"),
        (
            b'{"layouts": [{"name": "A", "kind": "prices", "header": ["a"], "answers": {"jumped": "x"}}]}',
            "no answer that",
        ),
        (b'{"layouts": [{"name": "", "kind": "prices", "header": ["a"], "answers": {}}]}', "1 to 100 characters"),
        (b"[" * 100_000, "no JSON"),
        (b" " * (2**20 + 1), "larger than 1 MB"),
    ],
)
def test_a_file_that_is_none_of_layouts_is_refused_at_its_field(page, content, said):
    answer = page.post("/import/layouts/", {"file": SimpleUploadedFile("layouts.json", content)})

    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not FileLayout.objects.exists()


def test_an_answer_too_long_for_an_address_is_refused_and_not_lost(page, book):
    wide = ";".join(f"Spalte mit einem sehr langen Namen {n * 7919 % 1000:03} {n * 104729:x}" for n in range(400))
    asked = upload(page, f"{wide}\n{';'.join(['x'] * 400)}\n", portfolio="Bell Foundation")
    answer = page.post(asked.url, {"column-0": "ticker", "column-1": "quantity"})

    assert answer.status_code == 422
    assert "too much to say" in answer.content.decode()
