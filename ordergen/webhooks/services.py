"""Setting up, pausing, repeating and ending webhooks. Administrators do that, and each verb is an event of its own."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from ordergen.accounts.models import User
from ordergen.audit.feed import KIND, KINDS, newest
from ordergen.audit.services import record, recorded
from ordergen.core.errors import Code, ConflictError, InvalidInputError, NotFoundError
from ordergen.core.ids import object_id
from ordergen.webhooks.addresses import resolve
from ordergen.webhooks.models import Webhook, WebhookState

MAX_DESCRIPTION = 200
MAX_KINDS = 20
PERMISSION = "webhook.manage"


def webhook_create(
    *, by: User, url: str, kinds: Sequence[str] = (), description: str = "", after: int | None = None
) -> Webhook:
    """A new subscription to events behind `after` (None: from now on) of these kinds (none: all).

    Raises NotAllowedError and InvalidInputError at the fields that cannot be.
    """
    by.must(PERMISSION)
    _check(kinds, description)
    resolve(url)
    now = timezone.now()
    with recorded():
        last = newest()
        webhook = Webhook.objects.create(
            url=url,
            kinds=list(dict.fromkeys(kinds)),
            description=description.strip(),
            salt=object_id(),
            cursor=last if after is None else _known(after, last, "after"),
            next_attempt_at=now,
            created_by=by,
            created_at=now,
        )
        told = ", ".join(webhook.kinds) or "everything"
        record("webhook.created", webhook, f"Webhook to {url}: {told}", by=by, detail={"after": webhook.cursor})
    return webhook


def webhook_get(webhook_id: str) -> Webhook:
    """Raises NotFoundError."""
    webhook = Webhook.objects.select_related("created_by").filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFoundError("No such webhook.")
    return webhook


def webhook_pause(*, by: User, webhook_id: str) -> Webhook:
    """Sends nothing until it is resumed; what happens meanwhile is sent then."""
    found = Webhook.objects.filter(state=WebhookState.ACTIVE)
    return _turn(by, webhook_id, found, WebhookState.PAUSED, "paused", why=f"By {by.display_name}.")


def webhook_resume(*, by: User, webhook_id: str) -> Webhook:
    """Goes on where it stopped, at once."""
    found = Webhook.objects.filter(state=WebhookState.PAUSED)
    return _turn(by, webhook_id, found, WebhookState.ACTIVE, "resumed")


def webhook_end(*, by: User, webhook_id: str) -> Webhook:
    """Ends it for good; the record of it and of its attempts stays."""
    found = Webhook.objects.exclude(state=WebhookState.ENDED)
    return _turn(by, webhook_id, found, WebhookState.ENDED, "ended")


def webhook_replay(*, by: User, webhook_id: str, after: int) -> Webhook:
    """Sends every wanted event behind `after` again, each under its id. Raises ConflictError once it has ended."""
    by.must(PERMISSION)
    with recorded():
        again = {"cursor": _known(after, newest(), "after"), "next_attempt_at": timezone.now(), "failures": 0}
        found = Webhook.objects.filter(pk=webhook_id).exclude(state=WebhookState.ENDED)
        if not found.update(**again, token="", lease_until=None):
            raise _refused(webhook_id)
        webhook = webhook_get(webhook_id)
        record("webhook.replayed", webhook, f"Webhook to {webhook.url}: again from event {after + 1}", by=by)
    return webhook


def secret_of(webhook: Webhook) -> str:
    """What signs its messages, as standardwebhooks writes it. It is derived: no copy of the database gives it away."""
    key = salted_hmac("ordergen.webhooks", f"{webhook.pk}:{webhook.salt}", algorithm="sha256").digest()
    return f"whsec_{base64.b64encode(key).decode()}"


def _turn(
    by: User, webhook_id: str, found: QuerySet[Webhook], state: WebhookState, verb: str, *, why: str = ""
) -> Webhook:
    """Moves it to `state` if it is among `found`; who is sending at this moment owns it no more."""
    by.must(PERMISSION)
    with recorded():
        changes = {"state": state, "why": why, "failures": 0, "next_attempt_at": timezone.now()}
        if not found.filter(pk=webhook_id).update(**changes, token="", lease_until=None):
            raise _refused(webhook_id)
        webhook = webhook_get(webhook_id)
        record(f"webhook.{verb}", webhook, f"Webhook to {webhook.url} {verb}", by=by)
    return webhook


def _refused(webhook_id: str) -> ConflictError:
    webhook = webhook_get(webhook_id)
    return ConflictError(f"This webhook is {webhook.get_state_display().lower()}.", code=Code.CHANGED_MEANWHILE)


def _known(after: int, last: int, field: str) -> int:
    if not 0 <= after <= last:
        message = f"Events are numbered 1 to {last}; 0 is before the first."
        raise InvalidInputError(message, fields={field: message})
    return after


def _check(kinds: Sequence[str], description: str) -> None:
    faults = {}
    for at, kind in enumerate(kinds):
        if not re.fullmatch(KIND, kind) or kind.partition(".")[0] not in KINDS:
            faults[f"kinds.{at}"] = f"A kind is one of {', '.join(KINDS)}, or one of theirs, such as orders.approved."
    if len(kinds) > MAX_KINDS:
        faults["kinds"] = f"At most {MAX_KINDS} kinds."
    if len(description) > MAX_DESCRIPTION:
        faults["description"] = f"At most {MAX_DESCRIPTION} characters."
    if faults:
        raise InvalidInputError("The webhook cannot be set up.", fields=faults)
