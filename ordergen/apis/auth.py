"""Who asks, and whether they may: every operation declares its permission and its scope by `auth=needs(…)`.

A person signed in to the site needs the permission, and a CSRF token for anything but reading. An API key needs the
scope, and its owner the permission. `ORDERGEN_API_AUTH=none` opens API v1 to everyone, as the service user "api".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from ninja.errors import AuthenticationError, HttpError
from ninja.security import APIKeyHeader, HttpBearer, SessionAuth
from ninja.utils import check_csrf

from ordergen.accounts.client import client_of
from ordergen.accounts.keys import SCOPES, find_api_key, refuse_api_key
from ordergen.accounts.models import User
from ordergen.accounts.roles import CONFIRMED, PERMISSIONS, Role
from ordergen.accounts.sign_in.middleware import comes_first
from ordergen.accounts.sign_in.sessions import is_confirmed
from ordergen.accounts.sign_in.throttle import ThrottledError
from ordergen.core.errors import BrokenPromiseError, Code, NotAllowedError

SERVICE_USERNAME = "api"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Need:
    permission: str
    scope: str


class ApiKey(APIKeyHeader):
    """A key in the header X-API-Key."""

    param_name = "X-API-Key"

    def __init__(self, need: Need) -> None:
        self.need = need
        super().__init__()

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return _by_key(request, key, self.need) if key else None


class Bearer(HttpBearer):
    """The same key as `Authorization: Bearer`."""

    def __init__(self, need: Need) -> None:
        self.need = need
        super().__init__()

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        return _by_key(request, token, self.need)


class UnconfirmedError(NotAllowedError):
    """The session is somebody's, and it is a while since they showed that it is still them."""

    code = Code.CONFIRM_PASSWORD


class Session(SessionAuth):
    """The cookie of somebody who signed in to the site; unsafe methods need the CSRF token too.

    Before what cannot be undone the password has to have been given lately, as on the pages.
    """

    def __init__(self, need: Need, *, is_confirmed: bool) -> None:
        self.need = need
        self.wants_confirmation = is_confirmed
        super().__init__(csrf=True)

    def _get_key(self, request: HttpRequest) -> str | None:
        if not request.user.is_authenticated:
            return None
        _ = request.body  # read before the CSRF check looks for a form: afterwards it could not be read any more
        if check_csrf(request):
            raise HttpError(403, "The CSRF token is missing or wrong; send it as X-CSRFToken, or use an API key.")
        return request.COOKIES.get(self.param_name)

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:  # noqa: ARG002  ninja's signature
        if not isinstance(request.user, User):
            return None
        if first := comes_first(request.user):
            raise NotAllowedError(f"First comes what {reverse(first)} asks of you.")
        row = request.sign_in  # type: ignore[attr-defined]  # set by a middleware
        if self.wants_confirmation and request.method not in SAFE_METHODS and not (row and is_confirmed(row)):
            raise UnconfirmedError(
                "It is a while since you gave your password. Give it again at /signin/, then repeat."
            )
        return _admit(request, request.user, self.need)


@dataclass(frozen=True)
class OpenDoor:
    """API v1 without credentials, where the operator chose that for a closed network."""

    need: Need

    def __call__(self, request: HttpRequest) -> User | None:
        if settings.ORDERGEN_API_AUTH != "none" or not request.path.startswith("/api/v1/"):
            return None
        return _admit(request, service_user(), self.need)


def needs(permission: str, scope: str) -> list[Callable[[HttpRequest], Any]]:
    """The ways into an operation, for `auth=`. An unknown permission or scope is a KeyError at import."""
    need = Need(permission=permission, scope=scope)
    _ = PERMISSIONS[permission], SCOPES[scope]
    return [ApiKey(need), Bearer(need), Session(need, is_confirmed=permission in CONFIRMED), OpenDoor(need)]


def needs_person(permission: str) -> list[Callable[[HttpRequest], Any]]:
    """Only a person who signed in may enter: what a key must never do, such as making keys."""
    _ = PERMISSIONS[permission]
    return [Session(Need(permission=permission, scope=""), is_confirmed=True)]


class Undeclared:
    """What guards an operation that forgot to declare its need: nobody passes."""

    csrf = True  # read by the documentation page, which then sends the CSRF token along

    def __call__(self, _request: HttpRequest) -> None:
        raise NotAllowedError("This operation declares no permission, so it is closed.")


def key_sent(request: HttpRequest) -> str:
    """The text of the key in either header; empty where there is none."""
    mark, _, token = request.headers.get("Authorization", "").partition(" ")
    return request.headers.get(ApiKey.param_name) or (token if mark.lower() == "bearer" else "")


def _by_key(request: HttpRequest, plain: str, need: Need) -> User:
    key = find_api_key(plain)
    if key is None:
        _count_wrong_key(request, plain)
        raise AuthenticationError(message="The API key is unknown, expired or revoked.")
    request.user = key.user  # who is refused, if so, for the audit trail
    if need.scope not in key.scopes:
        raise NotAllowedError(f"The API key lacks the scope {need.scope}.", code=Code.MISSING_SCOPE)
    return _admit(request, key.user, need)


def _count_wrong_key(request: HttpRequest, plain: str) -> None:
    """Raises ThrottledError after too many from one address; API v1 answers a wrong key as it always has."""
    try:
        refuse_api_key(plain, client_of(request))
    except ThrottledError:
        if not request.path.startswith("/api/v1/"):
            raise


def _admit(request: HttpRequest, user: User, need: Need) -> User:
    user.must(need.permission)
    request.user = user
    return user


def caller(request: HttpRequest) -> User:
    """Who asks; operations are reached by people and keys only."""
    if not isinstance(request.user, User):
        raise BrokenPromiseError("every operation declares its need")
    return request.user


def service_user() -> User:
    """The account that acts for callers without credentials: it may edit and launch, never approve or sign in."""
    user, is_new = User.objects.get_or_create(username=SERVICE_USERNAME, defaults={"roles": [Role.MANAGER]})
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user
