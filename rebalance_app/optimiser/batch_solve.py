"""Solving as arrays: the closed form of many portfolios at once, certified by the independent check.

A run gives a batch of its chunk; a single problem is a batch of one. What has no answer here, for whatever reason, is
left to the general way, which also knows how to explain it.
"""

from decimal import Decimal

import numpy as np

from models_app.portfolio.batch import (
    STORED,
    Batch,
    BatchAnswer,
    Places,
    are_plain_securities,
    batch_of,
    has_only_cash_limits,
    is_plain_portfolio,
)
from models_app.portfolio.nearest import closed_form, fits
from models_app.portfolio.types import RebalanceProblem, RebalanceSolution
from models_app.portfolio.units import most_decimals, unscaled
from rebalance_app.optimiser.check.batch import is_optimal
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.validate import refusals

from .solution import binding_bands, trade


def batch_solve(batch: Batch) -> BatchAnswer:
    """The proven optimum of every portfolio whose cash floor holds at the closed form, checked independently."""
    found = closed_form(batch)
    return found._replace(answered=found.answered & is_optimal(batch, found.quantities))


def _own_places(problem: RebalanceProblem) -> Places:
    """The fewest decimals in which all of a problem's prices, cash and weights are whole."""
    weights = {weight for p in problem.positions for weight in (p.target, p.low_drift, p.high_drift)}
    return Places(most_decimals([problem.cash, *(p.price for p in problem.positions)]), most_decimals(weights))


def _in_places(problem: RebalanceProblem, places: Places, dtype: type = np.int64) -> Batch | None:
    """The problem as a batch of one, where it is plain in these places and fits."""
    securities, held = problem.positions, {p.security_id: p.quantity for p in problem.positions}
    if not (is_plain_portfolio(held.values(), problem.cash, places) and are_plain_securities(securities, places)):
        return None
    batch = batch_of(securities, [held], [problem.cash], [problem.options], places, dtype)
    return batch if fits(batch)[0] else None


def stated(problem: RebalanceProblem) -> Batch | None:
    """The problem as a batch of one; None where arrays cannot state it."""
    if not (problem.positions and has_only_cash_limits(problem.options)) or refusals(problem):
        return None
    if batch := _in_places(problem, STORED):
        return batch
    places = _own_places(problem)
    return _in_places(problem, places) or _in_places(problem, places, object)


def solve_plain(problem: RebalanceProblem) -> RebalanceSolution | None:
    """The answer of a plain problem that needs no solver, still to be checked; None for every other one."""
    batch = stated(problem)
    found = None if batch is None else closed_form(batch)
    return _solution(problem, batch, found) if batch and found and found.answered[0] else None


def _solution(problem: RebalanceProblem, batch: Batch, found: BatchAnswer) -> RebalanceSolution:
    (quantities,), (market_value,), (cash,), (drift,) = (
        column.tolist() for column in (found.quantities, found.market_value, found.cash_after, found.drift)
    )
    change = dict(zip(batch.security_ids, (found.quantities - batch.quantities)[0].tolist(), strict=True))
    value = unscaled(drift, sum(batch.places))
    return RebalanceSolution(
        portfolio_id=problem.portfolio_id,
        status="optimal",
        method="separable",
        market_value=unscaled(market_value, batch.places.money),
        objective=value,
        lower_bound=value,
        gap=Decimal("0.00"),
        quantities=dict(zip(batch.security_ids, map(Decimal, quantities), strict=True)),
        trades=tuple(trade(key, change[key]) for key in sorted(change) if change[key]),
        cash_after=unscaled(cash, batch.places.money),
        cash_after_costs=unscaled(cash, batch.places.money),  # a plain problem has none
        binding=_binding(problem, batch, found),
        drift_value=value,
        first=True,
    )


def _binding(problem: RebalanceProblem, batch: Batch, found: BatchAnswer) -> tuple[str, ...]:
    """The bands that keep positions from the whole numbers nearest to their targets, if any is kept from it at all."""
    step = batch.prices * batch.weight_scale
    off = np.abs(found.market_value[:, None] * batch.targets - found.quantities * step)
    if not (2 * off > step).any():
        return ()
    change = dict(zip(batch.security_ids, (found.quantities - batch.quantities)[0].tolist(), strict=True))
    ip = integer_problem(problem)
    return binding_bands(ip, [change[security.position.security_id] for security in ip.securities])
