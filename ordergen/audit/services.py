"""Writing and checking the audit trail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ordergen.audit.models import AuditEvent
from ordergen.core.correlation import correlation
from ordergen.core.db import atomic, one_at_a_time, this_moment

if TYPE_CHECKING:
    from django.db.models import Model

    from ordergen.accounts.models import User

GENESIS = "0" * 64
_SIGNED = ("seq", "previous_hash", "actor_id", "actor", "action", "object_type", "object_id", "summary", "request_id")


@contextmanager
def recorded() -> Iterator[None]:
    """A transaction that will `record`. It takes its turn before it touches a row, and so never waits holding one.

    Whoever decides, launches, edits or cancels therefore acts alone, on PostgreSQL as on SQLite: two of them can
    neither both see the same open order nor wait for each other's rows. Workers' own bulk writes run beside it.
    """
    with atomic():
        take_turn()
        yield


def take_turn() -> None:
    """Inside a transaction: waits until no other one is recording."""
    one_at_a_time("audit")


def keep_turns_waiting() -> None:
    """Inside a transaction that will not record: nobody else records until its end. Several may do so at once."""
    one_at_a_time("audit", shared=True)


def record(
    action: str, subject: Model | None, summary: str, *, by: User | None, detail: Mapping[str, Any] | None = None
) -> AuditEvent:
    """Appends one event, about `subject` where it is about a row.

    Call it inside the transaction that makes the change, best in `recorded()`. Writers take turns at the
    head; the unique `previous_hash` makes a fork impossible even if one did not.
    """
    take_turn()
    head = AuditEvent.objects.order_by("-seq").values("seq", "hash").first() or {"seq": 0, "hash": GENESIS}
    event = AuditEvent(
        seq=head["seq"] + 1,
        previous_hash=head["hash"],
        at=this_moment(),
        actor_id=by.pk if by else "",
        actor=by.username if by else "system",
        action=action,
        object_type=type(subject).__name__ if subject else "",
        object_id=subject.pk if subject else "",
        summary=summary[:500],
        detail=json.loads(json.dumps(dict(detail or {}), default=str)),
        request_id=correlation.get(),
    )
    event.hash = event_hash(event)
    event.save(force_insert=True)
    return event


def event_hash(event: AuditEvent) -> str:
    """sha256 over the canonical JSON of everything that was recorded, the previous hash included."""
    signed = {name: getattr(event, name) for name in _SIGNED}
    signed |= {"at": event.at.isoformat(timespec="microseconds"), "detail": event.detail}
    return hashlib.sha256(json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def first_broken_link() -> int | None:
    """The `seq` of the first event that does not follow from the one before it; None when the chain is whole."""
    previous, expected = GENESIS, 1
    for event in AuditEvent.objects.order_by("seq").iterator(chunk_size=50):  # some name a hundred thousand orders
        if (event.seq, event.previous_hash) != (expected, previous) or event.hash != event_hash(event):
            return expected
        previous, expected = event.hash, expected + 1
    return None
