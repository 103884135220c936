"""How long a sign-in lasts: until it is ended, nothing was done for a while, or it is old.

Django's session carries the id of a row `SignIn`; each request looks at that row. Who ends a row has thereby ended the
session, whatever machine it is on and whoever still has its cookie.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from ordergen.accounts.client import client_of
from ordergen.accounts.models import SignIn, User
from ordergen.audit.services import record, recorded
from ordergen.core.db import is_busy

IN_SESSION = "sign_in"
_SEEN_GRAIN = timedelta(minutes=1)  # most requests of a session write nothing


def begin(request: HttpRequest, user: User, **_signal: Any) -> None:
    """Django has let somebody in: a row for it, or the password of the present one was given again.

    A receiver of `user_logged_in`, so that no way in, now or later, can do without a row.
    """
    now = timezone.now()
    present = current(request)
    if present is not None and present.user_id == user.pk:
        SignIn.objects.filter(pk=present.pk).update(seen_at=now, confirmed_at=now)
        return
    client = client_of(request)
    row = SignIn.objects.create(
        user=user, at=now, seen_at=now, confirmed_at=now, address=client.address, device=client.device
    )
    request.session[IN_SESSION] = row.pk


def current(request: HttpRequest) -> SignIn | None:
    """The sign-in that the request's session belongs to, while it lasts."""
    key = request.session.get(IN_SESSION)
    rows = SignIn.objects.select_related("user__authenticator").filter(pk=key)  # which every page asks for
    return lasting(rows, timezone.now()).first() if key else None


def owner(request: HttpRequest, row: SignIn) -> User | None:
    """Whose sign-in that is, read with its row; None where Django, which is asked then, may not let them go on."""
    user, known = row.user, request.session.get(HASH_SESSION_KEY, "")
    is_theirs = request.session.get(SESSION_KEY) == user.pk and user.is_active
    return user if is_theirs and constant_time_compare(known, user.get_session_auth_hash()) else None


def lasting(rows: QuerySet[SignIn], now: datetime) -> QuerySet[SignIn]:
    """Those of the sign-ins that have not come to an end."""
    return rows.filter(
        ended_at=None,
        seen_at__gt=now - timedelta(minutes=settings.SESSION_IDLE_MINUTES),
        at__gt=now - timedelta(hours=settings.SESSION_MAX_HOURS),
    )


def seen(row: SignIn) -> None:
    """Somebody did something. Where the database is busy just now, the next request says so instead."""
    now = timezone.now()
    if row.seen_at > now - _SEEN_GRAIN:
        return
    try:
        SignIn.objects.filter(pk=row.pk).update(seen_at=now)
    except DatabaseError as error:
        if not is_busy(error):
            raise


def is_confirmed(row: SignIn) -> bool:
    """Whether the password was given so lately that the person can be taken to be there."""
    return row.confirmed_at > timezone.now() - timedelta(minutes=settings.CONFIRM_MINUTES)


def end(rows: QuerySet[SignIn]) -> int:
    """Ends the sign-ins for good; how many of them had lasted until now."""
    now = timezone.now()
    return lasting(rows, now).update(ended_at=now)


def end_sessions(user: User, *, by: User | None, but: SignIn | None = None, only: str = "") -> int:
    """Signs a person out everywhere, or everywhere `but` here, or `only` there; returns of how many browsers."""
    rows = user.sign_ins.exclude(pk=but.pk if but else None)
    with recorded():
        ended = end(rows.filter(pk=only) if only else rows)
        if ended:
            record("sessions.ended", user, f"{user.username} was signed out of {ended} browsers", by=by)
    return ended
