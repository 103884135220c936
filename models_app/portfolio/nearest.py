"""The closed form: without coupling rows every security is its own problem, and its optimum is known.

    u* = clip(nearest whole number to MV·t/p, ⌈MV(t − l)/p⌉⁺, ⌊MV(t + h)/p⌋)

|MV·t − p·u| is convex in u, so the clipped nearest integer is optimal; at a tie of .5 the neighbour nearer to what is
held wins. Where the coupling rows hold at u*, it is the optimum of the whole problem, and its bound is its objective.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
CHUNK = 256  # rows at a time: five inputs and the scratch arrays of 256 × 100 cells stay in a core's cache
LIMIT = 2.0**62
SMALL = 2**40  # shares: sums of so many cannot overflow


@dataclass(frozen=True, slots=True)
class Book:
    """Many portfolios as whole numbers: P rows of N securities.

    prices       (P, N) or (N,)  money units per share, above 0
    quantities   (P, N)          shares held
    targets, low_drifts, high_drifts   (P, N) or (N,)  in 1/weight_scale of market value
    cash         (P,)            money units
    weight_scale                 weights are whole multiples of 1/weight_scale
    buyable, sellable            (P, N) or (N,) booleans, or None for no restriction
    Pad short rows with price 1 and zeros.
    """

    prices: NDArray[Any]
    quantities: NDArray[Any]
    targets: NDArray[Any]
    low_drifts: NDArray[Any]
    high_drifts: NDArray[Any]
    cash: NDArray[Any]
    weight_scale: int
    buyable: NDArray[np.bool_] | None = None
    sellable: NDArray[np.bool_] | None = None

    def rows(self, which: Any) -> "Book":  # a slice, a mask or an index array
        """The same book with only some portfolios; what is shared by all stays shared."""

        def cut(x: NDArray[Any]) -> NDArray[Any]:
            return x[which] if x.ndim == 2 else x  # rows and columns

        return Book(
            prices=cut(self.prices),
            quantities=self.quantities[which],
            targets=cut(self.targets),
            low_drifts=cut(self.low_drifts),
            high_drifts=cut(self.high_drifts),
            cash=self.cash[which],
            weight_scale=self.weight_scale,
            buyable=None if self.buyable is None else cut(self.buyable),
            sellable=None if self.sellable is None else cut(self.sellable),
        )

    def as_objects(self) -> "Book":
        """The same book in Python integers, which cannot overflow."""
        wide = {n: getattr(self, n).astype(object) for n in ("prices", "quantities", "cash")}
        weights = {n: getattr(self, n).astype(object) for n in ("targets", "low_drifts", "high_drifts")}
        return Book(**wide, **weights, weight_scale=self.weight_scale, buyable=self.buyable, sellable=self.sellable)


@dataclass(frozen=True, slots=True)
class Closed:
    """The closed form of a book; `objective` is in money units / weight_scale.

    Arrays are int64, or Python integers (dtype object) when some portfolio was too large for 64 bits. Where `feasible`
    is false the row is meaningless.
    """

    market_value: NDArray[Any]
    quantities: NDArray[Any]
    feasible: NDArray[np.bool_]
    objective: NDArray[Any]
    cash_after: NDArray[Any]


def _estimate(book: Book, gross: NDArray[np.float64], prices: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) more than any intermediate of the row can be."""
    weights = sum(x.sum(axis=-1).astype(np.float64) for x in (book.targets, book.low_drifts, book.high_drifts))
    return np.asarray(gross * (2.0 * book.weight_scale + weights) + 4.0 * book.weight_scale * prices.sum(axis=-1))


def fits(book: Book) -> NDArray[np.bool_]:
    """(P,) whether no intermediate of the row can leave 64 bits; a generous estimate in floats."""
    prices = book.prices.astype(np.float64)
    held = np.abs(book.quantities)
    cash = np.abs(book.cash.astype(np.float64))
    rough = cash + prices.max(axis=-1, initial=0) * held.sum(axis=-1).astype(np.float64)
    if held.dtype != object and held.max(initial=0) < SMALL and (_estimate(book, rough, prices) < LIMIT).all():
        return np.ones(len(cash), dtype=np.bool_)  # as nearly always, for a tenth of the time
    exact = np.einsum("...j,...j->...", np.broadcast_to(prices, held.shape), held.astype(np.float64))
    return np.asarray(_estimate(book, cash + exact, prices) < LIMIT)


def _bounded(book: Book, market_value: NDArray[Any], nearest: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The nearest whole numbers clipped to band and restrictions, and whether every line of a row has one."""
    q, mv, step = book.quantities, market_value[:, None], book.prices * book.weight_scale
    aim = mv * book.targets
    least = np.maximum(0, -((mv * book.low_drifts - aim) // step))
    most = (aim + mv * book.high_drifts) // step
    if book.buyable is not None:
        most = np.where(book.buyable, most, np.minimum(most, q))
    if book.sellable is not None:
        least = np.where(book.sellable, least, np.maximum(least, q))
    return np.minimum(np.maximum(nearest, least), most), (least <= most).all(axis=1)


def _close(book: Book) -> Closed:
    """The closed form of one chunk, in whatever integers the arrays hold.

    One division per cell finds the nearest whole number. Only rows where it leaves a band, or where something is
    restricted, take the two further divisions that the bounds cost.
    """
    p, q = book.prices, book.quantities
    market_value = book.cash + (p * q).sum(axis=1)
    mv, step = market_value[:, None], p * book.weight_scale
    aim = mv * book.targets
    chosen = aim // step
    twice = 2 * (aim - chosen * step)
    chosen += (twice > step) | ((twice == step) & (q > chosen))
    above = chosen * step - aim
    outside = ((above > mv * book.high_drifts) | (-above > mv * book.low_drifts)).any(axis=1)
    feasible = market_value >= 0
    rows = np.flatnonzero(outside) if book.buyable is book.sellable is None else np.arange(len(q))
    if len(rows):
        part = book.rows(rows)
        chosen[rows], whole = _bounded(part, market_value[rows], chosen[rows])
        feasible[rows] &= whole
        above = chosen * step - aim
    return Closed(
        market_value=market_value,
        quantities=chosen,
        feasible=feasible,
        objective=np.abs(above).sum(axis=1),
        cash_after=market_value - (p * chosen).sum(axis=1),
    )


def _stack(parts: list[Closed]) -> Closed:
    names = ("market_value", "quantities", "feasible", "objective", "cash_after")
    return Closed(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def closed_form(book: Book) -> Closed:
    """The proven optimum of every portfolio of the book without coupling rows: drift to target, exact.

    Rows whose products could leave 64 bits are computed in Python integers instead.
    """
    n = len(book.cash)
    safe = fits(book)
    if safe.all():
        return _stack([_close(book.rows(slice(i, i + CHUNK))) for i in range(0, n, CHUNK)] or [_close(book)])
    small, large = np.flatnonzero(safe), np.flatnonzero(~safe)
    parts = [_close(book.rows(large).as_objects())]
    if len(small):
        parts.insert(0, closed_form(book.rows(small)))
    both = _stack(parts)
    order = np.argsort(np.concatenate([small, large]))
    names = ("market_value", "quantities", "feasible", "objective", "cash_after")
    return Closed(**{name: getattr(both, name)[order] for name in names})
