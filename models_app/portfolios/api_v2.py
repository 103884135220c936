"""API v2's book: securities and portfolios, their lots, and the drift of one portfolio."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router

from models_app.drift_index.live_drift import portfolio_view
from models_app.investment_models import selectors
from models_app.portfolios import schemas_v2 as out
from models_app.portfolios.tax_lots import portfolio_lots
from models_app.sources import get_source
from models_app.sources.book_source import Balances, BookSource
from ordergen.apis.auth import needs
from ordergen.apis.conventions import Cursor, Day, HexId, Limit, Page, PathId, SearchText, SecurityPath, slice_of
from ordergen.apis.docs import errors
from ordergen.core.errors import NotFoundError

router = Router(tags=["book"])
BOOK = needs("book.read", "book:read")


@router.get(
    "/securities",
    operation_id="models_app_api_v2_list_securities",
    response=Page[out.SecurityOut],
    auth=BOOK,
    openapi_extra=errors(),
)
def list_securities(
    request: HttpRequest, q: SearchText | None = None, cursor: Cursor = "", limit: Limit = 50
) -> dict[str, Any]:
    """Securities by ticker with their latest price; `q` finds a part of ticker or name."""
    source = get_source()
    wanted = (q or "").casefold()
    found = [s for s in source.securities().values() if wanted in s.ticker.casefold() or wanted in s.name.casefold()]
    page = slice_of(found, lambda info: info.id, lambda info: {"info": info}, cursor=cursor, limit=limit)
    prices = source.latest_prices([item["info"].id for item in page["items"]])
    shown = [out.security_out(item["info"], prices.get(item["info"].id)) for item in page["items"]]
    return page | {"items": shown}


@router.get(
    "/securities/{security_id}",
    operation_id="models_app_api_v2_get_security",
    response=out.SecurityOut,
    auth=BOOK,
    openapi_extra=errors(404),
)
def get_security(request: HttpRequest, security_id: SecurityPath) -> dict[str, Any]:
    source = get_source()
    info = source.securities([security_id]).get(security_id)
    if info is None:
        raise NotFoundError(f"The book has no security {security_id}.")
    return out.security_out(info, source.latest_prices([security_id]).get(security_id))


@router.get(
    "/securities/{security_id}/prices",
    operation_id="models_app_api_v2_list_prices",
    response=Page[out.PriceOut],
    auth=BOOK,
    openapi_extra=errors(404),
)
def list_prices(
    request: HttpRequest,
    security_id: SecurityPath,
    since: Annotated[Day | None, Query()] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> dict[str, Any]:
    """The closing prices of a security, the latest first; of a book in other services they know the latest alone."""
    source = get_source()
    if security_id not in source.securities([security_id]):
        raise NotFoundError(f"The book has no security {security_id}.")
    history = source.price_history([security_id], since)
    known = history[security_id].dropna() if security_id in history else {}
    rows = sorted(known.items(), reverse=True)
    return slice_of(rows, _day_of, lambda row: {"date": row[0], "close": row[1]}, cursor=cursor, limit=limit)


def _day_of(row: tuple[date, Decimal]) -> str:
    return row[0].isoformat()


@router.get(
    "/portfolios",
    operation_id="models_app_api_v2_list_portfolios",
    response=Page[out.NamedOut],
    auth=BOOK,
    openapi_extra=errors(),
)
def list_portfolios(
    request: HttpRequest, q: SearchText | None = None, cursor: Cursor = "", limit: Limit = 50
) -> dict[str, Any]:
    """Portfolios by name; `q` finds a part of the name."""
    found = [info for info in get_source().portfolios().values() if (q or "").casefold() in info.name.casefold()]
    return slice_of(
        found, lambda info: info.id, lambda info: {"id": info.id, "name": info.name}, cursor=cursor, limit=limit
    )


@router.get(
    "/portfolios/{portfolio_id}",
    operation_id="models_app_api_v2_get_portfolio",
    response=out.PortfolioOut,
    auth=BOOK,
    openapi_extra=errors(404),
)
def get_portfolio(request: HttpRequest, portfolio_id: PathId) -> dict[str, Any]:
    """Cash, holdings at their latest prices, and the models it follows."""
    source = get_source()
    view = portfolio_view(portfolio_id)
    balances = source.balances([portfolio_id]).get(portfolio_id)
    models = selectors.models_of_portfolio(portfolio_id)
    return {
        "id": view.info.id,
        "name": view.info.name,
        "cash": view.drift.cash,
        "market_value": view.drift.market_value,
        "models": [{"id": model.pk, "name": model.name} for model in models],
        "holdings": _holdings(source, balances) if balances else [],
    }


@router.get(
    "/portfolios/{portfolio_id}/lots",
    operation_id="models_app_api_v2_get_portfolio_lots",
    response=list[out.HoldingLotsOut],
    auth=BOOK,
    openapi_extra=errors(404),
)
def get_portfolio_lots(request: HttpRequest, portfolio_id: PathId) -> list[dict[str, Any]]:
    """The tax lots of each holding by ticker, and what is not realised yet; empty where the book has none."""
    if portfolio_id not in get_source().portfolios([portfolio_id]):
        raise NotFoundError(f"The book has no portfolio {portfolio_id}.")
    return [out.holding_lots_out(holding) for holding in portfolio_lots(portfolio_id)]


@router.get(
    "/portfolios/{portfolio_id}/drift",
    operation_id="models_app_api_v2_get_portfolio_drift",
    response=out.DriftOut,
    auth=needs("book.read", "models:read"),
    tags=["drift"],
    openapi_extra=errors(404),
)
def get_portfolio_drift(
    request: HttpRequest, portfolio_id: PathId, model_id: Annotated[HexId | None, Query()] = None
) -> dict[str, Any]:
    """Every position against its band, the largest band use first; against `model_id`, else the newest model."""
    return out.drift_out(portfolio_view(portfolio_id, model_id))


def _holdings(source: BookSource, balances: Balances) -> list[dict[str, Any]]:
    securities, prices = source.securities(balances.quantities), source.latest_prices(balances.quantities)
    rows = [
        out.holding_out(key, quantity, securities.get(key), prices.get(key))
        for key, quantity in balances.quantities.items()
    ]
    return sorted(rows, key=lambda row: str(row["ticker"]))
