"""The pages of one's own account: API keys, password, sign-ins. A key is shown once, in the answer that made it."""

from __future__ import annotations

from http import HTTPStatus

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from ordergen.accounts.forms import KeyForm
from ordergen.accounts.keys import create_api_key, own_api_key, revoke_api_key
from ordergen.web.http import SignedInRequest, page


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
