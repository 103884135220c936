"""The audit trail as pages and as CSV."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from ordergen.audit.forms import AuditFilterForm
from ordergen.audit.models import AuditEvent
from ordergen.audit.selectors import audit_csv, audit_event, audit_events
from ordergen.audit.services import first_broken_link
from ordergen.web.downloads import csv_download
from ordergen.web.http import SignedInRequest
from ordergen.web.keyset import Keyset, read_page

PAGE_SIZE = 100
# Where an object of a kind is shown. A model by its history, which stays when the model is deleted.
_PAGES = {"InvestmentModel": "model_history", "Rebalance": "rebalance"}


@require_GET
@login_required
def audit(request: SignedInRequest) -> HttpResponse:
    """Newest first, by key; `?check` also verifies the whole chain."""
    request.user.must("audit.read")
    form = _form(request)
    form.offer()
    page = read_page(audit_events(form.wanted), Keyset("-seq"), PAGE_SIZE, after=form.cleaned_data.get("before"))
    context: dict[str, Any] = {
        "form": form,
        "wanted": form.wanted,
        "rows": [(event, _address(event)) for event in page.rows],
        "more": page.next,
    }
    if "check" in request.GET:
        context |= {"checked": True, "broken": first_broken_link()}
    return render(request, "audit/list.html", context)


@require_GET
@login_required
def audit_detail(request: SignedInRequest, seq: int) -> HttpResponse:
    """One event with everything that was recorded, and its place in the chain."""
    request.user.must("audit.read")
    view = audit_event(seq)
    return render(request, "audit/detail.html", {"view": view, "event": view.event, "address": _address(view.event)})


@require_GET
@login_required
def audit_export(request: SignedInRequest) -> HttpResponseBase:
    """The events of the same filters as CSV."""
    request.user.must("audit.read")
    return csv_download(audit_csv(_form(request).wanted), name="audit.csv", by=request.user)


def _form(request: SignedInRequest) -> AuditFilterForm:
    form = AuditFilterForm(request.GET)
    form.is_valid()
    return form


def _address(event: AuditEvent) -> str:
    """The page of what the event is about; empty where it has none."""
    page = _PAGES.get(event.object_type)
    return reverse(page, args=[event.object_id]) if page and event.object_id else ""
