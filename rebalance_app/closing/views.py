"""Pages on which people say what became of approved orders: chosen ones, those of a file, those that holdings show."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from models_app.imports import uploads
from ordergen.accounts.sign_in.asking import needs_confirmation
from ordergen.core.errors import InvalidInputError
from ordergen.web.http import SignedInRequest, page, refuses_nul, wants_fragment
from rebalance_app.closing.closing_file import CLOSINGS, ClosingFile, read_closings
from rebalance_app.closing.fits import fits_confirm, order_fits
from rebalance_app.closing.forms import ClosingFileForm, ClosingForm
from rebalance_app.closing.services import orders_close
from rebalance_app.judging.lines import orders_named
from rebalance_app.models import OrderState
from rebalance_app.order_states.table import MOVES
from rebalance_app.orders.decide import DecisionOutcome

MOST_CHOSEN = 200  # on a page; more are closed by a file


@needs_confirmation
@refuses_nul("reason")
@page("GET", "POST")
def close_orders(request: SignedInRequest) -> HttpResponse:
    """What became of the chosen orders: asked first, then kept."""
    request.user.must("order.decide")
    chosen = orders_named(request.POST.getlist("order")[:MOST_CHOSEN])
    orders = [line for line in chosen if line.state in MOVES["close"].origins]
    if request.method != "POST":
        return redirect(_back(request))
    form = ClosingForm(orders, request.POST if "sent" in request.POST else None)
    if form.is_bound and orders and form.is_valid():
        try:
            closed = orders_close(by=request.user, closings=form.closings, reason=form.cleaned_data["reason"])
        except InvalidInputError as error:
            form.blame(dict(error.fields))
        else:
            _tell(request, closed)
            return redirect(_back(request))
    context = {"form": form, "back": _back(request), "left": len(chosen) - len(orders)}
    template = "closing/close.html#dialog" if wants_fragment(request) else "closing/close.html"
    return render(request, template, context, status=422 if form.is_bound else 200)


@refuses_nul("reason")
@page("GET", "POST")
def close_by_file(request: SignedInRequest) -> HttpResponseBase:
    """A file that says what became of orders; it leads on to its preview."""
    request.user.must("order.decide")
    sent = (request.POST, request.FILES) if request.method == "POST" else ()
    form = ClosingFileForm(CLOSINGS, *sent)
    if form.is_bound and form.is_valid():
        try:
            said = {"reason": form.cleaned_data["reason"]}
            token = uploads.keep(form.cleaned_data["file"], kind=CLOSINGS.name, by=request.user, answers=said)
        except InvalidInputError as error:
            form.add_error("file", error.message)
        else:
            return redirect("close_file_preview", token)
    context = {"form": form, "kind": CLOSINGS}
    return render(request, "closing/file.html", context, status=422 if form.is_bound else 200)


@needs_confirmation
@page("GET", "POST")
def close_file_preview(request: SignedInRequest, token: str) -> HttpResponse:
    """What the file would close, or everything that is wrong with it; a POST closes it, all or nothing."""
    request.user.must("order.decide")
    upload = uploads.find(token, kind=CLOSINGS.name, by=request.user)
    reason = upload.answers.get("reason", "")
    with upload.open() as file:
        read = read_closings(file.read(), reason)
    if request.method == "POST" and not read.problems.count:
        _tell(request, orders_close(by=request.user, closings=read.closings, reason=reason))
        upload.discard()
        return redirect("orders")
    return _show(request, read, upload.name)


def _show(request: SignedInRequest, read: ClosingFile, name: str) -> HttpResponse:
    outcomes = [(OrderState(state).label, count) for state, count in read.counts.items()]
    context = {"read": read, "outcomes": outcomes, "n_closed": len(read.look.done), "file_name": name}
    return render(request, "closing/preview.html", context, status=422 if read.problems.count else 200)


@needs_confirmation
@page("GET", "POST")
def fits(request: SignedInRequest) -> HttpResponse:
    """What newly stated holdings show of open orders; a POST confirms what fits, as it was seen."""
    if request.method == "POST":
        counts = fits_confirm(by=request.user, seen=request.POST.get("seen", ""))
        told = f"{counts['done']:,} done, {counts['partly_done']:,} partly done, {counts['not_done']:,} not done"
        messages.success(request, f"Confirmed: {told}.")
        return redirect("order_fits")
    context = {"fits": order_fits(), "may_confirm": request.user.can("order.decide")}
    return render(request, "closing/fits.html", context)


def _tell(request: SignedInRequest, closed: DecisionOutcome) -> None:
    if closed.n_decided:
        messages.success(request, f"{closed.n_decided:,} {'order' if closed.n_decided == 1 else 'orders'} closed.")
    for reason, count in closed.reasons.most_common():
        messages.warning(request, f"{count:,} left as they were. {reason}")


def _back(request: SignedInRequest) -> str:
    """The list the person came from, if it is one of ours."""
    address = request.POST.get("back", "")
    is_ours = address.startswith("/") and url_has_allowed_host_and_scheme(address, None)
    return address if is_ours else "/orders/?tab=approved"
