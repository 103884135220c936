"""The drift of many portfolios of one model at once, as arrays: what lists and tiles show, equal to `portfolio_drift`.

    a block | closed form: market values, shares to target | drift by position | states and the worst position

Portfolios that arrays cannot answer for (no value, a band without a whole number, too large for 64 bits) are `open`:
they go the general way, one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .batch import Block, BlockDrift, Bools, Ints, block_drift, weights
from .nearest import closed_form, fits
from .units import DIVIDE, WEIGHT_SCALE

IN_BAND, NEAR, OVER, UNDER, OUTSIDE = range(5)
CLOSE = 1e-9  # band uses that floats cannot tell apart for certain are compared exactly


@dataclass(frozen=True, slots=True)
class DriftTable:
    """P portfolios and N securities, in the order of the block.

    answered       (P,)   whether the other figures mean anything
    market_value   (P,)   ticks
    drift          (P, N) weight − target in millionths, to the nearest
    state          (P, N) IN_BAND, NEAR, OVER, UNDER or OUTSIDE (held though not in the model)
    total          (P,)   Σ|MV·t − p·u| in millionths of ticks
    breaches, trades  (P,)   positions outside their band; positions with whole shares to trade to target
    worst          (P,)   the column with the largest band use, −1 where nothing has drifted
    worst_drift, worst_use   P; None: nothing has drifted; the use also where the drift has no band
    """

    answered: Bools
    market_value: Ints
    drift: Ints
    state: NDArray[np.uint8]
    total: Ints
    breaches: Ints
    trades: Ints
    worst: Ints
    worst_drift: list[Decimal | None]
    worst_use: list[Decimal | None]


def drift_table(block: Block, *, near: Decimal) -> DriftTable:
    """The drift of every portfolio; of two equally far out the first in the order of the block is the worst.

    `near` is the band use, of six decimals at most, from which a position inside its band counts as near its edge.
    """
    closed = closed_form(block.book)
    answered = fits(block.book) & closed.feasible & (closed.market_value > 0)
    safe = _without(block, ~answered)  # rows that could overflow are emptied, and worth one of the smallest unit
    value = np.where(answered, closed.market_value, 1).astype(np.int64)
    found = block_drift(safe, safe.quantities, value)
    exact = safe.quantities * block.prices * WEIGHT_SCALE - value[:, None] * block.targets
    side = np.where(exact > 0, value[:, None] * block.high_drifts, value[:, None] * block.low_drifts)
    worst = _worst(exact, side)
    chosen = np.where(answered[:, None], closed.quantities, 0).astype(np.int64)
    scale = (value * WEIGHT_SCALE).astype(object)
    return DriftTable(
        answered=answered,
        market_value=value,
        drift=weights(safe, safe.quantities, value) - block.targets,
        state=_states(found, exact, side, near),
        total=found.total,
        breaches=found.breaches,
        trades=np.asarray((chosen != safe.quantities).sum(axis=1)),
        worst=worst,
        worst_drift=[_ratio(exact, scale, row, at) for row, at in enumerate(worst.tolist())],
        worst_use=[_use(exact, side, row, at) for row, at in enumerate(worst.tolist())],
    )


def _without(block: Block, rows: Bools) -> Block:
    return replace(block, quantities=np.where(rows[:, None], 0, block.quantities), cash=np.where(rows, 1, block.cash))


def _states(found: BlockDrift, exact: Ints, side: Ints, near: Decimal) -> NDArray[np.uint8]:
    """The breaches as they were found; of the rest, near where |drift| ≥ near · side, unless it is 0."""
    states = np.where((np.abs(exact) >= _share(side, near)) & (side > 0) & (exact != 0), NEAR, IN_BAND)
    for which, state in ((found.over, OVER), (found.under, UNDER), (found.outside, OUTSIDE)):
        states[which] = state
    return states.astype(np.uint8)


def _share(side: Ints, near: Decimal) -> Ints:
    """The smallest whole number ≥ near · side, in 64 bits: nobody inside a band uses more than all of it."""
    above, below = min(near, Decimal(1)).as_integer_ratio()
    whole, rest = np.divmod(side, below)
    return np.asarray(whole * above - (-rest * above) // below + (near > 1))


def _worst(exact: Ints, side: Ints) -> Ints:
    """(P,) the column of the largest |drift| ÷ side, or of the largest |drift| without a band; −1 for none."""
    size = np.abs(exact)
    endless = (side == 0) & (size > 0)
    use = np.where(size == 0, 0.0, size / np.maximum(side, 1))
    worst = np.where(endless.any(axis=1), np.where(endless, size, -1).argmax(axis=1), use.argmax(axis=1))
    largest = use.max(axis=1, initial=0.0)
    doubtful = (use >= largest[:, None] * (1 - CLOSE)).sum(axis=1) > 1
    for row in np.flatnonzero(doubtful & (largest > 0) & ~endless.any(axis=1)).tolist():
        worst[row] = _exactly_worst(size[row].tolist(), side[row].tolist())
    return np.where(size.any(axis=1), worst, -1).astype(np.int64)


def _exactly_worst(size: list[int], side: list[int]) -> int:
    """The same of one portfolio in Decimals: of equal uses the larger drift, then the first."""
    uses = [(DIVIDE.divide(Decimal(s), Decimal(max(b, 1))), s) for s, b in zip(size, side, strict=True)]
    return uses.index(max(uses))


def _ratio(exact: Ints, scale: NDArray[Any], row: int, at: int) -> Decimal | None:
    return None if at < 0 else DIVIDE.divide(Decimal(int(exact[row, at])), Decimal(scale[row]))


def _use(exact: Ints, side: Ints, row: int, at: int) -> Decimal | None:
    """Signed; None where nothing has drifted or there is no band."""
    if at < 0 or not side[row, at]:
        return None
    return DIVIDE.divide(Decimal(int(exact[row, at])), Decimal(int(side[row, at])))
