"""API v2's orders and decisions."""

from __future__ import annotations

from typing import Annotated, Any

from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from models_app.drift_index.live_drift import portfolio_view
from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import Cursor, HexId, Limit, Page, PathId, key_of, write_cursor
from ordergen.apis.docs import errors
from ordergen.apis.idempotency import in_parts
from ordergen.apis.json import answer
from rebalance_app.order_states.as_it_will_be import as_it_will_be
from rebalance_app.orders import schemas_v2 as out
from rebalance_app.orders.decide import order_decide, run_decide
from rebalance_app.orders.paging import OrderQuery, orders_found
from rebalance_app.orders.selectors import WITH_DECISIONS, order_get

router = Router(tags=["orders"])
READ = needs("book.read", "rebalances:read")
DECIDE = needs("order.decide", "orders:decide")


@router.get(
    "/orders",
    operation_id="rebalance_app_api_v2_list_orders",
    response=Page[out.OrderOut],
    auth=READ,
    openapi_extra=errors(),
)
def list_orders(
    request: HttpRequest,
    filters: Annotated[out.OrderFilter, Query()],
    cursor: Cursor = "",
    limit: Limit = 50,
) -> HttpResponse:
    """Proposed orders in the order they were proposed, with what was decided on them.

    Where few of many match, a page may be short or empty and have a `next_cursor` all the same: go on until it is null.
    """
    page = orders_found(OrderQuery(**dict(filters)), after=key_of(cursor), size=limit)
    prefetch_related_objects(page.rows, WITH_DECISIONS)
    following = write_cursor(page.next) if page.next else None
    return answer({"items": [out.order_out(order) for order in page.rows], "next_cursor": following})


@router.post(
    "/orders/decisions",
    operation_id="rebalance_app_api_v2_decide_orders",
    response=out.Decided,
    auth=DECIDE,
    openapi_extra=errors(404, 409),
)
def decide_orders(request: HttpRequest, payload: out.DecisionsIn) -> dict[str, Any]:
    """Approves or rejects these orders; nobody approves what they launched. What is left alone is said."""
    decided = order_decide(
        by=caller(request), order_ids=payload.order_ids, verdict=payload.verdict, comment=payload.comment
    )
    return out.decided_out(decided)


@router.get(
    "/orders/{order_id}",
    operation_id="rebalance_app_api_v2_get_order",
    response=out.OrderDetail,
    auth=READ,
    openapi_extra=errors(404),
)
def get_order(request: HttpRequest, order_id: PathId) -> dict[str, Any]:
    """One order with every decision on it and every move after that."""
    return out.order_detail_out(order_get(order_id))


@router.get(
    "/portfolios/{portfolio_id}/on-their-way",
    operation_id="rebalance_app_api_v2_get_portfolio_on_their_way",
    response=out.OnTheirWay,
    auth=READ,
    openapi_extra=errors(404),
)
def get_portfolio_on_their_way(
    request: HttpRequest, portfolio_id: PathId, model_id: Annotated[HexId | None, Query()] = None
) -> dict[str, Any]:
    """Orders on their way to a portfolio, and its drift with all of them done; as it is: its `drift`."""
    now = portfolio_view(portfolio_id, model_id)
    return out.on_their_way_out(now, as_it_will_be(now))


@router.post(
    "/runs/{run_id}/decisions",
    operation_id="rebalance_app_api_v2_decide_run",
    response=out.Decided,
    auth=DECIDE,
    openapi_extra=errors(404, 409),
)
@in_parts
def decide_run(request: HttpRequest, run_id: PathId, payload: out.RunDecisionIn) -> dict[str, Any]:
    """Approves or rejects every order of a run that awaits a decision, if there are as many as you saw.

    A large run is decided in parts of 200 portfolios, each all or nothing, and a million orders take a minute or two.
    What stops it in between is a 409 that says how many were decided. Where no answer reaches you (a proxy that waits
    no longer, a connection that breaks), parts may be done and the server may still be at it: read the run, and ask
    again with its `n_awaiting` once that stands still. What was decided is never decided again.
    """
    decided = run_decide(
        by=caller(request),
        run_id=run_id,
        verdict=payload.verdict,
        comment=payload.comment,
        expected_count=payload.expected_count,
    )
    return out.decided_out(decided)
