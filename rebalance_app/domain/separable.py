"""The closed form: without coupling rows every security is its own problem, and its optimum is known.

    u* = clip(nearest whole number to MV·t/p, ⌈MV(t − l)/p⌉⁺, ⌊MV(t + h)/p⌋)

|MV·t − p·u| is convex in u, so the clipped nearest integer is optimal; at a tie of .5 the neighbour nearer to what is
held wins. Where the coupling rows hold at u*, it is the optimum of the whole problem, and its bound is its objective.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bounds import Choice, choice
from .integers import Ledger
from .objective import best

Ints = NDArray[np.int64]
CHUNK = 128  # rows at a time: five inputs and the scratch arrays of 128 × 100 cells stay in a core's cache
LIMIT = 2.0**62


def solve_alone(ledger: Ledger) -> tuple[tuple[Choice, ...], tuple[int, ...] | None]:
    """Choices of every line, and each line's best trade by itself; None for the trades when a line has no choice."""
    choices = tuple(choice(ledger, line) for line in ledger.lines)
    if not all(c.segments for c in choices):
        return choices, None
    return choices, tuple(best(ledger, c) for c in choices)


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


def fits(book: Book) -> NDArray[np.bool_]:
    """(P,) whether no intermediate of the row can leave 64 bits; a generous float estimate."""
    prices = book.prices.astype(np.float64)
    gross = np.abs(book.cash.astype(np.float64))
    held = np.abs(book.quantities.astype(np.float64))
    gross += np.einsum("...j,...j->...", np.broadcast_to(prices, held.shape), held)
    weights = (book.targets + book.low_drifts + book.high_drifts).astype(np.float64).sum(axis=-1)
    estimate = gross * (2.0 * book.weight_scale + weights) + 4.0 * book.weight_scale * prices.sum(axis=-1)
    return np.asarray(estimate < LIMIT)


def _close(book: Book) -> Closed:
    """The closed form of one chunk, in whatever integers the arrays hold."""
    p, q = book.prices, book.quantities
    market_value = book.cash + (p * q).sum(axis=1)
    mv, step = market_value[:, None], p * book.weight_scale
    aim = mv * book.targets
    least = np.maximum(0, -((mv * book.low_drifts - aim) // step))
    most = (aim + mv * book.high_drifts) // step
    if book.buyable is not None:
        most = np.where(book.buyable, most, np.minimum(most, q))
    if book.sellable is not None:
        least = np.where(book.sellable, least, np.maximum(least, q))
    below = aim // step
    twice = 2 * (aim - below * step)
    nearest = below + ((twice > step) | ((twice == step) & (q > below)))
    chosen = np.minimum(np.maximum(nearest, least), most)
    return Closed(
        market_value=market_value,
        quantities=chosen,
        feasible=(least <= most).all(axis=1) & (market_value >= 0),
        objective=np.abs(aim - chosen * step).sum(axis=1),
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
