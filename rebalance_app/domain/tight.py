"""Answers that attain the bound of the prices exactly, and of them the first by `exchange.rank`: without floats.

Where a cash floor keeps a model from being bought in full, drift does not care which securities are short of it:
thousands of answers are equally good. An answer attains the bound exactly when every line is at a least of its priced
score and every priced row is used up. The leasts of a line are a few intervals of steps; using up a row is a sum that
must come out to the grain. Least trading prices that row once more. The first by id is then found line by line: the
largest trade whose rest the lines after it can still make up.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate, groupby, product
from typing import Any

import numpy as np

from .constraints import Interval
from .coupling import broken_rows
from .exchange import rank
from .integers import Ledger, Line
from .pricing import grid, kept_steps, row_limits
from .table import Table, Whole

KNOWN = 2**20  # sums: where lines can make no more of them, all are known; else those in a window at either end
WINDOW = 2**16
JUMPS = 4  # how often the longest step fits into the window
MOST_LOOKS = 50_000  # at single trades, until the search for the first sum is given up
UNITS = 4  # of a priced row that may be left, at most, less one

Sets = Mapping[int, Sequence[Interval]]  # by line, ascending intervals of steps


def _toward(sign: int, intervals: Sequence[Interval]) -> list[Interval]:
    """Of some steps those with the least |k| − sign·k: all on that side of 0, else the one nearest to it."""
    side = [(max(a, 0), b) if sign > 0 else (a, min(b, 0)) for a, b in intervals]
    nearest = intervals[-1][1] if sign > 0 else intervals[0][0]
    return [(a, b) for a, b in side if a <= b] or [(nearest, nearest)]


def _smallest(intervals: Sequence[Interval]) -> list[Interval]:
    """Of some steps those with the least |k|: one, or k and −k."""
    near = {min(max(0, a), b) for a, b in intervals}
    least = min(map(abs, near))
    return [(k, k) for k in sorted(near) if abs(k) == least]


def _least_trading(lines: Sequence[Line], sets: Sets, bought: int) -> Sets:
    """What is left of the sets when as little as possible is traded and it comes to `bought`, buys less sales.

    Σ|p·k| ≥ Σ min(|p·k| − y·p·k) + y·bought for any y; its best y is −1, 0 or 1, the slopes of |p·k|.
    """

    def bound(y: int, left: Sets) -> int:
        return y * bought + sum(lines[i].step * (abs(of[0][0]) - y * of[0][0]) for i, of in left.items())

    tried: dict[int, Sets] = {
        1: {i: _toward(1, of) for i, of in sets.items()},
        0: {i: _smallest(of) for i, of in sets.items()},
        -1: {i: _toward(-1, of) for i, of in sets.items()},
    }
    return tried[max(tried, key=lambda y: bound(y, tried[y]))]


class TooMany(Exception):  # noqa: N818
    """There may be an answer, but too much would have to be tried to know which is the first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Trades of one side, `least` to `most` steps, each of which adds to a sum `unit`, which may be below 0."""

    side: int
    least: int
    most: int
    unit: int

    @property
    def ends(self) -> Interval:
        """The smallest and the largest amount."""
        a, b = self.least * self.unit, self.most * self.unit
        return min(a, b), max(a, b)

    def between(self, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        """(−steps, −k, amount) of its trades that amount to `low` to `high`, the largest trade first."""
        if not self.unit:
            first, last = (self.least, self.most) if low <= 0 <= high else (1, 0)
        elif self.unit > 0:
            first, last = -(-low // self.unit), high // self.unit
        else:
            first, last = -(high // -self.unit), -low // -self.unit
        for steps in range(min(last, self.most), max(first, self.least) - 1, -1):
            yield -steps, -steps * self.side, steps * self.unit


def pieces(intervals: Sequence[Interval], buy: int, sell: int) -> list[Piece]:
    """The intervals by side, where a step bought adds `buy` to a sum and a step sold `sell`; no trade is a buy of 0."""
    found = []
    for a, b in intervals:
        if b >= 0:
            found.append(Piece(1, max(a, 0), b, buy))
        if a < 0:
            found.append(Piece(-1, max(1, -b), -a, sell))
    return found


def pieces_of(ledger: Ledger, sets: Sets, sell: int) -> list[list[Piece]]:
    """By line, its trades in grains; a sale counts `sell`, 1 or −1, times what it sells."""
    lines = ledger.lines
    return [pieces(of, lines[i].step, sell * lines[i].step) for i, of in sets.items()]


def spread(bits: int, unit: int, times: int, mask: int) -> int:
    """The sums in `bits` (one per bit) with 0 to `times` units added to each, within the mask."""
    covered = 1
    while covered <= times and unit * covered <= mask.bit_length():
        more = min(covered, times + 1 - covered)
        bits |= bits << more * unit & mask
        covered += more
    return bits


Trades = Iterator[tuple[int, Any]]  # k and what is to be made up after it; None: that is impossible


def first_path(lines: int, start: Any, trades: Callable[[int, Any], Trades]) -> list[int] | None:
    """The first trades, line by line, that lead from `start` through all lines; None for none. Raises TooMany.

    `trades` gives those of a line in the order in which they are to be tried.
    """
    looks, dead = 0, set()
    path, tried = list[tuple[int, Any]](), [trades(0, start)]
    while len(path) < lines:
        for k, state in tried[-1]:
            looks += 1
            if looks > MOST_LOOKS:
                raise TooMany
            if state is not None and (len(path), state) not in dead:
                path.append((k, state))
                tried.append(trades(len(path), state))
                break
        else:
            tried.pop()
            if not path:
                return None
            _, state = path.pop()
            dead.add((len(path), state))
    return [k for k, _ in path]


class Sums:
    """What lines of pieces can add up to: from line i on, known exactly, or but within a window from either end."""

    def __init__(self, lines: Sequence[Sequence[Piece]], unit: int) -> None:
        """Each line needs a piece; `unit` divides what every one of its trades adds."""
        self.lines, self.unit = lines, unit
        ends = [[p.ends for p in line] for line in lines]
        self.least = [*accumulate((min(a for a, _ in line) for line in reversed(ends)), initial=0)][::-1]
        self.most = [*accumulate((max(b for _, b in line) for line in reversed(ends)), initial=0)][::-1]
        jumps = [abs(p.unit) * max(1, p.least if len(line) > 1 else 1) for line in lines for p in line]
        window = min(max(WINDOW, JUMPS * max(jumps, default=1) // unit), KNOWN)
        ranges = ((most - least) // unit + 1 for least, most in zip(self.least, self.most, strict=True))
        self.known = [every if every <= KNOWN else window for every in ranges]
        self.from_least = self._reached(1)
        self.from_most = self._reached(-1)

    def _reached(self, sign: int) -> list[int]:
        """By line, which sums of it and those after it lie 0, 1, ... units above the least, or below the most."""
        reached = [1]
        for i in reversed(range(len(self.lines))):
            mask = (1 << self.known[i]) - 1
            bits, end = 0, self.least[i] - self.least[i + 1] if sign > 0 else self.most[i] - self.most[i + 1]
            for p in self.lines[i]:
                away = (p.ends[0] - end if sign > 0 else end - p.ends[1]) // self.unit
                if away < self.known[i]:
                    bits |= spread(reached[-1] << away & mask, abs(p.unit) // self.unit, p.most - p.least, mask)
            reached.append(bits)
        return reached[::-1]

    def reached(self, i: int, sign: int) -> int:
        """The sums of the lines from i on, as `_reached` has them: of `known[i]` units from one end."""
        return (self.from_least if sign > 0 else self.from_most)[i]

    def away(self, i: int, total: int, sign: int) -> int:
        """Units from the least (sign 1) or the most (−1) of the lines from i on."""
        return (total - self.least[i] if sign > 0 else self.most[i] - total) // self.unit

    def possible(self, i: int, total: int) -> bool:
        """Whether the lines from i on may add up to the total; what is said to be impossible is."""
        if not self.least[i] <= total <= self.most[i] or total % self.unit:
            return False
        aways = ((self.away(i, total, sign), sign) for sign in (1, -1))
        return all(away >= self.known[i] or self.reached(i, sign) >> away & 1 for away, sign in aways)

    def trades(self, i: int, total: int) -> Trades:
        """The trades of line i, largest first, and what the lines after it must add up to."""
        if i < len(self.lines):
            low, high = total - self.most[i + 1], total - self.least[i + 1]
            for _, minus_k, amount in merge(*(p.between(low, high) for p in self.lines[i])):
                rest = total - amount
                yield -minus_k, rest if self.possible(i + 1, rest) else None

    def first(self, total: int) -> list[int] | None:
        """The trades that add up to the total: of all such, line by line, the largest, and a buy before a sale.

        None where there are none. Raises TooMany.
        """
        return first_path(len(self.lines), total, self.trades) if self.possible(0, total) else None


def _one_side(line: Sequence[Piece], side: int) -> list[Piece]:
    """What a line may add on one side: nothing, where it may trade on the other."""
    these = [p for p in line if p.side == side]
    return these if len(these) == len(line) else [*these, Piece(side, 0, 0, 0)]


class TwoSums:
    """What lines can buy and sell, where both together must come to a sum, and buys may come to a range of sums.

    A state is that sum, and the range of buys, for the lines still to come.
    """

    def __init__(self, lines: Sequence[Sequence[Piece]], unit: int) -> None:
        """As `Sums` has them; a step sold adds what it sells."""
        self.lines, self.unit = lines, unit
        self.buys, self.sales = (Sums([_one_side(line, side) for line in lines], unit) for side in (1, -1))
        self.mirrors: dict[tuple[int, int], int] = {}

    def _mirrored(self, i: int, sign: int) -> int:
        """The known sums of sales from line i on and from one end, last bit first."""
        if (i, sign) not in self.mirrors:
            self.mirrors[i, sign] = int(f"{self.sales.reached(i, sign):0{self.sales.known[i]}b}"[::-1], 2)
        return self.mirrors[i, sign]

    def _meet(self, i: int, both: int, low: int, high: int) -> bool:
        """Whether sums are known, or not known not to be, with buys of `low` to `high` and sales for the rest.

        Looked at from each of two ends of the buys and of the sales, wherever the windows tell.
        """
        buys, sales, window = self.buys, self.sales, self.sales.known[i]
        for sign in (1, -1):
            far, near = (low, high) if sign < 0 else (high, low)
            first, last = buys.away(i, near, sign), buys.away(i, far, sign)
            if last >= buys.known[i]:
                continue
            bought = buys.reached(i, sign) >> first & (1 << last - first + 1) - 1
            with_first = both - near
            same, other = sales.away(i, with_first, sign), sales.away(i, with_first, -sign)
            if same < window and not bought & self._mirrored(i, sign) >> window - 1 - same:
                return False
            if other + last - first < window:
                known = sales.reached(i, -sign)
                if not bought & (known >> other if other >= 0 else known << -other):
                    return False
        return True

    def possible(self, i: int, both: int, low: int, high: int) -> bool:
        """Whether the lines from i on may come to `both` with buys of `low` to `high`; what is impossible is."""
        buys, sales, unit = self.buys, self.sales, self.unit
        low = max(low, buys.least[i], both - sales.most[i])
        high = min(high, buys.most[i], both - sales.least[i])
        low, high = -(-low // unit) * unit, high // unit * unit
        return low <= high and not both % unit and self._meet(i, both, low, high)

    def trades(self, i: int, state: tuple[int, int, int]) -> Trades:
        """The trades of line i, largest first, and the state after it."""
        both, low, high = state
        if i < len(self.lines):
            after = i + 1
            most = both - self.buys.least[after] - self.sales.least[after]
            for _, minus_k, amount in merge(*(p.between(0, most) for p in self.lines[i])):
                bought = amount if minus_k < 0 else 0
                rest = both - amount, low - bought, high - bought
                yield -minus_k, rest if self.possible(after, *rest) else None

    def first(self, both: int, low: int, high: int) -> list[int] | None:
        """The trades that come to `both`, of which `low` to `high` is bought, as `Sums.first` has them."""
        if not self.possible(0, both, low, high):
            return None
        return first_path(len(self.lines), (both, low, high), self.trades)


@dataclass(frozen=True, slots=True)
class Level:
    """Answers of one score: `cost` above the bound, with what must be bought (net) and traded; None: either may be."""

    cost: int
    bought: int | None
    traded: int | None


def _levels(ledger: Ledger, prices: Mapping[str, int]) -> Iterator[list[Level]]:
    """What uses up the priced rows, then what leaves a unit or a few of them, in order of cost; equal costs together.

    Nothing where rows are priced that no trade adds money to, or both ends of the cash.
    """
    used, limits, unit = {name for name, price in prices.items() if price}, row_limits(ledger), grid(ledger)
    net = used & {"cash_floor", "cash_ceiling"}
    if not used or len(net) > 1 or not used - net <= {"turnover"}:
        return
    name = next(iter(net), "")
    sign = -1 if name == "cash_ceiling" else 1

    def level(left: int, unused: int) -> Level:
        bought = sign * (limits[name] - left * unit) if net else None
        traded = limits["turnover"] - unused * unit if "turnover" in used else None
        return Level((left * prices.get(name, 0) + unused * prices.get("turnover", 0)) * unit, bought, traded)

    lefts, unuseds = range(UNITS if net else 1), range(UNITS if "turnover" in used else 1)
    most = UNITS * unit * min(prices[each] for each in used)
    levels = sorted((level(*each) for each in product(lefts, unuseds)), key=lambda each: each.cost)
    for cost, same in groupby(levels, key=lambda each: each.cost):
        if cost < most:
            yield list(same)


def _next_spare(points: Table, values: Whole) -> float:
    """At least how far above its line's least, in score units, the priced score of any other trade is."""
    over = values - np.minimum.reduceat(values, points.start)[points.line]
    within = points.part[1:] == points.part[:-1]
    beside = within & ((over[1:] == 0) != (over[:-1] == 0))
    steep = np.abs(over[1:] - over[:-1])[beside] // (points.steps[1:] - points.steps[:-1])[beside]
    return min([*steep.tolist(), *over[over > 0].tolist()], default=math.inf)


def _first_of(ledger: Ledger, sets: Sets, total: int, sell: int = 1) -> dict[int, int] | None:
    """The first trades of some lines that add up to the total, a step sold counting `sell` steps; None for none."""
    sums = Sums(pieces_of(ledger, sets, sell), grid(ledger))
    first = sums.first(total)
    return None if first is None else dict(zip(sets, first, strict=True))


def _on_each_side(ledger: Ledger, sets: Sets, bought: int, traded: int) -> dict[int, int] | None:
    """The first trades where buys and sales must each come to a sum of their own."""
    if (bought + traded) % 2:
        return None
    buys, sales = (traded + bought) // 2, (traded - bought) // 2
    buyers = {i: of for i, of in sets.items() if of[0][0] >= 0}
    sellers = {i: of for i, of in sets.items() if of[-1][1] <= 0 and i not in buyers}
    if len(buyers) + len(sellers) < len(sets):
        first = TwoSums(pieces_of(ledger, sets, 1), grid(ledger)).first(traded, buys, buys)
        return None if first is None else dict(zip(sets, first, strict=True))
    first_buys = _first_of(ledger, buyers, buys)
    first_sales = None if first_buys is None else _first_of(ledger, sellers, sales)
    return None if first_buys is None or first_sales is None else first_buys | first_sales


def _within_cash(ledger: Ledger, sets: Sets, traded: int) -> dict[int, int] | None:
    """The first trades that come to `traded` and leave the cash within its floor and ceiling."""
    limits = row_limits(ledger)
    most = (traded + limits["cash_floor"]) // 2
    least = (traded - limits["cash_ceiling"] + 1) // 2 if "cash_ceiling" in limits else 0
    first = TwoSums(pieces_of(ledger, sets, 1), grid(ledger)).first(traded, least, most)
    return None if first is None else dict(zip(sets, first, strict=True))


def _first_at(ledger: Ledger, sets: Sets, level: Level) -> tuple[int, ...] | None:
    """The first answer of a level by `exchange.rank`; None for none. Raises TooMany."""
    if level.traded is None:
        assert level.bought is not None
        found = _first_of(ledger, _least_trading(ledger.lines, sets, level.bought), level.bought, -1)
    elif level.bought is None:
        found = _within_cash(ledger, sets, level.traded)
    else:
        found = _on_each_side(ledger, sets, level.bought, level.traded)
    trades = None if found is None else tuple(found[i] for i in range(len(ledger.lines)))
    if trades is not None and broken_rows(ledger, trades):
        raise TooMany  # rows without a price decide which is the first, and they are not looked at here
    return trades


def first_tight(ledger: Ledger, points: Table, prices: Mapping[str, int]) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, where one attains the bound of the prices or just misses it.

    `points` are the breakpoints of the choices. None says nothing: the best answer is further from the bound, or too
    much would have to be tried.
    """
    values = points.priced(prices)
    sets, spare = kept_steps(points, values, 0), _next_spare(points, values)
    try:
        for level in _levels(ledger, prices):
            if level[0].cost >= spare:
                return None
            found = [trades for each in level if (trades := _first_at(ledger, sets, each)) is not None]
            if found:
                return min(found, key=lambda trades: rank(ledger, trades))
    except TooMany:
        pass
    return None
