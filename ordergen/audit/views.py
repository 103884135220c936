"""The audit trail as a page."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from models_app.http import SignedInRequest
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link

PAGE_SIZE = 100


@require_GET
@login_required
def audit(request: SignedInRequest) -> HttpResponse:
    """Newest first, by key; `?check` also verifies the whole chain."""
    request.user.must("audit.read")
    events = AuditEvent.objects.all()
    before, action = request.GET.get("before", ""), request.GET.get("action", "")
    if before.isdecimal() and len(before) < 19:
        events = events.filter(seq__lt=int(before))
    if action:
        events = events.filter(action__startswith=action)
    rows = list(events[: PAGE_SIZE + 1])
    context = {
        "events": rows[:PAGE_SIZE],
        "more": rows[PAGE_SIZE - 1].seq if len(rows) > PAGE_SIZE else None,
        "action": action,
    }
    if "check" in request.GET:
        context |= {"checked": True, "broken": first_broken_link()}
    return render(request, "audit/list.html", context)
