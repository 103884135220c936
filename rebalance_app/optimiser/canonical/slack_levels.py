"""Slack levels: what an answer's sums must come to, for its score to be so far above the Lagrangian bound.

Where every security is at a minimiser of its Lagrangian cost, an answer is above the bound only by what it leaves of
rows with a multiplier. It leaves whole units: of money what divides all that can be traded, and of orders one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby

from rebalance_app.optimiser.milp.breakpoints import BreakpointTable

from .branching import order_limits

MOST_LEVELS = 10
NET, COUNTED = frozenset({"cash_floor", "cash_ceiling"}), frozenset({"max_trades", "min_trades"})


@dataclass(frozen=True, slots=True)
class SlackLevel:
    """Answers of one score: `cost` above the bound, in score units, with what must come to what, in minor units.

    net_bought, traded   buys less sales, and buys plus sales; None where that may be anything, but not both are None
    orders               the fewest and the most; None where any number will do
    """

    cost: int
    net_bought: int | None
    traded: int | None
    orders: tuple[int, int] | None


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


def slack_levels(points: BreakpointTable, multipliers: Mapping[str, int]) -> Iterator[list[SlackLevel]]:
    """What uses up the rows with a multiplier, then what leaves a few units of them, by cost; equal costs together.

    Nothing where gains have a multiplier, both ends of the cash, nothing but orders, or the floor after costs:
    what that comes to is no sum of whole steps.
    """
    used, limits = sorted(name for name, each in multipliers.items() if each), points.limits
    net, counted = NET.intersection(used), COUNTED.intersection(used)
    if max(len(net), len(counted)) > 1 or counted == {*used} or "gain_budget" in used:
        return
    if "cash_floor" in used and points.ip.reserves_costs:
        return
    grid, order, (fewest, most_orders) = points.ip.grid, 10**points.ip.places, order_limits(points)
    units = [order if name in COUNTED else grid for name in used]
    most_left = {"max_trades": limits.get("max_trades", 0) // order - fewest, "min_trades": most_orders - fewest}
    most = [most_left.get(name, MOST_LEVELS) for name in used]
    free = fewest == 0 and most_orders == len(points.start)

    def level(cost: int, left: tuple[int, ...]) -> SlackLevel:
        at = {name: limits[name] - n * unit for name, n, unit in zip(used, left, units, strict=True)}
        net_bought = at["cash_floor"] if "cash_floor" in at else -at["cash_ceiling"] if net else None
        orders = None if free else (fewest, most_orders)
        if counted:
            orders = (abs(at[next(iter(counted))]) // order,) * 2
        return SlackLevel(cost, net_bought, at.get("turnover"), orders)

    costs = [unit * multipliers[name] for unit, name in zip(units, used, strict=True)]
    tried = 0
    for _, same in groupby(_least_first(costs, most), key=lambda each: each[0]):
        found = [level(*each) for each in same]
        tried += len(found)
        if tried > MOST_LEVELS:
            break
        yield found
