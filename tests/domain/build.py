"""Short ways to state a problem in a test."""

from decimal import Decimal

from rebalance_app.domain.types import Options, Position, RebalanceProblem

D = Decimal


def position(name, quantity, price, target="0", band=None, **more):
    """A position; `band` is the low and high drift, one number for both, or nothing outside the model."""
    low, high = band if isinstance(band, tuple) else (band or "0", band or "0")
    return Position(name, D(quantity), None if price is None else D(price), D(target), D(low), D(high), **more)


def problem(cash, *positions, **options):
    return RebalanceProblem("P1", D(cash), positions, Options(**options))


def shares(solution):
    """Signed trades by security."""
    return {t.security_id: t.quantity if t.side == "BUY" else -t.quantity for t in solution.trades}


def codes(solution):
    return [reason.code for reason in solution.reasons]
