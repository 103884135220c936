"""Import pages: choose a file, look at what it would change, confirm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_safe

from models_app.files.kinds import KINDS, FileKind, get_kind, is_kept_elsewhere
from models_app.imports import uploads
from models_app.imports.forms import UploadForm
from models_app.imports.plan import ImportPlan
from models_app.imports.services import HowToRead, apply_import, plan_import, refuse_elsewhere
from models_app.imports.streams import stream_page
from models_app.models import Holding, InvestmentModel, Portfolio, Price, Security, TaxLot
from models_app.reading.import_progress import ImportProgress
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.core.errors import ConflictError
from ordergen.web.http import SignedInRequest

STREAM_FROM_BYTES = 500_000  # about 25,000 rows, a second of work: above it the page shows how far it has come
_TABLES: dict[str, Any] = {
    "securities": Security,
    "prices": Price,
    "portfolios": Portfolio,
    "holdings": Holding,
    "lots": TaxLot,
    "models": InvestmentModel,
}


@dataclass(frozen=True)
class _Visit:
    """One look at one uploaded file."""

    kind: FileKind
    token: str
    upload: uploads.Upload
    by: User

    def plan(self, progress: ImportProgress) -> ImportPlan:
        with self.upload.open() as file:
            return plan_import(
                self.kind.name,
                file,
                self.by,
                file_name=self.upload.name,
                progress=progress,
                how=HowToRead(self.upload.answers),
            )


@login_required
@require_safe
def import_index(request: SignedInRequest) -> HttpResponseBase:
    """Every kind of file, in the order in which an empty book takes them."""
    request.user.must("book.import")
    source = get_source()
    offered = [kind for kind in KINDS.values() if kind.name != "lots" or source.has_tax_lots]
    kinds = [(kind, None if is_kept_elsewhere(kind) else _TABLES[kind.name].objects.count()) for kind in offered]
    return render(request, "imports/index.html", {"kinds": kinds, "is_remote": source.is_remote})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_kind(request: SignedInRequest, kind: str) -> HttpResponseBase:
    """The columns of one kind and its upload form; a file that is not too large leads on to its preview."""
    request.user.must("book.import")
    layout = get_kind(kind)
    refuse_elsewhere(layout)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if form.is_bound and form.is_valid():
        token = uploads.keep(form.cleaned_data["file"], kind=kind, by=request.user, answers={})
        return redirect("import_preview", kind=kind, token=token)
    status = 422 if form.is_bound else 200
    return render(request, "imports/kind.html", {"kind": layout, "form": form}, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_preview(request: SignedInRequest, kind: str, token: str) -> HttpResponseBase:
    """What the uploaded file would change; a POST changes it."""
    request.user.must("book.import")
    visit = _Visit(get_kind(kind), token, uploads.find(token, kind=kind, by=request.user), request.user)
    is_long = visit.upload.size > STREAM_FROM_BYTES
    if request.method == "POST":
        seen = request.POST.get("seen", "")
        return _apply_streamed(request, visit, seen) if is_long else _apply(request, visit, seen)
    return _show_streamed(request, visit) if is_long else _show(request, visit, visit.plan(ImportProgress()))


def _context(visit: _Visit, plan: ImportPlan) -> dict[str, Any]:
    return {"kind": visit.kind, "token": visit.token, "plan": plan, "file_name": visit.upload.name}


def _show(request: HttpRequest, visit: _Visit, plan: ImportPlan, *, stale: bool = False) -> HttpResponseBase:
    status = 409 if stale else 200 if plan.is_clean else 422
    return render(request, "imports/preview.html", {**_context(visit, plan), "stale": stale}, status=status)


def _apply(request: HttpRequest, visit: _Visit, seen: str) -> HttpResponseBase:
    plan = visit.plan(ImportProgress())
    if plan.seen != seen:
        return _show(request, visit, plan, stale=True)
    if not plan.is_clean:
        return _show(request, visit, plan)
    apply_import(plan, by=visit.by)
    visit.upload.discard()
    messages.success(request, f"Imported {plan.summary}.")
    return redirect("import")


def _show_streamed(request: HttpRequest, visit: _Visit) -> HttpResponseBase:
    def look(progress: ImportProgress) -> str:
        return render_to_string("imports/_plan.html", _context(visit, visit.plan(progress)), request)

    return stream_page(request, {"kind": visit.kind, "title": "What would change"}, look)


def _apply_streamed(request: HttpRequest, visit: _Visit, seen: str) -> HttpResponseBase:
    def work(progress: ImportProgress) -> str:
        plan = visit.plan(progress)
        if plan.seen != seen:
            raise ConflictError("The book has changed since this file was looked at. Look at it again.")
        apply_import(plan, by=visit.by, progress=progress)
        visit.upload.discard()
        return render_to_string("imports/_done.html", {"plan": plan}, request)

    return stream_page(request, {"kind": visit.kind, "title": "Importing"}, work)
