"""What pages have in common: a request of somebody who signed in, who may see what, and what htmx asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods

from ordergen.accounts.models import SignIn, User

View = Callable[..., HttpResponseBase]


class SignedInRequest(HttpRequest):
    """Only for type checking: requests of signed-in people are ordinary HttpRequests."""

    user: User
    sign_in: SignIn


def page(*methods: str, permission: str = "book.read") -> Callable[[View], View]:
    """For people who are signed in and have `permission`; answers `methods` (GET brings HEAD) and nothing else.

    Without a permission it is for everybody who is signed in, as one's own account is.
    """
    allowed = [*methods, "HEAD"] if "GET" in methods else [*methods]

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if permission:
                request.user.must(permission)
            response = view(request, *args, **kwargs)
            patch_vary_headers(response, ("HX-Request",))
            return response

        return require_http_methods(allowed)(login_required(inner))

    return decorate


def refuses_nul(*fields: str) -> Callable[[View], View]:
    """For views whose form refuses NUL in these fields itself: the message stands there, and what was typed stays."""

    def decorate(view: View) -> View:
        view.refuses_nul = frozenset(fields)  # type: ignore[attr-defined]  # for the middleware no_nul
        return view

    return decorate


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page; Back asks for the whole."""
    htmx = request.htmx  # type: ignore[attr-defined]  # set by HtmxMiddleware
    return bool(htmx) and not htmx.history_restore_request
