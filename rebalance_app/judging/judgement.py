"""What a decision would leave alone and why, as every door is told of it; and who may decide on what at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from models_app.portfolio.types import Reason
from ordergen.accounts.models import User
from rebalance_app.formats.sentences import sentence
from rebalance_app.judging.book_now import Verdict
from rebalance_app.judging.funds import Outlook
from rebalance_app.judging.judge import Objection, Weight
from rebalance_app.judging.lines import OrderLine
from rebalance_app.judging.rules_now import version_author
from rebalance_app.models import Order, Rebalance
from rebalance_app.order_states.table import refusal_of
from rebalance_app.proposals.run_inputs import inputs_of

Weighs = Literal["decided", "soft", "hard", "final"]


class Finding(NamedTuple):
    """Why an order is left alone, in words, and how that weighs.

    decided  somebody decided on it before      soft  it takes a reason that was not given
    hard     refused                            final refused for good: the order is outdated
    """

    why: str
    weighs: Weighs = "hard"


class CashLine(NamedTuple):
    """What becomes of one portfolio's cash, at the book's newest prices."""

    portfolio_name: str
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class Judgement:
    """By order id, why it is left alone, and why approving it takes a reason; what becomes of each portfolio's cash.

    What takes a reason that was not given is in both. `runs` are those of the orders, by id.
    """

    runs: Mapping[str, Rebalance]
    left_alone: dict[str, Finding] = field(default_factory=dict)
    asks: dict[str, list[str]] = field(default_factory=dict)
    cash: list[CashLine] = field(default_factory=list)

    def open(self, orders: Iterable[OrderLine]) -> list[OrderLine]:
        """Of these orders what is not left alone so far."""
        return [order for order in orders if order.pk not in self.left_alone]

    def leave_alone(self, orders: Iterable[OrderLine], why: str, weighs: Weighs = "hard") -> None:
        for order in orders:
            self.left_alone[order.pk] = Finding(why, weighs)
            self.asks.pop(order.pk, None)

    def object(self, order: OrderLine, told: tuple[Weight, str]) -> None:
        """Takes in an objection, in words. Of those that refuse the first stands."""
        weight, why = told
        if weight != "soft":
            self.leave_alone([order], why, weight)
        elif order.pk not in self.left_alone:
            self.asks.setdefault(order.pk, []).append(why)

    def weighing(self, orders: Iterable[OrderLine], *weights: Weighs) -> list[OrderLine]:
        """Of these orders those that are left alone with one of these weights."""
        return [o for o in orders if (found := self.left_alone.get(o.pk)) and found.weighs in weights]


def why_not(user: User, order: Order, verdict: Verdict = "approved") -> str:
    """Why this person may not decide so on this order, in words; empty when they may.

    What can be told from the order alone; approving also looks at the book and at earlier approvals.
    """
    found = policy(user, order.rebalance, order.state, verdict)
    return found.why if found else ""


def policy(user: User, run: Rebalance, state: str, verdict: Verdict) -> Finding | None:
    """The same of any order of the run in this state."""
    if not user.can("order.decide"):
        return Finding("Deciding on orders needs the role approver.")
    if refused := refusal_of("approve" if verdict == "approved" else "reject", state):
        return Finding(refused, "decided")
    if verdict == "approved" and run.launched_by_id == user.pk:
        return Finding("You launched this run: another approver must decide.")
    if verdict == "approved" and version_author(run.model_id, run.model_version) == user.pk:
        what = f"version {run.model_version} of {run.model_name}"
        return Finding(f"You saved {what}, which this run uses: another approver must decide.")
    return None


def judge_policy(by: User, orders: Sequence[OrderLine], verdict: Verdict) -> Judgement:
    judged = Judgement(Rebalance.objects.in_bulk({order.rebalance_id for order in orders}))
    kinds = {(order.rebalance_id, order.state) for order in orders}
    found = {(run_id, state): policy(by, judged.runs[run_id], state, verdict) for run_id, state in kinds}
    for order in orders:
        if why := found[order.rebalance_id, order.state]:
            judged.left_alone[order.pk] = why
    return judged


def in_words(objection: Objection, order: OrderLine) -> tuple[Weight, str]:
    return objection.weight, said(objection.reason, order)


def said(reason: Reason, order: OrderLine) -> str:
    return sentence(reason, inputs_of(order.rebalance_id).ticker)
