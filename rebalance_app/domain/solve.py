"""One way from a problem to an answer: check, bounds, closed form, integer programme, independent check.

refusals    what cannot be solved at all                          -> error
closed form every line by itself; no choice for a line            -> infeasible
            every coupling row holds                              -> optimal, separable
programme   CVXPY and HiGHS under the coupling rows               -> optimal | time_limit | infeasible
verify      exact and independent; an answer that fails is none   -> error
"""

import time
from collections.abc import Sequence
from dataclasses import replace

from .answer import Found, answer, refused
from .batch import solve_plain
from .bounds import Choice
from .checks import refusals
from .constraints import broken_rows
from .explain import infeasible_reasons, no_value_reason
from .integers import Ledger, ledger
from .milp import NoAnswerInTime, ProgramInfeasible, solve_jointly
from .separable import solve_alone
from .types import Reason, RebalanceProblem, RebalanceSolution
from .verify import violations

RESERVE = 0.9  # of the remaining time goes to the solver, which looks at its clock only between steps


def checked(problem: RebalanceProblem, solution: RebalanceSolution, started: float) -> RebalanceSolution:
    """The solution with its time, or an error in its place when the independent check finds fault with it."""
    seconds = time.monotonic() - started
    faults = violations(problem, solution) if solution.solved else ()
    if faults:
        reasons = tuple(
            Reason("VERIFY_FAILED", f"The answer failed its independent check: {fault}.") for fault in faults
        )
        return replace(refused(problem, "error", reasons, solution.market_value), seconds=seconds)
    return replace(solution, seconds=seconds)


def _refusal(problem: RebalanceProblem) -> RebalanceSolution | None:
    reasons = refusals(problem)
    return refused(problem, "error", reasons) if reasons else None


def _closed_form(problem: RebalanceProblem) -> RebalanceSolution | None:
    """Whatever can be said without a solver; None when a coupling row fails and nothing shows it to be hopeless."""
    book = ledger(problem)
    if book.market_value < 0:
        return refused(problem, "infeasible", (no_value_reason(book),), book.money(book.market_value))
    choices, trades = solve_alone(book)
    if trades is not None and not broken_rows(book, trades):
        return answer(book, Found(trades))
    return _hopeless(book, choices)


def _hopeless(book: Ledger, choices: Sequence[Choice]) -> RebalanceSolution | None:
    reasons = infeasible_reasons(book, choices)
    return refused(book.problem, "infeasible", reasons, book.money(book.market_value)) if reasons else None


def _jointly(problem: RebalanceProblem, started: float) -> RebalanceSolution:
    book = ledger(problem)
    choices, alone = solve_alone(book)
    assert alone is not None
    left = problem.options.time_limit - (time.monotonic() - started)
    market_value = book.money(book.market_value)
    try:
        found = solve_jointly(book, choices, left * RESERVE)
    except ProgramInfeasible:
        message = "No whole-share answer honours every limit at once: " + ", ".join(broken_rows(book, alone)) + "."
        return refused(problem, "infeasible", (Reason("LIMITS_CONFLICT", message),), market_value)
    except NoAnswerInTime:
        message = (
            f"No answer was found within {problem.options.time_limit} s: allow more time, or fewer limits at once."
        )
        return refused(problem, "error", (Reason("NO_ANSWER_IN_TIME", message),), market_value)
    return answer(book, replace(found, binding=broken_rows(book, alone)))


def solve_separable(problems: Sequence[RebalanceProblem]) -> list[RebalanceSolution | None]:
    """Answers of all problems that need no solver, verified; None exactly where the integer programme is needed.

    Infeasible and refused problems have their answer here too. Plain problems are solved as arrays, all at once.
    """
    started = time.monotonic()
    found = solve_plain(problems)
    for i, problem in enumerate(problems):
        if found[i] is None:
            found[i] = _refusal(problem) or _closed_form(problem)
    return [None if s is None else checked(p, s, started) for p, s in zip(problems, found, strict=True)]


def solve_many(problems: Sequence[RebalanceProblem]) -> list[RebalanceSolution]:
    """One answer per problem, in their order. A failure is a status with reasons, never a missing or empty answer."""
    answers = []
    for problem, quick in zip(problems, solve_separable(problems), strict=True):
        started = time.monotonic()
        answers.append(quick or checked(problem, _jointly(problem, started), started))
    return answers


def solve(problem: RebalanceProblem) -> RebalanceSolution:
    """The best whole-share trades for one portfolio, proven and checked, or the reasons why there are none."""
    return solve_many([problem])[0]
