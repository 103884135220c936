"""Webhooks as pages, for administrators: who is told what, how it goes, and the attempts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from ordergen.audit.feed import newest
from ordergen.core.errors import InvalidInputError, NotFoundError
from ordergen.web.http import SignedInRequest, page
from ordergen.web.keyset import Keyset, read_page
from ordergen.webhooks import services
from ordergen.webhooks.forms import ReplayForm, WebhookForm
from ordergen.webhooks.models import Webhook

PAGE_SIZE = 50
_VERBS = {"pause": services.webhook_pause, "resume": services.webhook_resume, "end": services.webhook_end}


@page("GET", "POST")
def webhooks(request: SignedInRequest) -> HttpResponse:
    """All of them, and a form for another."""
    request.user.must(services.PERMISSION)
    form = WebhookForm(request.POST) if request.method == "POST" else WebhookForm()
    if form.is_bound and form.is_valid():
        try:
            webhook = services.webhook_create(by=request.user, **form.cleaned_data)
        except InvalidInputError as error:
            for field, message in error.fields.items():
                form.add_error(field if field in form.fields else None, message)
        else:
            messages.success(request, "The webhook is set up. Give its secret to whoever listens there.")
            return redirect("webhook", webhook.pk)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    context = {"form": form, "webhooks": Webhook.objects.all(), "newest": newest()}
    return render(request, "webhooks/list.html", context, status=status)


@page("GET")
def webhook(request: SignedInRequest, webhook_id: str) -> HttpResponse:
    """One webhook with its secret and its attempts."""
    request.user.must(services.PERMISSION)
    return _detail(request, webhook_id, ReplayForm())


@page("POST")
def webhook_replay(request: SignedInRequest, webhook_id: str) -> HttpResponse:
    """Sends again from an event on; a number that cannot be is refused at its field."""
    form = ReplayForm(request.POST)
    if form.is_valid():
        try:
            services.webhook_replay(by=request.user, webhook_id=webhook_id, after=form.cleaned_data["after"])
        except InvalidInputError as error:
            form.add_error("after", error.message)
        else:
            messages.success(request, "It is sent again, from there on.")
            return redirect("webhook", webhook_id)
    request.user.must(services.PERMISSION)
    return _detail(request, webhook_id, form, status=HTTPStatus.UNPROCESSABLE_ENTITY)


@page("POST")
def webhook_turn(request: SignedInRequest, webhook_id: str, verb: str) -> HttpResponse:
    """Pauses, resumes or ends it."""
    if verb not in _VERBS:
        raise NotFoundError("A webhook is paused, resumed or ended.")
    done = _VERBS[verb](by=request.user, webhook_id=webhook_id)
    messages.success(request, f"The webhook is {done.get_state_display().lower()}.")
    return redirect("webhook", webhook_id)


def _detail(request: SignedInRequest, webhook_id: str, form: ReplayForm, *, status: int = 200) -> HttpResponse:
    webhook = services.webhook_get(webhook_id)
    before = request.GET.get("before") or None
    attempts = read_page(webhook.attempts.all(), Keyset("-pk"), PAGE_SIZE, after=before)
    context: dict[str, Any] = {
        "webhook": webhook,
        "secret": services.secret_of(webhook),
        "attempts": attempts,
        "before": before,
        "newest": newest(),
        "form": form,
    }
    return render(request, "webhooks/detail.html", context, status=status)
