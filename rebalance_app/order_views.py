"""Pages of orders: the blotter, one order with its record, and the decision on one or many.

Who may decide on what is said by services/approve.py; these pages only show it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from ordergen.http import SignedInRequest, page, wants_fragment
from rebalance_app import order_selectors as selectors
from rebalance_app.forms import DecisionForm, OrderFilterForm, SelectionForm
from rebalance_app.models import Order
from rebalance_app.services.approve import Decided, Verdict, content_hash, order_decide, run_decide, why_not


@page("GET")
def order_list(request: SignedInRequest) -> HttpResponse:
    """The blotter. Rows that this person may not decide on say why."""
    form = OrderFilterForm(request.GET)
    form.is_valid()
    orders = selectors.order_list(form.wanted, after=form.cleaned_data.get("after", ""))
    run = selectors.run_numbered(form.wanted.run)
    context = {
        "form": form,
        "wanted": form.wanted,
        "counts": selectors.order_counts(),
        "orders": orders,
        "rows": [_row(request, order) for order in orders.rows],
        "run": run,
        "totals": selectors.order_totals(selectors.awaiting_of(run.pk)) if run else None,
        "may_decide": request.user.can("order.decide") and form.wanted.tab in ("awaiting", "approved"),
        "sorts": selectors.sort_links(form.wanted),
    }
    return render(request, "orders/list.html", context)


@page("GET")
def order_export(request: SignedInRequest) -> HttpResponseBase:
    """Every order of the same filters and in the same order, as CSV."""
    form = OrderFilterForm(request.GET)
    form.is_valid()
    return StreamingHttpResponse(
        selectors.order_csv(form.wanted),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="orders.csv"'},
    )


def _row(request: SignedInRequest, order: Order) -> selectors.OrderRow:
    return selectors.OrderRow(
        order, why_not(request.user, order, "approved"), not why_not(request.user, order, "rejected")
    )


@page("GET")
def order_detail(request: SignedInRequest, order_id: str) -> HttpResponse:
    """One order and the record of the decisions on it."""
    view = selectors.order_get(order_id)
    context = {
        "view": view,
        "order": view.order,
        "row": _row(request, view.order),
        "may_decide": request.user.can("order.decide"),
        "content_hash": content_hash(view.order),
        "form": DecisionForm(),
    }
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


@page("POST")
def order_decision(request: SignedInRequest) -> HttpResponse:
    """Takes the decision on the orders named, or on all of a run that await one."""
    form = DecisionForm(request.POST)
    run_id = request.POST.get("run", "")
    if not form.is_valid():
        return _review(request, form, run_id, request.POST.get("verdict", ""), status=422)
    if not _confirmed(request, form, run_id):
        return _review(request, form, run_id, form.cleaned_data["verdict"], status=422)
    given = form.cleaned_data
    terms = {"by": request.user, "verdict": given["verdict"], "comment": given["comment"]}
    if run_id:
        decided = run_decide(rebalance_id=run_id, expected_count=given["expected"], **terms)
    else:
        decided = order_decide(order_ids=request.POST.getlist("order"), **terms)
    _tell(request, decided, given["verdict"])
    return redirect(_back(request))


def _confirmed(request: SignedInRequest, form: DecisionForm, run_id: str) -> bool:
    """A large approval takes typing how many orders it covers; anything else does not."""
    if form.cleaned_data["verdict"] != "approved":
        return True
    preview = _preview(request, _chosen(request, run_id), "approved")
    return not preview.is_large or form.confirms(preview.totals.count)


def _chosen(request: SignedInRequest, run_id: str) -> list[Order]:
    return selectors.awaiting_of(run_id) if run_id else selectors.orders_of(request.POST.getlist("order"))


def _preview(request: SignedInRequest, orders: list[Order], verdict: Verdict) -> selectors.Preview:
    return selectors.preview(orders, {order.pk: why_not(request.user, order, verdict) for order in orders})


def _review(request: SignedInRequest, form: DecisionForm, run_id: str, verdict: str, status: int = 200) -> HttpResponse:
    orders = _chosen(request, run_id)
    chosen: Verdict = "rejected" if verdict == "rejected" else "approved"
    context: dict[str, Any] = {
        "form": form,
        "verdict": chosen,
        "run_id": run_id,
        "run": orders[0].rebalance if orders and run_id else None,
        "orders": [] if run_id else orders,
        "expected": len(orders),
        "preview": _preview(request, orders, chosen),
        "back": _back(request),
    }
    template = "orders/review.html#dialog" if wants_fragment(request) else "orders/review.html"
    return render(request, template, context, status=status)


def _tell(request: SignedInRequest, decided: Decided, verdict: str) -> None:
    if decided.n_decided:
        messages.success(request, f"{decided.n_decided:,} {_orders(decided.n_decided)} {verdict}.")
    for reason, count in Counter(reason for _, reason in decided.skipped).most_common():
        messages.warning(request, f"{count:,} {_orders(count)} left as they were. {reason}")


def _orders(count: int) -> str:
    return "order" if count == 1 else "orders"


def _back(request: SignedInRequest) -> str:
    """The list the person came from, if it is one of ours."""
    address = request.POST.get("back", "")
    return address if address.startswith("/") and url_has_allowed_host_and_scheme(address, None) else "/orders/"
