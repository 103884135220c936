"""An order's states and moves, the one table of them. Every door that moves an order asks here.

    proposed -> held, approved_once, approved | rejected, superseded, outdated
    approved -> sending, exported, not_sent, unknown, sent … partly_filled -> filled, refused, cancelled, lapsed, closed

*Open* orders are on their way: runs count them. A *final* state is never left. What was approved before orders were
followed is neither: it waits for a person to say what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from rebalance_app.models import OrderState

S = OrderState
Mover = Literal["run", "manager", "approver", "judgement", "sender", "destination", "execution", "upgrade"]

AWAITING = frozenset({S.PROPOSED, S.HELD, S.APPROVED_ONCE})
OPEN_ORDER = frozenset({
    S.APPROVED, S.SENDING, S.NOT_SENT, S.UNKNOWN, S.SENT, S.EXPORTED, S.ACKNOWLEDGED, S.PARTLY_FILLED,
})  # fmt: skip
FINAL = frozenset({S.FILLED, S.REFUSED, S.CANCELLED, S.LAPSED, S.CLOSED, S.REJECTED, S.SUPERSEDED, S.OUTDATED})
ENDED = (FINAL - {S.REJECTED, S.SUPERSEDED, S.OUTDATED}) | {S.APPROVED_EARLIER}  # once approved, and open no more
AT_DESTINATION = frozenset({S.SENT, S.EXPORTED, S.ACKNOWLEDGED, S.PARTLY_FILLED, S.UNKNOWN})

COUNTERS: Mapping[OrderState, str] = (
    dict.fromkeys(OPEN_ORDER, "n_approved")
    | dict.fromkeys(ENDED, "n_ended")
    | {S.REJECTED: "n_rejected", S.SUPERSEDED: "n_superseded", S.OUTDATED: "n_outdated"}
)  # of a run, by the state of its orders; what awaits a decision is the rest


@dataclass(frozen=True, slots=True)
class Move:
    """One way from some states to another."""

    to: OrderState
    origins: frozenset[OrderState]
    by: frozenset[Mover]
    needs_reason: bool = False
    needs_quantity: bool = False


def _move(
    to: OrderState, origins: frozenset[OrderState] | set[OrderState], *by: Mover, reason: bool = False, n: bool = False
) -> Move:
    return Move(to, frozenset(origins), frozenset(by), reason, n)


MOVES: Mapping[str, Move] = {
    "hold": _move(S.HELD, {S.PROPOSED}, "manager", "approver", reason=True),
    "release": _move(S.PROPOSED, {S.HELD}, "manager", "approver"),
    "approve_once": _move(S.APPROVED_ONCE, {S.PROPOSED}, "approver"),
    "approve": _move(S.APPROVED, {S.PROPOSED, S.APPROVED_ONCE}, "approver"),
    "reject": _move(S.REJECTED, AWAITING | {S.APPROVED}, "approver", reason=True),
    "supersede": _move(S.SUPERSEDED, AWAITING, "run"),
    "outdate": _move(S.OUTDATED, AWAITING, "judgement", reason=True),
    "approved_earlier": _move(S.APPROVED_EARLIER, {S.APPROVED}, "upgrade"),
    "send": _move(S.SENDING, {S.APPROVED, S.NOT_SENT}, "sender"),
    "not_sent": _move(S.NOT_SENT, {S.SENDING, S.UNKNOWN}, "sender", "approver"),
    "unclear": _move(S.UNKNOWN, {S.SENDING}, "sender"),
    "sent": _move(S.SENT, {S.SENDING, S.UNKNOWN}, "sender", "approver"),
    "export": _move(S.EXPORTED, {S.APPROVED}, "approver"),
    "acknowledge": _move(S.ACKNOWLEDGED, AT_DESTINATION - {S.ACKNOWLEDGED, S.PARTLY_FILLED}, "destination"),
    "refuse": _move(S.REFUSED, AT_DESTINATION | {S.SENDING}, "destination", reason=True),
    # Of an order that a person follows, what its holdings show of it counts as its execution.
    "fill_partly": _move(S.PARTLY_FILLED, OPEN_ORDER, "execution", "approver", n=True),
    "fill": _move(S.FILLED, OPEN_ORDER, "execution"),
    "cancel": _move(S.CANCELLED, OPEN_ORDER | {S.APPROVED_EARLIER}, "approver", "destination", reason=True),
    "lapse": _move(S.LAPSED, OPEN_ORDER | {S.APPROVED_EARLIER}, "approver", "destination", reason=True),
    "close": _move(S.CLOSED, OPEN_ORDER | {S.APPROVED_EARLIER}, "approver", reason=True, n=True),
}  # fmt: skip


def refusal_of(verb: str, state: str) -> str:
    """Why an order in this state cannot be moved so, in words; empty where it can."""
    return "" if state in MOVES[verb].origins else f"It is {OrderState(state).label.lower()} already."


class Followed(Protocol):
    """An order and what is known of it, whichever way it was read."""

    @property
    def state(self) -> str: ...
    @property
    def quantity(self) -> int: ...
    @property
    def quantity_done(self) -> int | None: ...


def bound_quantity(order: Followed) -> int:
    """How much of an order, once it was approved, is open or done: its portfolio has to pay for that. 0 before."""
    if order.state in OPEN_ORDER or order.state == S.APPROVED_EARLIER:
        return order.quantity
    return (order.quantity_done or 0) if order.state in ENDED else 0


class StateRow(NamedTuple):
    """A state as people read the table: who moves an order there, in the order of the moves, and what that means."""

    state: OrderState
    movers: tuple[Mover, ...]
    is_open: bool
    is_final: bool
    needs_reason: bool
    needs_quantity: bool


def state_rows() -> list[StateRow]:
    """The table by state."""
    rows = []
    for state in OrderState:
        moves = [move for move in MOVES.values() if move.to == state]
        movers: dict[Mover, None] = {"run": None} if state == OrderState.PROPOSED else {}
        movers |= {mover: None for move in moves for mover in sorted(move.by)}
        reason, quantity = (any(getattr(m, name) for m in moves) for name in ("needs_reason", "needs_quantity"))
        rows.append(StateRow(state, tuple(movers), state in OPEN_ORDER, state in FINAL, reason, quantity))
    return rows
