"""Many portfolios of one model as arrays of whole numbers, where a position is a cell: what speed is made of.

Runs, the drift of the firm's portfolios and single problems (a batch of one) are all stated here, as far as arrays can
state them: whole shares at prices in whole ticks, no restriction, no limit but a cash floor. Everything else, and
whatever arrays cannot answer for, goes the general way, an object per position, which also knows how to explain it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .types import ZERO, Options, Position
from .units import EXACT, MONEY_SCALE, WEIGHT_SCALE

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LARGEST = Decimal(2**53)  # numbers that arrays take are below it, so that floats still tell them apart
MOST = 2**63 - 1  # ticks, more than any answered portfolio is worth
SHARES, TICKS, MILLIONTHS = Decimal(1), Decimal(MONEY_SCALE), Decimal(WEIGHT_SCALE)  # in a share, in money, in a weight


@dataclass(frozen=True, slots=True)
class Batch:
    """P portfolios of N securities.

    security_ids                       N
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

    def rows(self, which: Any) -> Batch:  # a slice, a mask or an index array
        """The same with only some of its portfolios."""
        return replace(self, quantities=self.quantities[which], cash=self.cash[which], floor=self.floor[which])

    @property
    def in_model(self) -> Bools:
        """(N,) which securities have a target or a band."""
        return np.asarray((self.targets + self.low_drifts + self.high_drifts) > 0)


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The best holdings of every portfolio that is `answered`; rows that are not mean nothing.

    answered                          (P,)
    quantities                        (P, N) shares after the trades
    market_value, cash_after          (P,)   ticks
    drift                             (P,)   Σ|MV·t − p·u| after the trades, in millionths of ticks
    """

    answered: Bools
    quantities: Ints
    market_value: Ints
    cash_after: Ints
    drift: Ints

    def rows(self, which: Any) -> BatchAnswer:
        """The same with only some of its portfolios."""
        return BatchAnswer(*(column[which] for column in _columns(self)))


def _columns(answer: BatchAnswer) -> tuple[NDArray[Any], ...]:
    return answer.answered, answer.quantities, answer.market_value, answer.cash_after, answer.drift


def stacked(parts: Sequence[BatchAnswer]) -> BatchAnswer:
    """One answer of all portfolios of `parts`, which are some."""
    return BatchAnswer(*(np.concatenate(columns) for columns in zip(*map(_columns, parts), strict=True)))


def has_only_floor(o: Options) -> bool:
    """Whether nothing but bands and a cash floor is asked for."""
    return o == Options(min_cash=o.min_cash, min_cash_weight=o.min_cash_weight, time_limit=o.time_limit)


def are_plain_securities(positions: Collection[Position]) -> bool:
    """Whether columns can hold them: prices in whole ticks, weights in whole millionths, shares that trade freely."""
    if not all(p.price and (p.lot_size, p.can_buy, p.can_sell, p.on_order) == (1, True, True, ZERO) for p in positions):
        return False
    prices = {p.price or ZERO for p in positions}
    weights = {weight for p in positions for weight in (p.target, p.low_drift, p.high_drift)}
    return min(prices) > 0 and _are_whole(prices, TICKS) and _are_whole(weights, MILLIONTHS)


def is_plain_portfolio(quantities: Collection[Decimal], cash: Decimal) -> bool:
    """Whether a row can hold it: whole shares, and cash in whole ticks."""
    return _are_whole(quantities, SHARES) and _are_whole([cash], TICKS)


def _are_whole(numbers: Collection[Decimal], scale: Decimal) -> bool:
    """Whether each of `numbers` × scale is whole and fits."""
    with localcontext(EXACT):
        counts = [number * scale for number in numbers]
        whole = list(map(Decimal.to_integral_value, counts))  # `int` takes twice the time
        return whole == counts and -LARGEST < min(counts, default=ZERO) <= max(counts, default=ZERO) < LARGEST


def batch_of(
    securities: Sequence[Position],
    holdings: Sequence[Mapping[str, Decimal]],
    cash: Iterable[Decimal],
    options: Iterable[Options] = (),
) -> Batch:
    """Plain portfolios of plain securities as arrays, in the order given.

    securities   the columns: all of the model and of `holdings`; the quantity they have is not looked at
    holdings     of each portfolio the shares by security id
    options      of each portfolio, for its cash floor; without any there is none
    """
    column = {p.security_id: at for at, p in enumerate(securities)}
    quantities = np.zeros((len(holdings), len(column)), dtype=np.int64)
    for row, held in enumerate(holdings):
        quantities[row, [column[key] for key in held]] = [int(shares) for shares in held.values()]
    prices = _whole((p.price or ZERO for p in securities), TICKS)
    money = _whole(cash, TICKS)
    value = money + (quantities * prices).sum(axis=1)
    return Batch(
        security_ids=tuple(column),
        prices=prices,
        targets=_whole((p.target for p in securities), MILLIONTHS),
        low_drifts=_whole((p.low_drift for p in securities), MILLIONTHS),
        high_drifts=_whole((p.high_drift for p in securities), MILLIONTHS),
        quantities=quantities,
        cash=money,
        floor=np.array(list(map(_floor, options, value.tolist())) or [-MOST] * len(holdings), dtype=np.int64),
    )


def _floor(o: Options, market_value: int) -> int:
    """What must be left, in ticks, never less than asked for."""
    return min(max(ceil(o.min_cash * TICKS), ceil(o.min_cash_weight * market_value)), MOST)


def _whole(numbers: Iterable[Decimal], scale: Decimal) -> Ints:
    every = list(numbers)
    whole = {number: int(number * scale) for number in set(every)}  # bands are few, and `int` takes longest of all here
    return np.array([whole[number] for number in every], dtype=np.int64)
