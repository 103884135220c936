"""What ends the optimiser without an answer, and is no fault of the problem."""

from models_app.portfolio.types import Reason

OUT_OF_TIME, GAVE_UP, NOT_RIGHT = "NO_ANSWER_IN_TIME", "SOLVER_FAILED", "VERIFY_FAILED"


class NoAnswerInTime(Exception):  # noqa: N818  # an outcome with a name, not a defect
    """Time ran out before any feasible answer was found, or a relaxation was solved. More time may help."""


class SolverFailed(Exception):  # noqa: N818
    """The solver gave up for a reason of its own. Solving again may help; the message is the solver's."""


class SearchLimit(Exception):  # noqa: N818
    """`canonical` would have to try more than pays, to know which is the first, or whether there is any."""


def of_optimiser(error: NoAnswerInTime | SolverFailed, seconds: float) -> Reason:
    """What ended the integer programme, which had so many seconds."""
    if isinstance(error, SolverFailed):
        return Reason(GAVE_UP, details={"said": str(error)})
    return Reason(OUT_OF_TIME, details={"seconds": seconds})


def verify_failed(fault: str) -> Reason:
    """The optimiser's own check refuses its answer."""
    return Reason(NOT_RIGHT, details={"fault": fault})
