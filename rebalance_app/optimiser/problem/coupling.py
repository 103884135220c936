"""The limits that couple securities, as the options ask for them: exactly, or as rows of the integer programme."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .constraints import cash_ceiling, cash_floor, gain_budget, max_trades, min_trades, turnover
from .integer_problem import Ledger
from .objective import realised_gain


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
    if ledger.most_orders is not None:
        rows["max_trades"] = max_trades(totals.orders, ledger.most_orders)
    if ledger.fewest_orders:
        rows["min_trades"] = min_trades(totals.orders, ledger.fewest_orders)
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
