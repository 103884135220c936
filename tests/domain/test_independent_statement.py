"""Beyond the reach of brute force: the same answers as a second, plain statement of the problem in CVXPY.

It shares nothing with the product: quantities are the variables, drift is a norm, buys and sells are split by big-M.
"""

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from benchmarks.instances import Spec, large
from rebalance_app.domain.solve import solve
from rebalance_app.domain.verify import violations
from tests.domain.build import D


def plainly(problem):
    """(objective, None) of the plain statement, or None where it is infeasible."""
    o, positions = problem.options, problem.positions
    price, held, target, low, high = (
        np.array([float(getattr(p, name)) for p in positions])
        for name in ("price", "quantity", "target", "low_drift", "high_drift")
    )
    value = float(problem.cash) + price @ held
    n = len(positions)
    buy, sell = cp.Variable(n, integer=True), cp.Variable(n, integer=True)
    buys, sells = cp.Variable(n, boolean=True), cp.Variable(n, boolean=True)
    after = held + buy - sell
    worth = cp.multiply(price, after)
    most = np.ceil(value / price) + np.abs(held)
    smallest = np.ceil(float(o.min_trade_value) / price)
    rows = [
        buy >= cp.multiply(smallest, buys),
        buy <= cp.multiply(most, buys),
        sell >= cp.multiply(np.minimum(smallest, np.maximum(held, 1)), sells),
        sell <= cp.multiply(most, sells),
        buys + sells <= 1,
        after >= 0,
        worth >= value * (target - low) - 1e-6,
        worth <= value * (target + high) + 1e-6,
        value - cp.sum(worth) >= float(o.min_cash_weight) * value,
    ]
    if o.max_turnover is not None:
        rows.append(price @ (buy + sell) <= 2 * float(o.max_turnover) * value)
    if o.max_trades is not None:
        rows.append(cp.sum(buys + sells) <= o.max_trades)
    cost = float(o.cost_bps) / 10_000 * (price @ (buy + sell)) + float(o.ticket_cost) * cp.sum(buys + sells)
    stated = cp.Problem(cp.Minimize(cp.norm1(value * target - worth) + cost), rows)
    stated.solve(solver=cp.HIGHS, mip_abs_gap=1e-6, mip_rel_gap=0.0, time_limit=20.0)
    return None if stated.status == "infeasible" else stated.value


CASES = [
    {},
    {"min_cash_weight": D("0.055")},
    {"min_cash_weight": D("0.055"), "min_trade_value": D(300)},
    {"max_trades": 4},
    {"max_turnover": D("0.06"), "min_trade_value": D(300)},
    {"min_cash_weight": D("0.055"), "cost_bps": D(30), "ticket_cost": D(5)},
    {"max_trades": 1, "max_turnover": D("0.01")},
]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("band", [("0.03", "0.03"), ("0.01", "0.06")])
def test_the_plain_statement_gives_the_same_optimum(case, band):
    base = large(Spec(12, 20_000, band, oddities=0), case)
    problem = replace(base, options=replace(base.options, **CASES[case]))
    expected, solution = plainly(problem), solve(problem)
    if expected is None:
        assert solution.status == "infeasible"
        return
    assert solution.status == "optimal", solution.reasons
    assert float(solution.objective) == pytest.approx(expected, abs=0.011)
    assert violations(problem, solution) == ()
