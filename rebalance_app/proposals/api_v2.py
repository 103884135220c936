"""API v2's proposals."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from ordergen.apis.auth import needs
from ordergen.apis.conventions import Cursor, Limit, Page, PathId, key_of, page_of
from ordergen.apis.docs import errors
from ordergen.apis.json import answer
from ordergen.core.errors import NotFoundError
from rebalance_app.models import PortfolioRebalance, ProposalState
from rebalance_app.proposals import schemas_v2 as out
from rebalance_app.proposals.selectors import in_state, proposals_by_key, run_get

router = Router(tags=["proposals"])
READ = needs("book.read", "rebalances:read")


@router.get(
    "/runs/{run_id}/proposals",
    operation_id="rebalance_app_api_v2_list_proposals",
    response=Page[out.ProposalSummary],
    auth=READ,
    openapi_extra=errors(404),
)
def list_proposals(
    request: HttpRequest,
    run_id: PathId,
    state: Annotated[ProposalState | None, Query()] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> HttpResponse:
    """The portfolios of a run with their outcome."""
    rows = proposals_by_key(run_get(run_id).pk, after=key_of(cursor))
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
)
def get_proposal(request: HttpRequest, run_id: PathId, portfolio_id: PathId) -> dict[str, Any]:
    """One portfolio's proposal, whole."""
    row = run_get(run_id).portfolios.filter(portfolio_id=portfolio_id).first()
    if row is None:
        raise NotFoundError(f"Run {run_id} has no portfolio {portfolio_id}.")
    return out.proposal_out(row)
