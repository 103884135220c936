"""The page of sign-in, the same in place of a page, and sign-out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from ordergen.accounts.client import client_of
from ordergen.accounts.forms import SignInForm
from ordergen.accounts.models import SignIn, User
from ordergen.accounts.sign_in.asking import WHY, Kept
from ordergen.accounts.sign_in.check import told
from ordergen.accounts.sign_in.known_browser import remember
from ordergen.accounts.sign_in.middleware import must_confirm
from ordergen.accounts.sign_in.sessions import end, is_confirmed
from ordergen.audit.services import record, recorded

IN_PLACE = "X-In-Place"  # app.js sends it from its dialog, and wants no page


class SignInPage(auth_views.LoginView):
    """Lets somebody in, or takes the password once more of somebody who is."""

    template_name = "accounts/signin.html"
    authentication_form = SignInForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """A part of a page that was sent here gets 401, for app.js to act on; no sign-in form lands inside a page."""
        if request.htmx:  # type: ignore[attr-defined]  # set by HtmxMiddleware
            return HttpResponse(status=HTTPStatus.UNAUTHORIZED)
        row = request.sign_in  # type: ignore[attr-defined]  # set by a middleware
        if row is not None and is_confirmed(row):
            return redirect(self.get_success_url())
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        answer = self._let_in(form)
        remember(answer, form.get_user().username)
        return answer

    def _let_in(self, form: Any) -> HttpResponse:
        before, user = self.request.user, form.get_user()
        with recorded():
            answer = super().form_valid(form)
            is_confirmed = before.is_authenticated and before.pk == user.pk
            action, words = (
                ("sign_in.confirmed", "gave the password again") if is_confirmed else ("signed_in", "signed in")
            )
            record(action, user, f"{user.username} {words}", by=user, detail=told(client_of(self.request)))
        if IN_PLACE in self.request.headers:
            return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"X-CSRFToken": get_token(self.request)})
        if kept := Kept.read(self.request.POST.get("kept", "")):
            return render(self.request, "accounts/kept.html", {"kept": kept})
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        status = HTTPStatus.TOO_MANY_REQUESTS if form.retry_after else HTTPStatus.UNPROCESSABLE_ENTITY
        if IN_PLACE in self.request.headers:
            words = " ".join(form.non_field_errors()) or "Enter your password."
            answer = HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
        else:
            kept = Kept.read(self.request.POST.get("kept", ""))
            context = self.get_context_data(form=form, kept=kept.as_text() if kept else "")
            answer = render(self.request, self.template_name, context, status=status)
        if form.retry_after:
            answer["Retry-After"] = str(form.retry_after)
        return answer


@method_decorator(login_not_required, name="dispatch")
class SignOut(auth_views.LogoutView):
    """Ends this sign-in for good: its cookie opens nothing any more."""

    http_method_names = ("post", "options")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user, row = request.user, request.sign_in  # type: ignore[attr-defined]  # set by a middleware
        if isinstance(user, User) and row is not None:
            with recorded():
                end(SignIn.objects.filter(pk=row.pk))
                record("signed_out", user, f"{user.username} signed out", by=user, detail=told(client_of(request)))
        return super().post(request, *args, **kwargs)


@login_not_required
@require_safe
def still(request: HttpRequest) -> HttpResponseBase:
    """Before a form is sent: 204 where its address, `?to=`, would take it, 401 where it would ask for the password."""
    view = _view_at(request.GET.get("to", ""))
    if request.user.is_authenticated and not must_confirm(request, view, "POST"):
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    why = "confirm" if request.user.is_authenticated else "ended"
    return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={WHY: why})


def _view_at(path: str) -> Any:
    try:
        return resolve(path).func
    except Resolver404:
        return None
