"""Changing models: the editor, what it asks while somebody types, two editors' merge, deletion."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from models_app.investment_models import selectors
from models_app.investment_models.merge import Merge, Side
from models_app.investment_models.rules import ModelDraft
from models_app.modelling import services
from models_app.modelling.forms import SPARE_ROWS, TYPED, ModelEditor
from models_app.sources import get_source
from ordergen.core.errors import ConflictError, promised
from ordergen.web.http import SignedInRequest, refuses_nul

FOUND_SECURITIES = 50


@refuses_nul(*TYPED)
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def model_new(request: SignedInRequest) -> HttpResponse:
    """An empty model, or a copy of the one named by `?copy=`."""
    request.user.must("model.edit")
    editor = ModelEditor(get_source(), model_id=None, version=0, saved=None)
    if request.method != "POST":
        _start(editor, request.GET.get("copy", ""))
        return _page(request, editor)
    editor.read(request.POST)
    if _rows_changed(editor, request):
        return _page(request, editor)
    return _save(request, editor)


def _start(editor: ModelEditor, copy_of: str) -> None:
    if copy_of:
        original = selectors.model_draft(selectors.model_get(copy_of))
        editor.fill(original)
        editor.name, editor.portfolio_ids = f"Copy of {original.name}", []
    editor.add_rows(SPARE_ROWS)
    editor.rows[0].focus = False


@refuses_nul(*TYPED)
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def model_edit(request: SignedInRequest, model_id: str) -> HttpResponse:
    """The grid of one model. A version that somebody else has moved on leads to the merge page, not to an error."""
    request.user.must("model.edit")
    model = selectors.model_get(model_id)
    saved = selectors.model_draft(model)
    editor = ModelEditor(get_source(), model_id=model_id, version=model.version, saved=saved)
    if request.method != "POST":
        return _page(request, editor, notice=_fill(editor, request.GET.get("from", ""), saved))
    editor.version = _number(request.POST.get("version", ""))
    editor.read(request.POST)
    if _rows_changed(editor, request):
        return _page(request, editor)
    return _save(request, editor)


def _fill(editor: ModelEditor, version: str, saved: ModelDraft) -> str:
    """Shows what is saved, or an earlier version to restore; the returned notice says which."""
    if not version:
        editor.fill(saved)
        return ""
    _, earlier = selectors.model_version(str(editor.model_id), _number(version))
    editor.fill(earlier)
    editor.reason = f"Restore version {version}"
    return f"This is version {version}. Saving it makes a new version; nothing is saved yet."


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1


def _rows_changed(editor: ModelEditor, request: HttpRequest) -> bool:
    """Whether a button of the grid was pressed instead of Save; what it asks for is done in the form only."""
    do, _, number = request.POST.get("do", "save").partition(" ")
    if do == "add":
        editor.add_rows()
    elif do == "remove":
        editor.remove_row(_number(number))
    elif do == "paste":
        editor.take_pasted_rows()
    return do != "save"


def _save(request: SignedInRequest, editor: ModelEditor) -> HttpResponse:
    draft = editor.check()
    if draft is None:
        return _page(request, editor, status=422)
    try:
        if editor.model_id is None:
            model = services.model_create(draft=draft, by=request.user, reason=editor.reason)
        else:
            model = services.model_update(
                model_id=editor.model_id, version=editor.version, draft=draft, by=request.user, reason=editor.reason
            )
    except ConflictError as conflict:
        if not conflict.fields:
            return _conflict(request, editor, draft, conflict)
        editor.show_faults(conflict.fields)
        return _page(request, editor, status=422)
    messages.success(request, f"{model.name} is saved as version {model.version}.")
    return redirect("model", model_id=model.pk)


def _page(request: HttpRequest, editor: ModelEditor, status: int = 200, notice: str = "") -> HttpResponse:
    model = selectors.model_get(editor.model_id) if editor.model_id else None
    found = editor.source.find_securities("", FOUND_SECURITIES)
    context = {"editor": editor, "model": model, "notice": notice, "securities": found, "status": status}
    return render(request, "modelling/editor.html", context, status=status)


# Asked while somebody types. Each answers for the whole form and changes nothing.


@refuses_nul(*TYPED)
@login_required
@require_POST
def model_check(request: SignedInRequest) -> HttpResponse:
    """The sum bar, and beside each row its name, band and faults."""
    request.user.must("model.edit")
    editor = _typed(request)
    editor.check(reason_required=False)
    return render(request, "modelling/editor.html#checked", {"editor": editor})


@refuses_nul(*TYPED)
@login_required
@require_POST
def model_portfolio_search(request: SignedInRequest) -> HttpResponse:
    """The portfolios ticked, then those whose name contains what was typed."""
    request.user.must("model.edit")
    return render(request, "modelling/editor.html#portfolios", {"editor": _typed(request)})


@login_required
@require_safe
def security_suggestions(request: SignedInRequest) -> HttpResponse:
    """Options of the grid's ticker fields."""
    request.user.must("book.read")
    text = request.GET.get("security", "").strip()[:100]
    found = get_source().find_securities(text, FOUND_SECURITIES)
    return render(request, "modelling/editor.html#suggestions", {"securities": found})


def _typed(request: HttpRequest) -> ModelEditor:
    model_id = request.POST.get("model_id") or None
    saved = selectors.model_draft(selectors.model_get(model_id)) if model_id else None
    editor = ModelEditor(get_source(), model_id=model_id, version=0, saved=saved)
    editor.read(request.POST)
    return editor


# Two editors, one version


def _conflict(request: HttpRequest, editor: ModelEditor, mine: ModelDraft, conflict: ConflictError) -> HttpResponse:
    """409: what was started from, what the other saved and what was typed, side by side."""
    _, base = selectors.model_version(str(editor.model_id), editor.version)
    return _merge_page(request, editor, _merge(editor, base, mine, {}), problem=conflict.message)


def _merge(editor: ModelEditor, base: ModelDraft, mine: ModelDraft, choices: dict[str, Side]) -> Merge:
    model_id = promised(editor.model_id, "a new model has nobody to conflict with")
    theirs = selectors.model_draft(selectors.model_get(model_id))
    return Merge(base, theirs, mine, choices)


def _merge_page(
    request: HttpRequest, editor: ModelEditor, merge: Merge, problem: str, status: int = 409
) -> HttpResponse:
    model = selectors.model_get(str(editor.model_id))
    changed = [row for row in merge.rows if row.is_changed]
    context = {
        "editor": editor,
        "model": model,
        "next_version": model.version + 1,
        "merge": merge,
        "changed": [(row, editor.securities.label(row.security_id)) for row in changed],
        "n_unchanged": len(merge.rows) - len(changed),
        "last": selectors.model_versions(model.pk)[0],
        "problem": problem,
    }
    return render(request, "modelling/merge.html", context, status=status)


@login_required
@require_POST
def model_merge(request: SignedInRequest, model_id: str) -> HttpResponse:
    """Saves a merge on top of the version it was shown against; whoever saved since then leads to a new merge."""
    request.user.must("model.edit")
    model = selectors.model_get(model_id)
    editor = ModelEditor(get_source(), model_id=model_id, version=_number(request.POST.get("version", "")), saved=None)
    editor.read(request.POST)
    _, base = selectors.model_version(model_id, editor.version)
    mine = editor.draft()
    merge = _merge(editor, base, mine, _choices(request))
    if model.version != _number(request.POST.get("theirs", "")):
        problem = "Somebody saved again while you decided. Compare with the newest version."
        return _merge_page(request, editor, _merge(editor, base, mine, {}), problem)
    if merge.open:
        return _merge_page(request, editor, merge, "Choose a side in every row that is marked.", status=422)
    return _save_merged(request, editor, merge, model.version)


def _choices(request: HttpRequest) -> dict[str, Side]:
    taken = {key.removeprefix("take-"): value for key, value in request.POST.items() if key.startswith("take-")}
    return {key: value for key, value in taken.items() if value in ("mine", "theirs")}  # type: ignore[misc]


def _save_merged(request: SignedInRequest, typed: ModelEditor, merge: Merge, version: int) -> HttpResponse:
    """A merge that breaks a rule, such as the sum of targets, goes on in the editor."""
    editor = ModelEditor(typed.source, model_id=typed.model_id, version=version, saved=merge.theirs)
    editor.fill(merge.result)
    editor.reason = typed.reason
    return _save(request, editor)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def model_delete(request: SignedInRequest, model_id: str) -> HttpResponse:
    """Asks for a reason, then deletes. Versions, runs and the audit trail stay."""
    request.user.must("model.edit")
    model = selectors.model_get(model_id)
    fault = ""
    if request.method == "POST":
        reason = request.POST.get("reason", "").strip()
        if reason:
            version = _number(request.POST.get("version", ""))
            services.model_delete(model_id=model_id, version=version, by=request.user, reason=reason)
            messages.success(request, f"{model.name} is deleted. Its versions and runs stay readable.")
            return redirect(reverse("models"))
        fault = "Say in a few words why."
    context = {"model": model, "draft": selectors.model_draft(model), "fault": fault}
    return render(request, "modelling/delete.html", context, status=422 if fault else 200)
