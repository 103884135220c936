"""Reading the audit trail."""

from __future__ import annotations

from ordergen.audit.models import AuditEvent


def request_behind(action: str, object_id: str) -> str:
    """The correlation id of the request that did `action` to an object; empty when there was none."""
    events = AuditEvent.objects.filter(object_id=object_id, action=action)
    return events.values_list("request_id", flat=True).first() or ""
