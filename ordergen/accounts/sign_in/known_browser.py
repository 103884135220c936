"""A browser in which somebody has signed in before has tries of its own.

Else whoever knows a name could keep its person out for ever, by five guesses in a quarter of an hour from anywhere. The
cookie says who it was, signed; it opens nothing, and whoever steals it has five tries as well.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from ordergen.accounts.names import canonical

COOKIE = "known"
_SALT = "ordergen.accounts.known_browser"
_REMEMBERED = timedelta(days=90)


def remember(response: HttpResponse, name: str) -> None:
    """The browser that gets this answer is one of the person's."""
    response.set_cookie(
        COOKIE,
        signing.dumps([canonical(name), secrets.token_hex(8)], salt=_SALT),
        max_age=_REMEMBERED,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def known_as(request: HttpRequest, name: str) -> str:
    """Which of the person's browsers this is; empty where it is not known as one."""
    try:
        whose, which = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_REMEMBERED)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(which) if whose == canonical(name) else ""
