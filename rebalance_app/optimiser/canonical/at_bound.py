"""Answers that attain the Lagrangian bound, or just miss it: of many that are equally good, the first.

Where a cash floor keeps a model from being bought in full, drift does not care which securities are short of it:
thousands of answers are equally good. By complementary slackness an answer attains the bound exactly when every
security is at a minimiser of its Lagrangian cost and every row with a multiplier is used up. The minimisers are a few
intervals of steps; using up a row is a sum that must come out to the grid, or a number of orders. Of these answers the
first trades least, which fixes a second sum. The first by id is then found security by security: the largest trade
whose rest the securities after it can still make up, within what rows without a multiplier permit.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.milp.breakpoints import BreakpointTable, Whole, table
from rebalance_app.optimiser.milp.lagrangian import steps_within
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.coupling import broken, coupling_rows, totals_of
from rebalance_app.optimiser.problem.integer_problem import ONE, IntegerProblem
from rebalance_app.optimiser.problem.objective import rank, realised_gain
from rebalance_app.optimiser.problem.promises import required

from .branching import min_trades
from .cardinality import Orders
from .gain_bound import Gains
from .indifferent import Sets
from .lexicographic import Kept, Search
from .slack_levels import SlackLevel, slack_levels
from .subset_sum import Progression, Sums, TwoSums, progressions

BOUGHT_OR_TRADED = "a level says what is bought less sold, or what is traded"
MOST_LEAPS = 2000  # sums of sales looked at for the least trading

Chosen = dict[int, int] | None  # by security, the first trades; None where there are none
# Solves a problem of its own, or raises SearchLimit.
SubproblemSolver = Callable[[BreakpointTable], tuple[int, ...] | None]


class _TakesMoreSales(SearchLimit):
    """A gain budget takes more sales than anything else does."""


def _next_distance(points: BreakpointTable, values: Whole) -> float:
    """At most the least reduced cost, in score units, of any trade that has one."""
    over = values - np.minimum.reduceat(values, points.start)[points.security]
    within = points.part[1:] == points.part[:-1]
    at_edge = within & ((over[1:] == 0) != (over[:-1] == 0))
    steep = np.abs(over[1:] - over[:-1])[at_edge] // (points.steps[1:] - points.steps[:-1])[at_edge]
    return min([*steep.tolist(), *over[over > 0].tolist()], default=math.inf)


@dataclass(frozen=True, slots=True)
class _AtLevel:
    """Securities with the steps they may trade at a level.

    deadline       when to give up, by the monotonic clock
    fixed          the trades of those that have but one; buys, sales   what these come to, in minor units
    free           the steps of the others
    """

    points: BreakpointTable
    level: SlackLevel
    deadline: float
    fixed: dict[int, int]
    free: Sets
    buys: int
    sales: int

    @classmethod
    def of(cls, points: BreakpointTable, sets: Sets, level: SlackLevel, deadline: float) -> "_AtLevel":
        """Of the given steps."""
        ip = points.ip
        fixed = {i: of[0][0] for i, of in sets.items() if of[0][0] == of[-1][1]}
        amounts = [k * ip.securities[i].step for i, k in fixed.items()]
        buys, sales = sum(x for x in amounts if x > 0), -sum(x for x in amounts if x < 0)
        return cls(points, level, deadline, fixed, {i: of for i, of in sets.items() if i not in fixed}, buys, sales)

    @property
    def ip(self) -> IntegerProblem:
        """The problem."""
        return self.points.ip

    def side_constraints(self, sums: Sums | TwoSums) -> Kept:
        """The side constraints of the trades, with what the securities that are fixed leave of each."""
        kept, number = list[Any](), self.level.orders
        if number is not None:
            made = sum(1 for k in self.fixed.values() if k)
            left = max(0, number[0] - made), min(number[1] - made, len(self.free))
            kept.append((Orders(sums, left), left))
        if self.ip.gain_budget is not None:
            gained = sum(realised_gain(self.ip.securities[i], k) for i, k in self.fixed.items() if k < 0)
            gains = Gains([self.ip.securities[i] for i in self.free], list(self.free.values()))
            kept.append((gains, self.ip.gain_budget - gained))
        return kept

    def search(self, sums: Sums | TwoSums) -> Search:
        """The search for the first trades of the securities that are free, by their sums."""
        return Search(sums, self.side_constraints(sums), self.deadline)

    def progressions(self) -> tuple[list[list[Progression]], int]:
        """Of the securities that are free, and what divides them all."""
        return [progressions(of, self.ip.securities[i].step) for i, of in self.free.items()], self.ip.grid

    def first(self, search: Search, start: Any) -> Chosen:
        """The first trades of all securities, where those that are free begin at a state of their sums."""
        found = search.first(start)
        return None if found is None else self.fixed | dict(zip(self.free, found, strict=True))

    def trading(self, traded: int) -> Chosen:
        """The first trades that come to a sum."""
        return self.first(self.search(Sums(*self.progressions())), traded - self.buys - self.sales)

    def buying(self, traded: int, least: int, most: int) -> Chosen:
        """The first trades that come to a sum of which `least` to `most` is bought."""
        search = self.search(TwoSums(*self.progressions()))
        return self.first(search, (traded - self.buys - self.sales, least - self.buys, most - self.buys))

    def with_least_trading(self, net_bought: int) -> Chosen:
        """The first trades that come to `net_bought` with as little trading as that can take.

        Raises _TakesMoreSales where a gain budget decides how much that is.
        """
        sums = TwoSums(*self.progressions())
        search = self.search(sums)
        more = net_bought + self.sales - self.buys  # what the free securities buy beyond what they sell
        least = max(sums.sales.least[0], sums.buys.least[0] - more)  # sold
        begin = (2 * least + more, least + more, least + more)
        if not all(gains.possible(0, begin, left) for gains, left in search.kept if isinstance(gains, Gains)):
            raise _TakesMoreSales
        for _ in range(MOST_LEAPS):
            sold = sums.sales.nearest(least, 1)
            buys = None if sold is None else sums.buys.nearest(sold + more, 1)
            if sold is None or buys is None:
                return None
            found = self.first(search, (sold + buys, buys, buys)) if buys == sold + more else None
            if found is not None:
                return found
            least = max(sold + sums.unit, buys - more)
        raise SearchLimit


def _on_each_side(securities: _AtLevel, sets: Sets, buys: int, sales: int) -> Chosen:
    """The first trades where buys and sales must each come to a sum of their own."""
    points, level, deadline = securities.points, securities.level, securities.deadline
    buyers = {i: of for i, of in sets.items() if of[0][0] >= 0}
    sellers = {i: of for i, of in sets.items() if of[-1][1] <= 0 and i not in buyers}
    if len(buyers) + len(sellers) < len(sets) or level.orders or points.ip.gain_budget is not None:
        return securities.buying(buys + sales, buys, buys)
    first_buys = _AtLevel.of(points, buyers, level, deadline).trading(buys)
    first_sales = None if first_buys is None else _AtLevel.of(points, sellers, level, deadline).trading(sales)
    return None if first_buys is None or first_sales is None else first_buys | first_sales


def _within_cash(securities: _AtLevel, traded: int) -> Chosen:
    """The first trades that come to `traded` and leave the cash within its floor and ceiling."""
    limits = securities.points.limits
    most = (traded + limits["cash_floor"]) // 2
    least = (traded - limits["cash_ceiling"] + 1) // 2 if "cash_ceiling" in limits else 0
    anyhow = securities.trading(traded)  # one sum is less work than two
    if anyhow is None or least <= sum(max(0, k) * securities.ip.securities[i].step for i, k in anyhow.items()) <= most:
        return anyhow
    return securities.buying(traded, least, most)


def _chosen(securities: _AtLevel, sets: Sets, level: SlackLevel) -> Chosen:
    """The first trades of a level. Raises SearchLimit, and _TakesMoreSales."""
    net_bought, traded = level.net_bought, level.traded
    if traded is None:
        return securities.with_least_trading(required(net_bought, BOUGHT_OR_TRADED))
    if net_bought is None:
        return _within_cash(securities, traded)
    even = (traded + net_bought) % 2 == 0
    return _on_each_side(securities, sets, (traded + net_bought) // 2, (traded - net_bought) // 2) if even else None


def _as_least_trading(ip: IntegerProblem, sets: Sets, level: SlackLevel) -> BreakpointTable:
    """A level that says what is bought, with as little trading as that can take, as a problem of its own."""
    net_bought = required(level.net_bought, BOUGHT_OR_TRADED)
    cash, (fewest, most) = ip.cash - net_bought, level.orders or (0, None)
    kept = replace(ip, floor=cash, ceiling=cash, most_orders=most, reserves_costs=False)
    stated = replace(kept, drift_weight=0, trade_weight=ONE, ticket=0, soft=False)
    choices = tuple(AllowedTrades(security, tuple(sets[i])) for i, security in enumerate(ip.securities))
    return table(stated, choices, coupling_rows(stated) | ({"min_trades": min_trades(fewest)} if fewest else {}))


def _first_at(
    points: BreakpointTable, sets: Sets, level: SlackLevel, deadline: float, solve_subproblem: SubproblemSolver
) -> tuple[int, ...] | None:
    """The first answer of a level by `rank`; None for none. Raises SearchLimit."""
    ip = points.ip
    try:
        found = _chosen(_AtLevel.of(points, sets, level, deadline), sets, level)
        trades = None if found is None else tuple(found[i] for i in range(len(ip.securities)))
    except _TakesMoreSales:
        trades = solve_subproblem(_as_least_trading(ip, sets, level))
    if trades is None:
        return None
    unkept = broken(points.rows, totals_of(ip, trades))
    if level.traded is None and "turnover" in unkept:
        return None  # as little as possible is traded
    if unkept:
        raise SearchLimit  # rows without a multiplier decide which is the first, and they are not looked at here
    return trades


def first_at_bound(
    points: BreakpointTable, multipliers: Mapping[str, int], deadline: float, solve_subproblem: SubproblemSolver
) -> tuple[tuple[int, ...] | None, int]:
    """The first of all answers by `rank`, where one attains the bound of the multipliers or just misses it.

    Without one, how far from the bound (in score) there is none either. `solve_subproblem` solves what becomes a
    problem of its own. Raises SearchLimit, also when the monotonic clock says so.
    """
    ip, values = points.ip, points.lagrangian_costs(multipliers)
    sets, next_distance = steps_within(points, values, 0), _next_distance(points, values)
    distance = 0
    for level in slack_levels(points, multipliers):
        distance = level[0].cost
        if distance >= next_distance:
            break
        tried = (_first_at(points, sets, each, deadline, solve_subproblem) for each in level)
        found = [trades for trades in tried if trades is not None]
        if found:
            return min(found, key=lambda trades: rank(ip, trades)), distance
    return None, int(min(next_distance, distance))
