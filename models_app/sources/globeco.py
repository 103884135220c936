"""The book in the GlobeCo services: portfolio accounting, pricing, security and portfolio.

    securities, names | one list each, kept for ten minutes
    prices            | one list, kept for a minute; pricing draws a new price per call, so a run takes one snapshot
    balances          | never kept: one call per portfolio, some at a time, or the paged list of all where that is less

Whatever is not whole and right is refused, and what does not answer is an UnavailableError that names the service.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from django.conf import settings
from django.utils import timezone

from models_app.portfolio.types import ZERO
from models_app.portfolio.units import MONEY_PLACES, TICK
from models_app.sources.book_source import Balances, Lots, PortfolioInfo, PriceInfo, SecurityInfo
from models_app.sources.http_client import Deadline, FaultError, Service, in_parallel
from models_app.sources.kept import kept
from models_app.sources.parse import Record, record, records, unique
from ordergen.core.breaker import Breaker
from ordergen.core.ids import ANY_ID, HEX_ID

if TYPE_CHECKING:
    import pandas as pd

Info = TypeVar("Info")
logger = logging.getLogger(__name__)
NAMES_SECONDS, PRICES_SECONDS = 600, 60
LIST_PATIENCE = 30.0  # an id that the list kept lacks may be new: the list is read again, but not more often than this
PAGE = 1000  # the most that any of the services gives at once
BULK_FROM = 100  # portfolios from which it is worth asking how many pages all balances are
QUANTITY_PLACES = 8  # of its services; the book keeps fewer
TICKER_LENGTH, NAME_LENGTH = 20, 255
PROBE_SECONDS = 2.0
# 500 is how portfolio accounting says that a portfolio has no balances; 404 is how it means to.
_PERHAPS_EMPTY = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.NOT_FOUND)
_PROBES = {
    "portfolio_accounting": "/health/ready",
    "pricing_service": "/actuator/health/readiness",
    "portfolio_service": "/api/v2/portfolios?limit=1",
    "security_service": "/health/readiness",
}


@cache
def services() -> Mapping[str, Service]:
    """By the names that the health checks use. One of each per process, for its breaker remembers."""
    rest, most = settings.EXTERNAL_SERVICE_REST, settings.EXTERNAL_SERVICE_MAX_FAILURES
    return {
        "portfolio_accounting": Service(
            "portfolio accounting service", settings.PORTFOLIO_ACCOUNTING_SERVICE_URL, Breaker(most, rest)
        ),
        "pricing_service": Service("pricing service", settings.PRICING_SERVICE_URL, Breaker(most, rest)),
        "portfolio_service": Service("portfolio service", settings.PORTFOLIO_SERVICE_URL, Breaker(most, rest)),
        "security_service": Service("security service", settings.SECURITY_SERVICE_URL, Breaker(most, rest)),
    }


class GlobecoSource:
    """See BookSource for what each method promises. Every method may raise UnavailableError."""

    name = "globeco"
    is_remote = True
    has_tax_lots = False

    def securities(self, ids: Iterable[str] | None = None) -> dict[str, SecurityInfo]:
        return _among("globeco-securities", _read_securities, ids)

    def latest_prices(self, ids: Iterable[str]) -> dict[str, PriceInfo]:
        wanted = self.securities(ids)
        prices = kept("globeco-prices", PRICES_SECONDS, _read_prices)
        return {key: prices[info.ticker] for key, info in wanted.items() if info.ticker in prices}

    def portfolios(self, ids: Iterable[str] | None = None) -> dict[str, PortfolioInfo]:
        return _among("globeco-portfolios", _read_portfolios, ids)

    def balances(self, portfolio_ids: Iterable[str]) -> dict[str, Balances]:
        wanted = [key for key in dict.fromkeys(portfolio_ids) if HEX_ID.fullmatch(key)]
        deadline = Deadline(settings.EXTERNAL_SERVICE_DEADLINE)
        found = _bulk_balances(wanted, deadline) if len(wanted) > BULK_FROM else None
        if found is None:
            found = dict(zip(wanted, in_parallel(partial(_summary, deadline=deadline), wanted), strict=True))
        if empty := [key for key in wanted if found.get(key) is None]:
            known = self.portfolios(empty)
            found |= {key: Balances(ZERO, {}) for key in empty if key in known}
        now = timezone.now()  # read anew: whatever was approved before may be in it, or not
        return {
            key: replace(held, stated_at=now, stated_whole_at=now)
            for key in wanted
            if (held := found.get(key)) is not None
        }

    def stated_at(self, portfolio_ids: Iterable[str]) -> dict[str, datetime | None]:
        return dict.fromkeys(portfolio_ids, timezone.now())  # whenever somebody asks, it is read anew

    def tax_lots(self, portfolio_ids: Iterable[str]) -> dict[str, Lots]:  # noqa: ARG002  BookSource's
        """None: portfolio accounting knows quantities only."""
        return {}

    def price_history(self, ids: Iterable[str], since: date | None = None) -> pd.DataFrame:  # noqa: ARG002  BookSource's
        """None: pricing knows no yesterday."""
        import pandas as pd  # noqa: PLC0415  as in LocalSource

        return pd.DataFrame(columns=list(ids))

    def find_securities(self, text: str, limit: int = 20) -> list[SecurityInfo]:
        return _best(self.securities().values(), text, limit, lambda info: (info.ticker, info.name))

    def find_portfolios(self, text: str, limit: int = 20) -> list[PortfolioInfo]:
        return _best(self.portfolios().values(), text, limit, lambda info: (info.name,))

    def data_version(self) -> str:
        """Its name: this book changes without telling."""
        return self.name

    def faults(self) -> dict[str, str]:
        keys = list(_PROBES)
        return {key: fault for key, fault in zip(keys, in_parallel(_probe, keys), strict=True) if fault}


def _probe(key: str) -> str:
    """What is wrong with a service; empty when it answers. One short call, for a health check has no time to retry."""
    service = services()[key]
    try:
        service.try_once(_PROBES[key], PROBE_SECONDS)
    except FaultError as fault:
        return f"The {service.name} {fault}."
    return ""


def _among(key: str, read: Callable[[], dict[str, Any]], ids: Iterable[str] | None) -> dict[str, Any]:
    """From the list kept under `key` what has one of `ids`, in the list's order; all of it for None."""
    if ids is None:
        return kept(key, NAMES_SECONDS, read)
    wanted = set(ids)
    listed = kept(key, NAMES_SECONDS, read, is_enough=lambda known: wanted <= known.keys(), patience=LIST_PATIENCE)
    return {key: info for key, info in listed.items() if key in wanted}


def _best(found: Iterable[Info], text: str, limit: int, words: Callable[[Info], Sequence[str]]) -> list[Info]:
    wanted = text.casefold()
    hits = [info for info in found if any(wanted in word.casefold() for word in words(info))]
    return sorted(hits, key=lambda info: not words(info)[0].casefold().startswith(wanted))[:limit]


def _read_securities() -> dict[str, SecurityInfo]:
    lines = unique((line.id("securityId", ANY_ID), line) for line in _pages("security_service", "securities"))
    infos = [
        SecurityInfo(key, line.text("ticker", TICKER_LENGTH), line.words("description", NAME_LENGTH))
        for key, line in lines.items()
    ]
    return {info.id: info for info in sorted(infos, key=lambda info: (info.ticker, info.id))}


def _read_portfolios() -> dict[str, PortfolioInfo]:
    lines = unique((line.id("portfolioId", HEX_ID), line) for line in _pages("portfolio_service", "portfolios"))
    infos = [PortfolioInfo(key, line.words("name", NAME_LENGTH) or key) for key, line in lines.items()]
    return {info.id: info for info in sorted(infos, key=lambda info: (info.name, info.id))}


def _read_prices() -> dict[str, PriceInfo]:
    """By ticker. A price that is not above zero is left out, so that the security counts as having none."""
    service = services()["pricing_service"]
    answer = service.get("/api/v1/prices", Deadline(settings.EXTERNAL_SERVICE_DEADLINE))
    lines = unique((line.text("ticker", TICKER_LENGTH), line) for line in records(service.name, "price", answer))
    prices = {key: PriceInfo(line.amount("close", MONEY_PLACES), line.day("date")) for key, line in lines.items()}
    if useless := [key for key, info in prices.items() if info.price <= 0]:
        logger.warning("no price above zero for %s", ", ".join(useless[:20]))
    return {key: info for key, info in prices.items() if info.price > 0}


def _pages(key: str, what: str) -> list[Record]:
    """The whole of a list that the security or the portfolio service gives in pages."""
    service, deadline = services()[key], Deadline(settings.EXTERNAL_SERVICE_DEADLINE)
    found: list[Record] = []
    while True:
        params = {"limit": PAGE, "offset": len(found)}
        answer = record(service.name, "the list", service.get(f"/api/v2/{what}", deadline, params))
        lines, total = answer.records(what), answer.record("pagination").count("totalElements")
        found += lines
        if len(found) == total:
            return found
        if len(found) > total or len(lines) != PAGE:
            answer.refuse(f"has {len(found)} {what} and says that there are {total}")


def _summary(portfolio_id: str, deadline: Deadline) -> Balances | None:
    """What one portfolio owns; None when it has no balances at all."""
    accounting = services()["portfolio_accounting"]
    path = f"/api/v1/portfolios/{portfolio_id}/summary"
    try:
        answer = accounting.get(path, deadline, tolerated=_PERHAPS_EMPTY)
    except FaultError:
        if not _balance_page(deadline, portfolio_id=portfolio_id, limit=1)[0]:
            return None
        answer = accounting.get(path, deadline)  # it has balances: so that was a failure like any other
    summary = record(accounting.name, f"the summary of {portfolio_id}", answer)
    if summary.fields.get("portfolioId") != portfolio_id:
        summary.refuse("is of another portfolio")
    lines = unique((line.id("securityId", ANY_ID), line) for line in summary.records("securities"))
    if len(lines) != summary.count("securityCount"):
        summary.refuse(f"has {len(lines)} securities and says that there are {summary.count('securityCount')}")
    if len(lines) >= PAGE - 1:  # it reads no more than that, so there may be more
        return _by_portfolio(_all_balances(deadline, portfolio_id=portfolio_id)).get(portfolio_id)
    held = {key: quantity for key, line in lines.items() if (quantity := _net(line))}
    return Balances(_cash(summary, "cashBalance"), held)


def _net(line: Record) -> Decimal:
    """Long minus short, as the summary itself says."""
    net = line.amount("quantityLong", QUANTITY_PLACES) - line.amount("quantityShort", QUANTITY_PLACES)
    if "netQuantity" in line.fields and line.amount("netQuantity", QUANTITY_PLACES) != net:
        line.refuse("has a net quantity that is not long minus short")
    return net


def _cash(line: Record, name: str) -> Decimal:
    """Rounded down to what we count money in, so that nobody spends what is not there."""
    return line.amount(name, QUANTITY_PLACES).quantize(TICK, ROUND_FLOOR)


class Held(NamedTuple):
    """One balance: cash where there is no security. Small, for there may be a million of them."""

    id: int
    portfolio_id: str
    security_id: str
    amount: Decimal


def _bulk_balances(wanted: Sequence[str], deadline: Deadline) -> dict[str, Balances | None] | None:
    """Of all portfolios from the paged list; None where that takes more calls than asking for each of `wanted`."""
    first, total = _balance_page(deadline, limit=PAGE)
    if -(-total // PAGE) > len(wanted):
        return None
    return dict(_by_portfolio(_all_balances(deadline, first=(first, total))))


def _all_balances(
    deadline: Deadline, portfolio_id: str = "", first: tuple[list[Held], int] | None = None
) -> list[Held]:
    """Every balance, or every one of a portfolio. A list that changes while it is read is refused."""
    read = partial(_balance_page, deadline, portfolio_id=portfolio_id, limit=PAGE)
    lines, total = first or read()
    pages = in_parallel(lambda offset: read(offset=offset), range(PAGE, total, PAGE))
    found = [*lines, *(line for page, _ in pages for line in page)]
    if len(found) != total or any(other != total for _, other in pages):
        _list_of_balances().refuse("is not as long as it says")
    if len({line.id for line in found}) != total:
        _list_of_balances().refuse("repeats a balance")
    return found


def _balance_page(deadline: Deadline, *, portfolio_id: str = "", limit: int, offset: int = 0) -> tuple[list[Held], int]:
    """One page of balances, and how many there are in all."""
    accounting = services()["portfolio_accounting"]
    params = {"limit": limit, "offset": offset} | ({"portfolio_id": portfolio_id} if portfolio_id else {})
    answer = record(accounting.name, "the list", accounting.get("/api/v1/balances", deadline, params))
    lines, pages = answer.records("balances"), answer.record("pagination")
    total = pages.count("total")
    if pages.count("offset") != offset or len(lines) != max(min(limit, total - offset), 0):
        answer.refuse(f"has {len(lines)} balances from {pages.count('offset')} on and says that there are {total}")
    return [_held(line) for line in lines], total


def _held(line: Record) -> Held:
    portfolio_id = sys.intern(line.id("portfolioId", HEX_ID))
    if not line.fields.get("securityId"):
        return Held(line.count("id"), portfolio_id, "", _cash(line, "quantityLong"))
    return Held(line.count("id"), portfolio_id, sys.intern(line.id("securityId", ANY_ID)), _net(line))


def _by_portfolio(lines: Iterable[Held]) -> dict[str, Balances]:
    grouped: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for line in lines:
        own = grouped[line.portfolio_id]
        if line.security_id in own:
            _list_of_balances().refuse(f"repeats {line.security_id or 'the cash'} of {line.portfolio_id}")
        own[line.security_id] = line.amount
    return {key: _balances(own) for key, own in grouped.items()}


def _balances(own: dict[str, Decimal]) -> Balances:
    """Of one portfolio, by security; what has no security is its cash."""
    cash = own.pop("", ZERO)
    return Balances(cash, {key: quantity for key, quantity in own.items() if quantity})


def _list_of_balances() -> Record:
    return record(services()["portfolio_accounting"].name, "the list of balances", {})
