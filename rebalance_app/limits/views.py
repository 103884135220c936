"""Pages of the limits that stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from models_app.models import InvestmentModel
from models_app.sources import get_source
from ordergen.accounts.sign_in.asking import needs_confirmation
from ordergen.core.errors import InvalidInputError, NotFoundError
from ordergen.web.http import SignedInRequest, page, refuses_nul
from rebalance_app.limits.forms import FIELDS, LimitsForm
from rebalance_app.limits.services import NAMES, limits_now, limits_set
from rebalance_app.models import LimitSet

MAX_SEARCH, MOST_FOUND = 100, 10
WORDS = {"model": "Model", "portfolio": "Portfolio", "security": "Security"}


@page("GET")
def limit_list(request: SignedInRequest) -> HttpResponse:
    """Everything that is limited now, and a search for a subject that is not."""
    sought = request.GET.get("q", "").strip()[:MAX_SEARCH]
    context = {"groups": _in_force(), "sought": sought, "found": _find(sought) if sought else []}
    return render(request, "limits/list.html", context)


@needs_confirmation
@refuses_nul(*FIELDS, "reason")
@page("GET", "POST")
def limit_edit(request: SignedInRequest, scope: str, subject_id: str) -> HttpResponse:
    """The limits of one model, portfolio or security, who set them when, and the form to set them anew."""
    if scope not in NAMES:
        raise NotFoundError("Limits are set on a model, a portfolio or a security.")
    name = _names(scope, [subject_id]).get(subject_id)
    if name is None:
        raise NotFoundError(f"There is no {scope} {subject_id[:40]}.")
    form = LimitsForm(scope, limits_now(scope, [subject_id]).get(subject_id, {}), request.POST or None)
    if request.method == "POST" and form.is_valid() and _save(request, scope, subject_id, form):
        messages.success(request, f"The limits of {name} are set. They hold from the next run on.")
        return redirect(reverse("limits"))
    history = (
        LimitSet.objects.filter(scope=scope, subject_id=subject_id).select_related("set_by").order_by("-set_at", "-pk")
    )
    context = {"form": form, "scope": scope, "name": name, "history": history[:50], "word": WORDS[scope]}
    return render(request, "limits/edit.html", context, status=422 if form.errors else 200)


def _save(request: SignedInRequest, scope: str, subject_id: str, form: LimitsForm) -> bool:
    """Sets the limits; what the service refuses is told at its field."""
    try:
        reason = form.cleaned_data["reason"]
        limits_set(by=request.user, scope=scope, subject_id=subject_id, values=form.limits, reason=reason)
    except InvalidInputError as error:
        for field, told in error.fields.items():
            name = field.removeprefix("values.")
            form.add_error(name if name in form.fields else None, told.capitalize() + ".")
    return not form.errors


def _find(sought: str) -> list[tuple[str, str, str]]:
    """(word, id, name) of models, portfolios and securities that are called so."""
    source = get_source()
    models = InvestmentModel.objects.filter(name__icontains=sought).values_list("pk", "name")[:MOST_FOUND]
    found = [("Model", key, name) for key, name in models]
    found += [("Portfolio", info.id, info.name) for info in source.find_portfolios(sought, MOST_FOUND)]
    return found + [
        ("Security", info.id, f"{info.ticker} {info.name}") for info in source.find_securities(sought, MOST_FOUND)
    ]


def _in_force() -> list[tuple[str, list[tuple[str, str, dict[str, Any]]]]]:
    """Per scope its word and (id, name, limits), by name."""
    groups = []
    for scope, word in WORDS.items():
        ids = LimitSet.objects.filter(scope=scope).order_by().values_list("subject_id", flat=True).distinct()
        limits = limits_now(scope, ids)
        names = _names(scope, limits)
        rows = sorted((names.get(key, key), key, values) for key, values in limits.items())
        groups.append((word, [(key, name, values) for name, key, values in rows]))
    return groups


def _names(scope: str, ids: Iterable[str]) -> dict[str, str]:
    wanted = list(ids)
    if scope == "model":
        return dict(InvestmentModel.objects.filter(pk__in=wanted).values_list("pk", "name"))
    if scope == "portfolio":
        return {key: info.name for key, info in get_source().portfolios(wanted).items()}
    return {key: info.ticker for key, info in get_source().securities(wanted).items()}
