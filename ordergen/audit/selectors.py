"""Reading the audit trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from django.db.models import QuerySet

from ordergen.accounts.models import User
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import event_hash
from ordergen.core.csv import BYTE_ORDER_MARK, csv_text, guard
from ordergen.core.errors import NotFoundError

SYSTEM = "system"
COLUMNS = (
    "seq", "at", "actor", "action", "object_type", "object_id", "summary", "detail", "request_id", "previous_hash",
    "hash",
)  # fmt: skip
_ROWS_PER_PIECE = 1_000


@dataclass(frozen=True)
class AuditFilter:
    """Which events are wanted. Empty means any; days are UTC and both are included."""

    actor: str = ""
    action: str = ""
    since: date | None = None
    until: date | None = None
    object_id: str = ""

    @property
    def is_narrow(self) -> bool:
        return bool(self.actor or self.action or self.since or self.until or self.object_id)


def request_behind(action: str, object_id: str) -> str:
    """The correlation id of the request that did `action` to an object; empty when there was none."""
    events = AuditEvent.objects.filter(object_id=object_id, action=action)
    return events.values_list("request_id", flat=True).first() or ""


def audit_events(wanted: AuditFilter) -> QuerySet[AuditEvent]:
    """The events wanted, newest first."""
    events = AuditEvent.objects.all()
    if wanted.actor:
        events = events.filter(actor=wanted.actor)
    if wanted.action:
        events = events.filter(action__startswith=wanted.action)
    if wanted.object_id:
        events = events.filter(object_id=wanted.object_id)
    if wanted.since:
        events = events.filter(at__gte=_midnight(wanted.since))
    if wanted.until:
        events = events.filter(at__lt=_midnight(wanted.until) + timedelta(days=1))
    return events


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def audit_actors() -> list[str]:
    """Who may have done something."""
    return [SYSTEM, *User.objects.order_by("username").values_list("username", flat=True)]


def audit_actions() -> list[str]:
    """What has been done so far."""
    return list(AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct())


@dataclass(frozen=True)
class EventView:
    """One event, whether its hash still fits what it says, and its neighbours in the chain."""

    event: AuditEvent
    is_sound: bool
    before: AuditEvent | None
    after: AuditEvent | None

    @property
    def follows(self) -> bool:
        """Whether it names the event before it by that event's hash."""
        return self.before is None or self.before.hash == self.event.previous_hash


def audit_event(seq: int) -> EventView:
    """Raises NotFoundError."""
    near = {event.seq: event for event in AuditEvent.objects.filter(seq__in=(seq - 1, seq, seq + 1))}
    event = near.get(seq)
    if event is None:
        raise NotFoundError(f"There is no event {seq}.")
    return EventView(event, event.hash == event_hash(event), near.get(seq - 1), near.get(seq + 1))


def audit_csv(wanted: AuditFilter) -> Iterator[str]:
    """The events wanted as CSV text, piece by piece; a text that a spreadsheet would run begins with an apostrophe."""
    yield BYTE_ORDER_MARK + csv_text([COLUMNS])
    rows = audit_events(wanted).iterator(chunk_size=_ROWS_PER_PIECE)
    while batch := list(islice(rows, _ROWS_PER_PIECE)):
        yield csv_text([_cell(event, name) for name in COLUMNS] for event in batch)


def _cell(event: AuditEvent, name: str) -> str:
    if name == "at":
        return event.at.astimezone(UTC).isoformat()
    if name == "detail":
        return json.dumps(event.detail, sort_keys=True)
    return guard(str(getattr(event, name)))
