"""The closed form of plain portfolios, as arrays: each security at the whole number nearest its target, in its band.

    u* = clip(nearest whole number to MV·t/p, ⌈MV(t − l)/p⌉⁺, ⌊MV(t + h)/p⌋)

|MV·t − p·u| is convex in u, so the clipped nearest integer is optimal; at a tie of .5 the neighbour nearer to what is
held wins. Where the coupling rows hold at u*, it is the optimum of the whole problem, and its bound is its objective.
"""

import numpy as np

from .bands import SteppedPosition, band_interval
from .batch import Batch, BatchAnswer, Bools, Ints, stacked

CHUNK = 256  # rows at a time: five inputs and the scratch arrays of 256 × 100 cells stay in a core's cache
LIMIT = 2.0**62


def nearest_trade(at: SteppedPosition) -> int:
    """Steps to the whole number nearest to target, in the band if it holds one; of two, the smaller trade."""
    below = (at.target - at.held) // at.step
    floor = -(at.held // at.step)
    least, most = band_interval(at)

    def distance(k: int) -> tuple[int, int]:
        return abs(at.target - at.held - k * at.step), abs(k)

    k = max(min((below, below + 1), key=distance), floor)
    return max(least, min(k, most)) if least <= most else k


def closed_form(batch: Batch) -> BatchAnswer:
    """The proven optimum of every portfolio, drift to target, where it keeps the cash floor; exact.

    Not answered are those worth nothing, with a band in which no whole number is allowed, that end below their floor or
    above their ceiling, or that do not fit.
    """
    starts = range(0, max(len(batch.cash), 1), CHUNK)
    return stacked([_close(batch.rows(slice(start, start + CHUNK))) for start in starts])


def _close(batch: Batch) -> BatchAnswer:
    """The closed form of one chunk.

    One division per cell finds the nearest whole number. Only rows where it leaves a band or may not be traded for take
    the two further divisions that the bounds cost.
    """
    p, q = batch.prices, batch.quantities
    market_value = batch.cash + (p * q).sum(axis=1)
    mv, step = market_value[:, None], p * batch.weight_scale
    aim = mv * batch.targets
    chosen = aim // step
    twice = 2 * (aim - chosen * step)
    chosen += (twice > step) | ((twice == step) & (q > chosen))
    above = chosen * step - aim
    outside = ((above > mv * batch.high_drifts) | (-above > mv * batch.low_drifts)).any(axis=1)
    for barred, side in ((batch.barred_buys, 1), (batch.barred_sales, -1)):
        if barred:
            outside |= (side * (chosen[:, barred] - q[:, barred]) > 0).any(axis=1)
    answered = (market_value > 0) & fits(batch)
    rows = np.flatnonzero(outside)
    if len(rows):
        chosen[rows], has_room = _clipped(batch.rows(rows), mv[rows], chosen[rows])
        answered[rows] &= has_room
        above = chosen * step - aim
    cash_after = market_value - (p * chosen).sum(axis=1)
    return BatchAnswer(
        answered=answered & (batch.floor <= cash_after) & (cash_after <= batch.ceiling),
        quantities=chosen,
        market_value=market_value,
        cash_after=cash_after,
        drift=np.abs(above).sum(axis=1),
    )


def _clipped(batch: Batch, mv: Ints, nearest: Ints) -> tuple[Ints, Bools]:
    """The nearest whole numbers clipped to bands and restrictions, and whether a row's bands all leave one."""
    step, aim = batch.prices * batch.weight_scale, mv * batch.targets
    least = np.maximum(0, -((mv * batch.low_drifts - aim) // step))
    most = (aim + mv * batch.high_drifts) // step
    for limit, barred, narrower in ((most, batch.barred_buys, np.minimum), (least, batch.barred_sales, np.maximum)):
        limit[:, barred] = narrower(limit[:, barred], batch.quantities[:, barred])
    return np.minimum(np.maximum(nearest, least), most), np.asarray((least <= most).all(axis=1))


def fits(batch: Batch) -> Bools:
    """(P,) whether no intermediate of the row can leave the integers it is in; a generous estimate in floats."""
    if batch.prices.dtype == object:
        return np.ones(len(batch.cash), dtype=np.bool_)
    prices = batch.prices.astype(np.float64)
    gross = np.abs(batch.cash) + np.abs(batch.quantities).astype(np.float64) @ prices
    weights = 2.0 * batch.weight_scale + float((batch.targets + batch.low_drifts + batch.high_drifts).sum())
    return np.asarray(gross * weights + 4.0 * batch.weight_scale * prices.sum() < LIMIT)
