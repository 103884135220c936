"""API keys: made, found and revoked. Only a hash is kept, so a copy of the database opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from ordergen.accounts.client import Client
from ordergen.accounts.models import ApiKey, User
from ordergen.accounts.sign_in.throttle import Allowance, count_try
from ordergen.audit.services import record, recorded
from ordergen.core.errors import InvalidInputError, NotAllowedError, NotFoundError

logger = logging.getLogger(__name__)
SCOPES: dict[str, str] = {
    "book:read": "See portfolios, holdings, securities and prices",
    "book:write": "Write the book: securities, prices, portfolios, holdings, lots",
    "models:read": "See models, their versions and drift",
    "models:write": "Create, change and delete models",
    "rebalances:read": "See runs, proposals and orders",
    "rebalances:write": "Launch, cancel, retry and hide runs",
    "orders:decide": "Approve and reject orders",
    "audit:read": "Read the audit trail",
    "events:read": "Follow what changes: the event feed",
    "webhooks:manage": "Set up webhooks, see and repeat what they sent",
}
MAX_DAYS = 365
MAX_NAME_LENGTH = 100
_MARK = "og"  # so that a key found in a log or a repository can be told for what it is
_LAST_USED_GRAIN = timedelta(minutes=1)  # a reading client does not write a row per request
_used = threading.local()  # by this thread's request, where that is to be noted at its end


def create_api_key(*, user: User, name: str, scopes: Sequence[str], days: int) -> tuple[ApiKey, str]:
    """A new key for `user` and its plain text, which is shown once and kept nowhere.

    Raises InvalidInputError for an empty name, an unknown scope, none at all, or a life beyond MAX_DAYS, and
    NotAllowedError for a person who was disabled.
    """
    _check(name, scopes, days)
    prefix = secrets.token_hex(5)
    plain = f"{_MARK}_{prefix}_{secrets.token_urlsafe(32)}"
    now = timezone.now()
    with recorded():
        if not User.objects.filter(pk=user.pk, is_active=True).exists():
            raise NotAllowedError(f"{user.username} was disabled.")
        key = ApiKey.objects.create(
            user=user,
            name=name.strip(),
            prefix=prefix,
            sha256=_digest(plain),
            scopes=sorted(set(scopes)),
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        record(
            "api_key.created", key, f"Key {name.strip()} for {user.username}", by=user, detail={"scopes": key.scopes}
        )
    return key, plain


def _check(name: str, scopes: Sequence[str], days: int) -> None:
    faults = {}
    if not 1 <= len(name.strip()) <= MAX_NAME_LENGTH:
        faults["name"] = f"A name has 1 to {MAX_NAME_LENGTH} characters."
    if not scopes or not set(scopes) <= set(SCOPES):
        faults["scopes"] = f"Choose one or more of {', '.join(SCOPES)}."
    if not 1 <= days <= MAX_DAYS:
        faults["days"] = f"A key lives 1 to {MAX_DAYS} days."
    if faults:
        raise InvalidInputError("The key cannot be made.", fields=faults)


def find_api_key(plain: str) -> ApiKey | None:
    """The living key this text belongs to, with its user; None when unknown, expired, revoked or its user is gone."""
    mark, _, rest = plain.partition("_")
    prefix = rest.partition("_")[0]
    if mark != _MARK or not prefix.isalnum() or not prefix.isascii():
        return None
    key = ApiKey.objects.select_related("user").filter(prefix=prefix).first()
    if key is None or not hmac.compare_digest(key.sha256, _digest(plain)):
        return None
    now = timezone.now()
    if key.revoked_at is not None or key.expires_at <= now or not key.user.is_active:
        return None
    if key.last_used_at is None or key.last_used_at < now - _LAST_USED_GRAIN:  # most reads write nothing
        _used.key_id = key.pk
    return key


def note_use(**_signal: object) -> None:
    """Notes that a key was used, when the request is over: no read waits for whoever writes at that moment.

    One that cannot be noted, of a database that is busy or full, is noted at the key's next use.
    """
    key_id, now = _used.__dict__.pop("key_id", None), timezone.now()
    if key_id is None:
        return
    unnoted = Q(last_used_at=None) | Q(last_used_at__lt=now - _LAST_USED_GRAIN)
    try:
        ApiKey.objects.filter(unnoted, pk=key_id).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("the use of key %s is not noted: %s", key_id, error)


def refuse_api_key(plain: str, client: Client) -> None:
    """Counts a key that opens nothing, by the address that sent it. Raises ThrottledError after too many of them.

    A key that opens something is never kept waiting: it cannot be guessed, and others may share the address.
    """
    made = count_try(Allowance.of("key-address", client.network, settings.SIGN_IN_TRIES_PER_ADDRESS))
    if not made.is_first and not made.is_last:  # a client with an old key sends it all day
        return
    key = ApiKey.objects.select_related("user").filter(prefix=plain.partition("_")[2].partition("_")[0]).first()
    words = f"Key {key.name} of {key.user.username}" if key else "An unknown API key"
    end = ", the last for some minutes" if made.is_last else ""
    with recorded():
        record("api_key.refused", key, f"{words} was refused{end}", by=None, detail={"address": client.address})


def own_api_key(*, user: User, key_id: str) -> ApiKey:
    """A key of this person; raises NotFoundError, for the keys of others too."""
    key = user.api_keys.filter(pk=key_id).first()
    if key is None:
        raise NotFoundError("You have no such key.")
    return key


def revoke_api_key(*, key: ApiKey, by: User | None) -> bool:
    """Ends a key at once; whether it had been in force: revoking it again changes nothing."""
    with recorded():
        if not ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()):
            return False
        record("api_key.revoked", key, f"Key {key.name} of {key.user.username}", by=by)
    return True


def revoke_all_keys(*, user: User, by: User | None) -> int:
    """Ends every key of a person at once; returns how many had been in force."""
    with recorded():
        return sum(revoke_api_key(key=key, by=by) for key in user.api_keys.filter(revoked_at=None))


def _digest(plain: str) -> str:
    # A plain hash will do: the key is 256 random bits, not a password somebody chose.
    return hashlib.sha256(plain.encode()).hexdigest()
