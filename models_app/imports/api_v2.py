"""API v2 writes the book: many records at a time or one, by the rules of an import, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Status

from models_app.imports import schemas_v2 as given
from models_app.imports.rows import write_rows
from models_app.models import Security
from models_app.portfolios import api_v2 as portfolios
from models_app.sources import get_source
from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import PathId, SecurityPath, Strict
from ordergen.apis.docs import errors
from ordergen.core.errors import NotFoundError

router = portfolios.router  # the same addresses, which a second router would hide
WRITE = needs("book.import", "book:write")
Day = Annotated[str, Path(max_length=20, examples=["2026-11-20"])]
ONE = ""  # a row that is the body itself: its fields have no place before them


@router.put(
    "/securities",
    operation_id="models_app_imports_api_v2_put_securities",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(),
)
def put_securities(request: HttpRequest, payload: given.SecuritiesIn) -> dict[str, Any]:
    """Adds securities and changes known ones."""
    return _write(request, "securities", payload.items)


@router.put(
    "/prices",
    operation_id="models_app_imports_api_v2_put_prices",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(),
)
def put_prices(request: HttpRequest, payload: given.PricesIn) -> dict[str, Any]:
    """Adds closing prices and corrects those of the same security and day."""
    return _write(request, "prices", payload.items)


@router.put(
    "/portfolios",
    operation_id="models_app_imports_api_v2_put_portfolios",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(),
)
def put_portfolios(request: HttpRequest, payload: given.PortfoliosIn) -> dict[str, Any]:
    """Adds portfolios, and sets name and cash of known ones."""
    return _write(request, "portfolios", payload.items)


@router.put(
    "/holdings",
    operation_id="models_app_imports_api_v2_put_holdings",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(),
)
def put_holdings(request: HttpRequest, payload: given.HoldingsIn) -> dict[str, Any]:
    """Replaces what each portfolio named here holds; other portfolios stay."""
    return _write(request, "holdings", payload.items)


@router.put(
    "/lots",
    operation_id="models_app_imports_api_v2_put_lots",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(),
)
def put_lots(request: HttpRequest, payload: given.LotsIn) -> dict[str, Any]:
    """Replaces the tax lots of each portfolio named here; other portfolios stay."""
    return _write(request, "lots", payload.items)


@router.put(
    "/securities/{security_id}",
    operation_id="models_app_imports_api_v2_put_security",
    response={200: given.Written, 201: given.Written},
    auth=WRITE,
    openapi_extra=errors(),
)
def put_security(request: HttpRequest, security_id: SecurityPath, payload: given.SecurityFacts) -> Status[Any]:
    """Adds a security under an id of your choice, or changes it."""
    return _put(request, "securities", payload, security_id=security_id)


@router.put(
    "/securities/{security_id}/prices/{date}",
    operation_id="models_app_imports_api_v2_put_price",
    response={200: given.Written, 201: given.Written},
    auth=WRITE,
    openapi_extra=errors(404),
)
def put_price(request: HttpRequest, security_id: SecurityPath, date: Day, payload: given.PriceFacts) -> Status[Any]:
    """The closing price of one security on one day."""
    ticker = Security.objects.filter(pk=security_id).values_list("ticker", flat=True).first()
    if ticker is None:
        raise NotFoundError(f"The book has no security {security_id}.")
    return _put(request, "prices", payload, date=date, ticker=ticker)


@router.put(
    "/portfolios/{portfolio_id}",
    operation_id="models_app_imports_api_v2_put_portfolio",
    response={200: given.Written, 201: given.Written},
    auth=WRITE,
    openapi_extra=errors(),
)
def put_portfolio(request: HttpRequest, portfolio_id: PathId, payload: given.PortfolioFacts) -> Status[Any]:
    """Adds a portfolio under an id of your choice, or sets its name and cash."""
    return _put(request, "portfolios", payload, portfolio_id=portfolio_id)


@router.put(
    "/portfolios/{portfolio_id}/cash",
    operation_id="models_app_imports_api_v2_put_cash",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(404),
)
def put_cash(request: HttpRequest, portfolio_id: PathId, payload: given.CashIn) -> dict[str, Any]:
    """Sets the cash of one portfolio."""
    name = _portfolio(portfolio_id)
    row = {"portfolio_id": portfolio_id, "name": name, "cash": payload.cash}
    return given.written_out(write_rows("portfolios", [row], by=caller(request), where=ONE))


@router.put(
    "/portfolios/{portfolio_id}/holdings",
    operation_id="models_app_imports_api_v2_put_portfolio_holdings",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(404),
)
def put_portfolio_holdings(
    request: HttpRequest, portfolio_id: PathId, payload: given.PortfolioHoldingsIn
) -> dict[str, Any]:
    """Replaces what one portfolio holds."""
    _portfolio(portfolio_id)
    return _write(request, "holdings", payload.items, portfolio=portfolio_id)


@router.put(
    "/portfolios/{portfolio_id}/lots",
    operation_id="models_app_imports_api_v2_put_portfolio_lots",
    response=given.Written,
    auth=WRITE,
    openapi_extra=errors(404),
)
def put_portfolio_lots(request: HttpRequest, portfolio_id: PathId, payload: given.PortfolioLotsIn) -> dict[str, Any]:
    """Replaces the tax lots of one portfolio."""
    _portfolio(portfolio_id)
    return _write(request, "lots", payload.items, portfolio=portfolio_id)


def _write(request: HttpRequest, kind: str, items: Sequence[Strict], **same: str) -> dict[str, Any]:
    rows = [item.model_dump() | same for item in items]
    return given.written_out(write_rows(kind, rows, by=caller(request)))


def _put(request: HttpRequest, kind: str, item: Strict, **key: str) -> Status[Any]:
    """One record, whose key stands in the address: 201 where it is new."""
    plan = write_rows(kind, [item.model_dump() | key], by=caller(request), where=ONE)
    return Status(HTTPStatus.CREATED if plan.n_new else HTTPStatus.OK, given.written_out(plan))


def _portfolio(portfolio_id: str) -> str:
    """Its name; raises NotFoundError."""
    info = get_source().portfolios([portfolio_id]).get(portfolio_id)
    if info is None:
        raise NotFoundError(f"The book has no portfolio {portfolio_id}.")
    return info.name
