"""Short ways to state a problem in a test."""

from decimal import Decimal

from models_app.portfolio.types import Options, Position, RebalanceProblem

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


def document(**changes):
    """The example of the design, with changes to its position (by name) or at the top."""
    found = {
        "portfolio_id": "P1",
        "cash": "1003.00",
        "positions": [
            {
                "security_id": "A",
                "quantity": "10",
                "price": "10.00",
                "target": "0.10",
                "low_drift": "0.01",
                "high_drift": "0.02",
                "lot_size": 1,
                "can_buy": True,
                "can_sell": True,
            }
        ],
        "options": {
            "min_cash": "0",
            "max_cash": None,
            "mode": "to_target",
            "min_trade_value": "0",
            "max_turnover": None,
            "max_trades": None,
            "cost_bps": "0",
            "time_limit": 30,
        },
    }
    for name, value in changes.items():
        (found if name in found else found["positions"][0])[name] = value
    return found
