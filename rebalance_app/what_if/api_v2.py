"""API v2's what-if."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from ordergen.apis.auth import caller, needs
from ordergen.apis.docs import errors
from ordergen.apis.idempotency import in_parts
from rebalance_app.what_if import schemas_v2 as out
from rebalance_app.what_if.services import what_if

router = Router(tags=["runs"])
LAUNCH = needs("rebalance.launch", "rebalances:write")


@router.post(
    "/what-if",
    operation_id="rebalance_app_api_v2_compare",
    response=out.WhatIfOut,
    auth=LAUNCH,
    openapi_extra=errors(404, 409),
)
@in_parts
def compare(request: HttpRequest, payload: out.WhatIfIn) -> dict[str, Any]:
    """What a run would propose for one portfolio now, under several sets of options side by side. Writes nothing."""
    found = what_if(
        by=caller(request), portfolio_id=payload.portfolio_id, options=payload.options, model_id=payload.model_id
    )
    return out.what_if_out(found)
