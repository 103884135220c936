"""API v2's limits."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Router, Status

from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import SecurityId, StaleError, UnconditionalError, expected_tag, is_known, set_etag
from ordergen.apis.docs import errors, header
from ordergen.core.errors import Code, ConflictError
from rebalance_app.limits import schemas_v2 as out
from rebalance_app.limits.services import limits_change, limits_latest, limits_set, limits_version
from rebalance_app.models import LimitSet

router = Router(tags=["limits"])
READ_MODELS = needs("book.read", "models:read")
EDIT_MODELS = needs("model.edit", "models:write")
SubjectId = Annotated[SecurityId, Path(examples=["68a0c0ffee0000000000beef"])]
_EXAMPLE = '"68a0c0ffee0000000000beef"'
SEEN = header("If-Match", "The ETag of the limits that these replace; 428 without it", _EXAMPLE)
MAY_BE_SEEN = header("If-Match", "The ETag of the limits that were seen; they may have changed without it", _EXAMPLE)


@router.get(
    "/limits/{scope}/{subject_id}",
    operation_id="rebalance_app_api_v2_get_limits",
    response={200: out.LimitsOut, 304: None},
    auth=READ_MODELS,
    openapi_extra=errors(404),
)
def get_limits(
    request: HttpRequest, scope: out.Scope, subject_id: SubjectId, response: HttpResponse
) -> dict[str, Any] | Status[None]:
    """The limits of a model, a portfolio or a security that every run honours, and who set them why."""
    limits = limits_latest(scope=scope, subject_id=subject_id)
    if is_known(request, limits_version(limits)):
        set_etag(response, limits_version(limits))
        return Status(304, None)
    return _shown(scope, subject_id, limits, response)


@router.put(
    "/limits/{scope}/{subject_id}",
    operation_id="rebalance_app_api_v2_put_limits",
    response=out.LimitsOut,
    auth=EDIT_MODELS,
    openapi_extra=errors(404, 409, 412, 428, headers=[SEEN]),
)
def put_limits(
    request: HttpRequest, scope: out.Scope, subject_id: SubjectId, payload: out.LimitsIn, response: HttpResponse
) -> dict[str, Any]:
    """Sets all limits of one subject from the next run on, in place of those that `If-Match` names.

    What is not named is lifted, so whoever did not read what there is would lift somebody else's floor: 428.
    """
    seen = expected_tag(request)
    if seen is None:
        raise UnconditionalError("Send the ETag of the limits you saw as If-Match, or change single ones by PATCH.")
    by, values, reason = caller(request), payload.values, payload.reason
    try:
        limits = limits_set(by=by, scope=scope, subject_id=subject_id, values=values, reason=reason, seen=seen)
    except ConflictError as error:
        raise _stale(error) from error
    return _shown(scope, subject_id, limits, response)


@router.patch(
    "/limits/{scope}/{subject_id}",
    operation_id="rebalance_app_api_v2_patch_limits",
    response=out.LimitsOut,
    auth=EDIT_MODELS,
    openapi_extra=errors(404, 409, 412, headers=[MAY_BE_SEEN]),
)
def patch_limits(
    request: HttpRequest, scope: out.Scope, subject_id: SubjectId, payload: out.LimitsPatch, response: HttpResponse
) -> dict[str, Any]:
    """Sets the limits that are named, lifts those that are null, and leaves all others as they are."""
    by, seen, changes, reason = caller(request), expected_tag(request), payload.values, payload.reason
    try:
        limits = limits_change(by=by, scope=scope, subject_id=subject_id, changes=changes, reason=reason, seen=seen)
    except ConflictError as error:
        raise _stale(error) from error
    return _shown(scope, subject_id, limits, response)


def _shown(scope: str, subject_id: str, limits: LimitSet | None, response: HttpResponse) -> dict[str, Any]:
    set_etag(response, limits_version(limits))
    return out.limits_out(scope, subject_id, limits)


def _stale(error: ConflictError) -> ConflictError:
    return StaleError(error.message) if error.code == Code.STALE_VERSION else error
