"""What makes a problem unsolvable before any arithmetic: each finding names the security and says what to do."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from models_app.portfolio.types import Position, Reason, RebalanceProblem


def price_reason(position: Position) -> Reason | None:
    """Why the position cannot be priced, or None. A missing price is never a skipped security."""
    price, name = position.price, position.security_id
    if price is None:
        return Reason("MISSING_PRICE", f"{name} has no price: load one, or take the security out of the model.", name)
    if not price.is_finite() or price < 0:
        return Reason("INVALID_PRICE", f"The price of {name} is {price}: a price must be above 0.", name)
    if price == 0:
        return Reason(
            "ZERO_PRICE", f"The price of {name} is 0, so nothing can be sized by it: correct the price.", name
        )
    return None


def _invalid(field: str, message: str, security_id: str | None = None) -> Reason:
    return Reason("INVALID_PROBLEM", f"{field}: {message}", security_id)


def _position_reasons(p: Position) -> Iterator[Reason]:
    weights = p.target, p.low_drift, p.high_drift
    finite = all(map(Decimal.is_finite, (p.quantity, *weights)))
    if not finite or min(weights) < 0 or max(weights) > 1:
        yield _invalid("positions", f"{p.security_id} has a quantity or weight outside its range", p.security_id)
    if p.lot_size < 1:
        yield _invalid("lot_size", f"{p.security_id} has lot size {p.lot_size}, below 1", p.security_id)
    if p.lots and sum((lot.quantity for lot in p.lots), Decimal(0)) != p.quantity:
        yield _invalid("lots", f"the tax lots of {p.security_id} do not add up to its quantity", p.security_id)
    if any(lot.quantity < 0 or lot.cost < 0 for lot in p.lots):
        yield _invalid("lots", f"a tax lot of {p.security_id} has a negative quantity or cost", p.security_id)
    price = price_reason(p)
    if price is not None:
        yield price


def _option_reasons(problem: RebalanceProblem) -> Iterator[Reason]:
    o = problem.options
    money = {
        "min_trade_value": o.min_trade_value,
        "cost_bps": o.cost_bps,
        "ticket_cost": o.ticket_cost,
        "max_turnover": o.max_turnover,
        "max_trades": o.max_trades,
    }
    for name, value in money.items():
        if value is not None and (not Decimal(value).is_finite() or value < 0):
            yield _invalid(f"options.{name}", f"{value} is below 0")
    if not problem.cash.is_finite() or not o.min_cash.is_finite():
        yield _invalid("cash", "cash and cash floor must be finite numbers")


def _unknown_gains(problem: RebalanceProblem) -> Iterator[Reason]:
    """Holdings whose sale would realise a gain that nobody knows, under a gain budget."""
    if problem.options.gain_budget is None or problem.options.hold:
        return
    for p in problem.positions:
        if p.quantity > 0 and not p.lots:
            message = (
                f"{p.security_id} is held without tax lots. What a sale gains is unknown, so the gain budget cannot be "
                "kept: give its lots, or solve without a gain budget."
            )
            yield Reason("UNKNOWN_GAIN", message, p.security_id)


def refusals(problem: RebalanceProblem) -> tuple[Reason, ...]:
    """Every reason why the problem cannot be solved as given; empty when it can be tried."""
    found = [*_option_reasons(problem)]
    counts = Counter(p.security_id for p in problem.positions)
    found += [_invalid("positions", f"{name} is listed {n} times", name) for name, n in counts.items() if n > 1]
    for position in problem.positions:
        found += _position_reasons(position)
    found += _unknown_gains(problem)
    return tuple(found)
