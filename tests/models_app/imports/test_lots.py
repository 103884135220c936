"""Tax lots in the book: what a file of them replaces, and where they do not add up."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from models_app.exports.services import export
from models_app.models import Holding, Portfolio, Security, TaxLot
from models_app.portfolios.tax_lots import portfolio_lots, unrealised_gain
from models_app.sources import get_source
from ordergen.ops.cli import main

pytestmark = pytest.mark.django_db
HEADER = "portfolio,ticker,reference,acquired_on,quantity,cost\n"


def lots_of(name):
    rows = TaxLot.objects.filter(portfolio__name=name).order_by("reference")
    return [
        (reference, f"{quantity.normalize():f}") for reference, quantity in rows.values_list("reference", "quantity")
    ]


def _fields(before, after):
    """Day, shares and cost of a lot, as a change tells them."""
    names = ("acquired_on", "quantity", "cost")
    return tuple(zip(names, before or ("",) * 3, after or ("",) * 3, strict=True))


def test_a_file_replaces_the_lots_of_the_portfolios_in_it_and_no_others(book, load):
    made = load("lots", HEADER + "Aldermoor Family,KELP,A2,2025-06-30,9,12\nAldermoor Family,KELP,A3,2025-07-01,1,13\n")

    assert (made.n_new, made.n_changed, made.n_removed) == (1, 1, 1)
    assert [(c.what, c.subject, c.fields) for c in made.changes.shown] == [
        ("changed", "KELP A2, Aldermoor Family", (("quantity", "4", "9"),)),
        ("new", "KELP A3, Aldermoor Family", _fields("", ("2025-07-01", "1", "13"))),
        ("removed", "KELP A1, Aldermoor Family", _fields(("2024-03-01", "6", "9.75"), "")),
    ]
    assert lots_of("Aldermoor Family") == [("A2", "9"), ("A3", "1")]
    assert lots_of("Bell Foundation") == [("B1", "7")]


def test_a_quantity_of_zero_is_no_lot(book, load):
    load("lots", HEADER + "Bell Foundation,KELP,B1,2025-01-15,0,10.5\n")

    assert lots_of("Bell Foundation") == []


def test_the_same_reference_may_stand_in_another_holding_but_not_twice_in_one(book, plan, load):
    load("lots", HEADER + "Bell Foundation,KELP,X,2025-01-15,7,1\nBell Foundation,RUNE,X,2025-01-15,7,1\n")
    made = plan("lots", HEADER + "Bell Foundation,KELP,X,2025-01-15,3,1\nBell Foundation,KELP,X,2025-01-16,4,1\n")

    assert [str(problem) for problem in made.problems.shown] == ["line 3, reference 'X': stands in line 2 already"]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ("Nobody,KELP,R,2025-01-15,1,1", "portfolio"),
        ("Bell Foundation,NOPE,R,2025-01-15,1,1", "ticker"),
        (f"Bell Foundation,KELP,{'R' * 51},2025-01-15,1,1", "reference"),
        ("Bell Foundation,KELP,R,15.13.2025,1,1", "acquired_on"),
        ("Bell Foundation,KELP,R,2999-01-15,1,1", "acquired_on"),
        ("Bell Foundation,KELP,R,2025-01-15,-1,1", "quantity"),
        ("Bell Foundation,KELP,R,2025-01-15,0.00001,1", "quantity"),
        ("Bell Foundation,KELP,R,2025-01-15,1,-0.01", "cost"),
        ("Bell Foundation,KELP,R,2025-01-15,1,1e3", "cost"),
        ("Bell Foundation,KELP,R,2025-01-15,1,", "cost"),
    ],
)
def test_a_lot_that_makes_no_sense_is_refused_at_its_cell(book, plan, cells, column):
    problems = plan("lots", HEADER + cells + "\n").problems.shown

    assert [(problem.line, problem.column) for problem in problems] == [(2, column)]


def test_lots_without_a_reference_are_named_by_their_day_and_counted(book, load):
    lots = ("2025-01-15,4,10", "2025-01-15,2,10.5", "2025-01-16,1,11")
    text = "portfolio,ticker,acquired_on,quantity,cost\n" + "".join(f"Bell Foundation,KELP,{lot}\n" for lot in lots)
    load("lots", text)

    assert lots_of("Bell Foundation") == [("2025-01-15", "4"), ("2025-01-15/2", "2"), ("2025-01-16", "1")]
    assert load("lots", text).n_writes == 0


def test_the_day_as_reference_of_several_lots_is_none(book, load):
    day = "Bell Foundation,KELP,2025-01-15,2025-01-15"
    load("lots", f"{HEADER}{day},4,1\n{day},3,1\n")

    assert lots_of("Bell Foundation") == [("2025-01-15", "4"), ("2025-01-15/2", "3")]


def test_lots_that_do_not_add_up_are_imported_and_said(book, load):
    text = "Aldermoor Family,KELP,A1,2024-03-01,6,9.75\nAldermoor Family,ALDR,A9,2024-03-01,2,3\n"
    (note,) = load("lots", HEADER + text).notes

    assert "2 holdings do not add up" in note
    assert "KELP, Aldermoor Family (6 in lots, 10 held)" in note
    assert "ALDR, Aldermoor Family (2 in lots, -3.5 held)" in note, "what is sold short has no lots"


def test_lots_that_add_up_need_no_note(book, load):
    assert load("lots", HEADER + "Bell Foundation,KELP,B1,2025-01-15,7,10.5\n").notes == []


def test_the_command_line_says_it_on_standard_error(book, manager, tmp_path, capsys):
    path = tmp_path / "lots.csv"
    path.write_text(HEADER + "Bell Foundation,KELP,B1,2025-01-15,5,10.5\n")
    status = main(["import", "lots", str(path)])
    said = capsys.readouterr()

    assert (status, said.out) == (0, "lots: 1 changed\n")
    assert "KELP, Bell Foundation (5 in lots, 7 held)" in said.err


def test_a_reference_that_a_spreadsheet_would_run_is_guarded_and_comes_back(book, load):
    row = "Bell Foundation,KELP,'=1+1,2025-01-15,7,10.5\n"
    load("lots", HEADER + row)

    assert TaxLot.objects.get(portfolio__name="Bell Foundation").reference == "=1+1"
    assert row.strip() in "".join(export("lots"))


def test_the_database_keeps_no_lot_without_shares_and_none_twice(book):
    lot = TaxLot.objects.get(reference="B1")
    for change in ({"quantity": 0}, {"cost": -1}, {"pk": "f" * 24}):
        fields = {"portfolio": lot.portfolio, "security": lot.security, "acquired_on": lot.acquired_on}
        values = fields | {"pk": "e" * 24, "reference": "B2", "quantity": 1, "cost": 1} | change
        values |= {"reference": "B1"} if "pk" in change else {}
        with pytest.raises(IntegrityError), transaction.atomic():
            TaxLot.objects.create(**values)


def test_the_source_gives_the_lots_of_each_portfolio_oldest_first_in_one_query(book, django_assert_num_queries):
    aldermoor, kelp = Portfolio.objects.get(name="Aldermoor Family"), Security.objects.get(ticker="KELP")
    ids = list(Portfolio.objects.values_list("pk", flat=True))
    with django_assert_num_queries(1):
        found = get_source().tax_lots(ids)

    assert [(lot.acquired_on, lot.reference, lot.quantity, lot.cost) for lot in found[aldermoor.pk][kelp.pk]] == [
        (date(2024, 3, 1), "A1", 6, Decimal("9.75")),
        (date(2025, 6, 30), "A2", 4, 12),
    ]


def test_what_is_not_realised_yet_is_unknown_where_lots_do_not_add_up(book):
    bell = Portfolio.objects.get(name="Bell Foundation")
    (kelp,) = portfolio_lots(bell.pk)
    assert (kelp.cost, kelp.gain, unrealised_gain([kelp])) == (Decimal("73.5"), Decimal("3.5"), Decimal("3.5"))

    Holding.objects.create(portfolio=bell, security=Security.objects.get(ticker="ALDR"), quantity=1)
    alder, kelp = portfolio_lots(bell.pk)
    assert (alder.gain, kelp.gain, unrealised_gain([alder, kelp])) == (None, Decimal("3.5"), None)


def test_a_portfolio_without_any_lots_has_none_to_show(book):
    TaxLot.objects.all().delete()

    assert portfolio_lots(Portfolio.objects.get(name="Bell Foundation").pk) == []
