"""The book as it comes from the GlobeCo services: whole and right, or refused by the service's name."""

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from stamina.instrumentation import get_on_retry_hooks, set_on_retry_hooks

from models_app.sources import get_source
from models_app.sources import globeco as source_module
from models_app.sources.globeco import services
from models_app.sources.parse import MalformedAnswerError
from ordergen.core.correlation import correlated
from ordergen.core.errors import UnavailableError
from tests.globeco.book import generated, id_of

READS = {
    "accounting": lambda source, ids: source.balances(ids[0][:3]),
    "security": lambda source, _ids: source.securities(),
    "pricing": lambda source, ids: source.latest_prices(ids[1]),
    "portfolio": lambda source, _ids: source.portfolios(),
}
NAMES = {
    "accounting": "portfolio accounting service",
    "security": "security service",
    "pricing": "pricing service",
    "portfolio": "portfolio service",
}
OUTAGES = ("down", "refused", "truncated", "500_after", "503", "504", "429", "404", "302", "late", "slow")
MALFORMED = ("wrong_length", "short", "duplicate", "not_numeric", "nan")


@pytest.fixture
def source(globeco):
    return get_source()


def test_the_book_comes_with_names_tickers_prices_and_balances(source, ids):
    book = generated(portfolios=12, positions=8)
    portfolios, securities = ids

    assert {key: info.name for key, info in source.portfolios().items()} == book.portfolios
    infos = source.securities(securities[:2])
    assert [(info.ticker, info.name) for info in infos.values()] == [
        ("S000", "Simulated Company 0"),
        ("S001", "Simulated Company 1"),
    ]
    for key, quote in source.latest_prices(securities[:20]).items():
        mean, deviation = book.prices[book.securities[key].ticker]
        assert abs(float(quote.price) - mean) < 6 * deviation + 0.01
    owned = source.balances(portfolios[:2])
    for key, held in owned.items():
        expected = {b.security_id: b.long for b in book.own(key)}
        assert held.cash == expected.pop(None)
        assert held.quantities == expected


def test_a_portfolio_without_balances_is_empty_and_an_unknown_one_absent(source, ids, globeco):
    empty, stranger = ids[0][-1], id_of("nobody")

    owned = source.balances([empty, stranger, "not-an-id"])

    assert list(owned) == [empty]
    assert (owned[empty].cash, owned[empty].quantities) == (Decimal(0), {})
    assert len(globeco.calls("accounting")) == 4, "a summary and a look at the balances for each that could exist"


def test_many_portfolios_are_read_from_the_paged_list_with_the_same_result(source, ids, globeco, monkeypatch):
    one_by_one = source.balances(ids[0])
    monkeypatch.setattr("models_app.sources.globeco.BULK_FROM", 5)
    globeco.forget()

    assert source.balances(ids[0]) == one_by_one
    assert [call["path"] for call in globeco.calls("accounting")] == ["/api/v1/balances"], "one page holds them all"


def test_balances_in_several_pages_are_all_read(source, ids, globeco, monkeypatch):
    one_by_one = source.balances(ids[0])
    monkeypatch.setattr("models_app.sources.globeco.BULK_FROM", 5)
    monkeypatch.setattr("models_app.sources.globeco.PAGE", 25)

    assert source.balances(ids[0]) == one_by_one


def test_prices_are_drawn_once_a_minute_and_names_every_ten(source, ids, globeco):
    first = source.latest_prices(ids[1])
    assert source.latest_prices(ids[1]) == first
    source.securities()
    source.find_securities("company 7")
    source.portfolios()
    source.find_portfolios("Account")

    assert sorted(call["service"] for call in globeco.calls()) == ["portfolio", "pricing", "security"]


def test_a_cache_that_is_down_costs_only_time(source, ids, globeco, cache_is_down):
    assert len(source.portfolios()) == 12
    assert len(source.latest_prices(ids[1][:3])) == 3
    source.latest_prices(ids[1][:3])
    assert len(globeco.calls("pricing")) == 1, "meanwhile the process keeps on its own"


def test_what_begins_with_the_text_is_found_before_what_contains_it(source):
    assert [info.ticker for info in source.find_securities("s00", 3)] == ["S000", "S001", "S002"]
    assert [info.ticker for info in source.find_securities("COMPANY 17", 2)] == ["S017", "S170"]
    assert [info.name for info in source.find_portfolios("0003")] == ["Account 0003"]


def test_there_is_no_history_of_prices(source, ids):
    assert source.price_history(ids[1]).empty


@pytest.mark.parametrize("service", READS)
@pytest.mark.parametrize("fault", OUTAGES)
def test_an_outage_is_told_by_the_service_s_name(source, globeco, ids, settings, service, fault):
    if fault == "slow":
        settings.EXTERNAL_SERVICE_TIMEOUT = 0.1
    globeco.fault(service, fault, seconds=1 if fault == "slow" else 30)

    with pytest.raises(UnavailableError, match=NAMES[service]):
        READS[service](source, ids)


@pytest.mark.parametrize("service", READS)
@pytest.mark.parametrize("fault", MALFORMED)
def test_an_answer_that_is_not_whole_and_right_is_refused(source, globeco, ids, service, fault):
    if (service, fault) == ("pricing", "short"):
        pytest.skip("a list of prices does not say how long it is; a missing one fails its portfolios by name")
    globeco.fault(service, fault)

    with pytest.raises(MalformedAnswerError, match=NAMES[service]):
        READS[service](source, ids)


def test_an_answer_of_more_than_ten_mebibytes_is_not_read_to_its_end(source, globeco, ids):
    globeco.fault("pricing", "oversized")

    with pytest.raises(UnavailableError, match="pricing service answered more than 10 MiB"):
        source.latest_prices(ids[1])


def test_a_failure_that_passes_is_retried_and_nobody_notices(source, globeco, ids):
    for service, read in READS.items():
        globeco.fault(service, "500_before" if service != "accounting" else "refused", times=3)
        read(source, ids)

    assert len(globeco.calls("pricing")) == 4, "one call and three retries"


def test_what_the_caller_did_wrong_is_not_asked_again(source, globeco):
    globeco.fault("portfolio", "400")

    with pytest.raises(UnavailableError, match="answered 400"):
        source.portfolios()

    assert len(globeco.calls("portfolio")) == 1


@pytest.mark.parametrize("status", ["429", "503"])
def test_a_retry_after_is_honoured(source, globeco, status):
    globeco.fault("portfolio", status, times=1, seconds=1)
    started = time.monotonic()

    assert source.portfolios()
    assert time.monotonic() - started >= 1


@pytest.fixture
def pauses():
    """The seconds before each retry of this test."""
    seconds, hooks = [], get_on_retry_hooks()
    set_on_retry_hooks([lambda details: seconds.append(details.wait_for)])
    yield seconds
    set_on_retry_hooks(hooks)


def test_pauses_double_and_a_retry_after_beyond_the_deadline_is_not_waited_for(source, globeco, settings, pauses):
    settings.EXTERNAL_SERVICE_PAUSE = 0.1
    globeco.fault("portfolio", "504")
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        source.portfolios()
    assert time.monotonic() - started >= 0.1 + 0.2 + 0.4
    assert [least <= pause <= least + 0.025 for least, pause in zip((0.1, 0.2, 0.4), pauses, strict=True)] == [True] * 3

    globeco.fault("portfolio", "503", seconds=300)
    with pytest.raises(UnavailableError):
        source.portfolios()
    assert len(globeco.calls("portfolio")) == 4 + 1


@pytest.fixture
def rested(monkeypatch, settings):
    """`rested("pricing_service")`: its breaker sees that the time to leave it alone is over."""

    def let_pass(name):
        late = time.monotonic() + settings.EXTERNAL_SERVICE_REST
        monkeypatch.setattr(services()[name].breaker, "_clock", lambda: late)

    return let_pass


def test_a_service_that_fails_again_and_again_is_left_alone_and_then_tried_once(source, globeco, settings, rested):
    settings.EXTERNAL_SERVICE_RETRIES = 0
    globeco.fault("pricing", "500_before")
    for _ in range(7):
        with pytest.raises(UnavailableError, match="pricing service"):
            source.latest_prices([])
    assert len(globeco.calls("pricing")) == 5, "the fifth failure opens the breaker"
    assert source.portfolios(), "the other services have breakers of their own"

    globeco.heal()
    rested("pricing_service")
    assert source.latest_prices([]) == {}


def test_a_service_that_is_back_serves_the_first_read_of_many_portfolios(source, globeco, settings, ids, rested):
    """One call is let through to see; the others of the same read wait for it, and do not fail in its stead."""
    settings.EXTERNAL_SERVICE_RETRIES = 0
    globeco.fault("accounting", "503")
    for _ in range(5):
        with pytest.raises(UnavailableError):
            source.balances(ids[0][:1])
    with pytest.raises(UnavailableError, match="is down"):
        source.balances(ids[0][:1])

    globeco.heal()
    rested("portfolio_accounting")
    assert len(source.balances(ids[0][-1:] + ids[0])) == 12, "the first of them has no balances, which is answered 500"


def test_a_slow_service_keeps_nobody_from_the_others(source, globeco, settings, ids):
    settings.EXTERNAL_SERVICE_CONCURRENCY = 2
    globeco.fault("accounting", "slow", seconds=0.4)
    with ThreadPoolExecutor(4) as others:
        slow = [others.submit(source.balances, ids[0][:2]) for _ in range(4)]
        time.sleep(0.05)
        assert source.portfolios()
        assert not all(read.done() for read in slow), "they are still at it"
        assert source.faults().keys() <= {"portfolio_accounting"}
        for read in slow:
            read.exception()


def test_names_that_people_read_need_not_be_tidy(source, globeco, monkeypatch):
    odd = {"description": "Foo\u00a0Inc.\n", "name": None}
    whole = source_module.record

    def untidy(service, where, value):
        for line in value.get("securities", []) + value.get("portfolios", []):
            line |= {key: text for key, text in odd.items() if key in line}
        return whole(service, where, value)

    monkeypatch.setattr(source_module, "record", untidy)

    assert {info.name for info in source.securities().values()} == {"Foo Inc."}
    assert all(info.name == key for key, info in source.portfolios().items())


def test_a_refusal_never_opens_a_breaker(source, globeco):
    globeco.fault("portfolio", "404")
    for _ in range(7):
        with pytest.raises(UnavailableError, match="answered 404"):
            source.portfolios()

    globeco.heal()
    assert source.portfolios()


def test_one_outage_ends_a_read_of_many_portfolios_at_once(source, globeco, ids, settings):
    settings.EXTERNAL_SERVICE_CONCURRENCY = 2
    settings.EXTERNAL_SERVICE_TIMEOUT = 0.25
    globeco.fault("accounting", "slow", seconds=2)

    with pytest.raises(UnavailableError, match="portfolio accounting service did not answer"):
        source.balances(ids[0])
    begun = {call["path"] for call in globeco.calls("accounting")}
    assert len(begun) <= 4, "each of the two takes one more at most, before all others are called off"


def test_who_waits_for_another_s_read_is_told_when_it_fails(source, globeco, settings):
    settings.EXTERNAL_SERVICE_TIMEOUT = 0.25
    globeco.fault("portfolio", "slow", seconds=2)
    started = time.monotonic()
    with ThreadPoolExecutor(6) as pages:
        faults = [page.exception() for page in [pages.submit(source.portfolios) for _ in range(6)]]

    assert {type(fault) for fault in faults} == {UnavailableError}
    assert len(globeco.calls("portfolio")) == 4, "one of the six asked, with its retries"
    assert time.monotonic() - started < settings.EXTERNAL_SERVICE_DEADLINE / 2


def test_the_correlation_id_goes_with_every_call(source, globeco, ids):
    with correlated("from-the-portal"):
        source.balances(ids[0])
        source.latest_prices(ids[1])

    assert {call["correlation"] for call in globeco.calls()} == {"from-the-portal"}


def test_faults_are_told_per_service_without_retries(source, globeco):
    globeco.fault("pricing", "down")
    globeco.fault("security", "500_before")

    faults = source.faults()

    assert set(faults) == {"pricing_service", "security_service"}
    assert "cannot be reached" in faults["pricing_service"]
