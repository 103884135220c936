"""The trail as other systems follow it: from any point on, in the order in which the changes were committed.

A reader that has seen the event `seq` has seen every one before it. Who records holds the turn to do so until the end
of the transaction (audit/services), takes the next number only then, and a number that is not committed is not taken:
so numbers have no gaps, and none appears behind a reader. What concerns accounts, keys and webhooks is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db.models import Max, Model, Q, QuerySet

from ordergen.audit.models import AuditEvent

KIND = r"^[a-z_]{1,40}(\.[a-z_]{1,40})?$"
KINDS = ("model", "rebalance", "orders", "limits", "book")  # what there is to follow; each has kinds below it
_PRIVATE = ("User", "ApiKey", "Webhook")
_SUBJECTS = {"InvestmentModel": "model", "Rebalance": "run", "LimitSet": "limits", "Setting": "book"}


def feed(*, kinds: Iterable[str] = (), subject_id: str = "", after: int = 0) -> QuerySet[AuditEvent]:
    """The events behind `after`, oldest first. A kind is one action ("orders.approved") or all of a room ("orders")."""
    events = AuditEvent.objects.filter(seq__gt=after).exclude(object_type__in=_PRIVATE).order_by("seq")
    wanted = Q()
    for kind in kinds:
        wanted |= Q(action=kind) if "." in kind else Q(action__startswith=f"{kind}.")
    events = events.filter(wanted)
    return events.filter(object_id=subject_id) if subject_id else events


def subjects_changed(kind: type[Model], after: int) -> QuerySet[AuditEvent, str]:
    """Ids of the records of `kind` that an event behind `after` is about."""
    return AuditEvent.objects.filter(object_type=kind.__name__, seq__gt=after).values_list("object_id", flat=True)


def newest() -> int:
    """The number of the last event there is, of any kind; 0 before the first."""
    return AuditEvent.objects.aggregate(last=Max("seq"))["last"] or 0


def event_out(event: AuditEvent) -> dict[str, Any]:
    """An event as the feed and webhooks tell it; its id is the same in both, however often it is told."""
    kind = event.object_type
    return {
        "id": event.pk,
        "seq": event.seq,
        "kind": event.action,
        "at": event.at,
        "actor": event.actor,
        "subject": {"type": _SUBJECTS.get(kind) or _in_lower_case(kind), "id": event.object_id},
        "summary": event.summary,
        "detail": event.detail,
        "correlation_id": event.request_id,
    }


def _in_lower_case(name: str) -> str:
    """PortfolioRebalance as portfolio_rebalance."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
