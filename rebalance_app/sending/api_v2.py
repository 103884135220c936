"""API v2's batches: approved orders leave once, and the file of what left."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router, Status

from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import Cursor, Limit, Page, PathId, page_of
from ordergen.apis.docs import errors
from ordergen.core.errors import InvalidInputError
from rebalance_app.models import Batch
from rebalance_app.sending import schemas_v2 as out
from rebalance_app.sending.layouts import LAYOUTS
from rebalance_app.sending.selectors import batch_get
from rebalance_app.sending.services import approved_order_ids, batch_fetch, batch_make

router = Router(tags=["batches"])
READ = needs("book.read", "rebalances:read")
DECIDE = needs("order.decide", "orders:decide")


@router.post(
    "/batches",
    operation_id="rebalance_app_api_v2_make_batch",
    response={201: out.BatchMade},
    auth=DECIDE,
    openapi_extra=errors(404, 409, 503),
)
def make_batch(request: HttpRequest, payload: out.BatchIn) -> Status[dict[str, Any]]:
    """Lets approved orders leave together, once: they are exported, and nothing exports them again."""
    if (payload.order_ids is None) == (payload.run_id is None):
        message = "Name orders, or a run."
        raise InvalidInputError(message, fields={"order_ids": message})
    ids = payload.order_ids if payload.order_ids is not None else approved_order_ids(payload.run_id or "")
    made = batch_make(by=caller(request), order_ids=ids, layout=payload.layout)
    return Status(HTTPStatus.CREATED, out.made_out(made))


@router.get(
    "/batches",
    operation_id="rebalance_app_api_v2_list_batches",
    response=Page[out.BatchOut],
    auth=READ,
    openapi_extra=errors(),
)
def list_batches(request: HttpRequest, cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """Batches, the latest first."""
    rows = Batch.objects.select_related("made_by")
    return page_of(rows, out.batch_out, cursor=cursor, limit=limit, rising=False, key="number")


@router.get(
    "/batches/{batch_id}",
    operation_id="rebalance_app_api_v2_get_batch",
    response=out.BatchOut,
    auth=READ,
    openapi_extra=errors(404),
)
def get_batch(request: HttpRequest, batch_id: PathId) -> dict[str, Any]:
    """One batch."""
    return out.batch_out(batch_get(batch_id))


@router.post(
    "/batches/{batch_id}/file",
    operation_id="rebalance_app_api_v2_fetch_batch",
    response={200: str},
    auth=DECIDE,
    openapi_extra=errors(404),
)
def fetch_batch(request: HttpRequest, batch_id: PathId) -> StreamingHttpResponse:
    """The file of a batch in its layout, the same every time; that you fetched it is recorded."""
    batch = batch_get(batch_id)
    media_type = LAYOUTS[batch.layout].media_type
    return StreamingHttpResponse(
        batch_fetch(by=caller(request), batch=batch), content_type=f"{media_type}; charset=utf-8"
    )
