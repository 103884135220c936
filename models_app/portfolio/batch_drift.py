"""The drift of many portfolios of one model at once, as arrays, equal to `portfolio_drift` of each."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from .batch import Batch, Bools, Ints
from .units import DIVIDE, WEIGHT_SCALE

IN_BAND, NEAR, OVER, UNDER, OUTSIDE = range(5)
CLOSE = 1e-9  # band uses that floats cannot tell apart for certain are compared exactly


@dataclass(frozen=True, slots=True)
class BatchDrift:
    """P portfolios that hold N securities.

    market_value         (P,)   ticks, above 0
    drift                (P, N) value − MV·t in millionths of ticks
    side                 (P, N) how wide the band is on the side of the drift, in the same
    over, under          (P, N) beyond its band
    outside              (P, N) held though not in the model
    """

    market_value: Ints
    drift: Ints
    side: Ints
    over: Bools
    under: Bools
    outside: Bools

    @property
    def total(self) -> Ints:
        """(P,) Σ|MV·t − p·u| in millionths of ticks."""
        return np.asarray(np.abs(self.drift).sum(axis=1))

    @property
    def breaches(self) -> Ints:
        """(P,) number of positions outside their band."""
        return np.asarray((self.over | self.under | self.outside).sum(axis=1))

    def states(self, near: Decimal) -> NDArray[np.uint8]:
        """(P, N) IN_BAND, NEAR, OVER, UNDER or OUTSIDE.

        `near` is the band use, of six decimals at most, from which a position inside its band counts as near its edge;
        on target it is near none.
        """
        is_near = (np.abs(self.drift) >= _share(self.side, near)) & (self.side > 0) & (self.drift != 0)
        states = np.where(is_near, NEAR, IN_BAND)
        for which, state in ((self.over, OVER), (self.under, UNDER), (self.outside, OUTSIDE)):
            states[which] = state
        return states.astype(np.uint8)

    def worst(self) -> Ints:
        """(P,) the column of the largest |drift| ÷ side, or of the largest |drift| without a band; −1 for no drift.

        Of two equally far out the larger drift, then the first, is the worst.
        """
        size = np.abs(self.drift)
        endless = (self.side == 0) & (size > 0)
        use = np.where(size == 0, 0.0, size / np.maximum(self.side, 1))
        worst = np.where(endless.any(axis=1), np.where(endless, size, -1).argmax(axis=1), use.argmax(axis=1))
        largest = use.max(axis=1, initial=0.0)
        doubtful = (use >= largest[:, None] * (1 - CLOSE)).sum(axis=1) > 1
        for row in np.flatnonzero(doubtful & (largest > 0) & ~endless.any(axis=1)).tolist():
            worst[row] = _exactly_worst(size[row].tolist(), self.side[row].tolist())
        return np.where(size.any(axis=1), worst, -1).astype(np.int64)

    def drift_at(self, row: int, at: int) -> Decimal:
        """The drift of one cell as a fraction of market value."""
        return DIVIDE.divide(Decimal(int(self.drift[row, at])), Decimal(int(self.market_value[row]) * WEIGHT_SCALE))

    def band_use_at(self, row: int, at: int) -> Decimal | None:
        """The signed band use of one cell that has drifted; None where it has no band on that side."""
        side = int(self.side[row, at])
        return DIVIDE.divide(Decimal(int(self.drift[row, at])), Decimal(side)) if side else None


def batch_drift(batch: Batch, quantities: Ints, market_value: Ints) -> BatchDrift:
    """The drift of portfolios that hold `quantities` (P, N); market values (P,) are above 0, weights in millionths."""
    mv = market_value[:, None]
    drift = quantities * batch.prices * WEIGHT_SCALE - mv * batch.targets
    high, low = mv * batch.high_drifts, mv * batch.low_drifts
    return BatchDrift(
        market_value=market_value,
        drift=drift,
        side=np.where(drift > 0, high, low),
        over=(drift > high) & batch.in_model,
        under=(drift < -low) & batch.in_model,
        outside=(quantities != 0) & ~batch.in_model,
    )


def weights(batch: Batch, quantities: Ints, market_value: Ints) -> Ints:
    """(P, N) weights in millionths of market value, to the nearest, ties to even; |quantity × price| must fit."""
    mv = market_value[:, None]
    whole, rest = np.divmod(quantities * batch.prices * WEIGHT_SCALE, mv)
    return np.asarray(whole + ((2 * rest > mv) | ((2 * rest == mv) & (whole % 2 == 1))))


def _share(side: Ints, near: Decimal) -> Ints:
    """The smallest whole number ≥ near · side, in 64 bits: nobody inside a band uses more than all of it."""
    above, below = min(near, Decimal(1)).as_integer_ratio()
    whole, rest = np.divmod(side, below)
    return np.asarray(whole * above - (-rest * above) // below + (near > 1))


def _exactly_worst(size: list[int], side: list[int]) -> int:
    uses = [(DIVIDE.divide(Decimal(s), Decimal(max(b, 1))), s) for s, b in zip(size, side, strict=True)]
    return uses.index(max(uses))
