"""Asking for the password in the middle of something, so that nothing that was typed is lost.

A part of a page is answered 401, and app.js opens a dialog in place, then sends the same request again. A form that was
sent by itself comes back with the page of sign-in, which keeps what was typed in a hidden field; after the password it
is shown, and sent on by one more button. Passwords and files are not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from ordergen.accounts.forms import SignInForm
from ordergen.accounts.models import User
from ordergen.web.middleware import typed_in

WHY = "X-Sign-In"
View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kept:
    """A form on its way: where it goes, and its fields."""

    path: str
    fields: Sequence[tuple[str, str]]

    def as_text(self) -> str:
        return json.dumps([self.path, self.fields])

    @classmethod
    def read(cls, text: str) -> Kept | None:
        """What `as_text` wrote; None for anything else, and for a form that would go to another site."""
        try:
            path, fields = json.loads(text)
            kept = cls(path, [(name, value) for name, value in fields])
        except (ValueError, TypeError, RecursionError):
            return None
        texts = [path, *(text for pair in kept.fields for text in pair)]
        is_ours = all(isinstance(text, str) for text in texts) and path.startswith("/")
        return kept if is_ours and url_has_allowed_host_and_scheme(path, allowed_hosts=None) else None


def needs_confirmation(view: View) -> View:
    """For views whose changes cannot be undone: they want the password again where it was given a while ago."""
    view.needs_confirmation = True  # type: ignore[attr-defined]  # for the middleware SignedInOnly
    return view


def ask_for_password(request: HttpRequest, *, confirm: bool = False) -> HttpResponseBase:
    """The answer to a request that needs a password first."""
    if request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
        return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={WHY: "confirm" if confirm else "ended"})
    if request.method != "POST":
        return redirect_to_login(request.get_full_path())
    person = request.user if confirm else User.objects.filter(pk=request.left).first()  # type: ignore[attr-defined]
    form = SignInForm(request, initial={"username": person.username if isinstance(person, User) else ""})
    context = {
        "form": form,
        "kept": Kept(request.get_full_path(), typed_in(request)).as_text(),
        "has_files": bool(request.FILES),
        "confirm": confirm,
    }
    return render(request, "accounts/signin.html", context, status=HTTPStatus.UNAUTHORIZED)
