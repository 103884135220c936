"""Levels: what an answer's sums must come to, for its score to be so far above the bound of the multipliers.

Where every security is at a least of its Lagrangian cost, an answer is above the bound only by what it leaves of priced
rows. It leaves whole units: of money what divides all that can be traded, and of orders one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby

from rebalance_app.optimiser.milp.lagrangian import grid, row_limits
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem

MOST_LEVELS = 10
NET, COUNTED = frozenset({"cash_floor", "cash_ceiling"}), frozenset({"max_trades", "min_trades"})


@dataclass(frozen=True, slots=True)
class SlackLevel:
    """Answers of one score: `cost` above the bound, in score units, with what must come to what, in minor units.

    bought, traded   buys less sales, and buys plus sales; None where that may be anything, but not both are None
    orders           how many exactly; None where no price decides it
    """

    cost: int
    bought: int | None
    traded: int | None
    orders: int | None

    def number(self, ip: IntegerProblem) -> tuple[int, int] | None:
        """The fewest and the most orders of an answer; None where any number will do."""
        if self.orders is not None:
            return self.orders, self.orders
        fewest, most = ip.fewest_orders, ip.orders_allowed
        return (fewest, most) if fewest or most < len(ip.securities) else None


def _least_first(costs: list[int], most: list[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """What so many of each cost together, from none to the most of each, those that cost least first."""
    nothing = (0,) * len(costs)
    waiting, seen = [(0, nothing)], {nothing}
    while waiting:
        cost, numbers = heappop(waiting)
        yield cost, numbers
        for i, more in enumerate(costs):
            following = (*numbers[:i], numbers[i] + 1, *numbers[i + 1 :])
            if following[i] <= most[i] and following not in seen:
                seen.add(following)
                heappush(waiting, (cost + more, following))


def slack_levels(ip: IntegerProblem, multipliers: Mapping[str, int]) -> Iterator[list[SlackLevel]]:
    """What uses up the priced rows, then what leaves a few units of them, in order of cost; equal costs together.

    Nothing where gains are priced, or both ends of the cash, or nothing but orders.
    """
    used, limits = sorted(name for name, price in multipliers.items() if price), row_limits(ip)
    net, counted = NET.intersection(used), COUNTED.intersection(used)
    if max(len(net), len(counted)) > 1 or counted == {*used} or "gain_budget" in used:
        return
    units = [10**ip.places if name in COUNTED else grid(ip) for name in used]
    orders = {"min_trades": ip.orders_allowed, "max_trades": ip.most_orders or 0}
    most = [orders[name] - ip.fewest_orders if name in COUNTED else MOST_LEVELS for name in used]

    def level(cost: int, left: tuple[int, ...]) -> SlackLevel:
        at = {name: limits[name] - n * unit for name, n, unit in zip(used, left, units, strict=True)}
        bought = at["cash_floor"] if "cash_floor" in at else -at["cash_ceiling"] if net else None
        number = abs(at[next(iter(counted))]) // 10**ip.places if counted else None
        return SlackLevel(cost, bought, at.get("turnover"), number)

    costs = [unit * multipliers[name] for unit, name in zip(units, used, strict=True)]
    tried = 0
    for _, same in groupby(_least_first(costs, most), key=lambda each: each[0]):
        found = [level(*each) for each in same]
        tried += len(found)
        if tried > MOST_LEVELS:
            break
        yield found
