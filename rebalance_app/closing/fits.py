"""What newly stated holdings show of open orders: an offer with its numbers, which a person confirms.

held now - held before the order, in its direction:   all of it -> done;  a part -> partly done;  0 -> not done
anything else (more than all, the wrong way, fractions, two orders that share a part) does not fit, and stays
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice, pairwise
from typing import Literal

from django.db.models import Q
from django.utils import timezone

from models_app.portfolio.types import ZERO
from models_app.sources import get_source
from models_app.sources.book_source import Balances
from ordergen.accounts.models import User
from ordergen.audit.services import recorded
from ordergen.core.errors import ConflictError
from rebalance_app.closing.services import moved_with_event, record_moves
from rebalance_app.models import Order, OrderState
from rebalance_app.order_states.move import moves_keep, orders_stay
from rebalance_app.order_states.on_the_way import FollowedOrder, followed
from rebalance_app.order_states.table import OPEN_ORDER

PORTFOLIOS_AT_ONCE = 500
MOST_SHOWN = 200
Showing = Literal["done", "partly_done", "not_done", "does_not_fit"]
WAITING = OPEN_ORDER | {OrderState.APPROVED_EARLIER}


@dataclass(frozen=True, slots=True)
class Fit:
    """What the holdings show of an order as they were stated: `done` of it in all, or why that cannot be told."""

    order: FollowedOrder
    shows: Showing
    done: int
    why: str
    held: Decimal
    stated_at: datetime


@dataclass
class Fits:
    """Orders that wait for a person to say what became of them. `shown` are the first, `seen` stands for them all."""

    counts: Counter[str] = field(default_factory=Counter)
    shown: list[Fit] = field(default_factory=list)
    seen: str = ""

    @property
    def n_fitting(self) -> int:
        """Orders that a confirmation would close, note as partly done or note as not done."""
        return self.counts.total() - self.counts["does_not_fit"]

    @property
    def n_more(self) -> int:
        return self.counts.total() - len(self.shown)


def order_fits() -> Fits:
    """What the holdings show of the open orders of portfolios that were stated anew since. Writes nothing.

    May raise UnavailableError, where the book is kept by another service.
    """
    found, digest = Fits(), _Digest()
    for fits in _all_fits(_balances()):
        digest.add(fits)
        found.counts.update(fit.shows for fit in fits)
        found.shown += fits[: MOST_SHOWN - len(found.shown)]
    found.seen = digest.seen
    return found


def fits_confirm(*, by: User, seen: str) -> Counter[str]:
    """Closes what is done, notes what is partly done and what is not; what does not fit stays as it is.

    `seen` is that of the fits somebody looked at. Returns how many orders of each showing there were. Raises
    NotAllowedError (role), UnavailableError, and ConflictError where the holdings or the orders are others by now;
    nothing is written then.
    """
    by.must("order.decide")
    version = get_source().data_version()
    balances = _balances()  # before the transaction, for another service may take its time
    counts, digest = Counter[str](), _Digest()
    with recorded():
        for fits in _all_fits(balances):
            digest.add(fits)
            counts.update(fit.shows for fit in fits)
            for stated_at in sorted({fit.stated_at for fit in fits}):
                _confirm(by, [fit for fit in fits if fit.stated_at == stated_at], stated_at)
        if digest.seen != seen or get_source().data_version() != version:
            raise ConflictError("The holdings or the orders are others by now: look again.")
    return counts


class _Digest:
    """A short word for what is shown of all orders."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, fits: Iterable[Fit]) -> None:
        for fit in fits:
            self._sum.update(f"{fit.order.pk} {fit.order.state} {fit.shows} {fit.done} {fit.held};".encode())

    @property
    def seen(self) -> str:
        return self._sum.hexdigest()[:16]


def _confirm(by: User, fits: Sequence[Fit], stated_at: datetime) -> None:
    """What holdings of one moment show."""
    reason = f"The holdings stated {stated_at:%Y-%m-%d %H:%M} UTC show it."
    for shows, verb in (("done", "close"), ("partly_done", "fill_partly")):
        some = [fit for fit in fits if fit.shows == shows]
        done = {fit.order.pk: fit.done for fit in some}
        if some:
            orders = [fit.order for fit in some]
            moved_with_event(verb, orders, by=by, done=done, reason=reason, known_at=stated_at)
    still = [fit.order for fit in fits if fit.shows == "not_done" and fit.order.is_open]
    if still:
        done = {order.pk: order.done for order in still}
        moves_keep(None, still, by=by.pk, at=timezone.now(), done=done, reason=reason)
        orders_stay(still, known_at=stated_at)
        record_moves("still_open", still, by=by, done=done, reason=reason)


def _balances() -> dict[str, Balances]:
    """What the portfolios own that have orders waiting, in the order of their ids."""
    waiting = Order.objects.filter(state__in=WAITING).order_by("portfolio_id")
    return get_source().balances(list(waiting.values_list("portfolio_id", flat=True).distinct()))


def _all_fits(balances: Mapping[str, Balances]) -> Iterator[list[Fit]]:
    """Of all orders that wait, a few portfolios at a time."""
    owners = iter(sorted(balances))
    while some := list(islice(owners, PORTFOLIOS_AT_ONCE)):
        groups: defaultdict[tuple[str, str], list[FollowedOrder]] = defaultdict(list)
        for order in followed(Q(portfolio_id__in=some, state__in=WAITING)):
            groups[order.portfolio_id, order.security_id].append(order)
        yield [fit for key in sorted(groups) for fit in _fits(groups[key], balances[key[0]])]


def _is_to_be_told(orders: Iterable[FollowedOrder], owned: Balances) -> bool:
    """Whether the holdings may show any of these orders and nobody has looked at them for it yet."""
    return any(order.is_unclear(owned) or order.known_at is None for order in orders)


def _fits(orders: Sequence[FollowedOrder], owned: Balances) -> list[Fit]:
    """What the holding of one security shows of the orders that wait; nothing while nobody stated it anew."""
    if owned.stated_at is None or not _is_to_be_told(orders, owned):
        return []
    orders = sorted(orders, key=lambda order: order.pk)  # as they were proposed, each from what the others leave
    held = owned.quantities.get(orders[0].security_id, ZERO)
    told = _shown(orders, held)
    return [Fit(order, *told[order.pk], held, owned.stated_at) for order in orders]


def _shown(orders: Sequence[FollowedOrder], held: Decimal) -> Mapping[str, tuple[Showing, int, str]]:
    """By order id what is shown, how much of it is done in all, and why that cannot be told."""
    before = orders[0].quantity_before
    moved = held - before
    wanted, known = sum(map(_signed, orders)), sum(_sign(o) * o.done for o in orders)
    if moved == wanted and _follow_each_other(orders):
        return {order.pk: ("done", order.quantity, "") for order in orders}
    if moved == known and _follow_each_other(orders):
        return {order.pk: ("not_done", order.done, "") for order in orders}
    if len(orders) == 1:
        (order,) = orders
        shares = moved * _sign(order)
        if shares == int(shares) and order.done < shares < order.quantity:
            return {order.pk: ("partly_done", int(shares), "")}
    why = f"{_plain(held)} held, {_plain(before)} before: {_plain(moved, '+')} where {wanted:+,} was wanted"
    why += f", and {len(orders)} orders share it." if len(orders) > 1 else "."
    return {order.pk: ("does_not_fit", order.done, why) for order in orders}


def _follow_each_other(orders: Sequence[FollowedOrder]) -> bool:
    """Whether each order was computed from what the one before it leaves."""
    return all(
        later.quantity_before == earlier.quantity_before + _signed(earlier) for earlier, later in pairwise(orders)
    )


def _sign(order: FollowedOrder) -> int:
    return 1 if order.side == "BUY" else -1


def _signed(order: FollowedOrder) -> int:
    return _sign(order) * order.quantity


def _plain(shares: Decimal, sign: str = "") -> str:
    return f"{shares.normalize():{sign},f}"
