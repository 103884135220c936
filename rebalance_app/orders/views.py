"""Pages of orders: the blotter, one order with its record, and the decision on one or many.

Who may decide on what is said by `decide`; these pages only show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from ordergen.accounts.sign_in.asking import needs_confirmation
from ordergen.web.downloads import csv_download
from ordergen.web.http import SignedInRequest, page, refuses_nul, wants_fragment
from rebalance_app.judging.book_now import Verdict
from rebalance_app.judging.judgement import why_not
from rebalance_app.models import Order, Rebalance
from rebalance_app.order_states.table import refusal_of
from rebalance_app.orders import paging as pages
from rebalance_app.orders import selectors
from rebalance_app.orders.decide import DecisionOutcome, content_hash, order_decide, run_decide
from rebalance_app.orders.foresee import orders_foresee, run_foresee
from rebalance_app.orders.forms import DecisionForm, OrderFilterForm, SelectionForm
from rebalance_app.orders.order_csv import order_csv
from rebalance_app.proposals.selectors import run_get

TOLD = 5  # reasons why orders were left alone, after a decision


@page("GET")
def order_list(request: SignedInRequest) -> HttpResponse:
    """The blotter. Rows that this person may not decide on say why."""
    form = OrderFilterForm(request.GET)
    form.is_valid()
    scope = pages.order_scope(form.wanted)
    orders = pages.order_list(scope, after=form.cleaned_data.get("after", ""))
    run = scope.run if scope else None
    rows = _rows(request, orders.rows)
    may_close = all(not refusal_of("close", state) for state in form.wanted.states)
    context = {
        "form": form,
        "wanted": form.wanted,
        "counts": scope.counts if scope else selectors.order_counts(),
        "orders": orders,
        "rows": rows,
        "has_unclear": any(row.is_unclear for row in rows),
        "run": run,
        "is_decided": form.wanted.tab != "awaiting",
        "is_followed": form.wanted.tab in ("approved", "ended", "all"),
        "totals": _shown_totals(run) if run else None,
        "may_decide": request.user.can("order.decide") and (form.wanted.tab in ("awaiting", "approved") or may_close),
        "may_close": may_close,
        "sorts": pages.sort_links(scope, form.wanted),
        "looked_at": pages.LOOKED_AT,
    }
    return render(request, "orders/list.html", context)


def _shown_totals(run: Rebalance) -> selectors.OrderTotals | None:
    """Of what awaits a decision in a run; None where so many orders are left that adding them up would take seconds."""
    is_untouched = run.n_awaiting == run.n_orders and not run.is_active
    return selectors.awaiting_totals(run) if is_untouched or run.n_awaiting <= pages.SORTABLE else None


@page("GET")
def order_export(request: SignedInRequest) -> HttpResponseBase:
    """Every order of the same filters and in the same order, as CSV."""
    form = OrderFilterForm(request.GET)
    form.is_valid()
    return csv_download(order_csv(pages.order_scope(form.wanted)), name="orders.csv", by=request.user)


def _rows(request: SignedInRequest, orders: Sequence[Order]) -> list[selectors.OrderRow]:
    unclear, by = selectors.unclear_orders(orders), request.user
    return [
        selectors.OrderRow(o, why_not(by, o, "approved"), not why_not(by, o, "rejected"), o.pk in unclear)
        for o in orders
    ]


@page("GET")
def order_detail(request: SignedInRequest, order_id: str) -> HttpResponse:
    """One order and the record of the decisions on it."""
    view = selectors.order_get(order_id)
    (row,), form = _rows(request, [view.order]), DecisionForm()
    foreseen: dict[str, selectors.Preview] = {}
    if request.user.can("order.decide") and row.is_open:
        open_to: tuple[Verdict, ...] = ("rejected",) if row.why_not else ("approved", "rejected")
        foreseen = {
            verdict: orders_foresee(by=request.user, order_ids=[order_id], verdict=verdict) for verdict in open_to
        }
    context = {
        "view": view,
        "order": view.order,
        "row": row,
        "may_decide": request.user.can("order.decide"),
        "may_close": not refusal_of("close", view.order.state),
        "foreseen": foreseen,
        "content_hash": content_hash(view.order),
        "later": selectors.later_proposal(view.order),
        "why_outdated": selectors.why_outdated(view.order),
        "form": form,
    }
    if "approved" in foreseen and foreseen["approved"].asks:
        form.require_comment()
    return render(request, "orders/detail.html", context)


@page("GET", "POST")
def order_review(request: SignedInRequest) -> HttpResponse:
    """Restates what a decision would cover before it is taken; changes nothing."""
    if request.method != "POST":
        return redirect("orders")
    form = SelectionForm(request.POST)
    if not form.is_valid():
        return redirect("orders")
    run_id = form.cleaned_data["run"] if form.cleaned_data["whole_run"] else ""
    decision = DecisionForm(initial={"verdict": form.cleaned_data["verdict"], "run": run_id})
    return _review(request, decision, run_id, form.cleaned_data["verdict"])


@needs_confirmation
@refuses_nul("comment")
@page("POST")
def order_decision(request: SignedInRequest) -> HttpResponse:
    """Takes the decision on the orders named, or on all of a run that await one."""
    form = DecisionForm(request.POST)
    run_id = request.POST.get("run", "")
    if not form.is_valid():
        return _review(request, form, run_id, request.POST.get("verdict", ""), status=422)
    given = form.cleaned_data
    if given["verdict"] == "approved" and not form.agrees(_preview(request, run_id, "approved")):
        return _review(request, form, run_id, "approved", status=422)
    terms = {"by": request.user, "verdict": given["verdict"], "comment": given["comment"]}
    if run_id:
        decided = run_decide(run_id=run_id, expected_count=given["expected"], **terms)
    else:
        decided = order_decide(order_ids=request.POST.getlist("order"), **terms)
    _tell(request, decided, given["verdict"])
    return redirect(_back(request))


def _preview(request: SignedInRequest, run_id: str, verdict: Verdict) -> selectors.Preview:
    if run_id:
        return run_foresee(by=request.user, run=run_get(run_id), verdict=verdict)
    return orders_foresee(by=request.user, order_ids=request.POST.getlist("order"), verdict=verdict)


def _review(request: SignedInRequest, form: DecisionForm, run_id: str, verdict: str, status: int = 200) -> HttpResponse:
    chosen: Verdict = "rejected" if verdict == "rejected" else "approved"
    run = run_get(run_id) if run_id else None
    preview = _preview(request, run_id, chosen)
    if preview.asks:
        form.require_comment()
    context: dict[str, Any] = {
        "form": form,
        "verdict": chosen,
        "run_id": run_id,
        "run": run,
        "orders": [] if run_id else request.POST.getlist("order"),
        "expected": run.n_awaiting if run else None,
        "preview": preview,
        "back": _back(request),
    }
    template = "orders/review.html#dialog" if wants_fragment(request) else "orders/review.html"
    return render(request, template, context, status=status)


def _tell(request: SignedInRequest, decided: DecisionOutcome, verdict: str) -> None:
    if decided.n_decided:
        messages.success(request, f"{decided.n_decided:,} {_orders(decided.n_decided)} {verdict}.")
    reasons = decided.reasons.most_common()
    for reason, count in reasons[:TOLD]:
        became = "outdated" if decided.outdated[reason] else "left as they were"
        messages.warning(request, f"{count:,} {_orders(count)} {became}. {reason}")
    if further := sum(count for _, count in reasons[TOLD:]):
        messages.warning(request, f"{further:,} more {_orders(further)} left as they were, for reasons like these.")


def _orders(count: int) -> str:
    return "order" if count == 1 else "orders"


def _back(request: SignedInRequest) -> str:
    """The list the person came from, if it is one of ours."""
    address = request.POST.get("back", "")
    return address if address.startswith("/") and url_has_allowed_host_and_scheme(address, None) else "/orders/"
