"""Why there is no answer where neither the problem nor the book is at fault: a solver, a worker or this program is.

The one place where such a failure gets its code and its words; Help lists them.

the optimiser itself     NoAnswerInTime, SolverFailed, and an answer that its own check refuses
the process it runs in   SolverLostError: it hung, crashed, was wrong or raised an exception; or it is busy
the worker that waits    an exception, or, after the last attempt, its death
"""

from models_app.portfolio.types import Reason

LONGEST = 300  # characters of an exception's own words
NO_SOLUTION = frozenset({"SOLVER_KILLED", "NOT_VERIFIED", "POISON"})  # for API v1, which knows no other word for them
OUT_OF_TIME, DEFECT = "NO_ANSWER_IN_TIME", "INTERNAL_ERROR"
AFTER_ALL_ATTEMPTS = ("POISON", DEFECT)


class NoAnswerInTime(Exception):  # noqa: N818  # an outcome with a name, not a defect
    """Time ran out before any feasible answer was found, or a relaxation was solved. More time may help."""


class SolverFailed(Exception):  # noqa: N818
    """The solver gave up for a reason of its own. Solving again may help; the message is the solver's."""


def of_optimiser(error: NoAnswerInTime | SolverFailed, seconds: float) -> Reason:
    """What ended the integer programme, which had so many seconds."""
    if isinstance(error, SolverFailed):
        return Reason("SOLVER_FAILED", f"The solver gave up: {error}")
    message = f"No answer was found within {seconds:g} s: allow more time, or ask for fewer limits at once."
    return Reason(OUT_OF_TIME, message)


def verify_failed(fault: str) -> Reason:
    """The optimiser's own check refuses its answer."""
    return Reason("VERIFY_FAILED", f"The answer failed its independent check: {fault}.")


class SolverLostError(Exception):
    """The solver's process gave no answer that can be used. Whether another attempt may, `may_pass` says."""

    may_pass = False


class SolverHungError(SolverLostError):
    """It was killed because it answered neither in time nor in the time after."""


class SolverWrongError(SolverLostError):
    """Its answer failed the independent check of whoever asked."""


class SolverCrashedError(SolverLostError):
    """It died, or said something that is no answer."""

    may_pass = True


class SolverRaisedError(SolverLostError):
    """An exception ended the solving, told by type and words; its traceback is in the process's log."""

    may_pass = True


def of_process(error: SolverLostError, seconds: float) -> Reason:
    """Why one attempt, which had so many seconds, came to nothing."""
    match error:
        case SolverHungError():
            told = f"No answer within {seconds:g} seconds: {error}. Raise the limit or relax the bands."
            return Reason("SOLVER_KILLED", told)
        case SolverWrongError():
            return Reason("NOT_VERIFIED", f"The answer broke a rule and was thrown away: {error}")
        case SolverRaisedError():
            return program_failed(str(error))
    return Reason("SOLVER_CRASHED", f"The solver was lost: {error}. Asking again may help.")


def after_attempts(error: SolverLostError, attempts: int, seconds: float) -> Reason:
    """Why a portfolio of a run has no answer, once no other attempt will be made."""
    if isinstance(error, SolverCrashedError):
        return Reason("POISON", f"Solving this portfolio failed {attempts} times: {error}.")
    return of_process(error, seconds)


def worker_died(attempts: int) -> Reason:
    """Nothing was heard of the worker at the last attempt; an exception it would have noted."""
    told = f"Tried {attempts} times, and the last time its worker died."
    return Reason("POISON", f"{told} Rebalance it alone and look at the worker's log.")


def solver_busy() -> Reason:
    """One process answers all who ask what if, one after the other."""
    return Reason("SOLVER_BUSY", "Others are being solved at this moment: ask again soon.")


def program_failed(what: str) -> Reason:
    """An exception that nobody foresaw, `in_words`: a defect, whatever the problem was."""
    return Reason(DEFECT, f"The program failed with {what}. The worker's log tells where.")


def in_words(error: BaseException) -> str:
    """An exception in one security: its type, and what it says."""
    printable = "".join(sign if sign.isprintable() else " " for sign in str(error))  # no column takes a NUL
    said = " ".join(printable.split())[:LONGEST]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
