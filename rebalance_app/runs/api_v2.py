"""API v2's runs, proposals, orders and decisions."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Header, Path, Query, Router, Status

from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import Cursor, HexId, Limit, Page, PathId, SecurityId, key_of, page_of
from ordergen.apis.docs import errors
from ordergen.apis.json import answer
from ordergen.core.errors import NotFoundError
from rebalance_app.limits.services import limits_latest, limits_set
from rebalance_app.models import PortfolioRebalance, ProposalState, Rebalance, RunState
from rebalance_app.orders.decide import Decided, order_decide, run_decide
from rebalance_app.orders.paging import orders_by_id
from rebalance_app.orders.selectors import order_get
from rebalance_app.runs import schemas_v2 as out
from rebalance_app.runs.cancel import rebalance_cancel
from rebalance_app.runs.launch import rebalance_launch
from rebalance_app.runs.progress import run_progress
from rebalance_app.runs.retry import rebalance_retry
from rebalance_app.runs.selectors import LONG, in_state, proposals_by_key, run_get
from rebalance_app.what_if.services import what_if

router = Router()
READ = needs("book.read", "rebalances:read")
LAUNCH = needs("rebalance.launch", "rebalances:write")
DECIDE = needs("order.decide", "orders:decide")
READ_MODELS = needs("book.read", "models:read")
EDIT_MODELS = needs("model.edit", "models:write")
SubjectId = Annotated[SecurityId, Path(examples=["68a0c0ffee0000000000beef"])]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]
IdFilter = Annotated[HexId | None, Query()]


@router.post(
    "/runs",
    operation_id="rebalance_app_api_v2_launch_run",
    response={202: out.RunOut},
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
    tags=["runs"],
)
def launch_run(
    request: HttpRequest, payload: out.RunIn, response: HttpResponse, idempotency_key: IdempotencyKey = None
) -> Status[dict[str, Any]]:
    """Starts a run and answers at once; `Location` shows its progress. The same `Idempotency-Key` starts it once."""
    run = rebalance_launch(
        by=caller(request),
        model_id=payload.model_id,
        portfolio_ids=payload.portfolio_ids,
        options=payload.options,
        note=payload.note,
        idempotency_key=idempotency_key,
    )
    response["Location"] = f"/api/v2/runs/{run.pk}"
    return Status(HTTPStatus.ACCEPTED, out.run_out(run))


@router.get(
    "/runs",
    operation_id="rebalance_app_api_v2_list_runs",
    response=Page[out.RunOut],
    auth=READ,
    openapi_extra=errors(404),
    tags=["runs"],
)
def list_runs(
    request: HttpRequest,
    state: Annotated[RunState | None, Query()] = None,
    model_id: IdFilter = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> dict[str, Any]:
    """Runs, the latest first."""
    runs = Rebalance.objects.defer(*LONG).select_related("launched_by").filter(**_given(state=state, model_id=model_id))
    return page_of(runs, out.run_out, cursor=cursor, limit=limit, rising=False, key="number")


@router.get(
    "/runs/{run_id}",
    operation_id="rebalance_app_api_v2_get_run",
    response=out.RunDetail,
    auth=READ,
    openapi_extra=errors(404),
    tags=["runs"],
)
def get_run(request: HttpRequest, run_id: PathId) -> dict[str, Any]:
    """One run with its progress: `n_done` of `n_portfolios`, what comes first, and how long it may take."""
    run = run_get(run_id).run
    return out.run_out(run) | {"progress": run_progress(run, timezone.now()) if run.is_active else None}


@router.post(
    "/runs/{run_id}/cancel",
    operation_id="rebalance_app_api_v2_cancel_run",
    response=out.RunOut,
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
    tags=["runs"],
)
def cancel_run(request: HttpRequest, run_id: PathId) -> dict[str, Any]:
    """Ends a run early: what is not begun never starts; 409 when it has ended already."""
    return out.run_out(rebalance_cancel(by=caller(request), rebalance_id=run_id))


@router.post(
    "/runs/{run_id}/retry",
    operation_id="rebalance_app_api_v2_retry_run",
    response={202: out.RunOut},
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
    tags=["runs"],
)
def retry_run(
    request: HttpRequest, run_id: PathId, response: HttpResponse, idempotency_key: IdempotencyKey = None
) -> Status[dict[str, Any]]:
    """Starts a new run over the portfolios that failed in this one, with its options and today's prices and model."""
    again = rebalance_retry(by=caller(request), rebalance_id=run_id, idempotency_key=idempotency_key)
    response["Location"] = f"/api/v2/runs/{again.pk}"
    return Status(HTTPStatus.ACCEPTED, out.run_out(again))


@router.get(
    "/runs/{run_id}/proposals",
    operation_id="rebalance_app_api_v2_list_proposals",
    response=Page[out.ProposalSummary],
    auth=READ,
    openapi_extra=errors(404),
    tags=["proposals"],
)
def list_proposals(
    request: HttpRequest,
    run_id: PathId,
    state: Annotated[ProposalState | None, Query()] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> HttpResponse:
    """The portfolios of a run with their outcome."""
    rows = proposals_by_key(run_get(run_id).run.pk, after=key_of(cursor))
    rows = in_state(rows, [state]) if state else rows
    keys = list(rows.values_list("pk", flat=True)[: limit + 1])
    found = PortfolioRebalance.objects.defer("document").filter(pk__in=keys)
    return answer(page_of(found, out.proposal_summary, cursor=cursor, limit=limit))


@router.get(
    "/runs/{run_id}/proposals/{portfolio_id}",
    operation_id="rebalance_app_api_v2_get_proposal",
    response=out.ProposalOut,
    auth=READ,
    openapi_extra=errors(404),
    tags=["proposals"],
)
def get_proposal(request: HttpRequest, run_id: PathId, portfolio_id: PathId) -> dict[str, Any]:
    """One portfolio's proposal, whole."""
    row = run_get(run_id).run.portfolios.filter(portfolio_id=portfolio_id).first()
    if row is None:
        raise NotFoundError(f"Run {run_id} has no portfolio {portfolio_id}.")
    return out.proposal_out(row)


@router.get(
    "/orders",
    operation_id="rebalance_app_api_v2_list_orders",
    response=Page[out.OrderOut],
    auth=READ,
    openapi_extra=errors(),
    tags=["orders"],
)
def list_orders(
    request: HttpRequest,
    filters: Annotated[out.OrderFilter, Query()],
    cursor: Cursor = "",
    limit: Limit = 50,
) -> HttpResponse:
    """Proposed orders in the order they were proposed, with what was decided on them."""
    orders = orders_by_id(filters.run_id, filters.portfolio_id, filters.state, after=key_of(cursor), limit=limit + 1)
    return answer(page_of(orders, out.order_out, cursor=cursor, limit=limit))


@router.post(
    "/orders/decisions",
    operation_id="rebalance_app_api_v2_decide_orders",
    response=out.Decided,
    auth=DECIDE,
    openapi_extra=errors(404, 409),
    tags=["orders"],
)
def decide_orders(request: HttpRequest, payload: out.DecisionsIn) -> dict[str, Any]:
    """Approves or rejects these orders; nobody approves what they launched. What is left alone is said."""
    decided = order_decide(
        by=caller(request), order_ids=payload.order_ids, verdict=payload.verdict, comment=payload.comment
    )
    return _decided(decided)


@router.get(
    "/orders/{order_id}",
    operation_id="rebalance_app_api_v2_get_order",
    response=out.OrderDetail,
    auth=READ,
    openapi_extra=errors(404),
    tags=["orders"],
)
def get_order(request: HttpRequest, order_id: PathId) -> dict[str, Any]:
    """One order with every decision on it."""
    view = order_get(order_id)
    decisions = [out.decision_out(decision) for decision in view.decisions]
    return out.order_out(view.order) | {"realised_gain": view.realised_gain, "decisions": decisions}


@router.post(
    "/runs/{run_id}/decisions",
    operation_id="rebalance_app_api_v2_decide_run",
    response=out.Decided,
    auth=DECIDE,
    openapi_extra=errors(404, 409),
    tags=["orders"],
)
def decide_run(request: HttpRequest, run_id: PathId, payload: out.RunDecisionIn) -> dict[str, Any]:
    """Approves or rejects every order of a run that awaits a decision, if there are as many as you saw.

    A large run is decided in parts of 200 portfolios, each all or nothing, and a million orders take a minute or two.
    What stops it in between is a 409 that says how many were decided. Where no answer reaches you (a proxy that waits
    no longer, a connection that breaks), parts may be done and the server may still be at it: read the run, and ask
    again with its `n_awaiting` once that stands still. What was decided is never decided again.
    """
    decided = run_decide(
        by=caller(request),
        rebalance_id=run_id,
        verdict=payload.verdict,
        comment=payload.comment,
        expected_count=payload.expected_count,
    )
    return _decided(decided)


@router.post(
    "/what-if",
    operation_id="rebalance_app_api_v2_compare",
    response=out.WhatIfOut,
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
    tags=["runs"],
)
def compare(request: HttpRequest, payload: out.WhatIfIn) -> dict[str, Any]:
    """What a run would propose for one portfolio now, under several sets of options side by side. Writes nothing."""
    found = what_if(
        by=caller(request), portfolio_id=payload.portfolio_id, options=payload.options, model_id=payload.model_id
    )
    return out.what_if_out(found)


@router.get(
    "/limits/{scope}/{subject_id}",
    operation_id="rebalance_app_api_v2_get_limits",
    response=out.LimitsOut,
    auth=READ_MODELS,
    openapi_extra=errors(404),
    tags=["limits"],
)
def get_limits(request: HttpRequest, scope: out.Scope, subject_id: SubjectId) -> dict[str, Any]:
    """The limits of a model, a portfolio or a security that every run honours, and who set them why."""
    return out.limits_out(scope, subject_id, limits_latest(scope=scope, subject_id=subject_id))


@router.put(
    "/limits/{scope}/{subject_id}",
    operation_id="rebalance_app_api_v2_put_limits",
    response=out.LimitsOut,
    auth=EDIT_MODELS,
    openapi_extra=errors(404, 409),
    tags=["limits"],
)
def put_limits(request: HttpRequest, scope: out.Scope, subject_id: SubjectId, payload: out.LimitsIn) -> dict[str, Any]:
    """Sets all limits of one subject from the next run on; no values lift them."""
    limits = limits_set(
        by=caller(request), scope=scope, subject_id=subject_id, values=payload.values, reason=payload.reason
    )
    return out.limits_out(scope, subject_id, limits)


def _decided(decided: Decided) -> dict[str, Any]:
    skipped = [{"order_id": order_id, "reason": reason} for order_id, reason in decided.skipped]
    counts = {"n_decided": decided.n_decided, "n_skipped": decided.n_skipped, "reasons": dict(decided.reasons)}
    return counts | {"skipped": skipped}


def _given(**filters: str | None) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}
