"""Pages of orders: the blotter, one order with its record, and the decision on one or many.

Who may decide on what is said by `decide`; these pages only show it.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from ordergen.web.http import SignedInRequest, page, refuses_nul, wants_fragment
from rebalance_app.models import Order, OrderState, Rebalance
from rebalance_app.orders import paging as pages
from rebalance_app.orders import selectors
from rebalance_app.orders.decide import DecisionOutcome, Verdict, content_hash, order_decide, run_decide, why_not
from rebalance_app.orders.forms import DecisionForm, OrderFilterForm, SelectionForm
from rebalance_app.orders.order_csv import order_csv
from rebalance_app.proposals.selectors import run_get


@page("GET")
def order_list(request: SignedInRequest) -> HttpResponse:
    """The blotter. Rows that this person may not decide on say why."""
    form = OrderFilterForm(request.GET)
    form.is_valid()
    scope = pages.order_scope(form.wanted)
    orders = pages.order_list(scope, after=form.cleaned_data.get("after", ""))
    run = scope.run if scope else None
    context = {
        "form": form,
        "wanted": form.wanted,
        "counts": scope.counts if scope else selectors.order_counts(),
        "orders": orders,
        "rows": [_row(request, order) for order in orders.rows],
        "run": run,
        "totals": _shown_totals(run) if run else None,
        "may_decide": request.user.can("order.decide") and form.wanted.tab in ("awaiting", "approved"),
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
    return StreamingHttpResponse(
        order_csv(pages.order_scope(form.wanted)),
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


@refuses_nul("comment")
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
        decided = run_decide(run_id=run_id, expected_count=given["expected"], **terms)
    else:
        decided = order_decide(order_ids=request.POST.getlist("order"), **terms)
    _tell(request, decided, given["verdict"])
    return redirect(_back(request))


def _confirmed(request: SignedInRequest, form: DecisionForm, run_id: str) -> bool:
    """A large approval takes typing how many orders it covers; anything else does not."""
    if form.cleaned_data["verdict"] != "approved":
        return True
    preview = _preview(request, run_id, "approved")
    return not preview.is_large or form.confirms(preview.totals.count)


def _preview(request: SignedInRequest, run_id: str, verdict: Verdict) -> selectors.Preview:
    if run_id:
        return _preview_of_run(request, run_get(run_id), verdict)
    orders = selectors.orders_of(request.POST.getlist("order"))
    return selectors.preview(orders, {order.pk: why_not(request.user, order, verdict) for order in orders})


def _preview_of_run(request: SignedInRequest, run: Rebalance, verdict: Verdict) -> selectors.Preview:
    """Of a whole run without reading its orders: what awaits a decision awaits it for the same reason."""
    reason = why_not(request.user, Order(rebalance=run, state=OrderState.PROPOSED), verdict)
    if reason and run.n_awaiting:
        return selectors.Preview(selectors.order_totals(()), [], [selectors.Exclusion(reason, run.n_awaiting)])
    largest = pages.order_list(pages.order_scope(selectors.BlotterFilter(run=run.number, sort=pages.BY_VALUE)))
    return selectors.Preview(selectors.awaiting_totals(run), largest.rows[: selectors.LARGEST_SHOWN], [])


def _review(request: SignedInRequest, form: DecisionForm, run_id: str, verdict: str, status: int = 200) -> HttpResponse:
    chosen: Verdict = "rejected" if verdict == "rejected" else "approved"
    run = run_get(run_id) if run_id else None
    context: dict[str, Any] = {
        "form": form,
        "verdict": chosen,
        "run_id": run_id,
        "run": run,
        "orders": [] if run_id else request.POST.getlist("order"),
        "expected": run.n_awaiting if run else None,
        "preview": _preview(request, run_id, chosen),
        "back": _back(request),
    }
    template = "orders/review.html#dialog" if wants_fragment(request) else "orders/review.html"
    return render(request, template, context, status=status)


def _tell(request: SignedInRequest, decided: DecisionOutcome, verdict: str) -> None:
    if decided.n_decided:
        messages.success(request, f"{decided.n_decided:,} {_orders(decided.n_decided)} {verdict}.")
    for reason, count in decided.reasons.most_common():
        messages.warning(request, f"{count:,} {_orders(count)} left as they were. {reason}")


def _orders(count: int) -> str:
    return "order" if count == 1 else "orders"


def _back(request: SignedInRequest) -> str:
    """The list the person came from, if it is one of ours."""
    address = request.POST.get("back", "")
    return address if address.startswith("/") and url_has_allowed_host_and_scheme(address, None) else "/orders/"
