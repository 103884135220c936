"""Whether integer programmes are solved here: found out by solving one as workers do, in a process of its own.

A process that stayed for the next probe would hold 134 MB in each web process, for nothing but being asked; one that
is started takes a second or two of a core. So one is started when somebody asks and ended with its answer, which then
holds for a minute. Whoever asks meanwhile, however often, is told of it and starts nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from models_app.portfolio.types import Options, Position, RebalanceProblem, RebalanceSolution
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.solving.failures import SolverHungError, SolverLostError
from rebalance_app.solving.solver_process import SolverChild

logger = logging.getLogger(__name__)
# Two securities at 51 with targets of 47.5 % of 100: the nearest whole shares would cost 102, which only a programme
# can settle.
SMALL = RebalanceProblem(
    "health",
    Decimal(100),
    tuple(
        Position(name, Decimal(0), Decimal(51), Decimal("0.475"), Decimal("0.475"), Decimal("0.475")) for name in "ab"
    ),
    Options(time_limit=2),
)
GOOD_FOR = 60.0  # seconds
BAD_FOR = 10.0  # seconds; so soon it is seen to be well again
PATIENCE = 4.0  # seconds that somebody waits: probes give up after five. A busy machine may need more for its start.


@dataclass(frozen=True)
class Finding:
    """What came of the small programme."""

    is_good: bool
    status: str  # the solution's
    message: str


_NOTHING_YET = Finding(is_good=False, status="error", message="A first integer programme is being solved just now.")
_FAILED = Finding(
    is_good=False,
    status="error",
    message="The solver's process could not solve a small integer programme; the log says why.",
)
_HUNG = Finding(
    is_good=False, status="error", message="A small integer programme had no answer in time: the solver hangs."
)


class SolverHealth:
    """One per process. At most one small programme is under way, and none before the last answer has aged."""

    def __init__(self, child: SolverChild | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._child, self._clock = child or SolverChild(), clock
        self._looking = threading.Lock()
        self._last, self._holds_until = _NOTHING_YET, -1.0

    def last(self) -> Finding:
        """What the last programme showed.

        Once that has aged, the first who asks has another solved, and waits for it, but never longer than a probe does.
        """
        if self._is_due() and not self._looking.locked():
            looking = threading.Thread(target=self._look, daemon=True)
            looking.start()
            looking.join(PATIENCE)
        return self._last

    def _is_due(self) -> bool:
        return self._clock() >= self._holds_until

    def _look(self) -> None:
        if self._looking.acquire(blocking=False):  # else another was a moment earlier
            try:
                if self._is_due():
                    self._renew()
            finally:
                self._looking.release()

    def _renew(self) -> None:
        found = _FAILED  # where something is raised that nobody expected
        try:
            found = self._solve()
        finally:
            self._last = found
            self._holds_until = self._clock() + (GOOD_FOR if found.is_good else BAD_FOR)

    def _solve(self) -> Finding:
        try:
            return _judged(self._child.solve(SMALL))
        except SolverLostError as error:
            logger.warning("the solver is not healthy: %s", error)
            return _HUNG if isinstance(error, SolverHungError) else _FAILED
        finally:
            self._child.close()


def _judged(solution: RebalanceSolution) -> Finding:
    is_right = solution.status == "optimal" and solution.method == "milp" and not violations(SMALL, solution)
    return Finding(is_right, solution.status, f"A small integer programme came out {'right' if is_right else 'wrong'}.")
