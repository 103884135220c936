"""The limits that couple securities, each stated once.

Each function states one inequality. Its arguments are whole numbers (the answer is then a bool: the exact check) or
CVXPY expressions (the answer is then a constraint of the integer programme).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .integers import Ledger
from .objective import realised_gain


def cash_floor(cash: Any, bought: Any, floor: Any) -> Any:  # numbers or expressions
    """cash − Σ p·Δu ≥ floor: what is left after buys and sells is at least the floor."""
    return cash - bought >= floor


def cash_ceiling(cash: Any, bought: Any, ceiling: Any) -> Any:
    """cash − Σ p·Δu ≤ ceiling: no more cash is left idle than allowed."""
    return cash - bought <= ceiling


def turnover(traded: Any, cap: Any) -> Any:
    """Σ p·|Δu| ≤ 2·τ·MV: half of what is bought and sold is at most τ of market value."""
    return traded <= cap


def max_trades(orders: Any, most: Any) -> Any:
    """Σ [Δu ≠ 0] ≤ T: at most T orders."""
    return orders <= most


def gain_budget(gain: Any, budget: Any) -> Any:
    """Σ realised gain ≤ G: what the sales realise, highest cost first, stays within the budget."""
    return gain <= budget


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all securities of a proposed set of trades: money bought net of sales, traded, orders, gain."""

    bought: Any
    traded: Any
    orders: Any
    gain: Any


def coupling_rows(ledger: Ledger, totals: Totals, unit: Callable[[int], Any]) -> dict[str, Any]:
    """Every coupling inequality the options ask for, by name; `unit` turns grains into the unit of `totals`."""
    if ledger.options.hold:
        return {}
    rows = {"cash_floor": cash_floor(unit(ledger.cash), totals.bought, unit(ledger.floor))}
    if ledger.ceiling is not None:
        rows["cash_ceiling"] = cash_ceiling(unit(ledger.cash), totals.bought, unit(ledger.ceiling))
    if ledger.trade_cap is not None:
        rows["turnover"] = turnover(totals.traded, unit(ledger.trade_cap))
    if ledger.options.max_trades is not None:
        rows["max_trades"] = max_trades(totals.orders, ledger.options.max_trades)
    if ledger.gain_budget is not None:
        rows["gain_budget"] = gain_budget(totals.gain, unit(ledger.gain_budget))
    return rows


def totals_of(ledger: Ledger, trades: Sequence[int]) -> Totals:
    """The sums, in grains, of trading `trades[i]` steps of line i."""
    pairs = list(zip(ledger.lines, trades, strict=True))
    return Totals(
        bought=sum(k * line.step for line, k in pairs),
        traded=sum(abs(k) * line.step for line, k in pairs),
        orders=sum(1 for k in trades if k),
        gain=sum(realised_gain(line, k) for line, k in pairs if k < 0) if ledger.gain_budget is not None else 0,
    )


def broken_rows(ledger: Ledger, trades: Sequence[int]) -> tuple[str, ...]:
    """Names of the coupling rows that `trades` break, exactly."""
    rows = coupling_rows(ledger, totals_of(ledger, trades), int)
    return tuple(name for name, kept in rows.items() if not kept)
