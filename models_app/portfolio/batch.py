"""Many portfolios of one model as arrays, from holdings to checked trades: the way of a run, where speed counts.

The general way (`solve.py`) builds an object per position; here a position is a cell. Both have the same closed form,
and what cannot be certified here, for whatever reason, is left to the general way, which also knows how to explain it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.check.batch import is_optimal

from .nearest import Book, closed_form, fits
from .units import DIVIDE, MILLIONTH, WEIGHT_SCALE

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

REASONS = ("TOWARD_TARGET", "BREACH_OVER", "BREACH_UNDER", "RAISE_CASH", "INVEST_CASH", "NOT_IN_MODEL", "COVER_SHORT")


@dataclass(frozen=True, slots=True)
class Block:
    """P portfolios and N securities, in whole numbers.

    security_ids                       N, those of the model first
    prices                             (N,)   ticks per share, above 0
    targets, low_drifts, high_drifts   (N,)   millionths of market value; all 0 outside the model
    quantities                         (P, N) shares held
    cash, floor                        (P,)   ticks: what there is, and what must be left
    """

    security_ids: tuple[str, ...]
    prices: Ints
    targets: Ints
    low_drifts: Ints
    high_drifts: Ints
    quantities: Ints
    cash: Ints
    floor: Ints

    @property
    def book(self) -> Book:
        """The block as the closed form takes it."""
        return Book(
            prices=self.prices,
            quantities=self.quantities,
            targets=self.targets,
            low_drifts=self.low_drifts,
            high_drifts=self.high_drifts,
            cash=self.cash,
            weight_scale=WEIGHT_SCALE,
        )


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """The answer of every portfolio that is `certified`; rows that are not mean nothing.

    after                        (P, N) shares
    market_value, cash_after     (P,)   ticks
    """

    certified: Bools
    after: Ints
    market_value: Ints
    cash_after: Ints


@dataclass(frozen=True, slots=True)
class BlockDrift:
    """Drift of P portfolios.

    total      (P,) Σ|MV·t − p·u| in millionths of ticks
    band_use   P, each portfolio's worst, signed, to six decimals; None where a position drifted that has no band there
    """

    total: Ints
    band_use: list[Decimal | None]
    over: Bools  # (P, N)
    under: Bools
    outside: Bools  # held though not in the model

    @property
    def breaches(self) -> Ints:
        """(P,) number of positions outside their band."""
        return np.asarray((self.over | self.under | self.outside).sum(axis=1))


def block_solve(block: Block) -> BlockAnswer:
    """The proven optimum of every portfolio whose cash floor holds at the closed form, checked independently."""
    small = fits(block.book)
    closed = closed_form(block.book)
    certified = small & closed.feasible & (closed.market_value > 0) & (closed.cash_after >= block.floor)
    after = np.where(certified[:, None], closed.quantities, 0).astype(np.int64)
    certified &= is_optimal(block, after)
    value = np.where(certified, closed.market_value, 0).astype(np.int64)
    return BlockAnswer(certified, after, value, np.where(certified, closed.cash_after, 0).astype(np.int64))


def block_drift(block: Block, quantities: Ints, market_value: Ints) -> BlockDrift:
    """The drift of portfolios that hold `quantities` (P, N); market values (P,) are above 0."""
    value = quantities * block.prices * WEIGHT_SCALE
    mv = market_value[:, None]
    drift = value - mv * block.targets
    high, low = mv * block.high_drifts, mv * block.low_drifts
    in_model = (block.targets + block.low_drifts + block.high_drifts) > 0
    return BlockDrift(
        total=np.asarray(np.abs(drift).sum(axis=1)),
        band_use=_worst(drift, np.where(drift > 0, high, low)),
        over=(drift > high) & in_model,
        under=(drift < -low) & in_model,
        outside=(quantities != 0) & ~in_model,
    )


def _worst(drift: Ints, side: Ints) -> list[Decimal | None]:
    """Per row the largest |drift ÷ its side of the band|; the cell is found in floats, the figure is made exact."""
    with np.errstate(divide="ignore", invalid="ignore"):
        use = np.where(drift == 0, 0.0, np.abs(drift) / side)
    rows = np.arange(len(drift))
    at = use.argmax(axis=1)
    return [
        None if not band and moved else DIVIDE.divide(Decimal(moved), Decimal(band or 1)).quantize(MILLIONTH)
        for moved, band in zip(drift[rows, at].tolist(), side[rows, at].tolist(), strict=True)
    ]


def weights(block: Block, quantities: Ints, market_value: Ints) -> Ints:
    """(P, N) weights in millionths of market value, to the nearest, ties to even; |quantity × price| must fit."""
    shares, rest = np.divmod(quantities * block.prices * WEIGHT_SCALE, market_value[:, None])
    twice = 2 * rest
    return np.asarray(
        shares + ((twice > market_value[:, None]) | ((twice == market_value[:, None]) & (shares % 2 == 1)))
    )


def reasons(block: Block, drift: BlockDrift, after: Ints, market_value: Ints) -> NDArray[Any]:
    """(P, N) places in REASONS: what a trade from `block.quantities` to `after` is for."""
    change = np.sign(after - block.quantities)
    off = np.sign(block.quantities * block.prices * WEIGHT_SCALE - market_value[:, None] * block.targets)
    names = {name: at for at, name in enumerate(REASONS)}
    return np.select(
        [
            block.quantities < 0,
            drift.outside,
            drift.over & (change < 0),
            drift.under & (change > 0),
            (off < 0) & (change < 0),
            (off > 0) & (change > 0),
        ],
        [names[n] for n in ("COVER_SHORT", "NOT_IN_MODEL", "BREACH_OVER", "BREACH_UNDER", "RAISE_CASH", "INVEST_CASH")],
        default=names["TOWARD_TARGET"],
    )
