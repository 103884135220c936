"""An approved order ends where a person says so, with how much of it was done; the next run counts what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError
from ordergen.ops.verify import verify_all
from rebalance_app.closing.fits import fits_confirm, order_fits
from rebalance_app.closing.services import Closing, orders_close
from rebalance_app.models import OpenOrders, Order, Rebalance
from rebalance_app.order_states.table import AWAITING, ENDED, FINAL, MOVES, OPEN_ORDER
from rebalance_app.orders.decide import order_decide, run_decide
from rebalance_app.runs.launch import run_launch
from tests.builders import price_now
from tests.rebalance_app.closing.book import state_cash, state_holdings

pytestmark = pytest.mark.django_db


def close(by, *closings, reason="done by telephone"):
    return orders_close(by=by, closings=[Closing(*one) for one in closings], reason=reason)


def order(pk) -> Order:
    return Order.objects.get(pk=pk)


def wanted_of(ticker):
    """Shares, with their sign, of all that is open or done of a security."""
    orders = Order.objects.filter(ticker=ticker, state__in=OPEN_ORDER | ENDED)
    return sum(
        (1 if o.side == "BUY" else -1) * (o.quantity if o.state in OPEN_ORDER else o.quantity_done) for o in orders
    )


# Closing by hand.


def test_an_order_is_closed_as_done_cancelled_or_lapsed_and_it_is_kept_who_said_so_and_how_much(approved, approver):
    rune, moss = approved.buys
    closed = close(approver, (approved.sale, "closed"), (rune, "cancelled", 1000), (moss, "lapsed"))

    assert (closed.n_decided, closed.n_skipped) == (3, 0)
    ends = {o.ticker: (o.state, o.quantity_done) for o in Order.objects.all()}
    assert ends == {"KELP": ("closed", 550), "RUNE": ("cancelled", 1000), "MOSS": ("lapsed", 0)}
    move = order(rune).moves.get()
    assert (move.state_before, move.state_after, move.quantity_done) == ("approved", "cancelled", 1000)
    assert (move.moved_by, move.reason) == (approver, "done by telephone")
    run = Rebalance.objects.get()
    assert (run.n_approved, run.n_ended, run.n_awaiting) == (0, 3, 0)
    told = AuditEvent.objects.filter(action__in=["orders.closed", "orders.cancelled", "orders.lapsed"])
    assert {event.action: event.detail["orders"] for event in told} == {
        "orders.closed": {approved.sale: 550},
        "orders.cancelled": {rune: 1000},
        "orders.lapsed": {moss: 0},
    }
    assert verify_all()["violations"] == 0


@pytest.mark.parametrize(
    ("outcome", "quantity"),
    [("closed", 0), ("closed", 551), ("cancelled", 550), ("lapsed", -1), ("cancelled", 10**30), ("filled", 1), ("", 1)],
)
def test_what_cannot_be_is_refused_at_its_field_and_nothing_is_written(approved, approver, outcome, quantity):
    with pytest.raises(InvalidInputError) as refused:
        close(approver, (approved.buys[0], "closed"), (approved.sale, outcome, quantity))

    assert set(refused.value.fields) <= {"orders.1.quantity", "orders.1.outcome"}
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}
    assert not AuditEvent.objects.filter(action__startswith="orders.c").exists()


def test_a_reason_is_needed_and_an_order_is_named_once(approved, approver):
    with pytest.raises(InvalidInputError, match="reason"):
        close(approver, (approved.sale, "closed"), reason="  ")
    with pytest.raises(InvalidInputError, match="named 2 times"):
        close(approver, (approved.sale, "closed"), (approved.sale, "lapsed"))
    with pytest.raises(InvalidInputError, match="no such order"):
        close(approver, ("f" * 24, "closed"))


def test_only_an_approver_closes(approved, manager):
    with pytest.raises(NotAllowedError):
        close(manager, (approved.sale, "closed"))


def test_what_was_never_approved_or_has_ended_is_left_alone_and_said(proposal, approver):
    order_decide(by=approver, order_ids=[proposal.sale], verdict="approved")
    assert close(approver, (proposal.sale, "closed")).n_decided == 1
    again = close(approver, (proposal.sale, "lapsed"), (proposal.buys[0], "closed"))

    assert again.n_decided == 0
    assert dict(again.skipped) == {
        proposal.sale: "It is done outside already.",
        proposal.buys[0]: "It is proposed already.",
    }


# What the next run counts.


def test_what_is_on_its_way_is_not_ordered_again(approved, fell, manager, run_worker):
    again = run_worker(run_launch(by=manager, model_id=fell.model.pk))

    assert again.n_orders == 0
    counted = again.portfolios.get().document["open_orders"]
    assert {(one["side"], one["quantity"], one["ticker"]) for one in counted} == {
        ("SELL", 550, "KELP"), ("BUY", 1500, "RUNE"), ("BUY", 50, "MOSS"),
    }  # fmt: skip
    assert verify_all()["violations"] == 0


def test_or_their_portfolios_are_left_out_by_choice_and_the_order_is_named(approved, fell, manager, run_worker):
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk, open_orders=OpenOrders.LEAVE_OUT))

    row = run.portfolios.get()
    assert (row.state, row.reason_code) == ("failed", "OPEN_ORDER")
    assert "of run #1 and 2 more orders are on its way" in row.reason or "are on" in row.reason


def test_a_cancelled_order_is_ordered_again(approved, fell, manager, approver, run_worker):
    close(approver, (approved.buys[1], "cancelled"), reason="no liquidity")
    again = run_worker(run_launch(by=manager, model_id=fell.model.pk))

    assert {(o.side, o.quantity, o.ticker) for o in again.orders.all()} == {("BUY", 50, "MOSS")}
    assert run_decide(by=approver, run_id=again.pk, verdict="approved").n_decided == 1
    assert wanted_of("MOSS") == 50


def test_what_was_done_outside_is_counted_until_the_holdings_show_it(approved, fell, manager, approver, run_worker):
    close(approver, *((key, "closed") for key in (approved.sale, *approved.buys)))
    before = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert before.n_orders == 0

    state_holdings(KELP=450, RUNE=1500, MOSS=50)
    state_cash(4000)
    after = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert after.n_orders == 0
    assert "open_orders" not in after.portfolios.get().document, "the holdings show them"


def test_shares_that_are_not_there_yet_are_not_sold(approved, fell, manager, run_worker):
    """RUNE doubles: 1,500 shares on order are 24,000 of 52,000, above the band; but none of them is there to sell."""
    price_now(fell.rune, "16")
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk))

    assert not run.orders.filter(ticker="RUNE", side="SELL").exists()
    assert verify_all()["violations"] == 0


# Newly stated holdings.


def test_after_new_holdings_a_portfolio_is_left_out_until_somebody_says_what_became_of_its_orders(
    approved, fell, manager, approver, run_worker
):
    state_holdings(KELP=530, RUNE=1500, MOSS=20)
    unclear = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert unclear.portfolios.get().reason_code == "OPEN_ORDER"
    assert "the holdings were stated anew since" in unclear.portfolios.get().reason

    fits = order_fits()
    assert {(f.order.ticker, f.shows, f.done) for f in fits.shown} == {
        ("KELP", "partly_done", 470), ("RUNE", "done", 1500), ("MOSS", "partly_done", 20),
    }  # fmt: skip
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}, "a look closes nothing"

    fits_confirm(by=approver, seen=fits.seen)
    ends = {o.ticker: (o.state, o.quantity_done) for o in Order.objects.filter(rebalance=approved.run)}
    assert ends == {"KELP": ("partly_filled", 470), "RUNE": ("closed", 1500), "MOSS": ("partly_filled", 20)}
    assert order_fits().counts.total() == 0
    assert verify_all()["violations"] == 0


def test_after_a_partial_fill_the_rest_is_counted_and_never_ordered_twice(
    approved, fell, manager, approver, run_worker
):
    """Case 18: after it all KELP -550, RUNE +1,500, MOSS +50, and no more."""
    state_holdings(KELP=800, RUNE=700, MOSS=12)
    state_cash(960)
    fits_confirm(by=approver, seen=order_fits().seen)

    again = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    run_decide(by=approver, run_id=again.pk, verdict="approved")
    assert {ticker: wanted_of(ticker) for ticker in ("KELP", "RUNE", "MOSS")} == {
        "KELP": -550,
        "RUNE": 1500,
        "MOSS": 50,
    }


def test_holdings_as_before_show_that_nothing_was_done(approved, fell, manager, approver, run_worker):
    state_holdings(KELP=1000)
    fits = order_fits()
    assert fits.counts == {"not_done": 3}

    fits_confirm(by=approver, seen=fits.seen)
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}
    assert order(approved.sale).moves.get().state_after == "approved"
    assert run_worker(run_launch(by=manager, model_id=fell.model.pk)).n_orders == 0, "they are still on their way"


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ("451.25", "451.25 held, 1,000 before: -548.75 where -550 was wanted."),
        ("440", "440 held, 1,000 before: -560 where -550 was wanted."),
        ("1010", "1,010 held, 1,000 before: +10 where -550 was wanted."),
    ],
)
def test_what_does_not_fit_stays_with_its_reason(approved, approver, held, why):
    """A reinvested dividend, a transfer, a sale of somebody else's: none of them is this order's execution."""
    state_holdings(KELP=held, RUNE=1500, MOSS=50)
    fits = order_fits()
    assert [(f.order.ticker, f.why) for f in fits.shown if f.shows == "does_not_fit"] == [("KELP", why)]

    fits_confirm(by=approver, seen=fits.seen)
    assert order(approved.sale).state == "approved"
    assert order_fits().counts == {"does_not_fit": 1}
    close(approver, (approved.sale, "closed", 550), reason="the rest is a dividend")
    assert order_fits().counts.total() == 0


def test_a_confirmation_of_what_has_changed_meanwhile_writes_nothing(approved, approver):
    state_holdings(KELP=450, RUNE=1500, MOSS=50)
    seen = order_fits().seen
    state_holdings(KELP=460, RUNE=1500, MOSS=50)

    with pytest.raises(ConflictError):
        fits_confirm(by=approver, seen=seen)
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}
    assert not order(approved.sale).moves.exists()


def test_only_an_approver_confirms(approved, manager):
    with pytest.raises(NotAllowedError):
        fits_confirm(by=manager, seen="")


# The table.


@given(st.sampled_from(sorted(FINAL)), st.sampled_from(sorted(MOVES)))
def test_no_move_leaves_a_final_state(state, verb):
    assert state not in MOVES[verb].origins


def test_every_state_awaits_is_open_or_has_ended_and_every_one_can_be_reached():
    from rebalance_app.models import OrderState

    decided = {"rejected", "superseded", "outdated"}
    assert set(OrderState) == AWAITING | OPEN_ORDER | ENDED | decided
    assert not AWAITING & OPEN_ORDER
    assert not (AWAITING | OPEN_ORDER) & ENDED
    assert {move.to for move in MOVES.values()} | {"proposed"} == set(OrderState)


def test_while_only_holdings_or_only_cash_are_stated_after_what_was_done_the_portfolio_is_left_out(
    approved, fell, manager, approver, run_worker
):
    """The shares would be there and their price too: a run would invest the same cash again."""
    close(approver, *((key, "closed") for key in (approved.sale, *approved.buys)))
    state_holdings(KELP=450, RUNE=1500, MOSS=50)
    half = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert half.n_orders == 0
    assert "of holdings and cash only one was stated since" in half.portfolios.get().reason

    state_cash(4000)
    whole = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    assert (whole.portfolios.get().state, whole.n_orders) == ("no_trades", 0)
