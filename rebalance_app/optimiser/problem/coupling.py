"""The limits that couple securities, as the options ask for them, and the sums that they limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .constraints import CouplingRow, cash_ceiling, cash_floor, gain_budget, max_trades, turnover
from .integer_problem import IntegerProblem
from .objective import realised_gain

Rows = Mapping[str, CouplingRow]


@dataclass(frozen=True, slots=True)
class TradeTotals:
    """Sums over all securities of a proposed set of trades.

    Money bought less sold; the same with the costs that are to be kept above the floor; traded, orders, gain.
    """

    net_bought: int
    spent: int
    traded: int
    orders: int
    gain: int


def coupling_rows(ip: IntegerProblem) -> dict[str, CouplingRow]:
    """Every coupling inequality the options ask for, by name."""
    if ip.options.hold:
        return {}
    rows = {"cash_floor": cash_floor(ip.cash, ip.floor, after_costs=ip.reserves_costs)}
    if ip.ceiling is not None:
        rows["cash_ceiling"] = cash_ceiling(ip.cash, ip.ceiling)
    if ip.trade_cap is not None:
        rows["turnover"] = turnover(ip.trade_cap)
    if ip.most_orders is not None:
        rows["max_trades"] = max_trades(ip.most_orders)
    if ip.gain_budget is not None:
        rows["gain_budget"] = gain_budget(ip.gain_budget)
    return rows


def totals_of(ip: IntegerProblem, trades: Sequence[int]) -> TradeTotals:
    """The sums, in minor units, of trading `trades[i]` steps of security i."""
    pairs = list(zip(ip.securities, trades, strict=True))
    net_bought = sum(k * security.step for security, k in pairs)
    traded, orders = sum(abs(k) * security.step for security, k in pairs), sum(1 for k in trades if k)
    return TradeTotals(
        net_bought=net_bought,
        spent=ip.spent(net_bought, traded, orders),
        traded=traded,
        orders=orders,
        gain=sum(realised_gain(security, k) for security, k in pairs if k < 0) if ip.gain_budget is not None else 0,
    )


def broken(rows: Rows, totals: TradeTotals) -> tuple[str, ...]:
    """Names of the rows that sums break, exactly."""
    return tuple(name for name, row in rows.items() if row.sign * getattr(totals, row.total) > row.limit)


def broken_rows(ip: IntegerProblem, trades: Sequence[int]) -> tuple[str, ...]:
    """Names of the coupling rows that `trades` break, exactly."""
    return broken(coupling_rows(ip), totals_of(ip, trades))
