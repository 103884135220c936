"""API v2's audit trail, for auditors, and its feed of events, for other systems."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from ordergen.apis.auth import needs
from ordergen.apis.conventions import Cursor, HexId, Limit, Page, page_of
from ordergen.apis.docs import errors
from ordergen.audit import feed
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import InvalidInputError

router = Router(tags=["audit"])
READ = needs("audit.read", "audit:read")
FOLLOW = needs("book.read", "events:read")
After = Annotated[int, Query(ge=0, le=2**62, description="The `next_after` of the page before; 0: from the beginning")]
Kind = Annotated[
    str,
    Query(pattern=feed.KIND, description="One kind, such as `orders.approved`, or all of `orders`"),
]


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


class Subject(Schema):
    type: str = Field(examples=["run"], description="model, run, limits, book, …")
    id: str


class FeedEvent(Schema):
    """A change. Its `id` is that of the webhook message about it, and never changes."""

    id: str
    seq: int = Field(description="Rises by one with every change, in the order in which changes were committed")
    kind: str = Field(examples=["orders.approved"])
    at: datetime
    actor: str
    subject: Subject
    summary: str
    detail: dict[str, Any]
    correlation_id: str


class FeedPage(Schema):
    items: list[FeedEvent]
    next_after: int = Field(description="Ask from here next; it moves on past events that the filters leave out, too")
    newest: int = Field(description="There is more to read at once while this is larger than `next_after`")


@router.get(
    "/events",
    operation_id="ordergen_audit_api_list_feed",
    response=FeedPage,
    auth=FOLLOW,
    tags=["events"],
    openapi_extra=errors(),
)
def list_feed(
    request: HttpRequest,
    after: After = 0,
    kind: Kind | None = None,
    subject_id: Annotated[HexId | None, Query()] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Every change of models, runs, orders, limits and the book, oldest first, from any point and as often as wanted.

    Keep `next_after`, and ask again with it: no event is left out, and none appears later before one that was read.
    """
    newest = feed.newest()  # before the events are read: all up to it can be seen by then
    if after > newest:
        message = (
            f"The newest event is {newest}. Was the database put back to an earlier state? Begin again from there."
        )
        raise InvalidInputError(message, fields={"after": message})
    events = list(feed.feed(kinds=[kind] if kind else (), subject_id=subject_id or "", after=after)[: limit + 1])
    page = events[:limit]
    reached = page[-1].seq if len(events) > limit else max([newest, *(event.seq for event in page)])
    return {"items": [feed.event_out(event) for event in page], "next_after": reached, "newest": max(newest, reached)}


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
