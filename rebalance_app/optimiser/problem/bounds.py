"""Exact whole-number bounds on each trade, one security at a time.

A trade of k steps is allowed when it lies in one of at most three *segments*: sells, no trade, buys. Floors and
ceilings are taken of integers, because in floating point they are wrong at one exact band edge in five.
"""

from dataclasses import dataclass

from . import constraints
from .constraints import Interval, ceil_div
from .integer_problem import Ledger, Line


@dataclass(frozen=True, slots=True)
class Choice:
    """What one line may trade. No segment: the line is infeasible on its own."""

    line: Line
    segments: tuple[Interval, ...]

    @property
    def least(self) -> int:
        """Fewest steps (most sold)."""
        return self.segments[0][0]

    @property
    def most(self) -> int:
        """Most steps bought."""
        return self.segments[-1][1]


def band_interval(line: Line) -> Interval:
    """Steps that the band permits."""
    if line.sold_out:
        return constraints.sold_out(line.held, line.step)
    return constraints.band(line.held, line.step, line.low, line.high)


def wide_interval(ledger: Ledger, line: Line) -> Interval:
    """Steps that the band permits, hard or soft. What is to be sold out is not bought, but for a short."""
    if not ledger.soft:
        return band_interval(line)
    first, last = constraints.portfolio(line.held, line.step, ledger.market_value)
    return (first, max(first, 0)) if line.sold_out else (first, last)


def permitted_interval(ledger: Ledger, line: Line) -> Interval:
    """Steps that band, restrictions and mode permit."""
    o, p, steps = ledger.options, line.position, wide_interval(ledger, line)
    left_alone = o.mode == "only_breached" and not constraints.is_breached(line.held, line.low, line.high)
    if o.hold or left_alone:
        return constraints.do_not_trade()
    if o.mode == "raise_cash":
        steps = constraints.raise_cash(steps, line.held)
    if o.mode == "invest_cash":
        steps = constraints.invest_cash(steps)
    if not p.can_buy:
        steps = constraints.do_not_buy(steps)
    if not p.can_sell:
        steps = constraints.do_not_sell(steps)
    return steps


def smallest_trades(ledger: Ledger, line: Line) -> tuple[int, int]:
    """The fewest steps a buy and a sell may have: ⌈m/step⌉, or less to sell what is left of a position."""
    buy = max(1, ceil_div(ledger.min_trade, line.step))
    return buy, min(buy, line.closing) if line.closing else buy


def choice(ledger: Ledger, line: Line) -> Choice:
    """The segments that band, restrictions, mode and minimum trade leave to one line."""
    segments = constraints.min_trade(permitted_interval(ledger, line), *smallest_trades(ledger, line))
    return Choice(line, constraints.all_or_nothing(segments) if line.odd else segments)
