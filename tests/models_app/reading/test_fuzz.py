"""Files as the world writes them, made from a known truth: each is read right, asked about, or refused in words."""

import csv
import io
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import openpyxl
from hypothesis import event, given, settings
from hypothesis import strategies as st

from models_app.files.kinds import KINDS
from models_app.reading.import_progress import ImportProgress
from models_app.reading.known_layouts import shipped_layouts
from models_app.reading.problems import FileProblems
from models_app.reading.reading import Known, read

LOCALES = {  # decimal mark, mark of thousands
    "en": (".", ","),
    "de": (",", "."),
    "fr": (",", "\u202f"),
    "ch": (".", "’"),
    "plain": (".", ""),
    "comma": (",", ""),
    "pl": (",", "\u00a0"),
}
DAYS = {
    "iso": "%Y-%m-%d",
    "iso midnight": "%Y-%m-%d 00:00:00",
    "dots": "%d.%m.%Y",
    "us": "%m/%d/%Y",
    "uk": "%d/%m/%Y",
    "dashes": "%d-%m-%Y",
    "compact": "%Y%m%d",
    "name": "%d %b %Y",
    "us short": "%m/%d/%y",
}
ORDERS = {"dots": "dmy", "us": "mdy", "uk": "dmy", "dashes": "dmy", "us short": "mdy"}
HEADERS = {
    "prices": (
        {"date": "date", "ticker": "ticker", "close": "close"},
        {"date": "Datum", "ticker": "Kürzel", "close": "Kurs"},
    ),
    "holdings": (
        {"portfolio": "portfolio", "ticker": "ticker", "quantity": "quantity"},
        {"portfolio": "Konto", "ticker": "Symbol", "quantity": "Stück"},
    ),
}
tickers = st.sampled_from(["KELP", "RUNE", "MOSS", "BRK.B", "TRUE", "1E5", "0005", "MÜV2", "NA"])
portfolios = st.sampled_from(["Müller Stiftung", "Aldermoor Family", "Bell; Sons", "Day, Night & Co"])
amounts = st.one_of(
    st.decimals(Decimal("0.0001"), Decimal(9_999_999), places=4).map(lambda d: Decimal(f"{d.normalize():f}")),
    st.decimals(Decimal(1), Decimal(9_999), places=3).map(lambda d: Decimal(f"{d.normalize():f}")),
    st.integers(1, 9_999_999).map(Decimal),
)
seldom = st.integers(0, 3).map(lambda n: n == 3)
days = st.dates(date(2001, 1, 1), date(2026, 11, 1))


@dataclass
class Made:
    """A file, what it says, and what somebody who knows that would answer."""

    kind: str
    content: bytes
    truth: list[dict]
    answers: dict[str, str] = field(default_factory=dict)


def spelled(number, locale, style):
    decimal, thousands = LOCALES[locale]
    whole, _, part = f"{abs(number):f}".partition(".")
    groups = f"{int(whole):,}".replace(",", thousands) if thousands else whole
    text = groups + (decimal + part if part else "")
    sign = "-" if number < 0 else ""
    shapes = {
        "bare": f"{sign}{text}",
        "currency": f"{sign}${text}",
        "behind": f"{sign}{text} €",
        "code": f"EUR {sign}{text}",
        "plus": f"{sign or '+'}{text}",
        "accounting": f"({text})" if sign else text,
        "trailing": f"{text}{sign}",
    }
    return shapes[style]


@st.composite
def made_files(draw):
    kind = draw(st.sampled_from(["prices", "holdings"]))
    is_own = draw(st.booleans())
    names = HEADERS[kind][0 if is_own else 1]
    separator = draw(st.sampled_from(",;\t|"))
    # Our own names between commas are the documented form, whose point is the decimal one.
    spoken = [name for name, (mark, _) in LOCALES.items() if mark == "." or not (is_own and separator == ",")]
    locale = draw(st.sampled_from(sorted(spoken)))
    style = draw(st.sampled_from(["bare", "currency", "behind", "code", "plus", "accounting", "trailing"]))
    shape = draw(st.sampled_from(sorted(DAYS)))
    number = "close" if kind == "prices" else "quantity"
    signed = amounts if kind == "prices" else st.one_of(amounts, amounts.map(lambda d: -d))
    key = st.tuples(days if kind == "prices" else portfolios, tickers)
    rows = draw(st.lists(st.tuples(key, signed), min_size=1, max_size=8, unique_by=lambda row: row[0]))
    truth = [dict(zip(names, (*row[0], row[1]), strict=True)) for row in rows]
    written = [
        [
            day.strftime(DAYS[shape]) if isinstance(day, date) else day,
            ticker,
            spelled(value, locale, style),
        ]
        for (day, ticker), value in rows
    ]
    header = list(names.values())
    table = [header, *written]
    if draw(seldom):  # a column that is no business of ours, and one without a name and content
        table = [[*row, "note", ""] if at else [*row, "Notiz", ""] for at, row in enumerate(table)]
    if draw(seldom):
        table.append(["Total", "", spelled(sum(row[1] for row in rows), locale, style)])
        table[-1] += [""] * (len(table[0]) - 3)
    titles = draw(st.sampled_from([[], [], [["Report of the bank"], []]]))
    text = io.StringIO()
    line_end = draw(st.sampled_from(["\r\n", "\n"]))
    csv.writer(text, delimiter=separator, lineterminator=line_end).writerows([*titles, *table])
    body = text.getvalue()
    if draw(st.booleans()) and not titles:
        body = f"sep={separator}{line_end}{body}"
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
    answers = {
        f"decimal.{number}": LOCALES[locale][0],
        "order.date": ORDERS.get(shape, ""),
        "encoding": "cp1252",
        "separator": {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[separator],
        "leave_out": "yes",
        **({} if is_own else {f"column.{of.casefold()}": name for name, of in names.items()}),
        "column.notiz": "",
    }
    try:
        content = body.encode(encoding)
    except UnicodeEncodeError:  # a narrow space, which Windows-1252 has not
        content = body.encode()
    return Made(kind, content, truth, answers)


def reading_of(made, answers):
    return read(made.content, KINDS[made.kind], Known(answers, shipped_layouts()), FileProblems(), ImportProgress())


@settings(max_examples=300)
@given(made=made_files())
def test_a_file_is_read_right_asked_about_or_refused_and_never_misread(made):
    unasked = reading_of(made, {})
    if unasked.questions or unasked.problems.count:
        assert not unasked.rows or unasked.problems.count
    else:
        assert [row.values for row in unasked.rows] == made.truth

    event(f"unasked: {'refused' if unasked.problems.count else 'asked' if unasked.questions else 'read'}")

    answered = reading_of(made, made.answers)
    event(f"answered: {answered.problems.shown[0].message[:40] if answered.problems.count else 'read'}")
    if answered.problems.count == 0:
        assert answered.questions == []
        assert [row.values for row in answered.rows] == made.truth
    else:
        assert all(problem.message for problem in answered.problems.shown)
    assert all(row.values in made.truth for row in answered.rows)


@settings(max_examples=60)
@given(made=made_files(), data=st.data())
def test_a_wrong_answer_to_what_is_certain_changes_nothing(made, data):
    unasked = reading_of(made, {})
    if unasked.questions or unasked.problems.count:
        return
    number = "close" if made.kind == "prices" else "quantity"
    wrong = {
        f"decimal.{number}": data.draw(st.sampled_from(".,")),
        "order.date": data.draw(st.sampled_from(["dmy", "mdy"])),
    }

    assert [row.values for row in reading_of(made, wrong).rows] == made.truth


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(days, tickers, amounts), min_size=1, max_size=8, unique_by=lambda row: row[:2]))
def test_a_workbook_says_what_was_put_into_it(rows):
    book = openpyxl.Workbook()
    book.active.append(["date", "ticker", "close"])
    for day, ticker, close in rows:
        book.active.append([day, ticker, float(close)])
    saved = io.BytesIO()
    book.save(saved)

    made = Made("prices", saved.getvalue(), [{"date": d, "ticker": t, "close": c} for d, t, c in rows])
    assert [row.values for row in reading_of(made, {}).rows] == made.truth


@settings(max_examples=150)
@given(
    content=st.one_of(
        st.binary(max_size=300), st.text(st.sampled_from('a1.,;"\n\r\t=|é\ufeff\0'), max_size=200).map(str.encode)
    )
)
def test_whatever_bytes_are_uploaded_there_is_an_answer_in_words(content):
    for kind in KINDS:
        made = Made(kind, content, [])
        reading = reading_of(made, {})
        assert reading.rows or reading.questions or reading.problems.count
