"""The independent check of a whole block at once, in exact 64-bit integers. Imports no solver and none of their code.

Every security of every portfolio is held against the statement of the problem, not against how it was solved:

    u' whole and ≥ 0 · MV(t − l) ≤ p·u' ≤ MV(t + h) · Σp·u' + cash' = MV · cash' ≥ floor
    and no u' ± 1 that stays within its band is nearer to target (then the sum cannot be smaller either)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from models_app.portfolio.batch import Block

MILLION = 1_000_000  # its own, as in verify.py: weights are counted in millionths
SAFE = 2**62


def is_optimal(block: Block, after: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(P,) whether the holdings `after` (P, N) are a proven best answer of each portfolio.

    A portfolio whose products might leave 64 bits is not sound: it has to be checked with larger numbers.
    """
    held = (block.prices * block.quantities).sum(axis=1)
    market_value = block.cash + held
    wanted = market_value[:, None] * block.targets
    floor = wanted - market_value[:, None] * block.low_drifts
    ceiling = wanted + market_value[:, None] * block.high_drifts
    step = block.prices * MILLION
    value = after * step
    miss = np.abs(wanted - value)
    fewer_is_better = (value - step >= np.maximum(floor, 0)) & (np.abs(wanted - value + step) < miss)
    more_is_better = (value + step <= ceiling) & (np.abs(wanted - value - step) < miss)
    securities = (after >= 0) & (value >= floor) & (value <= ceiling) & ~fewer_is_better & ~more_is_better
    cash_after = market_value - (block.prices * after).sum(axis=1)
    return np.asarray(securities.all(axis=1) & (cash_after >= block.floor) & _fits(block, after))


def _fits(block: Block, after: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(P,) whether every intermediate above stays within 62 bits, estimated generously in floats."""
    prices = block.prices.astype(float)
    gross = np.abs(block.cash) + (prices * np.abs(block.quantities.astype(float))).sum(axis=1)
    largest = np.maximum(
        gross * (2 + (block.targets + block.high_drifts + block.low_drifts).max(initial=0) / MILLION), 1.0
    )
    bought = (prices * (np.abs(after.astype(float)) + 2)).max(axis=1, initial=0)
    return np.asarray((largest + bought) * 2 * MILLION < SAFE)
