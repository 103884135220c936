"""What-if: one frozen problem under several sets of options, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from models_app.portfolio.lots import realised_gain
from models_app.portfolio.types import ZERO, Options, RebalanceProblem, RebalanceSolution
from models_app.portfolio.units import EXACT
from rebalance_app.optimiser.solve import solve_many


@dataclass(frozen=True, slots=True)
class Scenario:
    """One answer and what it comes to. Everything but `options` and `solution` is None where there is no answer.

    turnover       half the traded value over market value
    traded         buys plus sells, in money;   cost  what they cost at the options' rates
    realised_gain  of all sales, the highest cost first; None too where tax lots do not cover what is sold
    drift_value    Σ|MV·t − p·u| afterwards;   breaches_left  positions still outside their band
    """

    options: Options
    solution: RebalanceSolution
    orders: int | None = None
    traded: Decimal | None = None
    turnover: Decimal | None = None
    cost: Decimal | None = None
    realised_gain: Decimal | None = None
    drift_value: Decimal | None = None
    cash_after: Decimal | None = None
    cash_after_costs: Decimal | None = None
    breaches_left: int | None = None


def traded_value(problem: RebalanceProblem, solution: RebalanceSolution) -> Decimal:
    """Value of all buys and sells at the problem's prices, exact."""
    prices = {p.security_id: p.price or ZERO for p in problem.positions}
    with localcontext(EXACT):
        return sum((prices[trade.security_id] * trade.quantity for trade in solution.trades), ZERO)


def breaches(problem: RebalanceProblem, solution: RebalanceSolution) -> int:
    """Positions whose value after the trades lies outside their band; a fraction that cannot be sold does not count."""
    value, count = solution.market_value or ZERO, 0
    with localcontext(EXACT):
        for p in problem.positions:
            after = solution.quantities[p.security_id]
            low, high = value * (p.target - p.low_drift), value * (p.target + p.high_drift)
            kept_fraction = high <= 0 and 0 <= after < 1
            count += not kept_fraction and not low <= after * (p.price or ZERO) <= high
    return count


def scenario(problem: RebalanceProblem, solution: RebalanceSolution) -> Scenario:
    """What one answer to `problem` comes to."""
    if not solution.solved:
        return Scenario(problem.options, solution)
    traded, value = traded_value(problem, solution), solution.market_value or ZERO
    return Scenario(
        options=problem.options,
        solution=solution,
        orders=len(solution.trades),
        traded=traded,
        turnover=(traded / 2 / value) if value else ZERO,
        cost=(solution.cash_after or ZERO) - (solution.cash_after_costs or ZERO),
        realised_gain=realised_gain(problem, solution.quantities),
        drift_value=solution.drift_value,
        cash_after=solution.cash_after,
        cash_after_costs=solution.cash_after_costs,
        breaches_left=breaches(problem, solution),
    )


def what_if(problem: RebalanceProblem, options_list: Sequence[Options]) -> list[Scenario]:
    """The same holdings, prices and targets solved under each set of options, in the given order."""
    variants = [replace(problem, options=options) for options in options_list]
    return [scenario(p, s) for p, s in zip(variants, solve_many(variants), strict=True)]
