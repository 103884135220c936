"""What speaks against a decision on orders: one judgement for every door, before the decision and in it.

    policy       who may decide so on what is in which state
    model, age   is it still what the model asks for, and young enough: else it is outdated
    restriction  a security may not be traded so any more; a portfolio is on hold
    book         a traded holding, the cash or the lots changed; another run's orders are under way
    prices       the newest price is too far from the order's, or too old; the opposite is open elsewhere
    funding      what stays or becomes approved of a proposal cannot be paid for, or breaks a limit, by itself

Each looks at what the ones before it have left.
"""

from __future__ import annotations

from collections.abc import Sequence

from ordergen.accounts.models import User
from rebalance_app.judging.book_now import Book, Expected, approved_earlier, lots_changed, not_counted, out_of_date
from rebalance_app.judging.each_order import (
    judge_ages,
    judge_models,
    judge_opposites,
    judge_prices,
    judge_restrictions,
)
from rebalance_app.judging.each_proposal import judge_funding, judge_withdrawal
from rebalance_app.judging.judgement import Finding, Judgement, judge_policy
from rebalance_app.judging.lines import OrderLine


def judge_approval(
    by: User, orders: Sequence[OrderLine], book: Book, together: Sequence[OrderLine], *, has_reason: bool
) -> Judgement:
    """What an approval would leave alone; `together` is all that awaits a decision of the proposals concerned.

    `has_reason`: the person says why, which overcomes what is soft. Raises ConflictError where the book is not what was
    read any more.
    """
    judged = judge_policy(by, orders, "approved")
    judge_orders(judged, orders, book, together)
    if judged.asks and not has_reason:  # never more than with a reason: what remains has to be paid for as well
        judged.left_alone.update({key: Finding(" ".join(texts), "soft") for key, texts in judged.asks.items()})
        judged.cash.clear()
        judge_funding(judged, judged.open(orders), book, together)
    return judged


def judge_orders(judged: Judgement, orders: Sequence[OrderLine], book: Book, together: Sequence[OrderLine]) -> None:
    """Adds what speaks against approving these orders whoever approves them. Raises what `judge_approval` raises."""
    book.must_tell_of(order.portfolio_id for order in orders)
    judge_models(judged, judged.open(orders), together)
    judge_ages(judged, judged.open(orders))
    judge_restrictions(judged, judged.open(orders))
    of_book = judged.open(orders)
    to_be = Expected(book, of_book)
    against = (
        lots_changed(of_book, judged.runs)
        | out_of_date(of_book, together, to_be)
        | not_counted(of_book, to_be)
        | approved_earlier(of_book, book.balances)
    )
    judged.left_alone.update({key: Finding(why) for key, why in against.items()})
    judge_prices(judged, judged.open(orders), book)
    judge_opposites(judged, judged.open(orders))
    for key in judged.left_alone:
        judged.asks.pop(key, None)
    judge_funding(judged, judged.open(orders), book, together)


def judge_rejection(by: User, orders: Sequence[OrderLine], book: Book) -> Judgement:
    """What a rejection would leave alone. Raises ConflictError where the book is not what was read any more."""
    judged = judge_policy(by, orders, "rejected")
    judge_withdrawal(judged, judged.open(orders), book)
    return judged
