"""What a request meets on its way to a page: whether its sign-in lasts, whether it needs one, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from zlib import crc32

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from ordergen.accounts.client import client_of, printable
from ordergen.accounts.models import User
from ordergen.accounts.sign_in.asking import ask_for_password
from ordergen.accounts.sign_in.authenticator import is_missing
from ordergen.accounts.sign_in.check import told
from ordergen.accounts.sign_in.sessions import current, is_confirmed, owner, seen
from ordergen.audit.services import record, recorded
from ordergen.core.cache import count
from ordergen.core.metrics import route

Handler = Callable[[HttpRequest], HttpResponse]
BY_ITSELF = "X-By-Itself"  # app.js says so of requests that a page makes without anybody doing anything
_REFUSALS_SECONDS = 600
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def sign_ins_end(get_response: Handler) -> Handler:
    """A session whose sign-in has come to an end is over. `request.sign_in` is one that lasts, else None."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.sign_in = request.left = None  # type: ignore[attr-defined]
        if settings.SESSION_COOKIE_NAME in request.COOKIES and SESSION_KEY in request.session:
            row = current(request)
            if row is None:
                request.left = request.session[SESSION_KEY]  # type: ignore[attr-defined]  # whose it was
                request.session.flush()
            elif BY_ITSELF not in request.headers:
                seen(row)
            if row and (user := owner(request, row)):
                request.user = user
            request.sign_in = row  # type: ignore[attr-defined]
        return get_response(request)

    return middleware


class SignedInOnly(LoginRequiredMiddleware):
    """Every page is for people who signed in, unless its view says `login_not_required`; APIs have their own rule."""

    def process_view(
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase], view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        if request.path.startswith("/api/"):
            return None
        user = request.user
        if not isinstance(user, User) or not getattr(view_func, "login_required", True):
            return super().process_view(request, view_func, view_args, view_kwargs)
        if (first := comes_first(user)) and getattr(view_func, "comes_first", "") != first:
            return _to(first, request)
        if must_confirm(request, view_func):
            return ask_for_password(request, confirm=True)
        return None

    def handle_no_permission(  # type: ignore[override]  # not always a redirect
        self, request: HttpRequest, _view: Callable[..., HttpResponseBase]
    ) -> HttpResponseBase:
        return ask_for_password(request)


def must_confirm(request: HttpRequest, view: Callable[..., HttpResponseBase], method: str = "") -> bool:
    """Whether the password has to be given again before `view` does what it does."""
    if (method or request.method) in _SAFE_METHODS or not getattr(view, "needs_confirmation", False):
        return False
    row = request.sign_in  # type: ignore[attr-defined]
    return row is None or not is_confirmed(row)


def comes_first(user: User) -> str:
    """The page of what the person has to do before anything else; empty where there is nothing."""
    if user.must_change_password:
        return "password"
    return "authenticator" if is_missing(user) else ""


def _to(page: str, request: HttpRequest) -> HttpResponseBase:
    """To a page of its own; of a part of a page that was asked for, htmx would take that page for the part."""
    if request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": reverse(page)})
    return redirect(page)


def refusals_recorded(get_response: Handler) -> Handler:
    """Whatever refuses a person, a page or an operation of an API, is in the audit trail.

    Once in ten minutes for a person and an address of the site, and each process of the server counts for itself where
    the cache is its own: a program that asks again and again does not fill the trail.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        user = request.user
        if response.status_code == HTTPStatus.FORBIDDEN and isinstance(user, User):
            asked = f"{request.method} {route(request)}"
            if count(f"refused-{user.pk}-{crc32(asked.encode())}", _REFUSALS_SECONDS) == 1:
                detail = told(client_of(request)) | {"path": printable(request.path, 200)}
                with recorded():
                    record("access.refused", user, f"{user.username} was refused {asked}", by=user, detail=detail)
        return response

    return middleware
