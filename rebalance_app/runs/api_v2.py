"""API v2's runs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Header, Query, Router, Status

from ordergen.accounts.models import User
from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import ChangedAfter, Cursor, HexId, Limit, Page, PathId, page_of
from ordergen.apis.docs import errors
from ordergen.apis.idempotency import REPLAYED
from ordergen.audit.feed import subjects_changed
from rebalance_app.models import OpenOrders, Rebalance, RunState
from rebalance_app.proposals.selectors import LONG, run_get
from rebalance_app.runs import schemas_v2 as out
from rebalance_app.runs.backlog import run_progress
from rebalance_app.runs.launch import is_repeated, run_launch
from rebalance_app.runs.lifecycle import run_cancel, run_retry

router = Router(tags=["runs"])
READ = needs("book.read", "rebalances:read")
LAUNCH = needs("rebalance.launch", "rebalances:write")
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", max_length=255)]


@router.post(
    "/runs",
    operation_id="rebalance_app_api_v2_launch_run",
    response={202: out.RunOut},
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
)
def launch_run(
    request: HttpRequest, payload: out.RunIn, response: HttpResponse, idempotency_key: IdempotencyKey = None
) -> Status[dict[str, Any]]:
    """Starts a run and answers at once; `Location` shows its progress. The same `Idempotency-Key` starts it once."""
    by = caller(request)
    _mark_replay(response, idempotency_key, by)
    run = run_launch(
        by=by,
        model_id=payload.model_id,
        portfolio_ids=payload.portfolio_ids,
        options=payload.options,
        note=payload.note,
        open_orders=OpenOrders(payload.open_orders),
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
)
def list_runs(
    request: HttpRequest,
    state: Annotated[RunState | None, Query()] = None,
    model_id: Annotated[HexId | None, Query()] = None,
    changed_after: ChangedAfter = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> dict[str, Any]:
    """Runs, the latest first."""
    runs = Rebalance.objects.defer(*LONG).select_related("launched_by").filter(**_given(state=state, model_id=model_id))
    if changed_after is not None:
        runs = runs.filter(pk__in=subjects_changed(Rebalance, changed_after))
    return page_of(runs, out.run_out, cursor=cursor, limit=limit, rising=False, key="number")


@router.get(
    "/runs/{run_id}",
    operation_id="rebalance_app_api_v2_get_run",
    response=out.RunDetail,
    auth=READ,
    openapi_extra=errors(404),
)
def get_run(request: HttpRequest, run_id: PathId) -> dict[str, Any]:
    """One run with its progress: `n_done` of `n_portfolios`, what comes first, and how long it may take."""
    run = run_get(run_id)
    return out.run_out(run) | {"progress": run_progress(run, timezone.now()) if run.is_active else None}


@router.post(
    "/runs/{run_id}/cancel",
    operation_id="rebalance_app_api_v2_cancel_run",
    response=out.RunOut,
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
)
def cancel_run(request: HttpRequest, run_id: PathId) -> dict[str, Any]:
    """Ends a run early: what is not begun never starts; 409 when it has ended already."""
    return out.run_out(run_cancel(by=caller(request), run_id=run_id))


@router.post(
    "/runs/{run_id}/retry",
    operation_id="rebalance_app_api_v2_retry_run",
    response={202: out.RunOut},
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
)
def retry_run(
    request: HttpRequest, run_id: PathId, response: HttpResponse, idempotency_key: IdempotencyKey = None
) -> Status[dict[str, Any]]:
    """Starts a new run over the portfolios that failed in this one, with its options and today's prices and model."""
    by = caller(request)
    _mark_replay(response, idempotency_key, by)
    again = run_retry(by=by, run_id=run_id, idempotency_key=idempotency_key)
    response["Location"] = f"/api/v2/runs/{again.pk}"
    return Status(HTTPStatus.ACCEPTED, out.run_out(again))


def _mark_replay(response: HttpResponse, key: str | None, by: User) -> None:
    """Says that the run is the one that the key gave before: as it stands now, for that is what a program asks for."""
    if is_repeated(key, by):
        response[REPLAYED] = "true"


def _given(**filters: str | None) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}
