from datetime import date
from decimal import Decimal

import pytest
from django.db import transaction

from models_app.drift_index.changed import book_changed
from models_app.models import Holding, Portfolio, Price, Security
from models_app.sources import get_source
from models_app.sources.book_source import Balances, PriceInfo
from tests.site import Site

pytestmark = pytest.mark.django_db


@pytest.fixture
def book():
    """Two securities of which one is priced, and two portfolios of which one holds something."""
    kelp, alder = (
        Security.objects.create(ticker=t, name=n) for t, n in (("KELP", "Kelp Foods"), ("ALDR", "Alder Oil"))
    )
    for day, close in ((date(2026, 1, 2), "10.5"), (date(2026, 1, 9), "11.0001"), (date(2025, 12, 31), "9")):
        Price.objects.create(security=kelp, date=day, close=Decimal(close))
    fund = Portfolio.objects.create(name="Kelp family", cash=Decimal("-12.34"))
    Portfolio.objects.create(name="Empty family")
    Holding.objects.create(portfolio=fund, security=kelp, quantity=Decimal("3.5"))
    Holding.objects.create(portfolio=fund, security=alder, quantity=Decimal(0))
    return kelp, alder, fund


def test_the_latest_price_is_the_one_of_the_latest_date_whatever_was_stored_last(book):
    kelp, alder, _ = book

    assert get_source().latest_prices([kelp.pk, alder.pk]) == {kelp.pk: PriceInfo(Decimal("11.0001"), date(2026, 1, 9))}


def test_the_latest_prices_of_any_number_of_securities_cost_one_query(book, django_assert_num_queries):
    with django_assert_num_queries(1):
        get_source().latest_prices([book[0].pk, book[1].pk, "unknown"])


def test_a_price_of_fifteen_digits_comes_back_to_the_last_one():
    rock = Security.objects.create(ticker="ROCK")
    Price.objects.create(security=rock, date=date(2026, 1, 2), close=Decimal("98765432109.8765"))

    assert str(get_source().latest_prices([rock.pk])[rock.pk].price) == "98765432109.8765"


def test_balances_leave_out_zero_quantities_and_unknown_portfolios(book, django_assert_num_queries):
    kelp, _, fund = book

    with django_assert_num_queries(2):
        balances = get_source().balances([fund.pk, "unknown"])

    assert balances == {fund.pk: Balances(Decimal("-12.34"), {kelp.pk: Decimal("3.5")})}


def test_securities_and_portfolios_come_in_the_order_of_their_names(book):
    source = get_source()

    assert [info.ticker for info in source.securities().values()] == ["ALDR", "KELP"]
    assert [info.name for info in source.portfolios([book[2].pk, "unknown"]).values()] == ["Kelp family"]


def test_the_price_history_has_a_row_per_day_and_a_column_per_priced_security(book):
    kelp, alder, _ = book

    table = get_source().price_history([kelp.pk, alder.pk], since=date(2026, 1, 1))

    assert list(table.columns) == [kelp.pk]
    assert table[kelp.pk].to_dict() == {date(2026, 1, 2): Decimal("10.5"), date(2026, 1, 9): Decimal("11.0001")}


def test_the_price_history_of_nothing_is_an_empty_table(book):
    assert get_source().price_history([]).empty


def test_what_begins_with_the_text_is_found_before_what_contains_it():
    for ticker, name in (("AKE", ""), ("KELP", "Kelp Foods"), ("ZZ", "kelp farm")):
        Security.objects.create(ticker=ticker, name=name)

    assert [info.ticker for info in get_source().find_securities("ke")] == ["KELP", "AKE", "ZZ"]
    assert [info.ticker for info in get_source().find_securities("ke", limit=1)] == ["KELP"]


def test_portfolios_are_found_by_any_part_of_their_name(book):
    assert [info.name for info in get_source().find_portfolios("FAMILY")] == ["Empty family", "Kelp family"]


def test_the_data_version_changes_with_the_book():
    before = get_source().data_version()

    with transaction.atomic():
        book_changed()

    assert get_source().data_version() != before


def test_an_unknown_source_is_refused_at_start_with_the_ones_that_exist(tmp_path):
    refused = Site(tmp_path, ORDERGEN_SOURCE="bloomberg").run("migrate")

    assert refused.returncode == 1
    assert "'local'" in refused.stderr
    assert "'globeco'" in refused.stderr
