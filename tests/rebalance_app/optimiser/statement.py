"""A second, plain statement of the problem in CVXPY, for sizes beyond the reach of brute force.

It shares nothing with the product: quantities are the variables, drift is a norm, buys and sells are split by big-M.
"""

import math

import cvxpy as cp
import numpy as np


def plainly(problem, seconds=20.0):
    """The objective of the plain statement, None where it is infeasible; NaN where time runs out."""
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
    stated.solve(solver=cp.HIGHS, mip_abs_gap=1e-6, mip_rel_gap=0.0, time_limit=seconds)
    if stated.status not in {"optimal", "infeasible"}:
        return math.nan
    return None if stated.status == "infeasible" else stated.value
