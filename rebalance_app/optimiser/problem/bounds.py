"""Exact whole-number bounds on each trade, one security at a time.

A trade of k steps is allowed when it lies in one of at most three *segments*: sells, no trade, buys. Floors and
ceilings are taken of integers, because in floating point they are wrong at one exact band edge in five.
"""

from dataclasses import dataclass

from models_app.portfolio.bands import band_interval
from models_app.portfolio.units import ceil_div

from . import constraints
from .constraints import Interval
from .integer_problem import IntegerProblem, Security


@dataclass(frozen=True, slots=True)
class AllowedTrades:
    """What one security may trade. No segment: the security is infeasible on its own."""

    security: Security
    segments: tuple[Interval, ...]

    @property
    def least(self) -> int:
        """Fewest steps (most sold)."""
        return self.segments[0][0]

    @property
    def most(self) -> int:
        """Most steps bought."""
        return self.segments[-1][1]


def wide_interval(ip: IntegerProblem, security: Security) -> Interval:
    """Steps that the band permits, hard or soft. What is to be sold out is not bought, but for a short."""
    if not ip.soft:
        return band_interval(security)
    first, last = constraints.portfolio(security.held, security.step, ip.market_value)
    return (first, max(first, 0)) if security.sold_out else (first, last)


def permitted_interval(ip: IntegerProblem, security: Security) -> Interval:
    """Steps that band, restrictions and mode permit."""
    o, p, steps = ip.options, security.position, wide_interval(ip, security)
    left_alone = o.mode == "only_breached" and not constraints.is_breached(security.held, security.low, security.high)
    if o.hold or left_alone:
        return constraints.do_not_trade()
    if o.mode == "raise_cash":
        steps = constraints.raise_cash(steps, security.held)
    if not p.can_buy:
        steps = constraints.do_not_buy(steps)
    if p.on_order:
        there = 0 if security.odd else max(0, int((p.quantity - p.on_order) // p.lot_size))
        steps = constraints.sell_what_is_there(steps, there)
    if not p.can_sell or o.mode == "invest_cash":
        steps = constraints.do_not_sell(steps)
    return steps


def smallest_trades(ip: IntegerProblem, security: Security) -> tuple[int, int]:
    """The fewest steps a buy and a sell may have: ⌈m/step⌉, or less to sell what is left of a position."""
    buy = max(1, ceil_div(ip.min_trade, security.step))
    return buy, min(buy, security.closing) if security.closing else buy


def allowed_trades(ip: IntegerProblem, security: Security) -> AllowedTrades:
    """The segments that band, restrictions, mode and minimum trade leave to one security."""
    segments = constraints.min_trade(permitted_interval(ip, security), *smallest_trades(ip, security))
    return AllowedTrades(security, constraints.all_or_nothing(segments) if security.odd else segments)
