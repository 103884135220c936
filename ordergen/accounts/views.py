"""The pages of one's own account: API keys, password, sign-ins. A key is shown once, in the answer that made it."""

from __future__ import annotations

from http import HTTPStatus

import segno
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from ordergen.accounts.forms import CodeForm, KeyForm, PasswordForm
from ordergen.accounts.keys import create_api_key, own_api_key, revoke_api_key
from ordergen.accounts.models import Authenticator
from ordergen.accounts.selectors import sign_in_views
from ordergen.accounts.services import password_change
from ordergen.accounts.sign_in.asking import needs_confirmation
from ordergen.accounts.sign_in.authenticator import (
    address_for_apps,
    authenticator_add,
    authenticator_remove,
    is_missing,
    new_seed,
    secret_in_words,
)
from ordergen.accounts.sign_in.check import right_person
from ordergen.accounts.sign_in.sessions import end_sessions
from ordergen.core.errors import InvalidInputError
from ordergen.web.http import SignedInRequest, page, refuses_nul

SEED = "authenticator_seed"


@needs_confirmation
@page("GET", "POST")
def keys(request: SignedInRequest) -> HttpResponse:
    """One's own keys, and a form for another."""
    form = KeyForm(request.POST) if request.method == "POST" else KeyForm()
    plain, status = "", HTTPStatus.OK
    if form.is_bound and form.is_valid():
        _, plain = create_api_key(user=request.user, **form.cleaned_data)
        form, status = KeyForm(), HTTPStatus.CREATED
    elif form.is_bound:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    context = {"form": form, "plain": plain, "keys": request.user.api_keys.order_by("-pk"), "now": timezone.now()}
    return render(request, "accounts/keys.html", context, status=status)


@page("POST")
def key_revoke(request: SignedInRequest, key_id: str) -> HttpResponse:
    """Ends one of one's own keys at once; the record of it stays."""
    key = own_api_key(user=request.user, key_id=key_id)
    revoke_api_key(key=key, by=request.user)
    messages.success(request, f"The key {key.name} opens nothing any more.")
    return redirect("keys")


@refuses_nul("old_password", "new_password", "new_password_again")
@page("GET", "POST", permission="")
def password(request: SignedInRequest) -> HttpResponse:
    """One's own password. The present one is asked for, and its tries are counted as those of a sign-in."""
    form = PasswordForm(request.POST or None)
    if form.is_bound and form.is_valid() and _change(request, form):
        messages.success(request, "Your password is changed. You are signed out everywhere else.")
        return redirect("sign_ins")
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render(request, "accounts/password.html", {"form": form}, status=status)


password.comes_first = "password"  # type: ignore[attr-defined]  # for the middleware SignedInOnly


def _change(request: SignedInRequest, form: PasswordForm) -> bool:
    """Changes the password; what is wrong is told at its field."""
    given = form.cleaned_data
    person = right_person(request, request.user.username, given["old_password"], None)
    if person != request.user:
        form.add_error("old_password", "This is not your present password.")
        return False
    try:
        password_change(person=request.user, password=given["new_password"], keep=request.sign_in)
    except InvalidInputError as error:
        form.add_error("new_password", error.message)
        return False
    update_session_auth_hash(request, request.user)  # this session goes on; the others do not know the new one
    return True


@refuses_nul("code")
@needs_confirmation
@page("GET", "POST", permission="")
def authenticator(request: SignedInRequest) -> HttpResponse:
    """Adding an app that shows codes: its secret, then the first code. The secret waits in the session meanwhile."""
    seed = request.session.setdefault(SEED, new_seed())
    form = CodeForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            authenticator_add(user=request.user, seed=seed, code=form.cleaned_data["code"])
        except InvalidInputError as error:
            form.add_error("code", error.message)
        else:
            del request.session[SEED]
            messages.success(request, "From now on signing in wants a code of your app.")
            return redirect("sign_ins")
    address = address_for_apps(request.user, seed)
    context = {
        "form": form,
        "secret": secret_in_words(seed),
        "address": address,
        "picture": segno.make(address, error="m").svg_data_uri(scale=5, border=3, light="white"),
        "is_required": is_missing(request.user),
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render(request, "accounts/authenticator.html", context, status=status)


authenticator.comes_first = "authenticator"  # type: ignore[attr-defined]  # for the same


@needs_confirmation
@page("POST", permission="")
def authenticator_end(request: SignedInRequest) -> HttpResponse:
    """One's own authenticator, removed; who has to have one is then asked for another."""
    authenticator_remove(user=request.user, by=request.user)
    messages.success(request, "Signing in wants no code any more.")
    return redirect("sign_ins")


@page("GET", permission="")
def sign_ins(request: SignedInRequest) -> HttpResponse:
    """Where one is signed in."""
    added_at = Authenticator.objects.filter(user=request.user).values_list("added_at", flat=True).first()
    context = {"sign_ins": sign_in_views(request.user, request.sign_in), "added_at": added_at}
    return render(request, "accounts/sign_ins.html", context)


@page("POST", permission="")
def sign_ins_end(request: SignedInRequest) -> HttpResponse:
    """Signs out in one other browser, or in all of them but this."""
    only = request.POST.get("only", "")
    ended = end_sessions(request.user, by=request.user, but=request.sign_in, only=only)
    messages.success(request, f"You are signed out of {ended} other browser{'' if ended == 1 else 's'}.")
    return redirect("sign_ins")
