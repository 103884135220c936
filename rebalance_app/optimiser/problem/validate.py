"""What makes a problem unsolvable before any arithmetic: each finding names the security."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from models_app.portfolio.types import Detail, Position, Reason, RebalanceProblem


def price_reason(position: Position) -> Reason | None:
    """Why the position cannot be priced, or None. A missing price is never a skipped security."""
    price, name = position.price, position.security_id
    if price is None:
        return Reason("MISSING_PRICE", name)
    if not price.is_finite() or price < 0:
        return Reason("INVALID_PRICE", name, details={"price": price})
    return None if price else Reason("ZERO_PRICE", name)


def _invalid(case: str, security_id: str | None = None, **details: Detail) -> Reason:
    return Reason("INVALID_PROBLEM", security_id, details={"case": case, **details})


def _position_reasons(p: Position) -> Iterator[Reason]:
    weights = p.target, p.low_drift, p.high_drift
    finite = all(map(Decimal.is_finite, (p.quantity, *weights)))
    if not finite or min(weights) < 0 or max(weights) > 1:
        yield _invalid("out_of_range", p.security_id)
    if p.lot_size < 1:
        yield _invalid("lot_size", p.security_id, lot_size=p.lot_size)
    if p.lots and sum((lot.quantity for lot in p.lots), Decimal(0)) != p.quantity - p.on_order:
        yield _invalid("lots_differ", p.security_id)
    if any(lot.quantity < 0 or lot.cost < 0 for lot in p.lots):
        yield _invalid("negative_lot", p.security_id)
    price = price_reason(p)
    if price is not None:
        yield price


def _option_reasons(problem: RebalanceProblem) -> Iterator[Reason]:
    o = problem.options
    for option in ("min_trade_value", "cost_bps", "ticket_cost", "max_turnover", "max_trades"):
        value = getattr(o, option)
        if value is not None and (not Decimal(value).is_finite() or value < 0):
            yield _invalid("below_zero", option=option, value=value)
    if not problem.cash.is_finite() or not o.min_cash.is_finite():
        yield _invalid("infinite_cash")


def _unknown_gains(problem: RebalanceProblem) -> Iterator[Reason]:
    """Holdings whose sale would realise a gain that nobody knows, under a gain budget."""
    if problem.options.gain_budget is None or problem.options.hold:
        return
    ids = (p.security_id for p in problem.positions if p.quantity > p.on_order and not p.lots)
    yield from (Reason("UNKNOWN_GAIN", security_id) for security_id in ids)


def refusals(problem: RebalanceProblem) -> tuple[Reason, ...]:
    """Every reason why the problem cannot be solved as given; empty when it can be tried."""
    found = [*_option_reasons(problem)]
    counts = Counter(p.security_id for p in problem.positions)
    found += [_invalid("listed_twice", name, times=n) for name, n in counts.items() if n > 1]
    for position in problem.positions:
        found += _position_reasons(position)
    found += _unknown_gains(problem)
    return tuple(found)
