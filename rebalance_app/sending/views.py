"""Pages of batches: which orders leave and how, what left, and its file."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render

from ordergen.accounts.sign_in.asking import needs_confirmation
from ordergen.web.http import SignedInRequest, page, wants_fragment
from rebalance_app.judging.lines import orders_named
from rebalance_app.models import OrderState
from rebalance_app.orders.selectors import order_totals
from rebalance_app.proposals.selectors import run_get
from rebalance_app.sending import selectors
from rebalance_app.sending.forms import BatchForm, SettleForm
from rebalance_app.sending.layouts import LAYOUTS
from rebalance_app.sending.send import unclear_settle
from rebalance_app.sending.services import Made, approved_order_ids, batch_fetch, batch_make


@page("GET")
def batch_list(request: SignedInRequest) -> HttpResponse:
    """Every batch, the latest first."""
    before = request.GET.get("before", "")
    batches = selectors.batch_list(before=int(before) if before.isdecimal() and len(before) < 10 else None)
    return render(request, "sending/list.html", {"batches": batches, "layouts": LAYOUTS})


@needs_confirmation
@page("GET", "POST")
def batch_new(request: SignedInRequest) -> HttpResponse:
    """Restates what would leave before it does; with a layout it leaves."""
    request.user.must("order.decide")
    if request.method != "POST":
        return redirect("/orders/?tab=approved")
    run_id = request.POST.get("run", "") if "whole_run" in request.POST else ""
    ids = approved_order_ids(run_id) if run_id else request.POST.getlist("order")
    form = BatchForm(request.POST if "layout" in request.POST else None)
    if form.is_valid() and ids:
        made = batch_make(by=request.user, order_ids=ids, layout=form.cleaned_data["layout"])
        _tell(request, made)
        return redirect("batch", made.batch.pk) if made.batch else redirect("/orders/?tab=approved")
    leaving = [line for line in orders_named(ids) if line.state == OrderState.APPROVED]
    context = {
        "form": form,
        "run": run_get(run_id) if run_id else None,
        "orders": [] if run_id else [line.pk for line in leaving],
        "totals": order_totals(leaving),
        "left": len(set(ids)) - len(leaving),
    }
    template = "sending/new.html#dialog" if wants_fragment(request) else "sending/new.html"
    return render(request, template, context, status=422 if form.is_bound else 200)


@page("GET")
def batch_detail(request: SignedInRequest, batch_id: str) -> HttpResponse:
    """One batch: what left, when, by whom, and what became of it."""
    batch = selectors.batch_get(batch_id)
    after = request.GET.get("after", "")
    context = {
        "batch": batch,
        "layout": LAYOUTS[batch.layout],
        "states": selectors.batch_states(batch),
        "orders": selectors.batch_orders(batch, after=int(after) if after.isdecimal() and len(after) < 10 else 0),
        "is_first": not after,
        "may_fetch": request.user.can("order.decide"),
        "unclear": selectors.batch_unclear(batch) if LAYOUTS[batch.layout].is_sent else [],
    }
    return render(request, "sending/batch.html", context)


@needs_confirmation
@page("POST")
def batch_settle(request: SignedInRequest, batch_id: str) -> HttpResponse:
    """Somebody says whether the service has an order of which that is unclear."""
    form = SettleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say how you know whether the service has the order.")
        return redirect("batch", batch_id)
    given = form.cleaned_data
    unclear_settle(
        by=request.user,
        order_id=given["order"],
        was_received=given["answer"] == "received",
        reason=given["reason"],
        destination_id=given["destination_id"],
    )
    messages.success(request, "Kept.")
    return redirect("batch", batch_id)


@page("POST")
def batch_download(request: SignedInRequest, batch_id: str) -> HttpResponseBase:
    """The file. By a POST, for that somebody has it is recorded."""
    batch = selectors.batch_get(batch_id)
    layout = LAYOUTS[batch.layout]
    name = f"batch-{batch.number}-{layout.name}.{layout.suffix}"
    return StreamingHttpResponse(
        batch_fetch(by=request.user, batch=batch),
        content_type=f"{layout.media_type}; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _tell(request: SignedInRequest, made: Made) -> None:
    if made.batch:
        messages.success(request, f"{made.n_decided:,} {'order' if made.n_decided == 1 else 'orders'} left.")
    for reason, count in made.reasons.most_common(5):
        messages.warning(request, f"{count:,} left as they were. {reason}")
