"""What-if as JSON: the figures of each scenario, the same through API v2 and `ordergen solve`."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from models_app.portfolio.drift import PortfolioDrift, portfolio_drift
from models_app.portfolio.types import ZERO, Options, Position, ProblemError, Reason, RebalanceProblem, Trade
from models_app.portfolio.units import EXACT, MILLIONTH, TICK
from rebalance_app.formats.problem_json import options_from_json, problem_from_json
from rebalance_app.formats.solution_json import solution_to_json, told
from rebalance_app.optimiser.solve import solve

from .scenarios import Scenario, what_if

CERTIFICATE = ("status", "method", "reasons", "objective", "lower_bound", "gap", "binding", "seconds")
MONEY = ("traded", "cost", "realised_gain", "cash_after", "cash_after_costs")


def scenario_to_json(
    before: PortfolioDrift,
    positions: Sequence[Position],
    found: Scenario,
    reason_to_json: Callable[[Reason], dict[str, Any]] = told,
) -> dict[str, Any]:
    """The JSON object of one scenario of a portfolio that was as `before` says, with `positions` as they were.

    Money as decimal strings to four places, `turnover` a fraction of market value to six, counts as integers; where
    there is no answer, everything that follows from one is null and `reasons` say why. `drift_before` and
    `drift_after` are Σ|MV·t − p·u| in money. `nearest` is a solution, where one was asked for and there is no answer.
    """
    solution = solution_to_json(found.solution, reason_to_json)
    prices = {p.security_id: p.price or ZERO for p in positions}
    return {
        **{name: solution[name] for name in CERTIFICATE},
        "orders": found.orders,
        "turnover": _rounded(found.turnover, MILLIONTH),
        **{name: _rounded(getattr(found, name)) for name in MONEY},
        "drift_before": _rounded(before.total_drift),
        "drift_after": _rounded(found.drift_value),
        "breaches_before": before.breaches,
        "breaches_left": found.breaches_left,
        "trades": [_trade(trade, prices[trade.security_id]) for trade in found.solution.trades],
        "nearest": solution.get("nearest"),
    }


def scenarios_to_json(problem: RebalanceProblem, found: Sequence[Scenario]) -> list[dict[str, Any]]:
    """All scenarios of one frozen problem, in their order."""
    before = portfolio_drift(problem.positions, problem.cash)
    return [scenario_to_json(before, problem.positions, each) for each in found]


def scenarios_from_json(value: Any) -> list[Options]:
    """The option sets of a line's `scenarios`; each is complete in itself. Raises ProblemError."""
    if not isinstance(value, list) or not value:
        raise ProblemError("scenarios", "must be a list of one or more objects with options")
    return [options_from_json(item, where=f"scenarios[{i}]") for i, item in enumerate(value)]


def answer_line(value: Any) -> dict[str, Any]:
    """The answer to one parsed line of `ordergen solve`: the solution, and its scenarios where it asks for some.

    Raises ProblemError for what is no problem.
    """
    if not isinstance(value, Mapping) or "scenarios" not in value:
        return solution_to_json(solve(problem_from_json(value)))
    problem = problem_from_json({name: item for name, item in value.items() if name != "scenarios"})
    asked = scenarios_from_json(value["scenarios"])
    answer = solution_to_json(solve(problem))
    return answer | {"scenarios": scenarios_to_json(problem, what_if(problem, asked))}


def _trade(trade: Trade, price: Decimal) -> dict[str, Any]:
    return {
        "security_id": trade.security_id,
        "side": trade.side,
        "quantity": trade.quantity,
        "price": format(price, "f"),
        "value": _rounded(EXACT.multiply(price, Decimal(trade.quantity))),
    }


def _rounded(value: Decimal | None, unit: Decimal = TICK) -> str | None:
    return None if value is None else format(EXACT.quantize(value, unit), "f")
