"""Answers that attain the bound of the prices exactly, and of them the first by `exchange.rank`: without floats.

Where a cash floor keeps a model from being bought in full, drift does not care which securities are short of it:
thousands of answers are equally good. An answer attains the bound exactly when every line is at a least of its priced
score and every priced row is used up. The leasts of a line are a few intervals of steps; using up a row is a sum that
must come out to the grain. Least trading prices that row once more. The first by id is then found line by line: the
largest trade whose rest the lines after it can still make up.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np

from .coupling import broken_rows
from .exchange import rank
from .fill import Sets
from .integers import Ledger
from .pricing import grid, kept_steps, row_limits
from .sums import Piece, Sums, TooMany, TwoSums, pieces
from .table import Table, Whole

LEFT = 4  # 0 to LEFT − 1 units of a priced row may be left
MOST_SALES = 30  # sums of sales tried for the least trading


def _pieces_of(ledger: Ledger, sets: Sets, sell: int) -> list[list[Piece]]:
    """By line, its trades in grains; a sale counts `sell`, 1 or −1, times what it sells."""
    lines = ledger.lines
    return [pieces(of, lines[i].step, sell * lines[i].step) for i, of in sets.items()]


@dataclass(frozen=True, slots=True)
class _Level:
    """Answers of one score: `cost` above the bound, in score units, with what must come to what, in grains.

    bought, traded   buys less sales, and buys plus sales; None where that may be anything
    """

    cost: int
    bought: int | None
    traded: int | None


def _levels(ledger: Ledger, prices: Mapping[str, int]) -> Iterator[list[_Level]]:
    """What uses up the priced rows, then what leaves a unit or a few of them, in order of cost; equal costs together.

    Nothing where orders or gains are priced, or both ends of the cash.
    """
    used, limits, unit = {name for name, price in prices.items() if price}, row_limits(ledger), grid(ledger)
    net = used & {"cash_floor", "cash_ceiling"}
    if not used or len(net) > 1 or not used - net <= {"turnover"}:
        return
    name = next(iter(net), "")
    sign = -1 if name == "cash_ceiling" else 1

    def level(left: int, unused: int) -> _Level:
        bought = sign * (limits[name] - left * unit) if net else None
        traded = limits["turnover"] - unused * unit if "turnover" in used else None
        return _Level((left * prices.get(name, 0) + unused * prices.get("turnover", 0)) * unit, bought, traded)

    lefts, unuseds = range(LEFT if net else 1), range(LEFT if "turnover" in used else 1)
    most = LEFT * unit * min(prices[each] for each in used)
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


def _fixed(sets: Sets) -> dict[int, int]:
    """The trades of lines that have but one."""
    return {i: of[0][0] for i, of in sets.items() if of[0][0] == of[-1][1]}


def _amounts(ledger: Ledger, trades: Mapping[int, int]) -> tuple[int, int]:
    """Grains bought and sold."""
    amounts = [k * ledger.lines[i].step for i, k in trades.items()]
    return sum(x for x in amounts if x > 0), -sum(x for x in amounts if x < 0)


def _first_of(ledger: Ledger, sets: Sets, total: int, sell: int = 1) -> dict[int, int] | None:
    """The first trades of some lines that add up to the total, a step sold counting `sell` steps; None for none."""
    fixed = _fixed(sets)
    free = {i: of for i, of in sets.items() if i not in fixed}
    bought, sold = _amounts(ledger, fixed)
    first = Sums(_pieces_of(ledger, free, sell), grid(ledger)).first(total - bought - sell * sold)
    return None if first is None else fixed | dict(zip(free, first, strict=True))


@dataclass(frozen=True, slots=True)
class _Both:
    """What some lines buy and sell, without those that have but one trade."""

    fixed: dict[int, int]
    free: Sets
    sums: TwoSums
    bought: int
    sold: int

    @classmethod
    def of(cls, ledger: Ledger, sets: Sets) -> "_Both":
        """Of the given sets."""
        fixed = _fixed(sets)
        free = {i: of for i, of in sets.items() if i not in fixed}
        return cls(fixed, free, TwoSums(_pieces_of(ledger, free, 1), grid(ledger)), *_amounts(ledger, fixed))

    def first(self, traded: int, least: int, most: int) -> dict[int, int] | None:
        """The first trades that come to `traded`, `least` to `most` of it bought; None for none. Raises TooMany."""
        first = self.sums.first(traded - self.bought - self.sold, least - self.bought, most - self.bought)
        return None if first is None else self.fixed | dict(zip(self.free, first, strict=True))


def _with_least_trading(ledger: Ledger, sets: Sets, bought: int) -> dict[int, int] | None:
    """The first trades that come to `bought`, buys less sales, with as little trading as that can take."""
    both = _Both.of(ledger, sets)
    sales, unit = both.sums.sales, grid(ledger)
    sold = max(sales.least[0], both.sums.buys.least[0] + both.bought - bought - both.sold)
    for tried in range(MOST_SALES):
        nearest = sales.nearest(sold, 1)
        if nearest is None:
            return None
        sells = nearest + both.sold
        found = both.first(bought + 2 * sells, bought + sells, bought + sells)
        if found is not None:
            return found
        if not tried and _first_of(ledger, sets, bought, -1) is None:
            return None
        sold = nearest + unit
    raise TooMany


def _on_each_side(ledger: Ledger, sets: Sets, bought: int, traded: int) -> dict[int, int] | None:
    """The first trades where buys and sales must each come to a sum of their own."""
    if (bought + traded) % 2:
        return None
    buys, sales = (traded + bought) // 2, (traded - bought) // 2
    buyers = {i: of for i, of in sets.items() if of[0][0] >= 0}
    sellers = {i: of for i, of in sets.items() if of[-1][1] <= 0 and i not in buyers}
    if len(buyers) + len(sellers) < len(sets):
        return _Both.of(ledger, sets).first(traded, buys, buys)
    first_buys = _first_of(ledger, buyers, buys)
    first_sales = None if first_buys is None else _first_of(ledger, sellers, sales)
    return None if first_buys is None or first_sales is None else first_buys | first_sales


def _within_cash(ledger: Ledger, sets: Sets, traded: int) -> dict[int, int] | None:
    """The first trades that come to `traded` and leave the cash within its floor and ceiling."""
    limits = row_limits(ledger)
    most = (traded + limits["cash_floor"]) // 2
    least = (traded - limits["cash_ceiling"] + 1) // 2 if "cash_ceiling" in limits else 0
    anyhow = _first_of(ledger, sets, traded)  # one sum is less work than two
    if anyhow is None or least <= _amounts(ledger, anyhow)[0] <= most:
        return anyhow
    return _Both.of(ledger, sets).first(traded, least, most)


def _first_at(ledger: Ledger, sets: Sets, level: _Level) -> tuple[int, ...] | None:
    """The first answer of a level by `exchange.rank`; None for none. Raises TooMany."""
    if level.traded is None:
        assert level.bought is not None
        found = _with_least_trading(ledger, sets, level.bought)
    elif level.bought is None:
        found = _within_cash(ledger, sets, level.traded)
    else:
        found = _on_each_side(ledger, sets, level.bought, level.traded)
    if found is None:
        return None
    trades = tuple(found[i] for i in range(len(ledger.lines)))
    broken = set(broken_rows(ledger, trades))
    if level.traded is None and "turnover" in broken:
        return None  # as little as possible is traded
    if broken:
        raise TooMany  # rows without a price decide which is the first, and they are not looked at here
    return trades


def first_tight(ledger: Ledger, points: Table, prices: Mapping[str, int]) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, where one attains the bound of the prices or just misses it.

    `points` are the breakpoints of the choices. None: the best answer is further from the bound. Raises TooMany.
    """
    values = points.priced(prices)
    sets, spare = kept_steps(points, values, 0), _next_spare(points, values)
    for level in _levels(ledger, prices):
        if level[0].cost >= spare:
            break
        found = [trades for each in level if (trades := _first_at(ledger, sets, each)) is not None]
        if found:
            return min(found, key=lambda trades: rank(ledger, trades))
    return None
