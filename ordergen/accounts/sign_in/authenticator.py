"""A second factor: the six digits that an authenticator app shows (RFC 6238, SHA-1, half a minute each).

The secret is made of the installation's SECRET_KEY and a random text, and only the text is kept: a copy of the database
gives no codes. A key that was replaced still counts while it is among SECRET_KEY_FALLBACKS.

django-otp, which we looked at (1.7), reads when a code was last used and writes it later, so that of two who send one
code at once both are let in; its tables have integer keys and hold the secrets.
"""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import b32encode
from collections.abc import Iterable
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from ordergen.accounts.models import Authenticator, User
from ordergen.audit.services import record, recorded
from ordergen.core.errors import InvalidInputError

STEP_SECONDS = 30
DIGITS = 6
_STEPS_APART = 1  # that the telephone's clock may be ahead or behind
_SECRET_BYTES = 20
_SALT = "ordergen.accounts.authenticator"


def new_seed() -> str:
    return secrets.token_hex(16)


def secret_of(seed: str, key: str | bytes | None = None) -> bytes:
    """The secret that an app shares with us, 20 bytes."""
    return salted_hmac(_SALT, seed, secret=key, algorithm="sha256").digest()[:_SECRET_BYTES]


def secret_in_words(seed: str) -> str:
    """As people type it into an app: base32, in groups of four."""
    text = b32encode(secret_of(seed)).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def address_for_apps(user: User, seed: str) -> str:
    """What an app opens, or reads from a picture."""
    label = quote(f"ordergen:{user.username}")
    return f"otpauth://totp/{label}?secret={b32encode(secret_of(seed)).decode()}&issuer=ordergen"


def code_at(secret: bytes, step: int) -> str:
    """The digits of the `step`-th half minute since 1970."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def _step(seed: str, code: str) -> int | None:
    """The half minute whose code this is; None where it is of none near now."""
    now = int(time.time()) // STEP_SECONDS
    given = "".join(code.split())
    for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        for step in range(now - _STEPS_APART, now + _STEPS_APART + 1):
            if constant_time_compare(code_at(secret_of(seed, key), step), given):
                return step
    return None


def is_right(user: User, code: str) -> bool:
    """Whether the code is the person's, and used for the first time; anything is where they have no authenticator."""
    row = Authenticator.objects.filter(user=user).first()
    if row is None:
        return True
    step = _step(row.seed, code)
    # One guarded update: of two who send the same code, be it at once, one is let in.
    return step is not None and bool(Authenticator.objects.filter(pk=row.pk, last_step__lt=step).update(last_step=step))


def authenticator_add(*, user: User, seed: str, code: str) -> None:
    """From now on sign-ins of this person want a code. Raises InvalidInputError for one that does not fit."""
    step = _step(seed, code)
    if step is None:
        words = "This is not the code that the app shows now. Is the clock of the telephone right?"
        raise InvalidInputError(words, fields={"code": words})
    with recorded():
        Authenticator.objects.filter(user=user).delete()  # a secret that is not used any more is better gone
        Authenticator.objects.create(user=user, seed=seed, added_at=timezone.now(), last_step=step)
        record("authenticator.added", user, f"{user.username} added an authenticator", by=user)


def authenticator_remove(*, user: User, by: User | None) -> bool:
    """Sign-ins want no code any more; whether they did."""
    with recorded():
        removed, _ = Authenticator.objects.filter(user=user).delete()
        if removed:
            record("authenticator.removed", user, f"The authenticator of {user.username} was removed", by=by)
    return bool(removed)


def is_missing(user: User) -> bool:
    """Whether a role of this person wants an authenticator that they do not have."""
    wants: Iterable[str] = settings.AUTHENTICATOR_ROLES
    return not set(wants).isdisjoint(user.roles) and not hasattr(user, "authenticator")
