"""From whole-number trades to a solution with its certificate."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from models_app.portfolio.types import Method, Reason, RebalanceProblem, RebalanceSolution, Status, Trade
from models_app.portfolio.units import CENT
from rebalance_app.optimiser.problem.bounds import Choice, band_interval, permitted_interval, smallest_trades
from rebalance_app.optimiser.problem.integer_problem import Ledger, Line
from rebalance_app.optimiser.problem.objective import best, drift_value

from .explain import excess_reasons, fraction_reasons
from .local_search import total_score


@dataclass(frozen=True, slots=True)
class Found:
    """Trades in steps per line of the ledger, and what is proven about them. `bound` None: the first of the best."""

    trades: tuple[int, ...]
    method: Method = "separable"
    bound: Decimal | None = None
    binding: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = field(default=())


def binding_bands(ledger: Ledger, trades: Sequence[int]) -> tuple[str, ...]:
    """`band:<id>` for each position at the last whole number inside its band, short of its nearest one to target."""
    if ledger.soft:
        return ()
    names = []
    for line, k in zip(ledger.lines, trades, strict=True):
        doubled = 2 * (line.target - line.held - k * line.step)
        if abs(doubled) > line.step and not line.sold_out:
            least, most = band_interval(line)
            if (k == most and doubled > 0) or (k == least and doubled < 0):
                names.append(f"band:{line.position.security_id}")
    return tuple(names)


def binding_options(ledger: Ledger) -> tuple[str, ...]:
    """`hold`, and `min_trade` where some line by itself would make a smaller trade."""
    if ledger.options.hold:
        return ("hold",)

    def too_small(line: Line) -> bool:
        interval = permitted_interval(ledger, line)
        alone = best(ledger, Choice(line, (interval,))) if interval[0] <= interval[1] else 0
        buy, sell = smallest_trades(ledger, line)
        return 0 < alone < buy or 0 < -alone < sell

    return ("min_trade",) if ledger.min_trade and any(map(too_small, ledger.lines)) else ()


def refused(
    problem: RebalanceProblem, status: Status, reasons: tuple[Reason, ...], market_value: Decimal | None = None
) -> RebalanceSolution:
    """A solution that says why there is none. It carries no quantities: nothing can be traded on it."""
    return RebalanceSolution(problem.portfolio_id, status, market_value=market_value, reasons=reasons)


def trade(security_id: str, shares: int) -> Trade:
    """The order that moves a holding by `shares`, which is not 0."""
    return Trade(security_id, "BUY" if shares > 0 else "SELL", abs(shares))


def answer(ledger: Ledger, found: Found) -> RebalanceSolution:
    """The solution with exact objective, bound and gap; `optimal` when the gap is at most a cent."""
    pairs = list(zip(ledger.lines, found.trades, strict=True))
    shares = {line.position.security_id: k * line.lot for line, k in pairs}
    objective = ledger.score_money(total_score(ledger, found.trades))
    bound = objective if found.bound is None else min(found.bound, objective)
    kept = fraction_reasons(ledger, found.trades)
    left = excess_reasons(ledger, found.trades) if ledger.soft or ledger.options.hold else ()
    return RebalanceSolution(
        portfolio_id=ledger.problem.portfolio_id,
        status="optimal" if objective - bound <= CENT else "time_limit",
        method=found.method,
        market_value=ledger.money(ledger.market_value),
        objective=objective,
        lower_bound=bound,
        gap=objective - bound,
        quantities={p.security_id: p.quantity + shares[p.security_id] for p in ledger.problem.positions},
        trades=tuple(trade(name, n) for name, n in shares.items() if n),
        cash_after=ledger.money(ledger.cash - sum(k * line.step for line, k in pairs)),
        reasons=found.reasons + kept + left,
        binding=found.binding + binding_options(ledger) + binding_bands(ledger, found.trades),
        first=found.bound is None,
        drift_value=ledger.money(sum(drift_value(line, k) for line, k in pairs)),
    )
