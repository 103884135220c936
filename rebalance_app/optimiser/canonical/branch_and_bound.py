"""Best-first branch and bound in exact integers: the optimum, and of equal ones the first.

Where the relaxation makes a fraction of an order, fewer orders are one node and more are another. Else a security that
it leaves between two whole answers is parted there. Each node has a relaxation, multipliers and a bound of its own. The
node with the lowest bound is looked at first, and ever radius from its bound, until `tight` or `remaining` finds its
first answer; where they would have to try too many, it is parted in turn. When all other bounds are above an answer,
that is the first of all. HiGHS only says where to look: each decision is made in whole numbers.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed
from rebalance_app.optimiser.local_search import Rank, rank
from rebalance_app.optimiser.milp.breakpoints import Table, Whole, convex_parts, listed, needs_gate, table
from rebalance_app.optimiser.milp.highs import Relaxed
from rebalance_app.optimiser.milp.lagrangian import row_limits
from rebalance_app.optimiser.milp.node_relaxation import solve_node
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.integer_problem import ONE, IntegerProblem

from .at_bound import first_at_bound
from .dominance import best_within
from .lexicographic import SearchLimit

MOST_NODES = 200  # relaxations; counted, so that within the time limit a slow machine gives no other answer
MOST_LOOKS = 400
NEAR = 10**6  # the first look goes as far as this node of the market value,
FURTHER = 4  # and each look so many times as far as the last
WHOLE = 1e-6  # steps: nearer than that to a whole number, a relaxed trade is one

Choices = tuple[AllowedTrades, ...]


def _is_infeasible(points: Table) -> bool:
    """Whether some row is broken even by what uses least of it."""
    uses, limits = points.uses, row_limits(points.ip)
    return any(np.minimum.reduceat(uses[name], points.start).sum() > limit for name, limit in limits.items())


def _is_single(points: Table) -> bool:
    """Whether the points are one answer: where each security has but one there is nothing to choose."""
    return len(points.security) == len(points.start)


def _between_segments(_ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> NDArray[np.float64]:
    """(n,) money from each security's relaxed trade to the nearest allowed one, where it lies between segments."""

    def away(allowed: AllowedTrades, steps: float) -> float:
        nearest = min(max(first - steps, steps - last, 0) for first, last in allowed.segments)
        return nearest * allowed.security.step if nearest > WHOLE else 0.0

    return np.array([away(*each) for each in zip(choices, relaxed.steps.tolist(), strict=True)])


def _rounding_cost(ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> Whole:
    """(n,) the reduced cost of each security at the better whole neighbour of its relaxed trade."""
    floors = [math.floor(steps + WHOLE) for steps in relaxed.steps.tolist()]  # of any size

    def neighbours(allowed: AllowedTrades, k: int) -> list[int]:
        return [min(max(each, a), b) for a, b in convex_parts(ip, allowed) for each in (k, k + 1)]

    near, points = listed(ip, list(map(neighbours, choices, floors))), relaxed.points
    least = np.minimum.reduceat(points.lagrangian_costs(relaxed.multipliers), points.start)
    return np.asarray(np.minimum.reduceat(near.lagrangian_costs(relaxed.multipliers), near.start) - least)


def _fractional(choices: Choices, relaxed: Relaxed) -> NDArray[np.float64]:
    """(n,) what a step of each security is worth, where its relaxed trade is no whole number."""
    is_whole = np.abs(relaxed.steps - np.rint(relaxed.steps)) <= WHOLE
    return np.where(is_whole, 0.0, np.array([float(allowed.security.step) for allowed in choices]))


def _branching_security(ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> Interval:
    """The security to node, and its last step in the first node. Raises SearchLimit where the relaxation is whole."""
    for measured in (_between_segments, _rounding_cost):
        measure = measured(ip, choices, relaxed)
        i = int(np.argmax(measure))
        steps = float(relaxed.steps[i])
        if measure[i] and choices[i].least < choices[i].most:
            gated = needs_gate(ip, choices[i])
            return i, (0 if steps > -WHOLE else -1) if gated else int(np.floor(steps + WHOLE))
    fraction = _fractional(choices, relaxed)
    i = int(np.argmax(fraction))
    if not fraction[i]:
        raise SearchLimit
    return i, int(np.floor(relaxed.steps[i]))


def _by_security(ip: IntegerProblem, choices: Choices, relaxed: Relaxed) -> list[Choices]:
    """The choices twice: one security up to a step, and beyond it. Raises SearchLimit where the relaxation is whole."""
    i, last = _branching_security(ip, choices, relaxed)
    allowed = choices[i]
    last = min(max(last, allowed.least), allowed.most - 1)
    below = tuple((a, min(b, last)) for a, b in allowed.segments if a <= last)
    above = tuple((max(a, last + 1), b) for a, b in allowed.segments if b > last)
    return [(*choices[:i], AllowedTrades(allowed.security, node), *choices[i + 1 :]) for node in (below, above)]


def _derived(choices: Choices, relaxed: Relaxed) -> list[tuple[IntegerProblem, Choices]]:
    """A problem in two nodes: by the number of orders, where they matter and the relaxation makes a fraction of one."""
    ip, whole = relaxed.points.ip, math.floor(relaxed.orders + WHOLE)
    fewest, most = ip.fewest_orders, ip.most_orders
    if ip.orders_matter and relaxed.orders > whole + WHOLE and fewest <= whole and (most is None or whole < most):
        return [(replace(ip, most_orders=whole), choices), (replace(ip, fewest_orders=whole + 1), choices)]
    return [(ip, node) for node in _by_security(ip, choices, relaxed)]


@dataclass(order=True, frozen=True, slots=True)
class _Node:
    """Choices of which no answer has a score below `least`; ordered by that, then by when they were made.

    radius   how far from the bound of the relaxation to look next, in score units; 0: no radius than `tight` does
    branchable   false where `tight` gave up: what is too many for sums is so in smaller nodes too
    """

    lower_bound: int
    made: int
    choices: Choices = field(compare=False)
    relaxed: Relaxed = field(compare=False)
    radius: int = field(default=0, compare=False)
    branchable: bool = field(default=True, compare=False)


@dataclass(slots=True)
class BranchAndBound:
    """What is known so far: the first of the answers found, and the nodes that may have one before it.

    root       all choices; open_nodes   a heap of those to be looked at
    incumbent  the best answer so far, with its rank
    made       how many nodes
    deadline   until when it goes on, by the monotonic clock
    """

    ip: IntegerProblem
    root: _Node
    open_nodes: list[_Node]
    incumbent: tuple[int, ...] | None = None
    incumbent_rank: Rank | None = None
    made: int = 0
    is_subproblem: bool = False  # and solves nothing aside
    deadline: float = 0.0

    @classmethod
    def of(cls, ip: IntegerProblem, choices: Sequence[AllowedTrades], relaxed: Relaxed) -> "BranchAndBound":
        """Begun, with the choices as the only node, and their relaxation."""
        whole = _Node(relaxed.bound, 0, tuple(choices), relaxed)
        begun = cls(ip, whole, [whole])
        if relaxed.trades is not None:
            begun.offer(relaxed.trades)
        return begun

    def run(self, seconds: float) -> bool:
        """Look at nodes, those with the lowest bounds first, until too much was tried or time runs out; True then.

        Where `lower_bound` is None then, `incumbent` is the first of all answers by `rank`, or there is none.
        """
        self.deadline = time.monotonic() + seconds
        with suppress(SearchLimit, NoAnswerInTime, SolverFailed):
            for _ in range(MOST_LOOKS):
                if self.lower_bound is None or time.monotonic() > self.deadline:
                    break
                following = self._explore(self.open_nodes[0])
                heappop(self.open_nodes)
                for node in following:
                    heappush(self.open_nodes, node)
        return time.monotonic() > self.deadline

    @property
    def incumbent_score(self) -> int | None:
        """The score of the answer that is known."""
        return None if self.incumbent_rank is None else self.incumbent_rank[0]

    @property
    def lower_bound(self) -> int | None:
        """The least score that an answer before the known one may have; None where none comes before it."""
        known = self.incumbent_score
        return (
            self.open_nodes[0].lower_bound
            if self.open_nodes and (known is None or self.open_nodes[0].lower_bound <= known)
            else None
        )

    def restart(self) -> None:
        """Go back to all choices as one node: with a better answer other nodes matter.

        Where they were never parted, what was seen of them stays.
        """
        if self.made:
            self.open_nodes, self.made = [self.root], 0

    def _widest(self, node: _Node) -> int:
        """How far from the bound of a node an answer that matters may be, and 1 at least."""
        points, known = node.relaxed.points, self.incumbent_score
        worst = int(np.maximum.reduceat(points.score, points.start).sum()) if known is None else known
        return max(1, worst - node.relaxed.bound)

    def _widened(self, node: _Node) -> list[_Node]:
        """The node, to be looked at radius from its bound: to where nothing was proven yet, or four times as far.

        Nothing, where all answers that matter were looked at.
        """
        worst = self._widest(node)
        if node.radius and node.radius >= worst:
            return []
        bound = node.relaxed.bound
        nearest = max(1, self.ip.market_value * ONE // NEAR, node.lower_bound - bound)
        least = max(node.lower_bound, bound + node.radius + 1) if node.radius else node.lower_bound
        reach = min(max(nearest, FURTHER * node.radius), worst)
        return [replace(node, lower_bound=least, radius=reach)]

    def _solve_subproblem(self, ip: IntegerProblem, choices: Choices) -> tuple[int, ...] | None:
        """The first answer of a problem that is a step of this one, None for none. Raises SearchLimit."""
        if self.is_subproblem:
            raise SearchLimit
        points = table(ip, choices)
        if _is_infeasible(points):
            return None
        if _is_single(points):
            return tuple(points.steps.tolist())
        relaxed = solve_node(ip, choices, points, self.deadline - time.monotonic())
        own = BranchAndBound.of(ip, choices, relaxed)
        own.is_subproblem = True
        own.run(self.deadline - time.monotonic())
        if own.lower_bound is not None:
            raise SearchLimit
        return own.incumbent

    def offer(self, trades: tuple[int, ...]) -> None:
        """Keep an answer, if it comes before the one that is known."""
        here = rank(self.ip, trades)
        if self.incumbent_rank is None or here < self.incumbent_rank:
            self.incumbent, self.incumbent_rank = trades, here

    def _branch(self, node: _Node) -> list[_Node]:
        """Two in the place of a node, or fewer. Raises SearchLimit, NoAnswerInTime and SolverFailed."""
        found = []
        for ip, choices in _derived(node.choices, node.relaxed):
            points = table(ip, choices)
            if _is_infeasible(points):
                continue
            if _is_single(points):
                self.offer(tuple(points.steps.tolist()))
                continue
            self.made += 1
            if self.made > MOST_NODES:
                raise SearchLimit
            relaxed = solve_node(ip, choices, points, self.deadline - time.monotonic())
            found.append(_Node(max(node.lower_bound, relaxed.bound), self.made, choices, relaxed))
        return found

    def _explore(self, node: _Node) -> list[_Node]:
        """Look for the first answer of a node, which is all that there is to it, or else what is to be looked at next.

        Raises SearchLimit, NoAnswerInTime and SolverFailed.
        """
        try:
            if node.radius:
                node = replace(node, radius=min(node.radius, self._widest(node)))
                trades = best_within(node.relaxed, node.radius, self.deadline)
            else:
                points, multipliers = node.relaxed.points, node.relaxed.multipliers
                trades, nearer = first_at_bound(points, multipliers, self.deadline, self._solve_subproblem)
                node = replace(node, lower_bound=max(node.lower_bound, node.relaxed.bound + nearer))
        except SearchLimit:
            if not node.radius:
                return [replace(each, branchable=False) for each in self._widened(node)]
            if not node.branchable:
                raise
            return self._branch(node)
        if trades is None:
            return self._widened(node)
        self.offer(trades)
        return []
