"""Many portfolios of one model as arrays of whole numbers, where a position is a cell: what speed is made of.

Runs, the drift of the firm's portfolios and single problems (a batch of one) are all stated here, as far as arrays can
state them: whole shares in lots of one, no limit but on the cash that is left. Everything else, and whatever arrays
cannot answer for, goes the general way, an object per position, which also knows how to explain it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from math import ceil, floor, inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .types import ZERO, Options, Position
from .units import EXACT, MONEY_PLACES, WEIGHT_PLACES, scaled

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
LARGEST = Decimal(2**53)  # numbers that arrays take are below it, so that floats still tell them apart


class Places(NamedTuple):
    """Decimals of the minor units that a batch counts money and weights in: those that are stored, or its own."""

    money: int = MONEY_PLACES
    weight: int = WEIGHT_PLACES


STORED = Places()


@dataclass(frozen=True, slots=True)
class Batch:
    """P portfolios of N securities; money and weights are counted in minor units of so many `places`.

    security_ids                       N
    prices                             (N,)   money per share, above 0
    targets, low_drifts, high_drifts   (N,)   weights of market value; all 0 outside the model
    barred_buys, barred_sales          columns of what may not be bought, and of what may not be sold
    quantities                         (P, N) shares held
    cash                               (P,)   money
    floor, ceiling                     (P,)   money that must be left at least and at most: any number, or infinite
    """

    security_ids: tuple[str, ...]
    prices: Ints
    targets: Ints
    low_drifts: Ints
    high_drifts: Ints
    quantities: Ints
    cash: Ints
    floor: NDArray[Any]
    ceiling: NDArray[Any]
    barred_buys: tuple[int, ...] = ()
    barred_sales: tuple[int, ...] = ()
    places: Places = STORED

    def rows(self, which: Any) -> Batch:  # a slice, a mask or an index array
        """The same with only some of its portfolios."""
        names = ("quantities", "cash", "floor", "ceiling")
        return replace(self, **{name: getattr(self, name)[which] for name in names})

    @property
    def weight_scale(self) -> int:
        """Minor units in a weight of 1."""
        return int(10**self.places.weight)

    @property
    def in_model(self) -> Bools:
        """(N,) which securities have a target or a band."""
        return np.asarray((self.targets + self.low_drifts + self.high_drifts) > 0)


class BatchAnswer(NamedTuple):
    """The best holdings of every portfolio that is `answered`; rows that are not mean nothing.

    answered                          (P,)
    quantities                        (P, N) shares after the trades
    market_value, cash_after          (P,)   money, in the batch's minor units
    drift                             (P,)   Σ|MV·t − p·u| after the trades, in minor units of a weight times these
    """

    answered: Bools
    quantities: Ints
    market_value: Ints
    cash_after: Ints
    drift: Ints

    def rows(self, which: Any) -> BatchAnswer:
        """The same with only some of its portfolios."""
        return BatchAnswer(*(column[which] for column in self))


def stacked(parts: Sequence[BatchAnswer]) -> BatchAnswer:
    """One answer of all portfolios of `parts`, which are some."""
    return BatchAnswer(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def has_only_cash_limits(o: Options) -> bool:
    """Whether nothing but bands and limits on the cash that is left is asked for."""
    names = ("min_cash", "min_cash_weight", "max_cash", "max_cash_weight", "nearest", "reserve_costs", "time_limit")
    return o == Options(**{name: getattr(o, name) for name in names})


def are_plain_securities(positions: Collection[Position], places: Places = STORED) -> bool:
    """Whether columns can hold them: prices and weights that are whole in minor units, shares in lots of one."""
    if not all(p.price and p.lot_size == 1 and not p.on_order for p in positions):
        return False
    prices = {p.price or ZERO for p in positions}
    weights = {weight for p in positions for weight in (p.target, p.low_drift, p.high_drift)}
    return min(prices) > 0 and _are_whole(prices, places.money) and _are_whole(weights, places.weight)


def is_plain_portfolio(quantities: Collection[Decimal], cash: Decimal, places: Places = STORED) -> bool:
    """Whether a row can hold it: whole shares, and cash in whole minor units."""
    return _are_whole(quantities, 0) and _are_whole([cash], places.money)


def _are_whole(numbers: Collection[Decimal], places: int) -> bool:
    """Whether each of `numbers` × 10**places is whole and fits."""
    with localcontext(EXACT):
        counts = [number.scaleb(places) for number in numbers]
        whole = list(map(Decimal.to_integral_value, counts))  # `int` takes twice the time
        return whole == counts and -LARGEST < min(counts, default=ZERO) <= max(counts, default=ZERO) < LARGEST


def batch_of(
    securities: Sequence[Position],
    holdings: Sequence[Mapping[str, Decimal]],
    cash: Iterable[Decimal],
    options: Iterable[Options] = (),
    places: Places = STORED,
    dtype: type = np.int64,
) -> Batch:
    """Plain portfolios of plain securities as arrays, in the order given.

    securities   the columns: all of the model and of `holdings`; the quantity they have is not looked at
    holdings     of each portfolio the shares by security id
    options      of each portfolio, for its cash floor and ceiling; without any there is none
    places       in which all of them are plain
    dtype        `object` for Python's own integers, where 64 bits are too few for sums and products
    """
    column = {p.security_id: at for at, p in enumerate(securities)}
    quantities: Ints = np.zeros((len(holdings), len(column)), dtype=dtype)
    for row, held in enumerate(holdings):
        quantities[row, [column[key] for key in held]] = [int(shares) for shares in held.values()]
    prices = _whole((p.price or ZERO for p in securities), places.money, dtype)
    money = _whole(cash, places.money, dtype)
    value = money + (quantities * prices).sum(axis=1)
    limits = [_limits(o, mv, places) for o, mv in zip(options, value.tolist(), strict=False)]
    floor, ceiling = np.array(limits or [(-inf, inf)] * len(holdings), dtype=object).reshape(-1, 2).T
    return Batch(
        security_ids=tuple(column),
        prices=prices,
        targets=_whole((p.target for p in securities), places.weight, dtype),
        low_drifts=_whole((p.low_drift for p in securities), places.weight, dtype),
        high_drifts=_whole((p.high_drift for p in securities), places.weight, dtype),
        quantities=quantities,
        cash=money,
        floor=floor,
        ceiling=ceiling,
        barred_buys=tuple(at for at, p in enumerate(securities) if not p.can_buy),
        barred_sales=tuple(at for at, p in enumerate(securities) if not p.can_sell),
        places=places,
    )


def _limits(o: Options, market_value: int, places: Places) -> tuple[float, float]:
    """The least and the most that may be left, in minor units, whole or infinite; no wider than asked for."""
    with localcontext(EXACT):
        least = max(ceil(o.min_cash.scaleb(places.money)), ceil(o.min_cash_weight * market_value))
        most = [] if o.max_cash is None else [floor(o.max_cash.scaleb(places.money))]
        most += [] if o.max_cash_weight is None else [floor(o.max_cash_weight * market_value)]
    return least, min(most, default=inf)


def _whole(numbers: Iterable[Decimal], places: int, dtype: type) -> Ints:
    every = list(numbers)
    whole = {number: scaled(number, places) for number in set(every)}  # bands are few, and `int` takes longest of all
    return np.array([whole[number] for number in every], dtype=dtype)
