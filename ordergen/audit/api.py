"""API v2's audit trail."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from ordergen.apis.auth import needs
from ordergen.apis.conventions import Cursor, HexId, Limit, Page, page_of
from ordergen.apis.docs import errors
from ordergen.audit.models import AuditEvent

router = Router(tags=["audit"])
READ = needs("audit.read", "audit:read")


class EventOut(Schema):
    seq: int
    at: datetime
    actor: str
    action: str
    object_type: str
    object_id: str
    summary: str
    detail: dict[str, Any]
    request_id: str
    previous_hash: str
    hash: str


@router.get(
    "/audit", operation_id="ordergen_audit_api_list_events", response=Page[EventOut], auth=READ, openapi_extra=errors()
)
def list_events(
    request: HttpRequest, object_id: Annotated[HexId | None, Query()] = None, cursor: Cursor = "", limit: Limit = 50
) -> dict[str, Any]:
    """Every state change, the latest first; `object_id` narrows it to one model, run or key."""
    events = AuditEvent.objects.filter(object_id=object_id) if object_id else AuditEvent.objects.all()
    return page_of(events, _shown, cursor=cursor, limit=limit, rising=False, key="seq")


def _shown(event: AuditEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in EventOut.model_fields}
