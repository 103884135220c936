"""A data feed writes the book over API v2: many records or one, by the rules of an import, all of them or none."""

from decimal import Decimal

import pytest

from models_app.imports.schemas_v2 import MAX_ROWS
from models_app.models import Holding, Portfolio, Price, Security, TaxLot
from ordergen.audit.models import AuditEvent
from tests.builders import portfolio, security
from tests.callers import Api

ID = "68a0c0ffee0000000000beef"
COUNTS = ("n_new", "n_changed", "n_removed", "n_unchanged")


@pytest.fixture
def feed(manager, key_for):
    return Api("/api/v2", **{"X-API-Key": key_for(manager, "book:write", "book:read")})


def counts(response):
    assert response.status_code in (200, 201), response.content
    return tuple(response.json()[name] for name in COUNTS)


def problems(response):
    assert response.status_code == 422, response.content
    return [entry["field"] for entry in response.json()["errors"]]


def test_a_whole_book_is_written_and_read_back(feed):
    assert counts(feed.put("/securities", {"items": [{"ticker": "AAA", "name": "Ash"}, {"ticker": "BBB"}]})) == (
        2, 0, 0, 0,
    )  # fmt: skip
    prices = [{"date": "2026-11-20", "ticker": ticker, "close": "41.25"} for ticker in ("AAA", "BBB")]
    assert counts(feed.put("/prices", {"items": prices})) == (2, 0, 0, 0)
    assert counts(feed.put("/portfolios", {"items": [{"name": "Lee", "cash": "100.50"}]})) == (1, 0, 0, 0)
    held = [
        {"portfolio": "Lee", "ticker": "AAA", "quantity": "10"},
        {"portfolio": "Lee", "ticker": "BBB", "quantity": "2.5"},
    ]
    assert counts(feed.put("/holdings", {"items": held})) == (2, 0, 0, 0)
    lot = {"ticker": "AAA", "reference": "A-1", "acquired_on": "2024-03-08", "quantity": "9", "cost": "36.4"}
    lots = feed.put("/lots", {"items": [lot | {"portfolio": "Lee"}]})
    lee = Portfolio.objects.get()

    assert counts(lots) == (1, 0, 0, 0)
    assert "do not add up" in lots.json()["notes"][0]
    read = feed.get(f"/portfolios/{lee.pk}").json()
    assert (read["cash"], Decimal(read["market_value"])) == (
        "100.5000",
        Decimal("100.50") + Decimal("12.5") * Decimal("41.25"),
    )
    assert counts(feed.put("/holdings", {"items": held})) == (0, 0, 0, 2)


def test_one_record_is_put_under_its_own_address(feed):
    path = f"/securities/{ID}"
    assert feed.put(path, {"ticker": "AAA"}).status_code == 201
    assert counts(feed.put(path, {"ticker": "AAB", "name": "renamed"})) == (0, 1, 0, 0)
    assert feed.put(f"{path}/prices/2026-11-20", {"close": "7"}).status_code == 201
    assert counts(feed.put(f"{path}/prices/2026-11-20", {"close": "7.5"})) == (0, 1, 0, 0)
    assert feed.put(f"/portfolios/{ID}", {"name": "Lee", "cash": "1"}).status_code == 201
    assert counts(feed.put(f"/portfolios/{ID}/cash", {"cash": "-2.25"})) == (0, 1, 0, 0)
    assert counts(feed.put(f"/portfolios/{ID}/holdings", {"items": [{"ticker": "AAB", "quantity": "3"}]})) == (
        1,
        0,
        0,
        0,
    )
    lot = {"ticker": "AAB", "reference": "1", "acquired_on": "2024-03-08", "quantity": "3", "cost": "0"}
    assert counts(feed.put(f"/portfolios/{ID}/lots", {"items": [lot]})) == (1, 0, 0, 0)

    assert str(Price.objects.get().close) == "7.5000"
    assert (Portfolio.objects.get().cash, Holding.objects.get().quantity, TaxLot.objects.get().cost) == (
        Decimal("-2.25"),
        3,
        0,
    )
    assert counts(feed.put(f"/portfolios/{ID}/holdings", {"items": [{"ticker": "AAB", "quantity": "0"}]})) == (
        0,
        0,
        1,
        0,
    )


def test_one_wrong_row_keeps_all_out_and_every_fault_is_named(feed, manager):
    security("AAA"), portfolio("Lee")
    rows = [
        {"date": "2026-11-20", "ticker": "AAA", "close": "1"},
        {"date": "2026-11-31", "ticker": "AAA", "close": "0"},
        {"date": "2026-11-20", "ticker": "ZZZ", "close": "1"},
        {"date": "2026-11-20", "ticker": "AAA", "close": "2"},
        {"date": "2999-01-01", "ticker": "", "close": "NaN"},
    ]
    before = (Price.objects.count(), AuditEvent.objects.count())
    found = problems(feed.put("/prices", {"items": rows}))

    assert found == [
        "items.1.date", "items.1.close", "items.2.ticker", "items.3.ticker",
        "items.4.date", "items.4.ticker", "items.4.close",
    ]  # fmt: skip
    assert (Price.objects.count(), AuditEvent.objects.count()) == before


@pytest.mark.parametrize(
    "close", ["NaN", "Infinity", "1e3", "-1", "0", "1.00001", "10" * 20, "", " ", "<b>", "1,5", "0x1"]
)
def test_a_price_that_is_none_is_refused_at_its_field(feed, close):
    made = security("AAA", price=None)
    assert problems(feed.put(f"/securities/{made.pk}/prices/2026-11-20", {"close": close})) == ["close"]
    assert not Price.objects.exists()


@pytest.mark.parametrize("close", [1.5, 10**30, True, None, ["1"], {"a": 1}])
def test_a_price_is_a_text(feed, close):
    made = security("AAA", price=None)
    assert problems(feed.put(f"/securities/{made.pk}/prices/2026-11-20", {"close": close})) == ["close"]


def test_a_ticker_or_a_name_of_another_record_is_refused(feed):
    security("AAA"), portfolio("Lee")
    assert problems(feed.put(f"/securities/{ID}", {"ticker": "AAA"})) == ["ticker"]
    assert problems(feed.put(f"/portfolios/{ID}", {"name": "Lee", "cash": "0"})) == ["name"]


def test_what_there_is_not_is_not_found(feed):
    assert feed.put(f"/portfolios/{ID}/cash", {"cash": "1"}).status_code == 404
    assert feed.put(f"/portfolios/{ID}/holdings", {"items": [{"ticker": "A", "quantity": "1"}]}).status_code == 404
    assert feed.put(f"/securities/{ID}/prices/2026-11-20", {"close": "1"}).status_code == 404


def test_no_rows_and_too_many_are_refused(feed):
    assert problems(feed.put("/securities", {"items": []})) == ["items"]
    assert problems(feed.put("/securities", {"items": [{"ticker": "A"}] * (MAX_ROWS + 1)})) == ["items"]


def test_what_was_written_is_one_event_that_says_what(feed, manager):
    feed.put("/securities", {"items": [{"ticker": "AAA"}, {"ticker": "BBB"}]})
    event = AuditEvent.objects.get(action="book.write")

    assert (event.actor, event.summary) == ("maya", "Written securities: 2 new")
    assert event.detail["first"] == [{"what": "new", "subject": "AAA"}, {"what": "new", "subject": "BBB"}]
    feed.put("/securities", {"items": [{"ticker": "AAA"}]})
    assert AuditEvent.objects.filter(action="book.write").count() == 1, "nothing changed, so nothing is told"


def test_who_may_not_import_may_not_write(approver, key_for):
    tom = Api("/api/v2", **{"X-API-Key": key_for(approver)})
    assert tom.put("/securities", {"items": [{"ticker": "AAA"}]}).status_code == 403
    assert not Security.objects.exists()


def test_the_history_of_a_price_is_read_back_the_latest_first(feed):
    made = security("AAA", price=None)
    days = ["2026-11-18", "2026-11-19", "2026-11-20"]
    feed.put("/prices", {"items": [{"date": day, "ticker": "AAA", "close": "41.25"} for day in days]})
    path = f"/securities/{made.pk}/prices"
    first = feed.get(f"{path}?limit=2").json()
    second = feed.get(f"{path}?limit=2&cursor={first['next_cursor']}").json()

    assert [row["date"] for row in first["items"] + second["items"]] == days[::-1]
    assert (first["items"][0]["close"], second["next_cursor"]) == ("41.2500", None)
    assert [row["date"] for row in feed.get(f"{path}?since=2026-11-20").json()["items"]] == days[2:]
    for wrong in ("20261120", "2026-02-30", "x", "1700000000"):
        assert problems(feed.get(f"{path}?since={wrong}")) == ["since"]
    assert feed.get(f"/securities/{security('BBB', price=None).pk}/prices").json()["items"] == []
    assert feed.get(f"/securities/{'0' * 24}/prices").status_code == 404


def test_what_is_written_states_what_a_portfolio_owns_changed_or_not(feed):
    """Orders on their way are held against it, as against a file."""
    security("AAA")
    lee = portfolio("Lee", AAA="5")
    assert lee.holdings_stated_at is None
    for _ in range(2):
        before = Portfolio.objects.get().holdings_stated_at
        feed.put(f"/portfolios/{lee.pk}/holdings", {"items": [{"ticker": "AAA", "quantity": "5"}]})
        assert Portfolio.objects.get().holdings_stated_at != before
