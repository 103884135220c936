"""Every limit but the bands (`models_app.portfolio.bands`), stated once: a function each, with its inequality.

Δu is what is traded of a security and p·u what it is worth afterwards. Of one security, a limit says which numbers k of
steps it permits, a step being a lot at its price: value afterwards = held + k·step, all in whole numbers.

A limit that couples securities is a row: of a sum over all of them, how much it permits.
"""

from dataclasses import dataclass
from typing import Literal

from models_app.portfolio.units import ceil_div

Total = Literal["net_bought", "spent", "traded", "orders", "gain"]
Interval = tuple[int, int]  # of steps, both ends included; empty when the first exceeds the second


def portfolio(held: int, step: int, market_value: int) -> Interval:
    """0 ≤ p·u ≤ MV, up to a step, where bands are soft: never short, never more than everything, or no trade."""
    least = ceil_div(-held, step)
    return least, max(least, ceil_div(max(0, market_value) - held, step), 0)


def do_not_buy(steps: Interval) -> Interval:
    """Δu ≤ 0."""
    return steps[0], min(steps[1], 0)


def do_not_sell(steps: Interval) -> Interval:
    """Δu ≥ 0; so too to invest cash: nothing is sold for it."""
    return max(steps[0], 0), steps[1]


def sell_what_is_there(steps: Interval, most: int) -> Interval:
    """Δu ≥ −most lots, and none of a position that leaves with an odd lot: what is on order cannot be sold."""
    return max(steps[0], -most), steps[1]


def do_not_trade() -> Interval:
    """Δu = 0: a portfolio on hold, or what *only breached* finds inside its band."""
    return 0, 0


def raise_cash(steps: Interval, held: int) -> Interval:
    """Δu ≤ 0, and a short is left alone: covering it costs cash."""
    return (min(steps[0], 0), min(steps[1], 0)) if held >= 0 else do_not_trade()


def is_breached(held: int, low: int, high: int) -> bool:
    """Whether max(0, MV(t − l)) ≤ p·q ≤ MV(t + h) fails before any trade; *only breached* trades nothing else."""
    return not max(0, low) <= held <= high


def min_trade(steps: Interval, buy: int, sell: int) -> tuple[Interval, ...]:
    """Δu = 0, or p·|Δu| ≥ m: of the interval, sales of `sell` steps or more, no trade, buys of `buy` or more.

    One interval when every trade is large enough; none where nothing is left.
    """
    least, most = steps
    if least > most:
        return ()
    if buy == sell == 1:
        return (steps,)
    parts = [(least, min(most, -sell)), (0, 0) if least <= 0 <= most else (1, 0), (max(least, buy), most)]
    return tuple(part for part in parts if part[0] <= part[1])


def all_or_nothing(segments: tuple[Interval, ...]) -> tuple[Interval, ...]:
    """Δu = 0, or the largest sale there is: an odd lot leaves with everything or stays."""
    if not segments or segments[0][0] >= 0:
        return segments
    least = segments[0][0]
    return ((least, least), (0, 0)) if segments[-1][1] >= 0 else ((least, least),)


@dataclass(frozen=True, slots=True)
class CouplingRow:
    """sign · total ≤ limit, where `total` is one of `TradeTotals`: in minor units, orders in orders."""

    total: Total
    sign: int
    limit: int


def cash_floor(cash: int, floor: int, *, after_costs: bool = False) -> CouplingRow:
    """cash − Σ p·Δu (− Σ costs) ≥ floor: what is left after buys and sells, and what they cost, is at least that."""
    return CouplingRow("spent" if after_costs else "net_bought", 1, cash - floor)


def cash_ceiling(cash: int, ceiling: int) -> CouplingRow:
    """cash − Σ p·Δu ≤ ceiling: no more cash is left idle than allowed."""
    return CouplingRow("net_bought", -1, ceiling - cash)


def turnover(cap: int) -> CouplingRow:
    """Σ p·|Δu| ≤ 2·τ·MV: half of what is bought and sold is at most τ of market value."""
    return CouplingRow("traded", 1, cap)


def max_trades(most: int) -> CouplingRow:
    """Σ [Δu ≠ 0] ≤ T: at most T orders."""
    return CouplingRow("orders", 1, most)


def gain_budget(budget: int) -> CouplingRow:
    """Σ realised gain ≤ G: what the sales realise, highest cost first, stays within the budget."""
    return CouplingRow("gain", 1, budget)
