"""The limits that couple securities, as the options ask for them: exactly, or as rows of the integer programme."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .constraints import cash_ceiling, cash_floor, gain_budget, max_trades, min_trades, turnover
from .integer_problem import IntegerProblem
from .objective import realised_gain


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all securities of a proposed set of trades: money bought net of sales, traded, orders, gain."""

    bought: Any
    traded: Any
    orders: Any
    gain: Any


def coupling_rows(ip: IntegerProblem, totals: Totals, unit: Callable[[int], Any]) -> dict[str, Any]:
    """Every coupling inequality the options ask for, by name; `unit` turns minor units into the unit of `totals`."""
    if ip.options.hold:
        return {}
    rows = {"cash_floor": cash_floor(unit(ip.cash), totals.bought, unit(ip.floor))}
    if ip.ceiling is not None:
        rows["cash_ceiling"] = cash_ceiling(unit(ip.cash), totals.bought, unit(ip.ceiling))
    if ip.trade_cap is not None:
        rows["turnover"] = turnover(totals.traded, unit(ip.trade_cap))
    if ip.most_orders is not None:
        rows["max_trades"] = max_trades(totals.orders, ip.most_orders)
    if ip.fewest_orders:
        rows["min_trades"] = min_trades(totals.orders, ip.fewest_orders)
    if ip.gain_budget is not None:
        rows["gain_budget"] = gain_budget(totals.gain, unit(ip.gain_budget))
    return rows


def totals_of(ip: IntegerProblem, trades: Sequence[int]) -> Totals:
    """The sums, in minor units, of trading `trades[i]` steps of security i."""
    pairs = list(zip(ip.securities, trades, strict=True))
    return Totals(
        bought=sum(k * security.step for security, k in pairs),
        traded=sum(abs(k) * security.step for security, k in pairs),
        orders=sum(1 for k in trades if k),
        gain=sum(realised_gain(security, k) for security, k in pairs if k < 0) if ip.gain_budget is not None else 0,
    )


def broken_rows(ip: IntegerProblem, trades: Sequence[int]) -> tuple[str, ...]:
    """Names of the coupling rows that `trades` break, exactly."""
    rows = coupling_rows(ip, totals_of(ip, trades), int)
    return tuple(name for name, kept in rows.items() if not kept)
