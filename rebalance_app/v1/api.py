"""API v1's rebalances: the two triggers and the stored results of the drop-in contract."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from ninja import Field, Router

from models_app.investment_models.selectors import models_of_portfolio
from models_app.modelling.api import find_model
from models_app.modelling.schemas import PathId, Version
from ordergen.apis.auth import caller, needs
from ordergen.apis.docs import errors, header
from ordergen.apis.errors import BadRequestError, LazyRouteError, RefusedRunError
from ordergen.apis.json import answer, array, streamed
from ordergen.core.errors import NotFoundError
from ordergen.core.ids import HEX_ID
from rebalance_app.models import ACTIVE, OpenOrders, PortfolioRebalance, ProposalState, Rebalance, RunState
from rebalance_app.proposals.selectors import proposals_by_key
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.lifecycle import run_hide
from rebalance_app.runs.wait import run_wait
from rebalance_app.solving import failures
from rebalance_app.solving.freeze import UnpricedModelError
from rebalance_app.v1 import contract
from rebalance_app.v1.schemas import (
    Accepted,
    Message,
    PortfolioSearch,
    RebalanceTrigger,
    StoredPortfolio,
    StoredPosition,
    StoredRebalance,
)

router = Router(tags=["rebalances"])
READ = needs("book.read", "rebalances:read")
LAUNCH = needs("rebalance.launch", "rebalances:write")
SORT_COLUMNS = {
    "rebalance_id": "pk",
    "model_name": "model_name",
    "rebalance_date": "launched_at",
    "number_of_portfolios": "n_portfolios",
}
NO_SOLUTION = "no feasible solution exists"
NOT_IN_TIME = (ProposalState.INFEASIBLE, ProposalState.TIME_LIMIT)
RETRY_AFTER_SECONDS = 5
ROWS_AT_ONCE = 100  # of a stored run, in memory
Offset = Annotated[int, Field(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Field(ge=1, le=100)]
IDEMPOTENCY_KEY = header("Idempotency-Key", "The same key gives the same run", "5d2c7f9e")
PREFER = header("Prefer", "respond-async: 202 at once, the result at Location", "respond-async")


@router.post(
    "/model/{model_id}/rebalance",
    operation_id="rebalance_app_api_rebalance_model",
    response={200: list[RebalanceTrigger], 202: Accepted},
    auth=LAUNCH,
    openapi_extra=errors(404, 409, 429, headers=[IDEMPOTENCY_KEY, PREFER]),
)
def rebalance_model(request: HttpRequest, model_id: PathId) -> HttpResponse:
    """Rebalances every portfolio of the model; one element per portfolio, and 422 if not one could be solved.

    `Prefer: respond-async` answers 202 at once; `Idempotency-Key` makes a repetition safe.
    """
    model = find_model(model_id)
    run = _launch(request, model.pk, None)
    if _wants_no_wait(request):
        return _accepted(run)
    run = _ended(run)
    rows = _rows(run)
    if not any(row.state in contract.SUCCESSES for row in rows):
        raise RefusedRunError(NO_SOLUTION, HTTPStatus.UNPROCESSABLE_ENTITY, extra=_why(run, rows))
    return answer([contract.trigger_body(run, row) for row in rows])


@router.post(
    "/portfolio/{portfolio_id}/rebalance",
    operation_id="rebalance_app_api_rebalance_portfolio",
    response={200: RebalanceTrigger, 202: Accepted},
    auth=LAUNCH,
    openapi_extra=errors(404, 409, 429, headers=[IDEMPOTENCY_KEY, PREFER]),
)
def rebalance_portfolio(request: HttpRequest, portfolio_id: PathId, model_id: str | None = None) -> HttpResponse:
    """Rebalances one portfolio to `model_id`, or to the most recently created model that it follows."""
    model_pk, note = _model_for(_portfolio_id(portfolio_id), model_id)
    run = _launch(request, model_pk, [portfolio_id.lower()])
    if _wants_no_wait(request):
        return _accepted(run)
    run = _ended(run)
    row = _rows(run)[0]
    if row.state not in contract.SUCCESSES:
        raise _refusal(run, row)
    return answer(contract.trigger_body(run, row, note=note))


@router.get(
    "/rebalances",
    operation_id="rebalance_app_api_list_rebalances",
    response=list[StoredRebalance],
    auth=READ,
    openapi_extra=errors(),
)
def list_rebalances(
    request: HttpRequest, offset: Offset = 0, limit: Limit = 10, sort_by: str | None = None
) -> StreamingHttpResponse:
    """Runs that proposed something, newest first unless `sort_by` names columns, each with all its portfolios."""
    return _page(_stored(), offset, limit, _ordering(sort_by or ""))


@router.post(
    "/rebalances/portfolios",
    operation_id="rebalance_app_api_search_rebalances",
    response=list[StoredRebalance],
    auth=READ,
    openapi_extra=errors(409),
)
def search_rebalances(
    request: HttpRequest, payload: PortfolioSearch, offset: Offset = 0, limit: Limit = 10
) -> StreamingHttpResponse:
    """Runs that hold any of these portfolios, newest first, whole."""
    holding = PortfolioRebalance.objects.filter(portfolio_id__in=payload.portfolios).values("rebalance_id")
    return _page(_stored().filter(pk__in=holding), offset, limit, ["-number"])


@router.get(
    "/rebalance/{rebalance_id}",
    operation_id="rebalance_app_api_get_rebalance",
    response=StoredRebalance,
    auth=READ,
    openapi_extra=errors(404),
)
def get_rebalance(request: HttpRequest, rebalance_id: PathId) -> StreamingHttpResponse:
    """One run, also while it is still going (`status`)."""
    if not HEX_ID.fullmatch(rebalance_id):
        raise BadRequestError(f"Invalid rebalance ID format: {rebalance_id[:60]}")
    run = _visible().filter(pk=rebalance_id.lower()).first()
    if run is None:
        raise NotFoundError(f"Rebalance {rebalance_id} not found")
    return streamed(contract.stored_pieces(run, _one_by_one(run)))


@router.delete(
    "/rebalance/{rebalance_id}",
    operation_id="rebalance_app_api_delete_rebalance",
    response=Message,
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
)
def delete_rebalance(request: HttpRequest, rebalance_id: PathId, version: Version) -> dict[str, str]:
    """Takes a run out of this API. The record itself stays: nothing that proposed orders is ever deleted."""
    if not HEX_ID.fullmatch(rebalance_id):
        raise BadRequestError(f"Invalid rebalance ID format: {rebalance_id[:60]}")
    run_hide(by=caller(request), run_id=rebalance_id.lower(), version=version)
    return {"message": f"Rebalance {rebalance_id} deleted successfully"}


@router.get(
    "/rebalance/{rebalance_id}/portfolios",
    operation_id="rebalance_app_api_list_rebalance_portfolios",
    response=list[StoredPortfolio],
    auth=READ,
    openapi_extra=errors(404),
)
def list_rebalance_portfolios(request: HttpRequest, rebalance_id: PathId) -> StreamingHttpResponse:
    """The portfolios of one run."""
    if not HEX_ID.fullmatch(rebalance_id):
        raise LazyRouteError(
            "Invalid rebalance ID", f"{rebalance_id[:60]} is not a rebalance ID", HTTPStatus.BAD_REQUEST
        )
    run = _lazy_run(rebalance_id)
    return streamed(contract.portfolio_pieces(run, _one_by_one(run)))


@router.get(
    "/rebalance/{rebalance_id}/portfolio/{portfolio_id}/positions",
    operation_id="rebalance_app_api_list_rebalance_positions",
    response=list[StoredPosition],
    auth=READ,
    openapi_extra=errors(404),
)
def list_rebalance_positions(request: HttpRequest, rebalance_id: PathId, portfolio_id: PathId) -> HttpResponse:
    """The positions of one portfolio of a run."""
    for given in (rebalance_id, portfolio_id):
        if not HEX_ID.fullmatch(given):
            raise LazyRouteError("Invalid ID format", f"{given[:60]} is not an ID", HTTPStatus.BAD_REQUEST)
    run = _lazy_run(rebalance_id)
    row = run.portfolios.filter(portfolio_id=portfolio_id.lower()).first()
    if row is None:
        words = f"Portfolio {portfolio_id} is not in rebalance {rebalance_id}"
        raise LazyRouteError("Portfolio not found", words, HTTPStatus.NOT_FOUND)
    return answer(contract.position_bodies(run, row))


def _launch(request: HttpRequest, model_id: str, portfolio_ids: list[str] | None) -> Rebalance:
    key = request.headers.get("Idempotency-Key") or None
    try:
        return run_launch(
            by=caller(request),
            model_id=model_id,
            portfolio_ids=portfolio_ids,
            open_orders=OpenOrders.IGNORE,  # its numbers are those of the holdings
            idempotency_key=key,
            reserve_costs=False,  # its clients are promised the orders that they always got
        )
    except UnpricedModelError as error:
        raise RefusedRunError(error.message, HTTPStatus.SERVICE_UNAVAILABLE, extra={}) from error


def _wants_no_wait(request: HttpRequest) -> bool:
    preferences = request.headers.get("Prefer", "").lower().split(",")
    return "respond-async" in {preference.strip() for preference in preferences}


def _accepted(run: Rebalance) -> HttpResponse:
    response = answer({"rebalance_id": run.pk, "status": run.state}, status=HTTPStatus.ACCEPTED)
    response["Location"] = f"/api/v1/rebalance/{run.pk}"
    response["Preference-Applied"] = "respond-async"
    return response


def _ended(run: Rebalance) -> Rebalance:
    """The run, ended; 503 with its id when it takes longer than callers wait, or when it was stopped or cancelled."""
    run = run_wait(run_id=run.pk, seconds=settings.V1_WAIT_SECONDS)
    told = {"rebalance_id": run.pk, "status": run.state}
    if run.is_active:
        words = f"The rebalance is still running; look for its result at /api/v1/rebalance/{run.pk}"
        raise RefusedRunError(words, HTTPStatus.SERVICE_UNAVAILABLE, extra=told, retry_after=RETRY_AFTER_SECONDS)
    if run.state == RunState.STOPPED:
        words = "External service unavailable: the rebalance was stopped"
        raise RefusedRunError(words, HTTPStatus.SERVICE_UNAVAILABLE, extra=_why(run, _rows(run)))
    if run.state == RunState.CANCELLED:
        raise RefusedRunError("The rebalance was cancelled", HTTPStatus.CONFLICT, extra=told)
    return run


def _refusal(run: Rebalance, row: PortfolioRebalance) -> RefusedRunError:
    """Why a single portfolio has no result: no solution is 422; what the book lacks is 503, or 404 for a portfolio."""
    extra = _why(run, [row])
    if row.state in NOT_IN_TIME or row.reason_code in failures.NO_SOLUTION:
        return RefusedRunError(NO_SOLUTION, HTTPStatus.UNPROCESSABLE_ENTITY, extra=extra)
    if row.reason_code == "UNKNOWN_PORTFOLIO":
        return RefusedRunError(f"Portfolio {row.portfolio_id} not found", HTTPStatus.NOT_FOUND, extra=extra)
    return RefusedRunError(contract.failure(row), HTTPStatus.SERVICE_UNAVAILABLE, extra=extra)


def _why(run: Rebalance, rows: list[PortfolioRebalance]) -> dict[str, Any]:
    return {"rebalance_id": run.pk, "reasons": contract.reasons(rows)}


def _portfolio_id(given: str) -> str:
    if not HEX_ID.fullmatch(given):
        raise BadRequestError(f"Invalid portfolio ID format: {given[:60]}")
    return given.lower()


def _model_for(portfolio_id: str, model_id: str | None) -> tuple[str, str]:
    """The model to rebalance to, and a note for the caller where there was a choice."""
    models = models_of_portfolio(portfolio_id)
    if model_id is not None:
        models = [model for model in models if model.pk == find_model(model_id).pk]
    if not models:
        where = "any model" if model_id is None else f"model {model_id}"
        raise NotFoundError(f"Portfolio {portfolio_id} not found in {where}")
    note = f"Rebalanced to model {models[0].name}, the latest of {len(models)} that it follows."
    return models[0].pk, note if len(models) > 1 else ""


def _visible() -> QuerySet[Rebalance]:
    return Rebalance.objects.filter(hidden_at__isnull=True)


def _stored() -> QuerySet[Rebalance]:
    """Runs that ended with a result: a failure is never listed as if it were one."""
    ended = _visible().exclude(state__in=ACTIVE)
    return ended.filter(Q(n_solved__gt=0) | Q(n_no_trades__gt=0))


def _lazy_run(rebalance_id: str) -> Rebalance:
    run = _visible().filter(pk=rebalance_id.lower()).first()
    if run is None:
        raise LazyRouteError("Rebalance not found", f"Rebalance {rebalance_id} not found", HTTPStatus.NOT_FOUND)
    return run


def _ordering(sort_by: str) -> list[str]:
    """Columns to sort by; names that are none are passed over, as this route always did."""
    terms = []
    for term in filter(None, (part.strip() for part in sort_by.split(","))):
        column = SORT_COLUMNS.get(term.lstrip("+-"))
        if column:
            terms.append(f"-{column}" if term.startswith("-") else column)
    return [*terms, "-number"]


def _page(runs: QuerySet[Rebalance], offset: int, limit: int, ordering: list[str]) -> StreamingHttpResponse:
    found = runs.order_by(*ordering)[offset : offset + limit]
    return streamed(array(contract.stored_pieces(run, _one_by_one(run)) for run in found))


def _rows(run: Rebalance) -> list[PortfolioRebalance]:
    return list(run.portfolios.order_by("pk"))


def _one_by_one(run: Rebalance) -> Iterator[PortfolioRebalance]:
    """The portfolios of a run in short queries, for a long one would keep the database from cleaning up meanwhile."""
    after = ""
    while rows := list(proposals_by_key(run.pk, after=after)[:ROWS_AT_ONCE]):
        yield from rows
        after = rows[-1].pk
