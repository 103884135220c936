"""API v1's models: the drop-in contract's routes over the services that every door shares."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.db.models import F, OrderBy, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from models_app.investment_models.selectors import model_draft
from models_app.investment_models.versions import content_of
from models_app.modelling import services
from models_app.modelling.schemas import (
    ModelIn,
    ModelOut,
    ModelPut,
    PathId,
    PortfoliosIn,
    PositionIn,
    Version,
    model_body,
)
from models_app.models import InvestmentModel, ModelVersion
from ordergen.apis.auth import caller, needs
from ordergen.apis.docs import errors
from ordergen.apis.errors import BadRequestError
from ordergen.apis.json import answer
from ordergen.core.db import atomic
from ordergen.core.errors import ConflictError, InvalidInputError, NotFoundError
from ordergen.core.ids import HEX_ID
from ordergen.core.times import zulu

router = Router(tags=["models"])
READ = needs("book.read", "models:read")
WRITE = needs("model.edit", "models:write")
SORT_COLUMNS = {"model_id": "pk", "name": "name", "last_rebalance_date": "last_rebalance_at"}
NEWEST_FIRST = ("-created_at", "-pk")
_NO_MORE_THAN = 2**31 - 1  # rows, so that no paging parameter overflows the database's integers


@router.get(
    "/models", operation_id="models_app_api_list_models", response=list[ModelOut], auth=READ, openapi_extra=errors()
)
def list_models(
    request: HttpRequest, offset: int | None = None, limit: int | None = None, sort_by: str | None = None
) -> HttpResponse:
    """Every model, newest first unless `sort_by` names columns: `name,-last_rebalance_date`, each with + or -."""
    if (offset or 0) < 0 or (limit or 0) < 0:
        raise BadRequestError("offset and limit must not be negative")
    start = min(offset or 0, _NO_MORE_THAN)
    stop = None if limit is None else start + min(limit, _NO_MORE_THAN)
    return answer(_bodies(InvestmentModel.objects.order_by(*_ordering(sort_by or ""))[start:stop]))


@router.post(
    "/models",
    operation_id="models_app_api_create_model",
    response={201: ModelOut},
    auth=WRITE,
    openapi_extra=errors(409),
)
def create_model(request: HttpRequest, payload: ModelIn) -> Status[dict[str, Any]]:
    model = services.model_create(draft=payload.to_draft(), by=caller(request))
    return Status(HTTPStatus.CREATED, _body(model))


@router.get(
    "/model/{model_id}",
    operation_id="models_app_api_get_model",
    response=ModelOut,
    auth=READ,
    openapi_extra=errors(404),
)
def get_model(request: HttpRequest, model_id: PathId) -> HttpResponse:
    return answer(_body(find_model(model_id)))


@router.put(
    "/model/{model_id}",
    operation_id="models_app_api_replace_model",
    response=ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def replace_model(request: HttpRequest, model_id: PathId, payload: ModelPut) -> dict[str, Any]:
    """Replaces the whole model if `version` is still the current one; what is left out becomes empty."""
    found = find_model(model_id)
    with atomic():
        model = services.model_update(
            model_id=found.pk, version=payload.version, draft=payload.to_draft(), by=caller(request)
        )
        _refuse_older_date(model, payload)
        InvestmentModel.objects.filter(pk=found.pk).update(last_rebalance_at=payload.last_rebalance_date)
    return _body(model)


@router.delete(
    "/model/{model_id}",
    operation_id="models_app_api_delete_model",
    response={204: None},
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def delete_model(request: HttpRequest, model_id: PathId, version: Version) -> Status[None]:
    """Deletes the model at this version; its stored rebalances stay."""
    model = find_model(model_id)
    services.model_delete(model_id=model.pk, version=version, by=caller(request))
    return Status(HTTPStatus.NO_CONTENT, None)


@router.post(
    "/model/{model_id}/position",
    operation_id="models_app_api_add_position",
    response=ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def add_position(request: HttpRequest, model_id: PathId, payload: PositionIn) -> dict[str, Any]:
    """Adds a security; a zero target is accepted and not stored."""
    model = find_model(model_id)
    return _body(services.model_position_add(model_id=model.pk, position=payload.to_draft(), by=caller(request)))


@router.put(
    "/model/{model_id}/position",
    operation_id="models_app_api_change_position",
    response=ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def change_position(request: HttpRequest, model_id: PathId, payload: PositionIn) -> dict[str, Any]:
    """Replaces the three numbers of a security; a zero target removes it."""
    model = find_model(model_id)
    _must_have(model, payload)
    return _body(services.model_position_update(model_id=model.pk, position=payload.to_draft(), by=caller(request)))


@router.delete(
    "/model/{model_id}/position",
    operation_id="models_app_api_remove_position",
    response=ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def remove_position(request: HttpRequest, model_id: PathId, payload: PositionIn) -> dict[str, Any]:
    """Removes a security if every value equals the stored one."""
    model = find_model(model_id)
    _must_have(model, payload)
    return _body(services.model_position_delete(model_id=model.pk, position=payload.to_draft(), by=caller(request)))


@router.post(
    "/model/{model_id}/portfolio",
    operation_id="models_app_api_add_portfolios",
    response=ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def add_portfolios(request: HttpRequest, model_id: PathId, payload: PortfoliosIn) -> dict[str, Any]:
    """Subscribes portfolios; those already subscribed are passed over."""
    model = find_model(model_id)
    _refuse_repeats(payload.portfolios)
    return _body(services.model_portfolios_add(model_id=model.pk, portfolio_ids=payload.portfolios, by=caller(request)))


@router.delete(
    "/model/{model_id}/portfolio",
    operation_id="models_app_api_remove_portfolios",
    response=ModelOut,
    auth=WRITE,
    openapi_extra=errors(404, 409),
)
def remove_portfolios(request: HttpRequest, model_id: PathId, payload: PortfoliosIn) -> dict[str, Any]:
    """Takes portfolios off the model; those not subscribed are passed over, and one has to remain."""
    model = find_model(model_id)
    _refuse_repeats(payload.portfolios)
    if set(model.portfolios.values_list("portfolio_id", flat=True)) <= set(payload.portfolios):
        raise BadRequestError("A model needs at least one portfolio, so its last one cannot be removed.")
    return _body(
        services.model_portfolios_remove(model_id=model.pk, portfolio_ids=payload.portfolios, by=caller(request))
    )


def find_model(model_id: str) -> InvestmentModel:
    """The model a path names: 400 for what is no id, 404 for what is not there, in the contract's words."""
    if not HEX_ID.fullmatch(model_id):
        raise BadRequestError(f"Invalid model ID format: {model_id[:60]}")
    model = InvestmentModel.objects.filter(pk=model_id.lower()).first()
    if model is None:
        raise NotFoundError(f"Model {model_id} not found")
    return model


def _ordering(sort_by: str) -> list[OrderBy | str]:
    """The database's words for `-name,last_rebalance_date`; a model that was never rebalanced comes first ascending."""
    terms: list[OrderBy | str] = []
    for term in filter(None, (part.strip() for part in sort_by.split(","))):
        name = term.removeprefix(term[0]) if term[0] in "+-" else term
        if name not in SORT_COLUMNS:
            raise BadRequestError(f"Invalid sort field: {term[:60]!r}. Valid fields: {', '.join(SORT_COLUMNS)}")
        column = F(SORT_COLUMNS[name])
        terms.append(column.desc(nulls_last=True) if term[0] == "-" else column.asc(nulls_first=True))
    return [*terms, "pk"] if terms else list(NEWEST_FIRST)


def _body(model: InvestmentModel) -> dict[str, Any]:
    return _bodies(InvestmentModel.objects.filter(pk=model.pk))[0]


def _bodies(models: QuerySet[InvestmentModel]) -> list[dict[str, Any]]:
    """Models with the document each saved last, in one query however many there are."""
    saved = ModelVersion.objects.filter(model_id=OuterRef("pk"), version=OuterRef("version"))
    with_content = models.annotate(content=Subquery(saved.values("content")[:1]))
    return [model_body(model, model.content or content_of(model_draft(model))) for model in with_content]


def _must_have(model: InvestmentModel, position: PositionIn) -> None:
    if not model.positions.filter(security_id=position.security_id).exists():
        raise BadRequestError(f"Security {position.security_id[:60]} is not in model {model.name}.")


def _refuse_older_date(model: InvestmentModel, payload: ModelPut) -> None:
    """A rebalance does not raise the version; that a model was read before one shows in the date that is sent back."""
    stored, sent = model.last_rebalance_at, payload.last_rebalance_date
    if stored is None or "last_rebalance_date" not in payload.model_fields_set:
        return
    if sent is None or zulu(sent) < zulu(stored):
        raise ConflictError(f"{model.name} was rebalanced on {zulu(stored)}, after it was read: read it again.")


def _refuse_repeats(portfolios: list[str]) -> None:
    if not portfolios:
        raise InvalidInputError("Nothing to do.", fields={"portfolios": "Name at least one portfolio."})
    if len(set(portfolios)) < len(portfolios):
        raise InvalidInputError("A portfolio is repeated.", fields={"portfolios": "A portfolio is named once."})
