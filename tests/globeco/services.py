"""The five GlobeCo services as functions from a request to an answer, faults of their own included."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.globeco.book import Balance, Book

HEX_ID = re.compile(r"[0-9a-fA-F]{24}")
SIDES = {1: "BUY", 2: "SELL", 3: "SHORT", 4: "COVER", 5: "EXRC"}
BLOTTERS = {1: "Default", 2: "Equity", 3: "Fixed Income", 4: "Hold", 5: "Crypto"}
STATUSES = dict(enumerate(("NEW", "SENT", "WORK", "FULL", "PART", "HOLD", "CNCL", "CNCLD", "CPART", "DEL"), start=1))
MOST_ORDERS = 1000


@dataclass
class Request:
    """`query` holds the last value of each parameter; `book` and `orders` are shared by all services."""

    match: re.Match[str]
    query: dict[str, str]
    body: Any
    world: World


@dataclass
class World:
    book: Book
    orders: list[dict[str, Any]] = field(default_factory=list)
    rng: random.Random = field(default_factory=random.Random)
    lock: threading.Lock = field(default_factory=threading.Lock)


Answer = tuple[int, Any]
Route = tuple[str, re.Pattern[str], Callable[[Request], Answer]]


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _number(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, "")
    return int(text) if text.isdigit() and least <= int(text) <= most else default


# Portfolio accounting


def summary(request: Request) -> Answer:
    portfolio_id = request.match["id"]
    own = request.world.book.own(portfolio_id)
    if not own:  # documented as 404; the handler looks for words that the message does not have
        return 500, _accounting_error("INTERNAL_ERROR", "no balances found for portfolio")
    cash = next((balance.long for balance in own if balance.security_id is None), 0)
    lines = [_summary_line(balance) for balance in own if balance.security_id is not None]
    return 200, {
        "portfolioId": portfolio_id,
        "cashBalance": str(cash),
        "securityCount": len(lines),
        "lastUpdated": _now(),
        "securities": lines,
    }


def _summary_line(balance: Balance) -> dict[str, Any]:
    return {
        "securityId": balance.security_id,
        "quantityLong": str(balance.long),
        "quantityShort": str(balance.short),
        "netQuantity": str(balance.long - balance.short),
        "lastUpdated": _now(),
    }


def balances(request: Request) -> Answer:
    query = request.query
    limit, offset = _number(query, "limit", 50, 1, 1000), _number(query, "offset", 0, 0, 10**9)
    book = request.world.book
    found = book.own(query["portfolio_id"]) if query.get("portfolio_id") else book.balances
    if query.get("security_id"):
        found = [balance for balance in found if balance.security_id == query["security_id"]]
    total = len(found)
    pagination = {
        "limit": limit,
        "offset": offset,
        "total": total,
        "hasMore": offset + limit < total,
        "page": offset // limit + 1,
        "totalPages": -(-total // limit),
    }
    return 200, {"balances": [_balance(b) for b in found[offset : offset + limit]], "pagination": pagination}


def _balance(balance: Balance) -> dict[str, Any]:
    line = {
        "id": balance.id,
        "portfolioId": balance.portfolio_id,
        "quantityLong": str(balance.long),
        "quantityShort": str(balance.short),
        "lastUpdated": _now(),
        "version": 1,
    }
    return line | ({"securityId": balance.security_id} if balance.security_id else {})


def _accounting_error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "timestamp": _now()}}


def not_built(_request: Request) -> Answer:
    return 501, _accounting_error("NOT_IMPLEMENTED", "API v2 is not implemented")


# Security


def security(request: Request) -> Answer:
    if not HEX_ID.fullmatch(request.match["id"]):
        return 500, {"detail": "Internal Server Error"}
    found = request.world.book.securities.get(request.match["id"])
    return (200, _security(found)) if found else (404, {"detail": "Security not found"})


def all_securities(request: Request) -> Answer:
    return 200, [_security(found) for found in request.world.book.securities.values()]


def search_securities(request: Request) -> Answer:
    return _search(request, "securities", "ticker", _security, request.world.book.securities.values())


def _security(found: Any) -> dict[str, Any]:
    kind = {"securityTypeId": "0" * 23 + "1", "abbreviation": "CS", "description": "Common Stock"}
    return {
        "ticker": found.ticker,
        "description": found.name,
        "securityTypeId": kind["securityTypeId"],
        "version": 1,
        "securityId": found.id,
        "securityType": kind,
    }


# Portfolio


def portfolio(request: Request) -> Answer:
    name = request.world.book.portfolios.get(request.match["id"])
    found = (request.match["id"], name)
    return (200, _portfolio(found)) if name else (404, {"detail": "Portfolio not found"})


def all_portfolios(request: Request) -> Answer:
    return 200, [_portfolio(found) for found in request.world.book.portfolios.items()]


def search_portfolios(request: Request) -> Answer:
    return _search(request, "portfolios", "name", _portfolio, request.world.book.portfolios.items())


def _portfolio(found: tuple[str, str | None]) -> dict[str, Any]:
    return {"portfolioId": found[0], "name": found[1], "dateCreated": None, "version": 1}


def _search(request: Request, what: str, field_: str, show: Callable[[Any], Any], rows: Any) -> Answer:
    """One exact value or one fragment of a field, not both; sorted by it, in pages."""
    query = request.query
    exact, like = query.get(field_), query.get(f"{field_}_like")
    if exact and like:
        return 400, {"detail": f"Only one of {field_} and {field_}_like may be given"}
    shown = [show(row) for row in rows]
    found = [
        row
        for row in shown
        if (not exact or row[field_] == exact) and (not like or like.lower() in row[field_].lower())
    ]
    found.sort(key=lambda row: row[field_])
    limit, offset = _number(query, "limit", 50, 1, 1000), _number(query, "offset", 0, 0, 10**9)
    return 200, {what: found[offset : offset + limit], "pagination": _pagination(len(found), limit, offset)}


def _pagination(total: int, limit: int, offset: int) -> dict[str, Any]:
    return {
        "totalElements": total,
        "totalPages": -(-total // limit),
        "currentPage": offset // limit,
        "pageSize": limit,
        "hasNext": offset + limit < total,
        "hasPrevious": offset > 0,
    }


# Pricing: every answer draws its prices anew


def price(request: Request) -> Answer:
    ticker = request.match["ticker"]
    if ticker not in request.world.book.prices:
        path = f"/api/v1/price/{ticker}"
        return 404, {"timestamp": _now(), "status": 404, "error": "Not Found", "path": path}
    return 200, _price(request.world, list(request.world.book.prices).index(ticker) + 1, ticker)


def all_prices(request: Request) -> Answer:
    tickers = enumerate(request.world.book.prices, start=1)
    return 200, [_price(request.world, number, ticker) for number, ticker in tickers]


def _price(world: World, number: int, ticker: str) -> dict[str, Any]:
    mean, deviation = world.book.prices[ticker]
    value = round(max(world.rng.gauss(mean, deviation), 0.01), 2)
    quote = dict.fromkeys(("open", "close", "high", "low"), value)
    return {"id": number, "ticker": ticker, "date": datetime.now(UTC).date().isoformat(), **quote, "volume": 100_000}


# Orders: no client id, no idempotency; the same array twice makes the same orders twice


def create_orders(request: Request) -> Answer:
    given = request.body
    if not isinstance(given, list) or not given:
        return 400, _batch("FAILURE", "The request holds no orders", 0, [])
    if len(given) > MOST_ORDERS:
        return 413, _batch("FAILURE", f"{len(given)} orders exceed the maximum of {MOST_ORDERS}", len(given), [])
    results = [_create(request.world, order, at) for at, order in enumerate(given)]
    made = sum(result["status"] == "SUCCESS" for result in results)
    status = "SUCCESS" if made == len(given) else "PARTIAL" if made else "FAILURE"
    answer = _batch(status, f"{made} of {len(given)} orders processed", len(given), results)
    return (200 if status == "SUCCESS" else 207), answer


def _batch(status: str, message: str, received: int, results: list[dict[str, Any]]) -> dict[str, Any]:
    made = sum(result["status"] == "SUCCESS" for result in results)
    counts = {"totalReceived": received, "successful": made, "failed": len(results) - made}
    return {"status": status, "message": message, **counts, "orders": results}


def _create(world: World, order: Any, at: int) -> dict[str, Any]:
    if fault := _fault(order):
        return {"status": "FAILURE", "message": fault, "requestIndex": at}
    with world.lock:
        number = len(world.orders) + 1
        world.orders.append({"id": number, **order})
    return {"status": "SUCCESS", "message": "Order created", "requestIndex": at, "orderId": number, "order": order}


def _fault(order: Any) -> str:
    if not isinstance(order, dict):
        return "Order is no object"
    for name in ("blotterId", "statusId", "portfolioId", "orderTypeId", "securityId", "quantity", "orderTimestamp"):
        if order.get(name) is None:
            return f"{name} is required"
    if not isinstance(order["quantity"], (int, float)) or order["quantity"] <= 0:
        return "Quantity must be positive"
    if order.get("limitPrice") is not None and order["limitPrice"] <= 0:
        return "Limit price must be positive"
    known = (("blotterId", BLOTTERS), ("statusId", STATUSES), ("orderTypeId", SIDES))
    return next((f"Unknown {name} {order[name]}" for name, values in known if order[name] not in values), "")


def list_orders(request: Request) -> Answer:
    known = {"limit", "offset", "sort", "status.abbreviation", "orderType.abbreviation"}
    if unknown := set(request.query) - known:
        return 400, {
            "error": "INVALID_FILTER_FIELD",
            "message": f"Unknown {sorted(unknown)}",
            "validFields": sorted(known),
        }
    limit, offset = _number(request.query, "limit", 50, 1, 1000), _number(request.query, "offset", 0, 0, 10**9)
    side, status = request.query.get("orderType.abbreviation"), request.query.get("status.abbreviation")
    found = [
        order
        for order in list(request.world.orders)
        if side in (None, SIDES[order["orderTypeId"]]) and status in (None, STATUSES[order["statusId"]])
    ]
    return 200, {"content": found[offset : offset + limit], "pagination": _pagination(len(found), limit, offset)}


def order(request: Request) -> Answer:
    number = int(request.match["id"])
    known = number <= len(request.world.orders)
    return (200, request.world.orders[number - 1]) if known and number else (404, {"message": "Order not found"})


def _listed(values: dict[int, str]) -> Callable[[Request], Answer]:
    return lambda _request: (200, [{"id": key, "abbreviation": word, "version": 1} for key, word in values.items()])


def healthy(_request: Request) -> Answer:
    return 200, {"status": "UP"}


def _route(method: str, path: str, handle: Callable[[Request], Answer]) -> Route:
    return method, re.compile(path), handle


SERVICES: dict[str, list[Route]] = {
    "accounting": [
        _route("GET", r"/api/v1/portfolios/(?P<id>[^/]+)/summary", summary),
        _route("GET", r"/api/v1/balances", balances),
        _route("GET", r"/api/v2/.*", not_built),
        _route("GET", r"/health(/live|/ready)?", healthy),
    ],
    "security": [
        _route("GET", r"/api/v1/security/(?P<id>[^/]+)", security),
        _route("GET", r"/api/v1/securities", all_securities),
        _route("GET", r"/api/v2/securities", search_securities),
        _route("GET", r"/health/(liveness|readiness|startup)", healthy),
    ],
    "pricing": [
        _route("GET", r"/api/v1/price/(?P<ticker>[^/]+)", price),
        _route("GET", r"/api/v1/prices", all_prices),
        _route("GET", r"/actuator/health(/.*)?", healthy),
    ],
    "portfolio": [
        _route("GET", r"/api/v1/portfolio/(?P<id>[^/]+)", portfolio),
        _route("GET", r"/api/v1/portfolios", all_portfolios),
        _route("GET", r"/api/v2/portfolios", search_portfolios),
        _route("GET", r"/health.*", healthy),
    ],
    "order": [
        _route("POST", r"/api/v1/orders", create_orders),
        _route("GET", r"/api/v1/orders", list_orders),
        _route("GET", r"/api/v1/order/(?P<id>\d+)", order),
        _route("GET", r"/api/v1/statuses", _listed(STATUSES)),
        _route("GET", r"/api/v1/orderTypes", _listed(SIDES)),
        _route("GET", r"/api/v1/blotters", _listed(BLOTTERS)),
        _route("GET", r"/actuator/health(/.*)?", healthy),
    ],
}
