"""What prices and money say against deciding so on orders: codes and numbers, no sentences, nothing read.

    price    |now - order's| / order's      beyond `hard` refused, beyond `soft` approved only with a reason
    funding  cash + sells - buys >= floor   over all orders of a proposal that stay or become approved, twice:
             then  the cash and prices that the proposal was computed from
             now   the cash and the newest prices of the book

Both moments count: a part of a proposal that cannot be paid for by itself is not approved, whatever came in meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple, Protocol

from models_app.portfolio.types import ZERO, Options, Reason
from models_app.portfolio.units import WIDE
from models_app.sources.book_source import Balances
from rebalance_app.models import OrderState
from rebalance_app.order_states.on_the_way import FollowedOrder
from rebalance_app.order_states.table import bound_quantity
from rebalance_app.orders.lines import OrderLine

NAMED = 3  # buys, the largest of those that a rejection would leave unpaid


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


@dataclass(frozen=True, slots=True)
class Objection:
    """What speaks against an approval; a soft one is overcome by a person's reason."""

    reason: Reason
    is_soft: bool = False


def price_objection(order: OrderLine, price: Decimal | None, *, soft: Decimal, hard: Decimal) -> Objection | None:
    """Whether the newest price is too far from the order's; `soft` and `hard` are fractions of the order's."""
    if price is None:
        return Objection(Reason("MISSING_PRICE", order.security_id))
    with localcontext(WIDE):
        moved = abs(price - order.price)
        if moved <= min(soft, hard) * order.price:
            return None
        is_soft = moved <= hard * order.price
    said = {"price": price, "price_then": order.price}
    return Objection(Reason("PRICE_MOVED", order.security_id, said, {"case": "soft" if is_soft else "hard"}), is_soft)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The cash of a portfolio before any order, with those approved before, and with those chosen too; its floor."""

    cash: Decimal
    approved: Decimal
    after: Decimal
    floor: Decimal

    @property
    def is_short(self) -> bool:
        return self.after < self.floor


@dataclass(frozen=True, slots=True)
class Proposed:
    """Cash and market value that a proposal was computed from, and the cash that all of its orders leave."""

    cash: Decimal
    market_value: Decimal
    cash_after: Decimal


def outlook_then(
    proposed: Proposed, options: Options, approved: Iterable[Traded], chosen: Iterable[Traded] = ()
) -> Outlook:
    """At the proposal's own cash and prices. No part of it has to leave more than the whole does."""
    floor = min(cash_floor(options, proposed.market_value), proposed.cash_after)
    return _outlook(proposed.cash, floor, lambda order: order.price, approved, chosen)


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
        return _outlook(self.balances.cash, floor, self._price_now, to_come, chosen)

    def then(self, approved: Iterable[FollowedOrder], chosen: Iterable[OrderLine] = ()) -> Outlook | None:
        """At the proposal's own cash and prices."""
        bound = [Bound(o.security_id, o.side, bound_quantity(o), o.price) for o in approved]
        return outlook_then(self.proposed, self.options, bound, chosen) if self.proposed else None

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

    def unfunded(self, now: Outlook, then: Outlook | None, *, sales_left: bool) -> Reason | None:
        """Why the chosen buys in these outlooks cannot be paid for; `sales_left`: sales beside await a decision."""
        if self.options.min_cash_weight and (unpriced := sorted(self.balances.quantities.keys() - self.prices.keys())):
            return Reason("MISSING_PRICE", unpriced[0])  # the market value, of which the floor is a part, is not known
        short, moment = _short(now, then)
        if short is None:
            return None
        numbers = {"cash_after": short.after, "floor": short.floor}
        return Reason("CASH_BELOW_FLOOR", None, numbers, {"moment": moment, "sales_left": float(sales_left)})

    def withdrawn(self, kept: Sequence[FollowedOrder]) -> Reason | None:
        """Why sales cannot be rejected: buys among what is kept approved without them would not be paid for."""
        short, moment = _short(self.now(kept), self.then(kept))
        if short is None:
            return None
        buys = sorted((o for o in kept if o.side == "BUY"), key=lambda o: (-o.quantity * o.price, o.security_id))
        numbers = {"cash_after": short.after, "floor": short.floor}
        largest = tuple(order.security_id for order in buys[:NAMED])
        return Reason("FUNDING_WITHDRAWN", None, numbers, {"moment": moment, "largest": largest})

    def _price_now(self, order: Traded) -> Decimal:
        return self.prices.get(order.security_id, order.price)

    def _market_value(self) -> Decimal:
        held = self.balances.quantities.items()
        with localcontext(WIDE):
            return self.balances.cash + sum((n * self.prices[key] for key, n in held if key in self.prices), ZERO)


def cash_floor(options: Options, market_value: Decimal) -> Decimal:
    """What a portfolio has to keep in cash: the narrower of an amount and a part of its market value."""
    if not options.min_cash_weight:
        return options.min_cash
    return max(options.min_cash, WIDE.multiply(market_value, options.min_cash_weight))


def _outlook(
    cash: Decimal,
    floor: Decimal,
    price_of: Callable[[Traded], Decimal],
    approved: Iterable[Traded],
    chosen: Iterable[Traded],
) -> Outlook:
    with localcontext(WIDE):
        with_approved = cash + _brought(approved, price_of)
        return Outlook(cash, with_approved, with_approved + _brought(chosen, price_of), floor)


def _brought(orders: Iterable[Traded], price_of: Callable[[Traded], Decimal]) -> Decimal:
    """Cash from sells, less what buys cost."""
    return sum((price_of(o) * (o.quantity if o.side == "SELL" else -o.quantity) for o in orders), ZERO)


def _short(now: Outlook, then: Outlook | None) -> tuple[Outlook | None, str]:
    if now.is_short:
        return now, "now"
    return (then, "then") if then and then.is_short else (None, "")
