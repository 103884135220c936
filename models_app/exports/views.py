"""The download of everything of one kind."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase
from django.views.decorators.http import require_safe

from models_app.exports.services import export
from ordergen.web.downloads import csv_download
from ordergen.web.http import SignedInRequest


@login_required
@require_safe
def export_kind(request: SignedInRequest, kind: str) -> HttpResponseBase:
    """Everything of one kind as a CSV file."""
    request.user.must("book.read")
    return csv_download(export(kind), name=f"ordergen-{kind}.csv", by=request.user)
