"""API v2's models."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status

from models_app.investment_models import selectors
from models_app.investment_models.versions import changes
from models_app.modelling import schemas_v2 as out
from models_app.modelling import services
from models_app.modelling.finding import ModelQuery, models_found
from models_app.models import InvestmentModel
from models_app.sources import get_source
from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import (
    Cursor,
    Limit,
    Page,
    PathId,
    StaleError,
    expected_version,
    is_known,
    page_of,
    set_etag,
)
from ordergen.apis.docs import errors, header
from ordergen.apis.json import answer
from ordergen.core.errors import ConflictError

router = Router(tags=["models"])
READ = needs("book.read", "models:read")
WRITE = needs("model.edit", "models:write")
VersionNumber = Annotated[int, Query(ge=1, le=2**31 - 1)]
IF_MATCH = header("If-Match", "The version the change was made from; 428 without it", '"3"')


@router.get(
    "/models",
    operation_id="models_app_api_v2_list_models",
    response=Page[out.ModelSummary],
    auth=READ,
    openapi_extra=errors(),
)
def list_models(
    request: HttpRequest, filters: Annotated[out.ModelFilter, Query()], cursor: Cursor = "", limit: Limit = 50
) -> HttpResponse:
    """Models, newest first."""
    found = models_found(ModelQuery(**dict(filters)))
    page = page_of(found, lambda model: {"model": model}, cursor=cursor, limit=limit, rising=False)
    models = [item["model"] for item in page["items"]]
    sizes = selectors.model_sizes(models)
    return answer(page | {"items": [out.model_summary(model, sizes[model.pk]) for model in models]})


@router.post(
    "/models",
    operation_id="models_app_api_v2_create_model",
    response={201: out.ModelOut},
    auth=WRITE,
    openapi_extra=errors(409),
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
)
def get_version(request: HttpRequest, model_id: PathId, version: int) -> dict[str, Any]:
    return out.version_out(*selectors.model_version(model_id, version))


@router.get(
    "/models/{model_id}/diff",
    operation_id="models_app_api_v2_diff_versions",
    response=out.DiffOut,
    auth=READ,
    openapi_extra=errors(404),
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
    "/models/{model_id}/portfolios",
    operation_id="models_app_api_v2_list_model_portfolios",
    response=Page[out.FollowerOut],
    auth=READ,
    openapi_extra=errors(404),
)
def list_model_portfolios(
    request: HttpRequest, model_id: PathId, cursor: Cursor = "", limit: Limit = 50
) -> dict[str, Any]:
    """The portfolios that follow the model, by id; the name is null where the book does not know one."""
    followers = selectors.model_get(model_id).portfolios.all()
    page = page_of(followers, lambda row: {"id": row.portfolio_id}, cursor=cursor, limit=limit, key="portfolio_id")
    known = get_source().portfolios([item["id"] for item in page["items"]])
    names = {key: info.name for key, info in known.items()}
    return page | {"items": [item | {"name": names.get(item["id"])} for item in page["items"]]}


@router.put(
    "/models/{model_id}/portfolios/{portfolio_id}",
    operation_id="models_app_api_v2_add_model_portfolio",
    response=out.ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def add_model_portfolio(
    request: HttpRequest, model_id: PathId, portfolio_id: PathId, response: HttpResponse
) -> dict[str, Any]:
    """Lets a portfolio follow the model; nothing changes where it does already."""
    by = caller(request)
    return _shown(services.model_portfolios_add(model_id=model_id, portfolio_ids=[portfolio_id], by=by), response)


@router.delete(
    "/models/{model_id}/portfolios/{portfolio_id}",
    operation_id="models_app_api_v2_remove_model_portfolio",
    response=out.ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def remove_model_portfolio(
    request: HttpRequest, model_id: PathId, portfolio_id: PathId, response: HttpResponse
) -> dict[str, Any]:
    """Takes a portfolio off the model; one has to remain. Nothing changes where it does not follow it."""
    by = caller(request)
    return _shown(services.model_portfolios_remove(model_id=model_id, portfolio_ids=[portfolio_id], by=by), response)


def _shown(model: InvestmentModel, response: HttpResponse) -> dict[str, Any]:
    set_etag(response, model.version)
    return out.model_out(model, selectors.model_draft(model))


def _stale(error: ConflictError) -> ConflictError:
    """A conflict without a field is about the version; one with a field (a name that is taken) stays what it is."""
    return error if error.fields else StaleError(error.message)
