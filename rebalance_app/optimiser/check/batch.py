"""The independent check of a whole batch at once, in exact 64-bit integers. Imports no solver and none of their code.

Every security of every portfolio is held against the statement of the problem, not against how it was solved:

    u' whole and ≥ 0 · MV(t − l) ≤ p·u' ≤ MV(t + h) · Σp·u' + cash' = MV · cash' ≥ floor
    and no u' ± 1 that stays within its band is nearer to target (then the sum cannot be smaller either)
"""

import numpy as np

from models_app.portfolio.batch import Batch, Bools, Ints

MILLION = 1_000_000  # its own, as in the scalar check: weights are counted in millionths
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
    step = batch.prices * MILLION
    value = after * step
    miss = np.abs(wanted - value)
    fewer_is_better = (value - step >= np.maximum(floor, 0)) & (np.abs(wanted - value + step) < miss)
    more_is_better = (value + step <= ceiling) & (np.abs(wanted - value - step) < miss)
    securities = (after >= 0) & (value >= floor) & (value <= ceiling) & ~fewer_is_better & ~more_is_better
    cash_after = market_value - (batch.prices * after).sum(axis=1)
    return np.asarray(securities.all(axis=1) & (cash_after >= batch.floor) & _fits(batch, after))


def _fits(batch: Batch, after: Ints) -> Bools:
    """(P,) whether every intermediate above stays within 62 bits, estimated generously in floats."""
    prices = batch.prices.astype(float)
    gross = np.abs(batch.cash) + (prices * np.abs(batch.quantities.astype(float))).sum(axis=1)
    largest = np.maximum(
        gross * (2 + (batch.targets + batch.high_drifts + batch.low_drifts).max(initial=0) / MILLION), 1.0
    )
    bought = (prices * (np.abs(after.astype(float)) + 2)).max(axis=1, initial=0)
    return np.asarray((largest + bought) * 2 * MILLION < SAFE)
