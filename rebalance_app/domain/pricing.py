"""Proving an answer without branching: prices on the coupling rows make the problem separable again.

For any prices y ≥ 0 on rows g(k) ≤ 0,   min_k score(k) + y·g(k)   is a lower bound on the best score, and it falls
apart into one small minimum per line, each at a breakpoint. It is evaluated in exact integers, so that wherever the
prices came from (here: the duals of the relaxation that CVXPY states), the bound is a proof.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import prod

from .bounds import Choice, Interval
from .constraints import broken_rows
from .exchange import total_score
from .integers import ONE, Ledger, Line
from .objective import breakpoints, realised_gain, score

MOST_ROUNDINGS = 512


def whole_prices(duals: Mapping[str, float]) -> dict[str, int]:
    """Dual values as whole numbers over ONE, never below 0."""
    return {name: max(0, round(float(value) * ONE)) for name, value in duals.items()}


def _row_limits(ledger: Ledger) -> dict[str, int]:
    """The constant of every row that is asked for, in grains (orders in orders)."""
    limits: dict[str, int | None] = {
        "cash_floor": ledger.cash - ledger.floor,
        "cash_ceiling": None if ledger.ceiling is None else ledger.ceiling - ledger.cash,
        "turnover": ledger.trade_cap,
        "max_trades": ledger.options.max_trades,
        "gain_budget": ledger.gain_budget,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def _priced(ledger: Ledger, line: Line, prices: Mapping[str, int], k: int) -> int:
    """Score of a line's trade plus what it uses of each priced row, in score units."""
    net = prices.get("cash_floor", 0) - prices.get("cash_ceiling", 0)
    total = score(ledger, line, k) + net * k * line.step + prices.get("turnover", 0) * abs(k) * line.step
    if k and prices.get("max_trades"):
        total += prices["max_trades"] * 10**ledger.places
    if k < 0 and prices.get("gain_budget"):
        total += prices["gain_budget"] * realised_gain(line, k)
    return total


def priced_bound(ledger: Ledger, choices: Sequence[Choice], prices: Mapping[str, int]) -> int:
    """A proven lower bound on the score of every answer, exact."""
    bound = 0
    for c in choices:
        points = (k for segment in c.segments for k in breakpoints(ledger, c.line, segment))
        bound += min(_priced(ledger, c.line, prices, k) for k in points)
    unit = {name: 10**ledger.places if name == "max_trades" else 1 for name in prices}
    limits = _row_limits(ledger)
    return bound - sum(price * limits[name] * unit[name] for name, price in prices.items())


def _within(points: list[int], values: list[int], limit: int) -> Interval | None:
    """The steps between the outer points where a convex function, linear between its points, is at most `limit`."""
    low = [i for i, value in enumerate(values) if value <= limit]
    if not low:
        return None
    first, last = low[0], low[-1]
    start, stop = points[first], points[last]
    if first > 0:
        start -= (limit - values[first]) * (start - points[first - 1]) // (values[first - 1] - values[first])
    if last < len(points) - 1:
        stop += (limit - values[last]) * (points[last + 1] - stop) // (values[last + 1] - values[last])
    return start, stop


def _parts(choice: Choice) -> list[Interval]:
    """The segments, parted at no trade: on each side of it the priced score is convex."""
    parts = []
    for first, last in choice.segments:
        if first <= 0 <= last:
            parts += [(first, -1), (0, 0), (1, last)]
        else:
            parts.append((first, last))
    return [(a, b) for a, b in parts if a <= b]


def _cut_line(ledger: Ledger, choice: Choice, prices: Mapping[str, int], gap: int) -> Choice:
    table = []
    for part in _parts(choice):
        points = breakpoints(ledger, choice.line, part)
        table.append((points, [_priced(ledger, choice.line, prices, k) for k in points]))
    limit = min(min(values) for _, values in table) + gap
    kept = [part for part in (_within(points, values, limit) for points, values in table) if part]
    if kept[0][0] < 0 < kept[-1][1] and (0, 0) not in kept:
        kept.insert(1, (0, 0))
    joined = len(kept) > 1 and len(choice.segments) == 1 and all(b + 1 == c for (_, b), (c, _) in pairwise(kept))
    return Choice(choice.line, ((kept[0][0], kept[-1][1]),) if joined else tuple(sorted(kept)))


def cut(ledger: Ledger, choices: Sequence[Choice], prices: Mapping[str, int], gap: int) -> tuple[Choice, ...]:
    """The choices without every trade that cannot be part of an answer within `gap` (in score) of the priced bound.

    A line's priced score above its minimum adds to the bound: where it exceeds the gap to an answer already known, the
    trade belongs to no better one. What is left for branch and bound is often a handful of lines.
    """
    return tuple(_cut_line(ledger, c, prices, gap) for c in choices)


def neighbours(choice: Choice, steps: float, reach: int) -> tuple[int, ...]:
    """The allowed whole numbers up to `reach` from a fractional trade, the nearest ends of its segments, no trade."""
    below, near = int(steps // 1), set()
    for first, last in choice.segments:
        near |= {min(max(below + i, first), last) for i in range(1 - reach, reach + 1)}
        near |= {0} if first <= 0 <= last else set()
    return tuple(sorted(near))


def rounded(ledger: Ledger, choices: Sequence[Choice], relaxed: Sequence[float]) -> tuple[int, ...] | None:
    """The best whole answer among the neighbours of the relaxation's fractional lines that honours every row."""
    for reach in (1, 3):
        found = _rounded(ledger, choices, relaxed, reach)
        if found is not None:
            return found
    return None


def _rounded(ledger: Ledger, choices: Sequence[Choice], relaxed: Sequence[float], reach: int) -> tuple[int, ...] | None:
    near_whole = 1e-6
    options = []
    for c, steps in zip(choices, relaxed, strict=True):
        whole = round(steps)
        is_whole = abs(steps - whole) < near_whole and any(a <= whole <= b for a, b in c.segments)
        options.append((whole,) if is_whole else neighbours(c, steps, reach))
    if prod(map(len, options)) > MOST_ROUNDINGS:
        return None
    whole_answers = (trades for trades in product(*options) if not broken_rows(ledger, trades))
    return min(whole_answers, key=lambda trades: total_score(ledger, trades), default=None)
