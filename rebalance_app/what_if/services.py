"""What-if: one portfolio as it is now, under several sets of options side by side. Writes nothing.

freeze   | targets, prices, holdings, what is on its way to them and the limits in force, read once
solve    | the closed form here; the integer programme in a process of its own, each scenario in bounded time
figures  | what each answer comes to
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.utils import timezone

from models_app.investment_models.selectors import model_get, models_of_portfolio
from models_app.models import InvestmentModel
from models_app.portfolio.drift import PortfolioDrift, portfolio_drift
from models_app.portfolio.types import Reason, RebalanceProblem, RebalanceSolution
from models_app.sources import get_source
from models_app.sources.book_source import Balances
from ordergen.accounts.models import User
from ordergen.core.errors import InvalidInputError, NotFoundError
from rebalance_app.formats.problem_json import options_from_json
from rebalance_app.models import OpenOrders
from rebalance_app.optimiser.solution import refused
from rebalance_app.optimiser.solve import solve_separable
from rebalance_app.order_states.on_the_way import Coming, expected, on_their_way
from rebalance_app.proposals.document import limits_applied, reason_told
from rebalance_app.proposals.run_inputs import RunInputs
from rebalance_app.solving.failures import SolverLostError, of_process, solver_busy
from rebalance_app.solving.freeze import checked_options, limits_in_force, prices_now
from rebalance_app.solving.load import refusal, why_unfit
from rebalance_app.solving.solver_process import SolverChild
from rebalance_app.what_if.scenario_json import scenario_to_json
from rebalance_app.what_if.scenarios import scenario

logger = logging.getLogger(__name__)
MAX_SCENARIOS = 5
MAX_SECONDS = 10.0  # for one scenario's integer programme: somebody is waiting for the page
_child = SolverChild()
_one_at_a_time = threading.Lock()  # a child answers one problem after the other


@dataclass(frozen=True)
class WhatIf:
    """The frozen portfolio before any trade, and the figures of each scenario as JSON has them.

    `coming` is what is on its way to it: counted in `before` and in every scenario as if it were done.
    """

    model: InvestmentModel
    portfolio_id: str
    portfolio_name: str
    taken_at: datetime
    before: PortfolioDrift
    coming: Sequence[Coming]
    prices: Mapping[str, Decimal]
    scenarios: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class _Frozen:
    """What does not change from one scenario to the next."""

    inputs: RunInputs
    portfolio_id: str
    balances: Balances  # as they will be; with tax lots where they add up, so that every scenario says what it gains
    coming: Sequence[Coming]
    unfit: Reason | None  # why no run would trade at all
    unknown_gain: Reason | None

    def under(self, options: Mapping[str, Any]) -> tuple[RunInputs, RebalanceProblem]:
        """The problem with these options, narrowed by the limits in force."""
        inputs = replace(self.inputs, options=options)
        return inputs, inputs.problem(self.portfolio_id, self.balances)


def what_if(
    *, by: User, portfolio_id: str, options: Sequence[Mapping[str, Any]], model_id: str | None = None
) -> WhatIf:
    """What a run over this portfolio would propose now under each of up to MAX_SCENARIOS sets of options.

    `model_id` may be left out for a portfolio that follows one model. Raises NotAllowedError, NotFoundError (model,
    portfolio) and InvalidInputError (an option that makes no sense, a model it does not follow or must be named).
    A scenario without an answer says so itself: status `infeasible` or `error`, and its reasons.
    """
    by.must("rebalance.launch")
    asked = [_checked(given, at) for at, given in enumerate(_counted(options))]
    source = get_source()
    portfolio = source.portfolios([portfolio_id]).get(portfolio_id)
    balances = source.balances([portfolio_id]).get(portfolio_id)
    if portfolio is None or balances is None:
        raise NotFoundError(f"There is no portfolio {portfolio_id}.")
    model = _model(portfolio_id, model_id)
    frozen = _frozen(_inputs(model, portfolio_id), portfolio_id, balances)
    inputs, plain = frozen.under({})
    before = portfolio_drift(plain.positions, plain.cash)
    scenarios = [_scenario(frozen, given, before) for given in asked]
    return WhatIf(model, portfolio_id, portfolio.name, timezone.now(), before, frozen.coming, inputs.prices, scenarios)


def _counted(options: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    if not 1 <= len(options) <= MAX_SCENARIOS:
        told = f"must be 1 to {MAX_SCENARIOS} sets of options"
        raise InvalidInputError(f"The options {told}.", fields={"options": told})
    return options


def _checked(given: Mapping[str, Any], at: int) -> dict[str, Any]:
    """The options, within the time that somebody waits for a page."""
    found = checked_options(given, f"options.{at}")
    return found | {"time_limit": min(options_from_json(found).time_limit, MAX_SECONDS)}


def _model(portfolio_id: str, model_id: str | None) -> InvestmentModel:
    followed = models_of_portfolio(portfolio_id)
    if model_id is None and len(followed) == 1:
        return followed[0]
    if model_id is None:
        told = f"it follows {len(followed)} models: name one" if followed else "it follows no model"
        raise InvalidInputError(f"Which model? The portfolio says nothing: {told}.", fields={"model_id": told})
    model = model_get(model_id)
    if model not in followed:
        told = f"not subscribed to {model.name}"
        raise InvalidInputError(f"The portfolio does not follow {model.name}.", fields={"portfolio_id": told})
    return model


def _inputs(model: InvestmentModel, portfolio_id: str) -> RunInputs:
    """What a run would be launched on that never is."""
    snapshot = prices_now(get_source(), model)
    targets = {line.security_id: (line.target, line.low_drift, line.high_drift) for line in model.positions.all()}
    limits = limits_in_force(model, {portfolio_id: ""}, snapshot)
    return RunInputs(snapshot.payload, targets, limits=limits, open_orders=OpenOrders.NET)


def _frozen(inputs: RunInputs, portfolio_id: str, balances: Balances) -> _Frozen:
    source = get_source()
    coming = on_their_way({portfolio_id: balances}).get(portfolio_id, ())
    to_be = expected(balances, coming, inputs.prices)
    unfit = why_unfit(inputs, to_be, coming)
    if not source.has_tax_lots:
        return _Frozen(inputs, portfolio_id, to_be, coming, unfit, None)
    with_lots = replace(to_be, lots=source.tax_lots([portfolio_id]).get(portfolio_id, {}))
    why = why_unfit(inputs, with_lots, coming)
    return _Frozen(inputs, portfolio_id, to_be if why else with_lots, coming, unfit, why)


def _scenario(frozen: _Frozen, given: dict[str, Any], before: PortfolioDrift) -> dict[str, Any]:
    inputs, problem = frozen.under(given)
    solution = _unfit(frozen) or _gainless(frozen, inputs) or _solve(problem)
    found = scenario_to_json(before, problem.positions, scenario(problem, solution), partial(reason_told, inputs))
    trades = [trade | {"ticker": inputs.ticker(trade["security_id"])} for trade in found["trades"]]
    limits = limits_applied(inputs, frozen.portfolio_id)
    return found | {"options": given, "limits": limits, "trades": trades}


def _unfit(frozen: _Frozen) -> RebalanceSolution | None:
    """The refusal of a portfolio that no run would trade: a price is too old, an order on its way is unclear."""
    return refusal(frozen.portfolio_id, frozen.unfit) if frozen.unfit else None


def _gainless(frozen: _Frozen, inputs: RunInputs) -> RebalanceSolution | None:
    """The refusal of a gain budget where gains are unknown."""
    if frozen.unknown_gain is None or not inputs.needs_lots(frozen.portfolio_id):
        return None
    return refusal(frozen.portfolio_id, frozen.unknown_gain)


def _solve(problem: RebalanceProblem) -> RebalanceSolution:
    """An answer that passed the independent check, or an error with its reason; never longer than it may take."""
    (quick,) = solve_separable([problem])
    return quick or _programme(problem)


def _programme(problem: RebalanceProblem) -> RebalanceSolution:
    limit = problem.options.time_limit
    started = time.monotonic()
    if not _one_at_a_time.acquire(timeout=limit):
        return refused(problem, "error", (solver_busy(),))
    try:
        left = round(max(limit - (time.monotonic() - started), 0.1), 3)
        return _child.solve(replace(problem, options=replace(problem.options, time_limit=left)))
    except SolverLostError as error:
        logger.exception("solver lost on portfolio %s", problem.portfolio_id)
        return refused(problem, "error", (of_process(error, limit),))
    finally:
        _one_at_a_time.release()
