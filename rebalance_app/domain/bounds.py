"""Exact whole-number bounds on each trade, one security at a time.

A trade of k steps is allowed when it lies in one of at most three *segments*: sells, no trade, buys. Floors and
ceilings are taken of integers, because in floating point they are wrong at one exact band edge in five.
"""

from dataclasses import dataclass

from .integers import Ledger, Line

Interval = tuple[int, int]  # both ends included; empty when the first exceeds the second


def ceil_div(a: int, b: int) -> int:
    """⌈a/b⌉ for b > 0."""
    return -(-a // b)


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
    """Steps k with max(0, MV(t − l)) ≤ held + k·step ≤ MV(t + h).

    A position without room in its band is sold out; when it holds a fraction of a share, that fraction stays.
    """
    least = ceil_div(max(0, line.low) - line.held, line.step)
    most = least if line.sold_out else (line.high - line.held) // line.step
    return least, most


def soft_interval(ledger: Ledger, line: Line) -> Interval:
    """Steps k where the band may be left: never short, never more than the whole market value in one security."""
    least = ceil_div(-line.held, line.step)
    most = ceil_div(max(0, ledger.market_value) - line.held, line.step)
    return least, max(least, most, 0)


def permitted_interval(ledger: Ledger, line: Line, wide: Interval) -> Interval:
    """`wide` cut down to what restrictions and mode permit: do-not-buy, do-not-sell, hold, buys or sells only."""
    o, p = ledger.options, line.position
    least, most = wide
    if o.hold or (o.mode == "only_breached" and max(0, line.low) <= line.held <= line.high):
        return 0, 0
    if o.mode == "raise_cash":
        least, most = (min(least, 0), min(most, 0)) if line.held >= 0 else (0, 0)
    if o.mode == "invest_cash":
        least = max(least, 0)
    if not p.can_buy:
        most = min(most, 0)
    if not p.can_sell:
        least = max(least, 0)
    return least, most


def smallest_trades(ledger: Ledger, line: Line) -> tuple[int, int]:
    """The fewest steps a buy and a sell may have: ⌈m/step⌉, or less to sell what is left of a position."""
    buy = max(1, ceil_div(ledger.min_trade, line.step))
    return buy, min(buy, line.closing) if line.closing else buy


def segments(interval: Interval, smallest: tuple[int, int]) -> tuple[Interval, ...]:
    """The interval without the trades that are too small; one piece when every trade is large enough."""
    least, most = interval
    buy, sell = smallest
    if least > most:
        return ()
    if buy == sell == 1:
        return (interval,)
    parts = [(least, min(most, -sell)), (0, 0) if least <= 0 <= most else (1, 0), (max(least, buy), most)]
    return tuple(part for part in parts if part[0] <= part[1])


def choice(ledger: Ledger, line: Line) -> Choice:
    """The segments that band, restrictions, mode and minimum trade leave to one line."""
    wide = soft_interval(ledger, line) if ledger.soft else band_interval(line)
    return Choice(line, segments(permitted_interval(ledger, line, wide), smallest_trades(ledger, line)))
