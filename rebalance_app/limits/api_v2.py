"""API v2's limits."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router

from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import SecurityId
from ordergen.apis.docs import errors
from rebalance_app.limits import schemas_v2 as out
from rebalance_app.limits.services import limits_latest, limits_set

router = Router(tags=["limits"])
READ_MODELS = needs("book.read", "models:read")
EDIT_MODELS = needs("model.edit", "models:write")
SubjectId = Annotated[SecurityId, Path(examples=["68a0c0ffee0000000000beef"])]


@router.get(
    "/limits/{scope}/{subject_id}",
    operation_id="rebalance_app_api_v2_get_limits",
    response=out.LimitsOut,
    auth=READ_MODELS,
    openapi_extra=errors(404),
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
)
def put_limits(request: HttpRequest, scope: out.Scope, subject_id: SubjectId, payload: out.LimitsIn) -> dict[str, Any]:
    """Sets all limits of one subject from the next run on; no values lift them."""
    limits = limits_set(
        by=caller(request), scope=scope, subject_id=subject_id, values=payload.values, reason=payload.reason
    )
    return out.limits_out(scope, subject_id, limits)
