"""One thing, one name: what is spelled otherwise is asked about once and then known; what can hardly be right too."""

import io

import pytest

from models_app.exports.services import export
from models_app.imports.services import HowToRead, apply_import, plan_import
from models_app.models import Holding, OtherName, Portfolio, Price, Security
from ordergen.audit.models import AuditEvent
from ordergen.core.canonical import canonical

pytestmark = pytest.mark.django_db
HOLDINGS = "portfolio,ticker,quantity\n"
BROKER = "Symbol/ISIN,Product,Amount,Closing,Local value\n"


@pytest.fixture
def look(manager):
    """Plans an import with answers, as the portfolio manager."""

    def make(kind, text, **answers):
        return plan_import(kind, io.BytesIO(text.encode()), manager, file_name="f.csv", how=HowToRead(answers))

    return make


@pytest.fixture
def take(look, manager):
    """Imports with answers, which have to settle everything."""

    def make(kind, text, **answers):
        made = look(kind, text, **answers)
        assert ([str(p) for p in made.problems.shown], made.questions) == ([], [])
        return apply_import(made, by=manager)

    return make


def keys(plan):
    return [question.key for question in plan.questions]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BRK.B", "brk/b"),
        ("BRK B", "BRK-B"),
        ("KELP", "K\u200bELP"),
        ("KELP", "\u202eKELP"),
        ("KELP", "ＫＥＬＰ"),
        ("Straße", "STRASSE"),
        ("Kelp Foods, Inc.", "kelp  foods inc"),
        ("ﬁne", "fine"),
        ("Café", "Cafe\u0301"),
    ],
)
def test_what_a_reader_cannot_tell_apart_is_one_word(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"), [("BRK.B", "BRKB"), ("ACAQ", "ACAQ+"), ("KELP", "KELR"), ("-", "."), ("A", "Ä")]
)
def test_what_a_reader_tells_apart_is_two(one, other):
    assert canonical(one) != canonical(other)


def test_a_new_security_that_looks_like_a_known_one_is_asked_about(take, look):
    take("securities", "ticker,name\nKLP/B,Kelp Foods class B\n")
    text = "ticker,name\nKLP.B,Kelp Foods class B\n"

    assert keys(look("securities", text)) == ["security.KLP.B"]
    assert take("securities", text, **{"security.KLP.B": "same"}).n_new == 0
    assert Security.objects.count() == 1
    other = OtherName.objects.get()
    assert (other.of, other.written, other.record_id) == ("security", "KLP.B", Security.objects.get().pk)


def test_two_that_look_alike_may_be_two(take, look):
    take("securities", "ticker,name\nKLP/B,Kelp Foods class B\n")
    take("securities", "ticker,name\nKLP.B,Kelp Foods class B\n", **{"security.KLP.B": "new"})

    assert Security.objects.count() == 2
    assert look("securities", "ticker,name\nKLP.B,Kelp\n").is_clean, "the one with this very ticker is meant"


def test_two_new_ones_with_one_name_are_asked_about_and_with_two_names_told(look):
    assert keys(look("securities", "ticker,name\nKLP/B,Kelp\nKLP.B,Kelp\n")) == ["security.KLP.B"]
    made = look("securities", "ticker,name\nBRK.B,Class B\nBRK/B,Class B of another vendor\n")
    assert (made.n_new, made.questions) == (2, [])
    assert "BRK/B and BRK.B look alike" in made.notes[0]


def test_a_holding_in_another_spelling_is_asked_about_once_and_then_known(take, look, book):
    take("securities", "ticker,name\nKLP/B,Kelp Foods class B\n")
    text = HOLDINGS + "Bell Foundation,KLP.B,3\n"
    assert keys(look("holdings", text)) == ["security.KLP.B"]

    take("holdings", text, **{"security.KLP.B": "same"})
    assert Holding.objects.get(security__ticker="KLP/B").quantity == 3
    assert take("holdings", text.replace("KLP.B", "klp b")).n_unchanged == 1, (
        "it is known by now, however it is written"
    )
    models = "model,ticker,target,low_drift,high_drift,portfolio\nB,KLP.B,0.4,0.05,0.05,\nB,,,,,Bell Foundation\n"
    assert look("models", models).is_clean
    event = AuditEvent.objects.filter(action="book.import", detail__has_key="other_names").get()
    assert list(event.detail["other_names"]) == ["security KLP.B"]


def test_another_security_than_the_one_it_looks_like_is_unknown(look, book, take):
    take("securities", "ticker,name\nKLP/B,Kelp Foods class B\n")
    made = look("holdings", HOLDINGS + "Bell Foundation,KLP.B,3\n", **{"security.KLP.B": "new"})

    assert "is not known" in str(made.problems.shown[0])


def test_a_broker_names_a_security_by_its_isin_and_is_asked_once_which_it_is(look, take, book):
    text = BROKER + "US0000000017,KELP FOODS CORP,13,40,EUR\n"
    made = look("holdings", text, portfolio="Bell Foundation")
    (question,) = made.questions
    assert (question.key, question.evidence) == (
        "security.US0000000017",
        ("US0000000017 · KELP FOODS CORP · 13 · 40 · EUR",),
    )

    wrong = look("holdings", text, portfolio="Bell Foundation", **{"security.US0000000017": "NOPE"})
    assert keys(wrong) == ["security.US0000000017"]

    take("holdings", text, portfolio="Bell Foundation", **{"security.US0000000017": "KELP"})
    assert Holding.objects.get(portfolio__name="Bell Foundation").security.ticker == "KELP"
    assert look("holdings", text.replace(",13,", ",14,"), portfolio="Bell Foundation").n_changed == 1


def test_a_portfolio_in_another_spelling_is_asked_about(look, take, book):
    text = HOLDINGS + "bell foundation,KELP,8\n"
    assert keys(look("holdings", text)) == ["portfolio.bell foundation"]
    take("holdings", text, **{"portfolio.bell foundation": "same"})

    assert Holding.objects.get(portfolio__name="Bell Foundation").quantity == 8
    assert keys(look("portfolios", "name,cash\nALDERMOOR FAMILY,5\n")) == ["portfolio.ALDERMOOR FAMILY"]
    take("portfolios", "name,cash\nALDERMOOR FAMILY,5\n", **{"portfolio.ALDERMOOR FAMILY": "same"})
    assert Portfolio.objects.get(name="Aldermoor Family").cash == 5


def test_a_word_of_ours_that_is_like_none_is_a_problem_as_ever(look, book):
    made = look("holdings", HOLDINGS + "Bell Foundation,NOPE,8\n")

    assert (made.questions, made.problems.count) == ([], 1)


def test_two_securities_that_look_alike_are_exported_and_imported_without_a_question(take, look):
    take("securities", "ticker,name\nBRK.B,One\nBRK/B,Two\n")
    exported = "".join(export("securities"))
    Security.objects.all().delete()

    assert take("securities", exported).n_new == 2


def test_a_price_that_jumped_is_taken_from_who_says_why(look, take, book, settings):
    text = "date,ticker,close\n2026-01-12,KELP,1.1\n2026-01-12,ALDR,2000.01\n2026-01-12,RUNE,3\n"
    (question,) = look("prices", text).questions

    assert question.key == "jumped"
    pence = "pence for pounds, or a slipped point?"
    assert question.evidence == (
        f"ALDR: 20.0001 (2026-01-09) → 2000.01 (2026-01-12), about a hundred times: {pence}",
        "KELP: 11 (2026-01-09) → 1.1 (2026-01-12), about ten times: a split, or a slipped point?",
    )
    assert keys(look("prices", text, jumped="  ")) == ["jumped"]
    take("prices", text, jumped="10 for 1 on 12 January")
    event = AuditEvent.objects.first()
    assert event.detail["confirmed"]["reason"] == "10 for 1 on 12 January"
    assert "KELP: 11" in event.detail["confirmed"]["prices"]
    assert Price.objects.count() == 6


def test_a_price_within_the_limit_or_of_an_older_day_is_no_jump(look, book, settings):
    assert look("prices", "date,ticker,close\n2026-01-12,KELP,15.4\n").is_clean
    assert look("prices", "date,ticker,close\n2025-01-12,KELP,1\n").is_clean
    settings.PRICE_JUMP = 2
    assert look("prices", "date,ticker,close\n2026-01-12,KELP,30\n").is_clean
