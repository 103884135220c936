"""The download of everything of one kind."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from models_app.exports.services import export
from ordergen.web.http import SignedInRequest


@login_required
@require_safe
def export_kind(request: SignedInRequest, kind: str) -> HttpResponseBase:
    """Everything of one kind as a CSV file."""
    request.user.must("book.read")
    response = StreamingHttpResponse(export(kind), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="ordergen-{kind}.csv"'
    return response
