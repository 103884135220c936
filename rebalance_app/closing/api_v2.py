"""API v2's closing of orders, and what newly stated holdings show of them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from ordergen.apis.auth import caller, needs
from ordergen.apis.docs import errors
from rebalance_app.closing import schemas_v2 as out
from rebalance_app.closing.fits import fits_confirm, order_fits
from rebalance_app.closing.services import orders_close
from rebalance_app.orders.schemas_v2 import Decided, decided_out

router = Router(tags=["orders"])
READ = needs("book.read", "rebalances:read")
DECIDE = needs("order.decide", "orders:decide")


@router.post(
    "/orders/closings",
    operation_id="rebalance_app_api_v2_close_orders",
    response=Decided,
    auth=DECIDE,
    openapi_extra=errors(409),
)
def close_orders(request: HttpRequest, payload: out.ClosingsIn) -> dict[str, Any]:
    """Says what became of approved orders: closed (done outside), cancelled or lapsed. What is left alone is said."""
    return decided_out(orders_close(by=caller(request), closings=out.closings_in(payload), reason=payload.reason))


@router.get(
    "/orders/fits",
    operation_id="rebalance_app_api_v2_order_fits",
    response=out.FitsOut,
    auth=READ,
    openapi_extra=errors(503),
)
def list_fits(request: HttpRequest) -> dict[str, Any]:
    """What holdings that were stated after an approval show of the open orders; nothing is closed by that."""
    return out.fits_out(order_fits())


@router.post(
    "/orders/fits/confirmations",
    operation_id="rebalance_app_api_v2_confirm_fits",
    response=out.Confirmed,
    auth=DECIDE,
    openapi_extra=errors(409, 503),
)
def confirm_fits(request: HttpRequest, payload: out.ConfirmationIn) -> dict[str, Any]:
    """Closes what is done, notes what is partly done and what is not; 409 where it is no longer what you saw."""
    return {"counts": dict(fits_confirm(by=caller(request), seen=payload.seen))}
