"""From whole-number trades to a solution with its certificate."""

from collections.abc import Sequence
from decimal import Decimal

from models_app.portfolio.bands import band_interval
from models_app.portfolio.types import Reason, RebalanceProblem, RebalanceSolution, Status, Trade
from models_app.portfolio.units import CENT
from rebalance_app.optimiser.problem.bounds import AllowedTrades, permitted_interval, smallest_trades
from rebalance_app.optimiser.problem.candidate import Candidate
from rebalance_app.optimiser.problem.coupling import totals_of
from rebalance_app.optimiser.problem.integer_problem import ONE, IntegerProblem, Security
from rebalance_app.optimiser.problem.objective import best, drift_value, total_score


def binding_bands(ip: IntegerProblem, trades: Sequence[int]) -> tuple[str, ...]:
    """`band:<id>` for each position at the last whole number inside its band, short of its nearest one to target."""
    if ip.soft:
        return ()
    names = []
    for security, k in zip(ip.securities, trades, strict=True):
        doubled = 2 * (security.target - security.held - k * security.step)
        if abs(doubled) > security.step and not security.sold_out:
            least, most = band_interval(security)
            if (k == most and doubled > 0) or (k == least and doubled < 0):
                names.append(f"band:{security.position.security_id}")
    return tuple(names)


def binding_options(ip: IntegerProblem) -> tuple[str, ...]:
    """`hold`, and `min_trade` where some security by itself would make a smaller trade."""
    if ip.options.hold:
        return ("hold",)

    def too_small(security: Security) -> bool:
        interval = permitted_interval(ip, security)
        alone = best(ip, AllowedTrades(security, (interval,))) if interval[0] <= interval[1] else 0
        buy, sell = smallest_trades(ip, security)
        return 0 < alone < buy or 0 < -alone < sell

    return ("min_trade",) if ip.min_trade and any(map(too_small, ip.securities)) else ()


def refused(
    problem: RebalanceProblem, status: Status, reasons: tuple[Reason, ...], market_value: Decimal | None = None
) -> RebalanceSolution:
    """A solution that says why there is none. It carries no quantities: nothing can be traded on it."""
    return RebalanceSolution(problem.portfolio_id, status, market_value=market_value, reasons=reasons)


def trade(security_id: str, shares: int) -> Trade:
    """The order that moves a holding by `shares`, which is not 0."""
    return Trade(security_id, "BUY" if shares > 0 else "SELL", abs(shares))


def answer(
    ip: IntegerProblem, found: Candidate, binding: tuple[str, ...] = (), reasons: tuple[Reason, ...] = ()
) -> RebalanceSolution:
    """The solution with exact objective, bound and gap; `optimal` when the gap is at most a cent.

    `binding` are the coupling rows that fail at the closed form, `reasons` what is to be said of single positions.
    """
    pairs = list(zip(ip.securities, found.trades, strict=True))
    shares = {security.position.security_id: k * security.lot for security, k in pairs}
    objective = ip.score_money(total_score(ip, found.trades))
    bound = min(found.bound, objective)
    totals = totals_of(ip, found.trades)
    left = ip.cash - totals.net_bought
    return RebalanceSolution(
        portfolio_id=ip.problem.portfolio_id,
        status="optimal" if objective - bound <= CENT else "time_limit",
        method=found.method,
        market_value=ip.money(ip.market_value),
        objective=objective,
        lower_bound=bound,
        gap=objective - bound,
        quantities={p.security_id: p.quantity + shares[p.security_id] for p in ip.problem.positions},
        trades=tuple(trade(name, n) for name, n in shares.items() if n),
        cash_after=ip.money(left),
        cash_after_costs=ip.score_money(left * ONE - ip.costs(totals.traded, totals.orders)),
        reasons=reasons,
        binding=binding + binding_options(ip) + binding_bands(ip, found.trades),
        first=found.first,
        drift_value=ip.money(sum(drift_value(security, k) for security, k in pairs)),
    )
