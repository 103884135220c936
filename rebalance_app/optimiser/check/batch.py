"""The independent check of a whole batch at once, in exact 64-bit integers. Imports no solver and none of their code.

Every security of every portfolio is held against the statement of the problem, not against how it was solved:

    u' whole and ≥ 0 · MV(t − l) ≤ p·u' ≤ MV(t + h) · Σp·u' + cash' = MV · floor ≤ cash' ≤ ceiling
    · u' ≤ u of what may not be bought, u' ≥ u of what may not be sold
    and no u' ± 1 that is allowed too is nearer to target (then the sum cannot be smaller either)
"""

import numpy as np

from models_app.portfolio.batch import Batch, Bools, Ints

SAFE = 2**62


def is_optimal(batch: Batch, after: Ints) -> Bools:
    """(P,) whether the holdings `after` (P, N) are a proven best answer of each portfolio.

    Of a portfolio whose products might leave 64 bits that is not known: it has to be checked with larger numbers.
    """
    held = (batch.prices * batch.quantities).sum(axis=1)
    market_value = batch.cash + held
    wanted = market_value[:, None] * batch.targets
    floor = wanted - market_value[:, None] * batch.low_drifts
    ceiling = wanted + market_value[:, None] * batch.high_drifts
    step = batch.prices * 10**batch.places.weight
    value = after * step
    miss = np.abs(wanted - value)
    fewer_is_better = (value - step >= np.maximum(floor, 0)) & (np.abs(wanted - value + step) < miss)
    more_is_better = (value + step <= ceiling) & (np.abs(wanted - value - step) < miss)
    allowed = (after >= 0) & (value >= floor) & (value <= ceiling)
    for barred, side, is_better in ((batch.barred_buys, 1, more_is_better), (batch.barred_sales, -1, fewer_is_better)):
        forbidden = side * (after[:, barred] - batch.quantities[:, barred])
        allowed[:, barred] &= forbidden <= 0
        is_better[:, barred] &= forbidden < 0
    securities = (allowed & ~fewer_is_better & ~more_is_better).all(axis=1)
    cash_after = market_value - (batch.prices * after).sum(axis=1)
    within = (batch.floor <= cash_after) & (cash_after <= batch.ceiling)
    return np.asarray(securities & within & _fits(batch, after))


def _fits(batch: Batch, after: Ints) -> Bools:
    """(P,) whether every intermediate above stays within 62 bits, estimated generously in floats."""
    prices = batch.prices.astype(float)
    gross = np.abs(batch.cash) + (prices * np.abs(batch.quantities.astype(float))).sum(axis=1)
    whole = 10.0**batch.places.weight
    largest = np.maximum(
        gross * (2 + (batch.targets + batch.high_drifts + batch.low_drifts).max(initial=0) / whole), 1.0
    )
    bought = (prices * (np.abs(after.astype(float)) + 2)).max(axis=1, initial=0)
    return np.asarray((largest + bought) * 2 * whole < SAFE)
