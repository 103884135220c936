"""Sending what lies behind the cursors: at least once, each subscription's events in order, none twice without need.

claim      one conditional update; a sender that died owns it until its lease is over
send       the next wanted event, signed, under its own id
settle     attempt and cursor in one transaction, if it is still ours and where we found it
fail       try again later, each time after twice as long; after MAX_FAILURES in a row it is paused, and says why
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from ordergen.apis.json import dumps
from ordergen.audit.feed import event_out, feed, newest
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import record, recorded
from ordergen.core.db import atomic
from ordergen.core.errors import InvalidInputError
from ordergen.core.ids import object_id
from ordergen.webhooks.addresses import resolve
from ordergen.webhooks.models import Webhook, WebhookAttempt, WebhookState
from ordergen.webhooks.post import SECONDS, Answer, post
from ordergen.webhooks.services import secret_of

LEASE = timedelta(seconds=4 * SECONDS)
SPELL = 100  # events that one claim sends at most, so that others have their turn
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
MAX_FAILURES = 15  # in a row: about five hours
GONE = 410  # standardwebhooks: the receiver wants no more


def due() -> list[str]:
    """Active subscriptions that nobody is at, and that have events behind their cursor and no pause before them."""
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    found = Webhook.objects.filter(free, state=WebhookState.ACTIVE, next_attempt_at__lte=now)
    waiting = list(found.order_by("next_attempt_at").values_list("pk", "cursor"))
    last = newest() if waiting else 0
    return [pk for pk, cursor in waiting if cursor < last]


def deliver(webhook_id: str) -> int:
    """Sends what is due to one subscription; returns how many events were taken. Nothing where another is at it."""
    token = object_id()
    if not _claim(webhook_id, token):
        return 0
    for sent in range(SPELL):
        webhook = Webhook.objects.filter(pk=webhook_id, token=token).first()
        if webhook is None or not _send_next(webhook):
            return sent
    Webhook.objects.filter(pk=webhook_id, token=token).update(token="", lease_until=None)
    return SPELL


def _claim(webhook_id: str, token: str) -> bool:
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    mine = Webhook.objects.filter(free, pk=webhook_id, state=WebhookState.ACTIVE, next_attempt_at__lte=now)
    return bool(mine.update(token=token, lease_until=now + LEASE))


def _send_next(webhook: Webhook) -> bool:
    """Whether the next event was taken, and there may be another; else the claim is given back."""
    last = newest()  # before the event is looked for: all up to it can be seen by then
    event = feed(kinds=webhook.kinds, after=webhook.cursor).first()
    if event is None:
        _ours(webhook).update(cursor=last, token="", lease_until=None)
        return False
    started, at = time.monotonic(), timezone.now()
    answer = _send(webhook, event)
    attempt = WebhookAttempt(
        webhook=webhook,
        seq=event.seq,
        event_id=event.pk,
        kind=event.action,
        at=at,
        milliseconds=int(1000 * (time.monotonic() - started)),
        status=answer.status,
        fault=answer.fault,
    )
    return _failed(webhook, attempt) if answer.fault else _delivered(webhook, attempt)


def _send(webhook: Webhook, event: AuditEvent) -> Answer:
    try:
        target = resolve(webhook.url)
    except InvalidInputError as error:
        return Answer(None, error.message[:300])
    now = timezone.now()
    body = dumps({"type": event.action, "timestamp": event.at, "data": event_out(event)})
    headers = {
        "content-type": "application/json",
        "user-agent": "ordergen",
        "webhook-id": event.pk,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret_of(webhook)).sign(event.pk, now, body.decode()),
    }
    return post(target, body, headers)


def _ours(webhook: Webhook) -> QuerySet[Webhook]:
    """The row, if nobody has paused, replayed or taken it over since it was read."""
    return Webhook.objects.filter(pk=webhook.pk, token=webhook.token, cursor=webhook.cursor, state=WebhookState.ACTIVE)


def _delivered(webhook: Webhook, attempt: WebhookAttempt) -> bool:
    with atomic():
        attempt.save(force_insert=True)
        lease = timezone.now() + LEASE
        return bool(_ours(webhook).update(cursor=attempt.seq, failures=0, lease_until=lease))


def _failed(webhook: Webhook, attempt: WebhookAttempt) -> bool:
    if webhook.failures + 1 >= MAX_FAILURES or attempt.status == GONE:
        _give_up(webhook, attempt)
        return False
    pause = min(FIRST_PAUSE * 2**webhook.failures, LONGEST_PAUSE)
    with atomic():
        attempt.save(force_insert=True)
        _ours(webhook).update(
            failures=F("failures") + 1, next_attempt_at=timezone.now() + pause, token="", lease_until=None
        )
    return False


def _give_up(webhook: Webhook, attempt: WebhookAttempt) -> None:
    """Pauses it until a person resumes it. The cursor stays: nothing is lost."""
    times = "once" if attempt.status == GONE else f"{webhook.failures + 1} times in a row"
    why = f"Event {attempt.seq} failed {times}: {attempt.fault}"
    with recorded():
        attempt.save(force_insert=True)
        if _ours(webhook).update(
            state=WebhookState.PAUSED, why=why, failures=F("failures") + 1, token="", lease_until=None
        ):
            record("webhook.paused", webhook, f"Webhook to {webhook.url} paused: {why}", by=None)
