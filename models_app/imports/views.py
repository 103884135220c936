"""Import pages: choose a file, say how it is read where it does not, look at what it would change, confirm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_safe

from models_app.files.kinds import KINDS, FileKind, get_kind, is_kept_elsewhere
from models_app.imports import uploads
from models_app.imports.forms import LayoutsForm, ReadingForm, UploadForm
from models_app.imports.layouts import layouts_document, layouts_import, layouts_save, learned
from models_app.imports.plan import ImportPlan
from models_app.imports.services import HowToRead, apply_import, plan_import, refuse_elsewhere
from models_app.imports.streams import stream_page
from models_app.models import FileLayout, Holding, InvestmentModel, Portfolio, Price, Security, TaxLot
from models_app.reading.import_progress import ImportProgress
from models_app.reading.known_layouts import shipped_layouts
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.core.errors import ConflictError, InvalidInputError
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
        """What the file would change; one that is refused is not kept."""
        with self.upload.open() as file:
            plan = plan_import(
                self.kind.name,
                file,
                self.by,
                file_name=self.upload.name,
                progress=progress,
                how=HowToRead(self.upload.answers),
            )
        if plan.problems.count and not plan.reading.may_be_read_otherwise:
            self.upload.discard()
        return plan


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
    form = UploadForm(layout, request.POST, request.FILES) if request.method == "POST" else UploadForm(layout)
    if form.is_bound and form.is_valid():
        stated = {"portfolio": said} if (said := form.cleaned_data.get("portfolio")) else {}
        try:
            token = uploads.keep(form.cleaned_data["file"], kind=kind, by=request.user, answers=stated)
        except InvalidInputError as error:
            form.add_error("file", error.message)
        else:
            return redirect("import_preview", kind=kind, token=token)
    status = 422 if form.is_bound else 200
    return render(request, "imports/kind.html", {"kind": layout, "form": form}, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_preview(request: SignedInRequest, kind: str, token: str) -> HttpResponseBase:
    """What the uploaded file would change; a POST changes it."""
    visit = _visit(request, kind, token)
    is_long = visit.upload.size > STREAM_FROM_BYTES
    if request.method == "POST":
        seen = request.POST.get("seen", "")
        return _apply_streamed(request, visit, seen) if is_long else _apply(request, visit, seen)
    return _show_streamed(request, visit) if is_long else _show(request, visit, visit.plan(ImportProgress()))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_reading(request: SignedInRequest, kind: str, token: str) -> HttpResponseBase:
    """How the uploaded file is read; a POST says how, and leads on to what it would change."""
    visit = _visit(request, kind, token)
    plan = visit.plan(ImportProgress())
    form = ReadingForm(plan, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and (further := _as_said(visit, form)):
        return redirect("import_preview", kind=kind, token=further)
    context = _context(visit, plan) | {"form": form, "reading": plan.reading, "is_open": bool(plan.questions)}
    return render(request, "imports/reading.html", context, status=422 if form.is_bound else 200)


def _as_said(visit: _Visit, form: ReadingForm) -> str | None:
    """The token of the upload with what was said, remembered as a layout if it was named; None with an error."""
    answers = {**visit.upload.answers, **form.answers}
    try:
        further = uploads.answered(visit.upload, answers, kind=visit.kind.name, by=visit.by)
        if name := form.cleaned_data.get("remember_as"):
            read = _visit_of(visit.kind, further, visit.by).plan(ImportProgress()).reading
            layouts_save([learned(name, read, answers)], by=visit.by)
    except InvalidInputError as error:
        form.add_error("remember_as" if form.cleaned_data.get("remember_as") else None, error.message)
        return None
    return further


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_layouts(request: SignedInRequest) -> HttpResponseBase:
    """The layouts that are known, and the upload of others."""
    request.user.must("book.import")
    form = LayoutsForm(request.POST, request.FILES) if request.method == "POST" else LayoutsForm()
    if form.is_bound and form.is_valid():
        try:
            n = layouts_import(form.cleaned_data["file"], by=request.user)
        except InvalidInputError as error:
            form.add_error("file", error.message)
        else:
            messages.success(request, f"{n:,} layout{'' if n == 1 else 's'} saved; what was the same stays as it is.")
            return redirect("import_layouts")
    of_firm = FileLayout.objects.select_related("saved_by")
    context = {"form": form, "of_firm": of_firm, "shipped": shipped_layouts()}
    return render(request, "imports/layouts.html", context, status=422 if form.is_bound else 200)


@login_required
@require_safe
def export_layouts(request: SignedInRequest) -> HttpResponseBase:
    """The firm's layouts, for another installation."""
    request.user.must("book.import")
    response = JsonResponse(layouts_document(), json_dumps_params={"indent": 2, "ensure_ascii": False})
    response["Content-Disposition"] = 'attachment; filename="layouts.json"'
    return response


def _visit(request: SignedInRequest, kind: str, token: str) -> _Visit:
    request.user.must("book.import")
    return _visit_of(get_kind(kind), token, request.user)


def _visit_of(kind: FileKind, token: str, by: User) -> _Visit:
    return _Visit(kind, token, uploads.find(token, kind=kind.name, by=by), by)


def _context(visit: _Visit, plan: ImportPlan) -> dict[str, Any]:
    return {
        "kind": visit.kind,
        "token": visit.token,
        "plan": plan,
        "file_name": visit.upload.name,
        "reading": plan.reading,
    }


def _show(request: HttpRequest, visit: _Visit, plan: ImportPlan, *, stale: bool = False) -> HttpResponseBase:
    if plan.questions:
        return redirect("import_reading", kind=visit.kind.name, token=visit.token)
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
