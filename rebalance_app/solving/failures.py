"""Why there is no answer where neither problem nor book nor optimiser is at fault: a process or this program is.

the process it runs in   SolverLostError: it hung, crashed, was wrong or raised an exception; or it is busy
the worker that waits    an exception, or, after the last attempt, its death
"""

from models_app.portfolio.types import Reason
from rebalance_app.optimiser.failures import GAVE_UP, NOT_RIGHT, OUT_OF_TIME

LONGEST = 300  # characters of an exception's own words
DEFECT = "INTERNAL_ERROR"
AFTER_ALL_ATTEMPTS = ("POISON", DEFECT)
# Of a run that has ended: with all of them API v1 says that there is no solution, for it has no other word.
NO_SOLUTION = frozenset(
    {OUT_OF_TIME, GAVE_UP, NOT_RIGHT, "SOLVER_KILLED", "SOLVER_MEMORY", "NOT_VERIFIED", *AFTER_ALL_ATTEMPTS}
)


class SolverLostError(Exception):
    """The solver's process gave no answer that can be used. Whether another attempt may, `may_pass` says."""

    may_pass = False


class SolverHungError(SolverLostError):
    """It was killed because it answered neither in time nor in the time after."""


class SolverWrongError(SolverLostError):
    """Its answer failed the independent check of whoever asked."""


class SolverMemoryError(SolverLostError):
    """It would have needed more memory than the so many megabytes it may have."""

    def __init__(self, megabytes: int) -> None:
        super().__init__(f"it may have {megabytes} MB")
        self.megabytes = megabytes


class SolverCrashedError(SolverLostError):
    """It died, or said something that is no answer."""

    may_pass = True


class SolverRaisedError(SolverLostError):
    """An exception ended the solving, told by type and words; its traceback is in the process's log."""

    may_pass = True


def of_process(error: SolverLostError, seconds: float) -> Reason:
    """Why one attempt, which had so many seconds, came to nothing."""
    said = str(error)
    match error:
        case SolverHungError():
            return Reason("SOLVER_KILLED", details={"seconds": seconds, "said": said})
        case SolverWrongError():
            return Reason("NOT_VERIFIED", details={"fault": said})
        case SolverMemoryError():
            return Reason("SOLVER_MEMORY", details={"megabytes": error.megabytes})
        case SolverRaisedError():
            return program_failed(said)
    return Reason("SOLVER_CRASHED", details={"said": said})


def after_attempts(error: SolverLostError, attempts: int, seconds: float) -> Reason:
    """Why a portfolio of a run has no answer, once no other attempt will be made."""
    if isinstance(error, SolverCrashedError):
        return Reason("POISON", details={"attempts": attempts, "said": str(error)})
    return of_process(error, seconds)


def worker_died(attempts: int) -> Reason:
    """Nothing was heard of the worker at the last attempt; an exception it would have noted."""
    return Reason("POISON", details={"case": "worker_died", "attempts": attempts})


def solver_busy() -> Reason:
    """One process answers all who ask what if, one after the other."""
    return Reason("SOLVER_BUSY")


def program_failed(what: str) -> Reason:
    """An exception that nobody foresaw, `in_words`: a defect, whatever the problem was."""
    return Reason(DEFECT, details={"said": what})


def in_words(error: BaseException) -> str:
    """An exception in one line: its type, and what it says."""
    printable = "".join(sign if sign.isprintable() else " " for sign in str(error))  # no column takes a NUL
    said = " ".join(printable.split())[:LONGEST]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
