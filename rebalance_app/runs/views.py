"""Pages of runs: the list, the launch, one run while it works and when it is done."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from ordergen.web.http import SignedInRequest, page, refuses_nul, wants_fragment
from rebalance_app.models import Rebalance
from rebalance_app.proposals.forms import ProposalFilterForm
from rebalance_app.proposals.selectors import proposal_list, run_get
from rebalance_app.runs import lifecycle, selectors
from rebalance_app.runs.backlog import run_progress
from rebalance_app.runs.forms import OPTION_FIELDS, LaunchForm, RunFilterForm
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.preflight import Request, choices, preflight

STOP_POLLING = 286  # htmx's own status


@page("GET")
def run_list(request: SignedInRequest) -> HttpResponse:
    """Every run, the latest first."""
    form = RunFilterForm(request.GET)
    form.is_valid()  # what cannot be read is left out: a list is never an error
    given = form.cleaned_data
    runs = selectors.run_list(
        only=given.get("only", ""),
        model=given.get("model", "").strip(),
        portfolio=given.get("portfolio", ""),
        before=given.get("before"),
    )
    filtered = any(given.get(name) for name in ("only", "model", "portfolio"))
    return render(request, "runs/list.html", {"form": form, "runs": runs, "filtered": filtered})


@refuses_nul(*OPTION_FIELDS, "note")
@page("GET", "POST")
def run_new(request: SignedInRequest) -> HttpResponse:
    """Which portfolios of which model to rebalance, and how; `?model=`, `?portfolio=` and `?again=` fill it in."""
    request.user.must("rebalance.launch")
    wanted = Request(*(request.GET.get(name, "") for name in ("model", "portfolio", "again")))
    models = choices(wanted)
    if len(models) != 1:
        return render(request, "runs/choose.html", {"models": models, "wanted": wanted})
    found = preflight(models[0], wanted)
    form = LaunchForm(found, request.POST or None)
    if not form.is_valid():
        status = 422 if form.is_bound else 200
        return render(request, "runs/new.html", {"form": form, "preflight": found}, status=status)
    run = run_launch(
        by=request.user,
        model_id=found.model.pk,
        portfolio_ids=form.chosen.portfolio_ids,
        options=form.cleaned_data["options"],
        note=form.cleaned_data["note"],
        open_orders=form.cleaned_data["open_orders"],
        idempotency_key=form.cleaned_data["idempotency_key"],
    )
    return redirect("rebalance", run.pk)


@page("GET")
def run_detail(request: SignedInRequest, run_id: str) -> HttpResponse:
    """One address for a run's progress and its result; while it is active the page asks for the progress again."""
    run = run_get(run_id)
    if wants_fragment(request) and not run.is_active:
        return HttpResponse(status=STOP_POLLING, headers={"HX-Refresh": "true"})
    context: dict[str, Any] = {
        "view": selectors.RunView(run),
        "run": run,
        "failures": selectors.failure_groups(run),
    }
    if run.is_active:
        context["progress"] = run_progress(run, timezone.now())
        return render(request, "runs/run.html#progress" if wants_fragment(request) else "runs/run.html", context)
    return render(request, "runs/run.html", context | _proposals(request, run))


def _proposals(request: SignedInRequest, run: Rebalance) -> dict[str, Any]:
    form = ProposalFilterForm(request.GET)
    form.is_valid()
    rows = proposal_list(run, form.wanted, after=form.cleaned_data.get("after", ""))
    most = max((row.drift_before for row in rows.rows if row.drift_before is not None), default=None)
    totals = selectors.run_totals(run)
    return {"form": form, "rows": rows, "most": most, "totals": totals, "sorts": form.sort_links}


@page("POST")
def run_cancel(request: SignedInRequest, run_id: str) -> HttpResponse:
    """Stops what is not solved yet; finished proposals stay."""
    run = lifecycle.run_cancel(by=request.user, run_id=run_id)
    messages.success(request, f"Run #{run.number} was cancelled. What was solved before is kept.")
    return redirect("rebalance", run.pk)
