"""Best-first branch and bound in exact integers: the optimum, and of equal ones the first.

Each node has a relaxation, multipliers and a Lagrangian bound of its own. The node with the lowest bound is looked at
first, and ever further from its bound, until `at_bound` or `dominance` finds its first answer; where they would have to
try too many, `branching` divides it. When the bounds of all other nodes are above the incumbent, that is the first of
all. HiGHS only says where to look: bounds and ranks are compared in whole numbers.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import numpy as np

from rebalance_app.optimiser.failures import NoAnswerInTime, SearchLimit, SolverFailed
from rebalance_app.optimiser.milp.breakpoints import BreakpointTable
from rebalance_app.optimiser.milp.highs import LpRelaxation
from rebalance_app.optimiser.milp.lagrangian import rounded
from rebalance_app.optimiser.milp.node_relaxation import solve_node
from rebalance_app.optimiser.problem.integer_problem import ONE, IntegerProblem
from rebalance_app.optimiser.problem.objective import Rank, rank

from .at_bound import first_at_bound
from .branching import branches
from .dominance import best_within

MOST_NODES = 200  # relaxations; counted, so that within the time limit a slow machine gives no other answer
FEW_NODES = 12  # where costs count towards the floor: trades are seldom quite equal then, and more nodes find no more
MOST_LOOKS = 400
FIRST_RADIUS_DIVISOR = 10**6  # of the market value
RADIUS_GROWTH = 4  # from one look to the next


def _is_infeasible(points: BreakpointTable) -> bool:
    """Whether some row is broken even by what uses least of it."""
    uses, limits = points.uses, points.limits
    return any(np.minimum.reduceat(uses[name], points.start).sum() > limit for name, limit in limits.items())


def _is_single(points: BreakpointTable) -> bool:
    """Whether the points are one answer: where each security has but one there is nothing to choose."""
    return len(points.security) == len(points.start)


@dataclass(order=True, frozen=True, slots=True)
class _Node:
    """Choices of which no answer has a score below `lower_bound`; ordered by that, then by when they were made.

    radius       how far from the bound of the relaxation to look next, in score units; 0: no further than `at_bound`
    branchable   false where `at_bound` gave up: what is too many for sums is so in smaller nodes too
    """

    lower_bound: int
    made: int
    relaxed: LpRelaxation = field(compare=False)
    radius: int = field(default=0, compare=False)
    branchable: bool = field(default=True, compare=False)


@dataclass(slots=True)
class BranchAndBound:
    """What is known so far: the first of the answers found, and the nodes that may have one before it.

    root            all choices; open_nodes   a heap of those to be looked at
    incumbent       the first answer so far, with its rank
    made            how many nodes
    is_subproblem   whether it is a step of another search, and has none of its own
    deadline        until when it goes on, by the monotonic clock
    """

    root: _Node
    open_nodes: list[_Node]
    incumbent: tuple[int, ...] | None = None
    incumbent_rank: Rank | None = None
    made: int = 0
    is_subproblem: bool = False
    deadline: float = 0.0

    @classmethod
    def of(cls, relaxed: LpRelaxation, start: tuple[int, ...] | None) -> "BranchAndBound":
        """Begun with the relaxation of all choices as the only node, and trades, if any, as the incumbent."""
        root = _Node(relaxed.bound, 0, relaxed)
        begun = cls(root, [root])
        if start is not None:
            begun.offer(start)
        return begun

    @property
    def ip(self) -> IntegerProblem:
        """The problem, the same in all nodes."""
        return self.root.relaxed.points.ip

    def run(self, seconds: float) -> bool:
        """Look at nodes, those with the lowest bounds first, until none or too much is left; whether time ran out.

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
        """The score of the incumbent."""
        return None if self.incumbent_rank is None else self.incumbent_rank[0]

    @property
    def lower_bound(self) -> int | None:
        """The least score that an answer before the incumbent may have; None where none comes before it."""
        least, known = self.open_nodes[0].lower_bound if self.open_nodes else None, self.incumbent_score
        return None if least is None or (known is not None and least > known) else least

    def restart(self) -> None:
        """Go back to the root: with a better answer other nodes matter.

        Where it was never divided, what was seen of it stays.
        """
        if self.made:
            self.open_nodes, self.made = [self.root], 0

    def _widest(self, node: _Node) -> int:
        """How far from the bound of a node an answer that matters may be, and 1 at least."""
        points, known = node.relaxed.points, self.incumbent_score
        worst = int(np.maximum.reduceat(points.score, points.start).sum()) if known is None else known
        return max(1, worst - node.relaxed.bound)

    def _widened(self, node: _Node) -> list[_Node]:
        """The node, with a larger radius: to where nothing was proven yet, or RADIUS_GROWTH times as far.

        Nothing, where all answers that matter were looked at.
        """
        worst = self._widest(node)
        if node.radius and node.radius >= worst:
            return []
        bound = node.relaxed.bound
        first = max(1, self.ip.market_value * ONE // FIRST_RADIUS_DIVISOR, node.lower_bound - bound)
        least = max(node.lower_bound, bound + node.radius + 1) if node.radius else node.lower_bound
        radius = min(max(first, RADIUS_GROWTH * node.radius), worst)
        return [replace(node, lower_bound=least, radius=radius)]

    def _solve_subproblem(self, points: BreakpointTable) -> tuple[int, ...] | None:
        """The first answer of a problem that is a step of this one, None for none. Raises SearchLimit."""
        if self.is_subproblem:
            raise SearchLimit
        if _is_infeasible(points):
            return None
        if _is_single(points):
            return tuple(points.steps.tolist())
        relaxed = solve_node(points, self.deadline - time.monotonic())
        own = BranchAndBound.of(relaxed, rounded(points, relaxed.steps.tolist()))
        own.is_subproblem = True
        own.run(self.deadline - time.monotonic())
        if own.lower_bound is not None:
            raise SearchLimit
        return own.incumbent

    def offer(self, trades: tuple[int, ...]) -> None:
        """Keep an answer, if it comes before the incumbent."""
        here = rank(self.ip, trades)
        if self.incumbent_rank is None or here < self.incumbent_rank:
            self.incumbent, self.incumbent_rank = trades, here

    def _branch(self, node: _Node) -> list[_Node]:
        """Two in the place of a node, or fewer. Raises SearchLimit, NoAnswerInTime and SolverFailed."""
        found = []
        for points in branches(node.relaxed):
            if _is_infeasible(points):
                continue
            if _is_single(points):
                self.offer(tuple(points.steps.tolist()))
                continue
            self.made += 1
            if self.made > (FEW_NODES if self.ip.reserves_costs else MOST_NODES):
                raise SearchLimit
            relaxed = solve_node(points, self.deadline - time.monotonic())
            found.append(_Node(max(node.lower_bound, relaxed.bound), self.made, relaxed))
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
                trades, distance = first_at_bound(points, multipliers, self.deadline, self._solve_subproblem)
                node = replace(node, lower_bound=max(node.lower_bound, node.relaxed.bound + distance))
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
