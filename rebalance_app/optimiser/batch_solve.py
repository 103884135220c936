"""Solving as arrays: the closed form of many portfolios at once, certified by the independent check.

A run gives a batch of its chunk; a single problem is a batch of one. What has no answer here, for whatever reason, is
left to the general way, which also knows how to explain it.
"""

from dataclasses import replace
from decimal import Decimal

import numpy as np

from models_app.portfolio.batch import (
    Batch,
    BatchAnswer,
    are_plain_securities,
    batch_of,
    has_only_floor,
    is_plain_portfolio,
)
from models_app.portfolio.nearest import closed_form
from models_app.portfolio.types import RebalanceProblem, RebalanceSolution
from models_app.portfolio.units import MONEY_PLACES, WEIGHT_PLACES, WEIGHT_SCALE, unscaled
from rebalance_app.optimiser.check.batch import is_optimal
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.validate import refusals

from .solution import binding_bands, trade


def batch_solve(batch: Batch) -> BatchAnswer:
    """The proven optimum of every portfolio whose cash floor holds at the closed form, checked independently."""
    found = closed_form(batch)
    return replace(found, answered=found.answered & is_optimal(batch, found.quantities))


def is_plain(problem: RebalanceProblem) -> bool:
    """Whether arrays can state the problem."""
    return (
        has_only_floor(problem.options)
        and bool(problem.positions)
        and not refusals(problem)
        and are_plain_securities(problem.positions)
        and is_plain_portfolio([p.quantity for p in problem.positions], problem.cash)
    )


def solve_plain(problem: RebalanceProblem) -> RebalanceSolution | None:
    """The answer of a plain problem that needs no solver, still to be checked; None for every other one."""
    if not is_plain(problem):
        return None
    held = {p.security_id: p.quantity for p in problem.positions}
    batch = batch_of(problem.positions, [held], [problem.cash], [problem.options])
    found = closed_form(batch)
    return _solution(problem, batch, found) if found.answered[0] else None


def _solution(problem: RebalanceProblem, batch: Batch, found: BatchAnswer) -> RebalanceSolution:
    (quantities,), (market_value,), (cash,), (drift,) = (
        column.tolist() for column in (found.quantities, found.market_value, found.cash_after, found.drift)
    )
    change = dict(zip(batch.security_ids, (found.quantities - batch.quantities)[0].tolist(), strict=True))
    value = unscaled(drift, MONEY_PLACES + WEIGHT_PLACES)
    return RebalanceSolution(
        portfolio_id=problem.portfolio_id,
        status="optimal",
        method="separable",
        market_value=unscaled(market_value, MONEY_PLACES),
        objective=value,
        lower_bound=value,
        gap=Decimal("0.00"),
        quantities=dict(zip(batch.security_ids, map(Decimal, quantities), strict=True)),
        trades=tuple(trade(key, change[key]) for key in sorted(change) if change[key]),
        cash_after=unscaled(cash, MONEY_PLACES),
        binding=_binding(problem, change) if _is_clipped(batch, found) else (),
        drift_value=value,
        first=True,
    )


def _is_clipped(batch: Batch, found: BatchAnswer) -> bool:
    """Whether a band keeps some position from the whole number nearest to its target."""
    step = batch.prices * WEIGHT_SCALE
    off = np.abs(found.market_value[:, None] * batch.targets - found.quantities * step)
    return bool((2 * off > step).any())


def _binding(problem: RebalanceProblem, change: dict[str, int]) -> tuple[str, ...]:
    ip = integer_problem(problem)
    return binding_bands(ip, [change[security.position.security_id] for security in ip.securities])
