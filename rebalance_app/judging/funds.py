"""What money and the limits of a run say against a part of a proposal: codes and numbers, no sentences, nothing read.

    floor     cash + sells - buys >= floor      else its buys are left alone
    ceiling   cash + sells - buys <= ceiling    else its sells
    gains     Σ gain of its sells <= budget     else its sells
    turnover  (buys + sells) / 2 <= limit       else all of it

A part is what was approved of a proposal before and is chosen now. Each holds twice: *then*, at the cash and prices
that the proposal was computed from, and *now*, at those of the book. A part that breaks a limit by itself is not
approved, whatever came in meanwhile. The number of orders needs no look: a part has no more of them than the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import NamedTuple, Protocol

from models_app.portfolio.lots import gain, lots_sold
from models_app.portfolio.types import ZERO, Options, Reason, TaxLot
from models_app.portfolio.units import BASIS_POINTS, WIDE
from models_app.sources.book_source import Balances
from rebalance_app.judging.lines import OrderLine
from rebalance_app.models import OrderState
from rebalance_app.order_states.on_the_way import FollowedOrder
from rebalance_app.order_states.table import bound_quantity

NAMED = 3  # buys, the largest of those that a rejection would leave unpaid
BOTH = frozenset({"BUY", "SELL"})


class Traded(Protocol):
    """An order, whichever way it was read."""

    @property
    def security_id(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def quantity(self) -> int: ...
    @property
    def price(self) -> Decimal: ...


class Bound(NamedTuple):
    """What an approved order binds its portfolio to: what is open or done of it."""

    security_id: str
    side: str
    quantity: int
    price: Decimal


class Breach(NamedTuple):
    """A limit that a part of a proposal would break, and the sides of it without which it would not."""

    reason: Reason
    sides: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outlook:
    """The cash of a portfolio before any order, with those approved before, and with those chosen too; its floor.

    `costs` are what all of these orders cost, where the run keeps that above the floor.
    """

    cash: Decimal
    approved: Decimal
    after: Decimal
    floor: Decimal
    costs: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        """What the floor is held against."""
        return WIDE.subtract(self.after, self.costs)

    @property
    def is_short(self) -> bool:
        return self.left < self.floor


@dataclass(frozen=True, slots=True)
class Proposed:
    """Cash and market value that a proposal was computed from, and the cash that all of its orders leave.

    Under a gain budget, the tax lots too, and what all of its sells gain by them.
    """

    cash: Decimal
    market_value: Decimal
    cash_after: Decimal
    gain: Decimal | None = None
    lots: Mapping[str, Sequence[TaxLot]] | None = None

    def outlook(self, options: Options, approved: Iterable[Traded], chosen: Iterable[Traded] = ()) -> Outlook:
        """At the proposal's own cash and prices. No part of it has to leave more than the whole does."""
        floor = cash_floor(options, self.market_value)
        if self.cash_after < floor:  # then costs were not kept above it either
            options, floor = replace(options, reserve_costs=False), self.cash_after
        return _outlook(options, self.cash, floor, _own_price, approved, chosen)

    def ceiling(self, options: Options) -> Decimal | None:
        """What a part of it may leave in cash: what the whole does, where that is more than the limit."""
        ceiling = cash_ceiling(options, self.market_value)
        return None if ceiling is None else max(ceiling, self.cash_after)

    def gained(self, orders: Iterable[Traded], price_of: Callable[[Traded], Decimal]) -> Decimal:
        """What these sells gain by its tax lots, the highest cost first."""
        lots = self.lots or {}
        sales = (order for order in orders if order.side == "SELL")
        with localcontext(WIDE):
            return sum(
                (gain(lots_sold(lots.get(o.security_id, ()), Decimal(o.quantity)), price_of(o)) for o in sales), ZERO
            )


def _own_price(order: Traded) -> Decimal:
    return order.price


@dataclass(frozen=True, slots=True)
class Funds:
    """What pays for the orders of one proposal; `proposed` is None of an answer that did not keep it."""

    options: Options
    proposed: Proposed | None
    balances: Balances
    prices: Mapping[str, Decimal]

    def now(self, approved: Iterable[FollowedOrder], chosen: Iterable[OrderLine] = ()) -> Outlook:
        """At the book's cash and newest prices."""
        to_come = [Bound(o.security_id, o.side, self._to_come(o), o.price) for o in approved]
        floor = cash_floor(self.options, self._market_value() if self.options.min_cash_weight else ZERO)
        return _outlook(self.options, self.balances.cash, floor, self._price_now, to_come, chosen)

    def then(self, approved: Iterable[FollowedOrder], chosen: Iterable[OrderLine] = ()) -> Outlook | None:
        """At the proposal's own cash and prices."""
        return self.proposed.outlook(self.options, bound_orders(approved), chosen) if self.proposed else None

    def _to_come(self, order: FollowedOrder) -> int:
        """Shares of an order approved before that the holdings do not show.

        Where that is not known, a sale brings nothing once its holding is another: what it brought is in the cash. A
        buy is counted whole, whatever is held.
        """
        is_known = order.state != OrderState.APPROVED_EARLIER and not order.is_unclear(self.balances)
        if is_known:
            return order.to_come(self.balances)
        is_as_before = self.balances.quantities.get(order.security_id, 0) == order.quantity_before
        return order.quantity - order.done if order.side == "BUY" or is_as_before else 0

    def breaches(
        self, approved: Sequence[FollowedOrder], chosen: Sequence[OrderLine], undecided: Iterable[str]
    ) -> Iterator[Breach]:
        """What the chosen orders would break with those approved before; `undecided`: sides that await beside them."""
        now, then = self.now(approved, chosen), self.then(approved, chosen)
        if (unpriced := self._unpriced()) is not None:
            yield unpriced
        sides = frozenset(undecided)
        yield from self._below_floor(now, then, sales_left="SELL" in sides)
        yield from self._above_ceiling(now, then, buys_left="BUY" in sides)
        part: list[Traded] = [*bound_orders(approved), *chosen]
        yield from self._gains(part)
        yield from self._turnover(part)

    def _unpriced(self) -> Breach | None:
        """Where limits are parts of the market value, every holding needs a price."""
        of_value = self.options.min_cash_weight or self.options.max_cash_weight is not None
        if not of_value and self.options.max_turnover is None:
            return None
        unpriced = min(self.balances.quantities.keys() - self.prices.keys(), default=None)
        if unpriced is None:
            return None
        is_floor_alone = self.options.max_cash_weight is None and self.options.max_turnover is None
        return Breach(Reason("MISSING_PRICE", unpriced), frozenset({"BUY"}) if is_floor_alone else BOTH)

    def _below_floor(self, now: Outlook, then: Outlook | None, *, sales_left: bool) -> Iterator[Breach]:
        short, moment = _short(now, then)
        if short is not None:
            numbers = {"cash_after": short.left, "floor": short.floor}
            told: dict[str, float | str] = {"moment": moment, "sales_left": float(sales_left)}
            yield Breach(Reason("CASH_BELOW_FLOOR", None, numbers, told), frozenset({"BUY"}))

    def _above_ceiling(self, now: Outlook, then: Outlook | None, *, buys_left: bool) -> Iterator[Breach]:
        value = self._market_value() if self.options.max_cash_weight is not None else ZERO
        at_moments = [("now", now, cash_ceiling(self.options, value))]
        if self.proposed and then:
            at_moments.append(("then", then, self.proposed.ceiling(self.options)))
        for moment, outlook, ceiling in at_moments:
            if ceiling is not None and outlook.after > ceiling:
                numbers = {"cash_after": outlook.after, "ceiling": ceiling}
                told: dict[str, float | str] = {"moment": moment, "buys_left": float(buys_left)}
                yield Breach(Reason("CASH_OVER_CEILING", None, numbers, told), frozenset({"SELL"}))

    def _gains(self, part: Sequence[Traded]) -> Iterator[Breach]:
        budget, proposed = self.options.gain_budget, self.proposed
        if budget is None or proposed is None or proposed.gain is None:
            return
        of_whole = max(budget, proposed.gain)
        for moment, price_of, most in (("now", self._price_now, budget), ("then", _own_price, of_whole)):
            if (gained := proposed.gained(part, price_of)) > most:
                numbers = {"gain": gained, "budget": most}
                yield Breach(Reason("GAIN_OVER_BUDGET", None, numbers, {"moment": moment}), frozenset({"SELL"}))

    def _turnover(self, part: Sequence[Traded]) -> Iterator[Breach]:
        """Now alone: then, a part trades no more than the whole."""
        if self.options.max_turnover is None:
            return
        with localcontext(WIDE):
            traded = sum((o.quantity * self._price_now(o) for o in part), ZERO)
            value = self._market_value()
            is_over = traded > 2 * self.options.max_turnover * value
        if is_over:
            numbers = {"traded": traded / 2, "market_value": value, "limit": self.options.max_turnover}
            yield Breach(Reason("TURNOVER_OVER_LIMIT", None, numbers), BOTH)

    def withdrawn(self, kept: Sequence[FollowedOrder]) -> Reason | None:
        """Why sales cannot be rejected: buys among what is kept approved without them would not be paid for."""
        short, moment = _short(self.now(kept), self.then(kept))
        if short is None:
            return None
        buys = sorted((o for o in kept if o.side == "BUY"), key=lambda o: (-o.quantity * o.price, o.security_id))
        numbers = {"cash_after": short.left, "floor": short.floor}
        largest = tuple(order.security_id for order in buys[:NAMED])
        return Reason("FUNDING_WITHDRAWN", None, numbers, {"moment": moment, "largest": largest})

    def _price_now(self, order: Traded) -> Decimal:
        return self.prices.get(order.security_id, order.price)

    def _market_value(self) -> Decimal:
        held = self.balances.quantities.items()
        with localcontext(WIDE):
            return self.balances.cash + sum((n * self.prices[key] for key, n in held if key in self.prices), ZERO)


def bound_orders(orders: Iterable[FollowedOrder]) -> list[Bound]:
    """What is open or done of orders approved before."""
    return [Bound(o.security_id, o.side, bound_quantity(o), o.price) for o in orders]


def cash_floor(options: Options, market_value: Decimal) -> Decimal:
    """What a portfolio has to keep in cash: the narrower of an amount and a part of its market value."""
    if not options.min_cash_weight:
        return options.min_cash
    return max(options.min_cash, WIDE.multiply(market_value, options.min_cash_weight))


def cash_ceiling(options: Options, market_value: Decimal) -> Decimal | None:
    """What a portfolio may keep in cash: the narrower of an amount and a part of its market value; None: anything."""
    amounts = [] if options.max_cash is None else [options.max_cash]
    if options.max_cash_weight is not None:
        amounts.append(WIDE.multiply(market_value, options.max_cash_weight))
    return min(amounts, default=None)


def _outlook(
    options: Options,
    cash: Decimal,
    floor: Decimal,
    price_of: Callable[[Traded], Decimal],
    approved: Iterable[Traded],
    chosen: Iterable[Traded],
) -> Outlook:
    before, now = list(approved), list(chosen)
    with localcontext(WIDE):
        with_approved = cash + _brought(before, price_of)
        costs = _costs(options, [*before, *now], price_of) if options.reserve_costs else ZERO
        return Outlook(cash, with_approved, with_approved + _brought(now, price_of), floor, costs)


def _costs(options: Options, orders: Iterable[Traded], price_of: Callable[[Traded], Decimal]) -> Decimal:
    """What these orders cost: a part of what they trade, and a ticket for each."""
    rate = options.cost_bps / BASIS_POINTS
    return sum((price_of(o) * o.quantity * rate + options.ticket_cost for o in orders if o.quantity), ZERO)


def _brought(orders: Iterable[Traded], price_of: Callable[[Traded], Decimal]) -> Decimal:
    """Cash from sells, less what buys cost."""
    return sum((price_of(o) * (o.quantity if o.side == "SELL" else -o.quantity) for o in orders), ZERO)


def _short(now: Outlook, then: Outlook | None) -> tuple[Outlook | None, str]:
    if now.is_short:
        return now, "now"
    return (then, "then") if then and then.is_short else (None, "")
