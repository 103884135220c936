"""Brute force: try every whole-share answer of a small problem, straight from the definitions, in integers."""

from decimal import Decimal
from fractions import Fraction
from functools import cache

import numpy as np

SCALE = 10**9  # every figure of the small problems is a whole number of these


def whole(value):
    scaled = Fraction(value) * SCALE
    assert scaled.denominator == 1, value
    return scaled.numerator


def gain_of(position, sold):
    gain, left = Fraction(0), Fraction(sold)
    for lot in sorted(position.lots, key=lambda lot: -lot.cost):
        part = min(left, Fraction(lot.quantity))
        gain += part * (Fraction(position.price) - Fraction(lot.cost))
        left -= part
    return gain


def line_table(problem, p, mv):
    """Rows (change, bought, traded, order, gain, objective) of every trade the line may make by itself."""
    o, price, held = problem.options, Fraction(p.price), Fraction(p.quantity)
    soft = o.soft_bands or o.mode in {"invest_cash", "raise_cash"}
    target, low = mv * Fraction(p.target), mv * (Fraction(p.target) - Fraction(p.low_drift))
    high = mv * (Fraction(p.target) + Fraction(p.high_drift))
    leaves = high <= 0
    odd = leaves and p.lot_size > 1 and held % p.lot_size >= 1
    lot = 1 if odd else p.lot_size
    reach = int(max(abs(mv), abs(high), 1) / price) + int(abs(held)) + 2
    inside_before = max(0, low) <= price * held <= high
    rows = []
    for k in range(-reach // lot - 1, reach // lot + 2):
        change = k * lot
        after = held + change
        if o.hold and change:
            continue
        if after < 0 and not (change == 0 and (o.hold or o.mode == "raise_cash")):
            continue
        value = price * after
        sold_out = high <= 0 and after > 0
        excess = price * (after // 1) if sold_out else max(Fraction(0), low - value, value - high)
        if excess and not soft and not o.hold:
            continue
        if (change > 0 and (not p.can_buy or o.mode == "raise_cash")) or (
            change < 0 and (not p.can_sell or o.mode == "invest_cash")
        ):
            continue
        if change < 0 and after < p.on_order:
            continue
        if o.mode == "only_breached" and inside_before and change:
            continue
        if (odd and change < 0 and after >= 1) or (leaves and change > 0 and after >= 1):
            continue
        traded = price * abs(change)
        if change and traded < o.min_trade_value and not (change < 0 and after < 1):
            continue
        drift = abs(target - value)
        objective = {"within_bands": drift / 1000 + traded, "raise_cash": drift + 2 * traded}.get(o.mode, drift)
        objective += traded * Fraction(o.cost_bps) / 10_000 + (Fraction(o.ticket_cost) if change else 0)
        objective += 1000 * (max(Fraction(0), low - value) if o.mode == "raise_cash" else excess) if soft else 0
        rows.append((change, price * change, traded, int(change != 0), gain_of(p, max(0, -change)), objective))
    return rows


def coupled(problem, mv, total):
    """Which combinations honour the limits that couple securities."""
    o, cash = problem.options, whole(problem.cash) - total(1)
    if o.hold:
        return np.ones_like(cash, dtype=bool)
    costs = total(2) * int(o.cost_bps) // 10_000 + total(3) * whole(o.ticket_cost)
    left = cash - costs if o.reserve_costs else cash
    allowed = left >= max(whole(o.min_cash), whole(mv * Fraction(o.min_cash_weight)))
    limits = [
        (cash, o.max_cash),
        (cash, None if o.max_cash_weight is None else mv * Fraction(o.max_cash_weight)),
        (total(2), None if o.max_turnover is None else 2 * mv * Fraction(o.max_turnover)),
        (total(3) * SCALE, o.max_trades),
        (total(4), o.gain_budget),
    ]
    for used, limit in limits:
        if limit is not None:
            allowed &= used <= whole(limit)
    return allowed


@cache  # the same problems are tried again with one thing or another changed in the search
def best(problem):
    """(objective, least traded value at it, changes by security), or None when infeasible.

    Of answers equal in both the first, id by id, in which more is traded, or bought rather than sold.
    """
    mv = Fraction(problem.cash) + sum(Fraction(p.quantity) * Fraction(p.price) for p in problem.positions)
    tables = [line_table(problem, p, mv) for p in problem.positions]
    if mv < 0 or not all(tables):
        return None
    shape = [len(t) for t in tables]

    def total(column):
        out = np.zeros(shape, dtype=object if column == 5 else np.int64)
        for axis, table in enumerate(tables):
            values = [row[column] if column == 3 else whole(row[column]) for row in table]
            view = [1] * len(shape)
            view[axis] = len(values)
            out = out + np.array(values, dtype=np.int64).reshape(view)
        return out.astype(np.int64)

    traded, allowed = total(2), coupled(problem, mv, total)
    if not allowed.any():
        return None
    objective = np.where(allowed, total(5), np.iinfo(np.int64).max)
    least = objective.min()
    trade = np.where(objective == least, traded, np.iinfo(np.int64).max)
    equals = [[t[i][0] for t, i in zip(tables, at, strict=True)] for at in np.argwhere(trade == trade.min())]
    names = [p.security_id for p in problem.positions]
    by_id = sorted(range(len(names)), key=names.__getitem__)
    first = min(equals, key=lambda row: [(-abs(row[i]), -row[i]) for i in by_id])
    return Decimal(int(least)) / SCALE, Decimal(int(trade.min())) / SCALE, dict(zip(names, first, strict=True))
