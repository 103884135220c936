"""API v2's book, models and drift."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from models_app.drift_index import read as figures
from models_app.drift_index.live_drift import portfolio_view
from models_app.investment_models import selectors
from models_app.investment_models.versions import changes
from models_app.modelling import schemas_v2 as out
from models_app.modelling import services
from models_app.models import DriftFigures, InvestmentModel
from models_app.portfolios.tax_lots import portfolio_lots
from models_app.sources import get_source
from models_app.sources.base import Balances, BookSource, PriceInfo, SecurityInfo
from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import (
    NO_CURSOR,
    Cursor,
    HexId,
    Limit,
    Page,
    PathId,
    SearchText,
    SecurityPath,
    StaleError,
    expected_version,
    is_known,
    page_of,
    read_cursor,
    set_etag,
    slice_of,
    write_cursor,
)
from ordergen.apis.docs import errors, header
from ordergen.apis.json import answer
from ordergen.core.errors import ConflictError, InvalidInputError, NotFoundError
from ordergen.web.keyset import Keyset, cut, first_of, parts_behind

router = Router()
BOOK = needs("book.read", "book:read")
READ = needs("book.read", "models:read")
WRITE = needs("model.edit", "models:write")
VersionNumber = Annotated[int, Query(ge=1, le=2**31 - 1)]
ModelFilter = Annotated[HexId | None, Query()]
IF_MATCH = header("If-Match", "The version the change was made from; 428 without it", '"3"')


@router.get(
    "/securities",
    operation_id="models_app_api_v2_list_securities",
    response=Page[out.SecurityOut],
    auth=BOOK,
    openapi_extra=errors(),
    tags=["book"],
)
def list_securities(request: HttpRequest, q: SearchText = "", cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """Securities by ticker with their latest price; `q` finds a part of ticker or name."""
    source = get_source()
    wanted = q.casefold()
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
    tags=["book"],
)
def get_security(request: HttpRequest, security_id: SecurityPath) -> dict[str, Any]:
    source = get_source()
    info = source.securities([security_id]).get(security_id)
    if info is None:
        raise NotFoundError(f"The book has no security {security_id}.")
    return out.security_out(info, source.latest_prices([security_id]).get(security_id))


@router.get(
    "/portfolios",
    operation_id="models_app_api_v2_list_portfolios",
    response=Page[out.NamedOut],
    auth=BOOK,
    openapi_extra=errors(),
    tags=["book"],
)
def list_portfolios(request: HttpRequest, q: SearchText = "", cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """Portfolios by name; `q` finds a part of the name."""
    found = [info for info in get_source().portfolios().values() if q.casefold() in info.name.casefold()]
    return slice_of(
        found, lambda info: info.id, lambda info: {"id": info.id, "name": info.name}, cursor=cursor, limit=limit
    )


@router.get(
    "/portfolios/{portfolio_id}",
    operation_id="models_app_api_v2_get_portfolio",
    response=out.PortfolioOut,
    auth=BOOK,
    openapi_extra=errors(404),
    tags=["book"],
)
def get_portfolio(request: HttpRequest, portfolio_id: PathId) -> dict[str, Any]:
    """Cash, holdings at their latest prices, and the models it follows."""
    source = get_source()
    view = portfolio_view(portfolio_id)
    balances = source.balances([portfolio_id]).get(portfolio_id)
    models = selectors.model_of_portfolio(portfolio_id)
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
    tags=["book"],
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
    auth=READ,
    openapi_extra=errors(404),
    tags=["drift"],
)
def get_portfolio_drift(request: HttpRequest, portfolio_id: PathId, model_id: ModelFilter = None) -> dict[str, Any]:
    """Every position against its band, the largest band use first; against `model_id`, else the newest model."""
    return out.drift_out(portfolio_view(portfolio_id, model_id))


@router.get(
    "/drift",
    operation_id="models_app_api_v2_list_drift",
    response=out.FiguresPage,
    auth=READ,
    openapi_extra=errors(),
    tags=["drift"],
)
def list_drift(request: HttpRequest, cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """Every portfolio of the firm against each model it follows, the largest band use first, as last computed."""
    return _figures_page("", cursor, limit)


@router.get(
    "/models",
    operation_id="models_app_api_v2_list_models",
    response=Page[out.ModelSummary],
    auth=READ,
    openapi_extra=errors(),
    tags=["models"],
)
def list_models(request: HttpRequest, cursor: Cursor = "", limit: Limit = 50) -> HttpResponse:
    """Models, newest first."""
    page = page_of(
        InvestmentModel.objects.all(), lambda model: {"model": model}, cursor=cursor, limit=limit, rising=False
    )
    models = [item["model"] for item in page["items"]]
    sizes = selectors.model_sizes(models)
    return answer(page | {"items": [out.model_summary(model, sizes[model.pk]) for model in models]})


@router.post(
    "/models",
    operation_id="models_app_api_v2_create_model",
    response={201: out.ModelOut},
    auth=WRITE,
    openapi_extra=errors(409),
    tags=["models"],
)
def create_model(request: HttpRequest, payload: out.ModelIn, response: HttpResponse) -> Status[dict[str, Any]]:
    model = services.model_create(draft=payload.to_draft(), by=caller(request), reason=payload.reason)
    response["Location"] = f"/api/v2/models/{model.pk}"
    return Status(HTTPStatus.CREATED, _shown(model, response))


@router.get(
    "/models/{model_id}",
    operation_id="models_app_api_v2_get_model",
    response={200: out.ModelOut, 304: None},
    auth=READ,
    openapi_extra=errors(404),
    tags=["models"],
)
def get_model(request: HttpRequest, model_id: PathId, response: HttpResponse) -> dict[str, Any] | Status[None]:
    """One model; its version is its ETag, and `If-None-Match` spares the body."""
    model = selectors.model_get(model_id)
    if is_known(request, model.version):
        set_etag(response, model.version)
        return Status(HTTPStatus.NOT_MODIFIED, None)
    return _shown(model, response)


@router.put(
    "/models/{model_id}",
    operation_id="models_app_api_v2_replace_model",
    response=out.ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409, 412, 428, headers=[IF_MATCH]),
    tags=["models"],
)
def replace_model(
    request: HttpRequest, model_id: PathId, payload: out.ModelIn, response: HttpResponse
) -> dict[str, Any]:
    """Replaces the model's content, if `If-Match` names its current version: 428 without it, 412 when it is stale."""
    version = expected_version(request)
    try:
        model = services.model_update(
            model_id=model_id, version=version, draft=payload.to_draft(), by=caller(request), reason=payload.reason
        )
    except ConflictError as error:
        raise _stale(error) from error
    return _shown(model, response)


@router.delete(
    "/models/{model_id}",
    operation_id="models_app_api_v2_delete_model",
    response={204: None},
    auth=WRITE,
    openapi_extra=errors(404, 409, 412, 428, headers=[IF_MATCH]),
    tags=["models"],
)
def delete_model(request: HttpRequest, model_id: PathId) -> Status[None]:
    """Deletes the model at the version of `If-Match`; its versions and runs stay."""
    version = expected_version(request)
    try:
        services.model_delete(model_id=model_id, version=version, by=caller(request))
    except ConflictError as error:
        raise _stale(error) from error
    return Status(HTTPStatus.NO_CONTENT, None)


@router.get(
    "/models/{model_id}/versions",
    operation_id="models_app_api_v2_list_versions",
    response=list[out.VersionSummary],
    auth=READ,
    openapi_extra=errors(404),
    tags=["models"],
)
def list_versions(request: HttpRequest, model_id: PathId) -> list[dict[str, Any]]:
    """Every version, the latest first: who saved it, when and why. A deleted model keeps its history."""
    return [out.version_summary(version) for version in selectors.model_versions(model_id)]


@router.get(
    "/models/{model_id}/versions/{version}",
    operation_id="models_app_api_v2_get_version",
    response=out.VersionOut,
    auth=READ,
    openapi_extra=errors(404),
    tags=["models"],
)
def get_version(request: HttpRequest, model_id: PathId, version: int) -> dict[str, Any]:
    return out.version_out(*selectors.model_version(model_id, version))


@router.get(
    "/models/{model_id}/diff",
    operation_id="models_app_api_v2_diff_versions",
    response=out.DiffOut,
    auth=READ,
    openapi_extra=errors(404),
    tags=["models"],
)
def diff_versions(
    request: HttpRequest, model_id: PathId, from_version: VersionNumber, to_version: VersionNumber
) -> dict[str, Any]:
    """What changed between two versions."""
    _, before = selectors.model_version(model_id, from_version)
    _, after = selectors.model_version(model_id, to_version)
    made = [out.change_out(change) for change in changes(before, after)]
    return {"from_version": from_version, "to_version": to_version, "changes": made}


@router.get(
    "/models/{model_id}/drift",
    operation_id="models_app_api_v2_list_model_drift",
    response=out.FiguresPage,
    auth=READ,
    openapi_extra=errors(404),
    tags=["drift"],
)
def list_model_drift(request: HttpRequest, model_id: PathId, cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """The portfolios of a model, the largest band use first, as last computed."""
    return _figures_page(selectors.model_get(model_id).pk, cursor, limit)


def _figures_page(model_id: str, cursor: str, limit: int) -> dict[str, Any]:
    after = _read_place(cursor) if cursor else None
    parts = parts_behind(figures.rows_of(model_id), Keyset("-pk", "-use"), after)
    page = cut(first_of(parts, limit + 1), limit, lambda row: write_cursor(_place(row), row.pk))
    fresh = figures.freshness(model_id)
    return {
        "items": [out.figures_out(row) for row in page.rows],
        "next_cursor": page.next or None,
        "as_of": fresh.as_of,
        "n_outdated": fresh.n_old,
        "is_refreshing": fresh.is_running,
        "fault": fresh.fault or None,
    }


def _place(row: DriftFigures) -> str:
    """What the list is sorted by, in a cursor; empty where it is not known."""
    return "" if row.use is None else repr(row.use)


def _read_place(cursor: str) -> tuple[float | None, str]:
    use, key = read_cursor(cursor, str, str)
    if use and not re.fullmatch(r"\d{1,10}\.\d{1,20}(e[+-]?\d{1,3})?|\d(e[+-]?\d{1,3})", use, re.ASCII):
        raise InvalidInputError(NO_CURSOR, fields={"cursor": NO_CURSOR})
    return float(use) if use else None, key


def _shown(model: InvestmentModel, response: HttpResponse) -> dict[str, Any]:
    set_etag(response, model.version)
    return out.model_out(model, selectors.model_draft(model))


def _stale(error: ConflictError) -> ConflictError:
    """A conflict without a field is about the version; one with a field (a name that is taken) stays what it is."""
    return error if error.fields else StaleError(error.message)


def _holdings(source: BookSource, balances: Balances) -> list[dict[str, Any]]:
    securities, prices = source.securities(balances.quantities), source.latest_prices(balances.quantities)
    rows = [
        _holding(key, quantity, securities.get(key), prices.get(key)) for key, quantity in balances.quantities.items()
    ]
    return sorted(rows, key=lambda row: str(row["ticker"]))


def _holding(key: str, quantity: Any, info: SecurityInfo | None, price: PriceInfo | None) -> dict[str, Any]:
    return {
        "security_id": key,
        "ticker": info.ticker if info else key,
        "quantity": quantity,
        "price": price and price.price,
        "price_date": price and price.date,
        "value": price and price.price * quantity,
    }
