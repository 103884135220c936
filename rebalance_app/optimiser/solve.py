"""One way from a problem to an answer: closed form, integer programme, independent check.

plain        the closed form as arrays, and every row holds        -> optimal, separable
refusals     what cannot be solved at all                          -> error
closed form  every security by itself; every coupling row holds    -> optimal, separable
             worth less than nothing, or a limit no trades keep    -> infeasible
coupled      relaxation and search under the coupling rows         -> optimal | time_limit | infeasible
check        exact and independent; an answer that fails is none   -> error

README.md draws it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from models_app.portfolio.types import ZERO, Options, Reason, RebalanceProblem, RebalanceSolution
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.closed_form import solve_alone
from rebalance_app.optimiser.milp.elastic import relaxations
from rebalance_app.optimiser.milp.highs import ProgramInfeasible
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.candidate import Candidate
from rebalance_app.optimiser.problem.coupling import broken_rows
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem, integer_problem
from rebalance_app.optimiser.problem.objective import total_score
from rebalance_app.optimiser.problem.validate import refusals

from .batch_solve import solve_plain
from .coupled import solve_jointly
from .explain import conflict_reason, excess_reasons, fraction_reasons, infeasible_reasons
from .failures import NoAnswerInTime, SolverFailed, of_optimiser, verify_failed
from .solution import answer, refused

SOLVER_SHARE = 0.9  # of the remaining time: a solver looks at its clock only between steps

EXPLAIN_SECONDS = 5.0  # at most, to find which limit to relax


def checked(problem: RebalanceProblem, solution: RebalanceSolution, started: float) -> RebalanceSolution:
    """The solution with its time since `started`, or an error in its place when the check finds fault with it."""
    seconds = time.monotonic() - started
    faults = violations(problem, solution) if solution.solved else ()
    if faults:
        reasons = tuple(map(verify_failed, faults))
        return replace(refused(problem, "error", reasons, solution.market_value), seconds=seconds)
    return replace(solution, seconds=seconds)


def _refusal(problem: RebalanceProblem) -> RebalanceSolution | None:
    reasons = refusals(problem)
    return refused(problem, "error", reasons) if reasons else None


@dataclass(frozen=True, slots=True)
class Coupled:
    """A problem that the closed form leaves open. The rows that are `broken` there are the solution's `binding`."""

    ip: IntegerProblem
    choices: tuple[AllowedTrades, ...]
    broken: tuple[str, ...]


def _answer(ip: IntegerProblem, found: Candidate, binding: tuple[str, ...] = ()) -> RebalanceSolution:
    left = excess_reasons(ip, found.trades) if ip.soft or ip.options.hold else ()
    return answer(ip, found, binding, fraction_reasons(ip, found.trades) + left)


def _closed_form(problem: RebalanceProblem) -> RebalanceSolution | Coupled:
    """Whatever can be said without a solver: an answer, why there is none, or what is left to solve."""
    ip = integer_problem(problem)
    value = ip.money(ip.market_value)
    if ip.market_value < 0:
        return refused(problem, "infeasible", (Reason("NEGATIVE_MARKET_VALUE", None, {"market_value": value}),), value)
    choices, trades = solve_alone(ip)
    broken = () if trades is None else broken_rows(ip, trades)
    if trades is not None and not broken:
        bound = ip.score_money(total_score(ip, trades))
        return _answer(ip, Candidate(trades, "separable", bound, first=True))
    reasons = infeasible_reasons(ip, choices)
    return refused(problem, "infeasible", reasons, value) if reasons else Coupled(ip, choices, broken)


def _jointly(coupled: Coupled, started: float) -> RebalanceSolution:
    ip = coupled.ip
    problem, value = ip.problem, ip.money(ip.market_value)
    left = problem.options.time_limit - (time.monotonic() - started)
    try:
        found = solve_jointly(ip, coupled.choices, left * SOLVER_SHARE)
    except ProgramInfeasible:
        rest = problem.options.time_limit - (time.monotonic() - started)
        needed = relaxations(ip, coupled.choices, min(EXPLAIN_SECONDS, rest * SOLVER_SHARE))
        return refused(problem, "infeasible", (conflict_reason(ip, coupled.broken, needed),), value)
    except (NoAnswerInTime, SolverFailed) as error:
        return refused(problem, "error", (of_optimiser(error, problem.options.time_limit),), value)
    return _answer(ip, found, coupled.broken)


def _without_solver(problems: Sequence[RebalanceProblem]) -> list[RebalanceSolution | Coupled]:
    """Verified answers, their time counted from the first problem on, and what is left to the integer programme."""
    started = time.monotonic()
    found: list[RebalanceSolution | Coupled] = []
    for problem in problems:
        result = solve_plain(problem) or _refusal(problem) or _closed_form(problem)
        found.append(result if isinstance(result, Coupled) else checked(problem, result, started))
    return found


def solve_separable(problems: Sequence[RebalanceProblem]) -> list[RebalanceSolution | None]:
    """Answers of all problems that need no solver, verified; None exactly where the integer programme is needed.

    Infeasible and refused problems have their answer here too, unless the nearest answer is asked for, which may take
    the programme.
    """
    found = _without_solver(problems)
    return [
        None if isinstance(s, Coupled) or (p.options.nearest and s.status == "infeasible") else s
        for p, s in zip(problems, found, strict=True)
    ]


def solve_many(problems: Sequence[RebalanceProblem]) -> list[RebalanceSolution]:
    """One answer per problem, in their order. A failure is a status with reasons, never a missing or empty answer."""
    answers = []
    for problem, quick in zip(problems, _without_solver(problems), strict=True):
        started, found = time.monotonic(), quick
        if isinstance(found, Coupled):
            found = checked(problem, _jointly(found, started), started)
        if problem.options.nearest and found.status == "infeasible":
            found = replace(found, nearest=nearest(problem))
        answers.append(found)
    return answers


def solve(problem: RebalanceProblem) -> RebalanceSolution:
    """The best whole-share trades for one portfolio, proven and checked, or the reasons why there are none."""
    return solve_many([problem])[0]


LOOSENED: dict[str, Callable[[Decimal], dict[str, Any]]] = {  # by what a reason says is needed, options that grant it
    "turnover": lambda needed: {"max_turnover": needed},
    "turnover_needed": lambda needed: {"max_turnover": needed},
    "max_trades": lambda needed: {"max_trades": int(needed)},
    "trades_needed": lambda needed: {"max_trades": int(needed)},
    "gain_budget": lambda needed: {"gain_budget": needed},
    "gain_needed": lambda needed: {"gain_budget": needed},
    "min_trade_needed": lambda needed: {"min_trade_value": needed},
    "cash_ceiling": lambda needed: {"max_cash": needed, "max_cash_weight": None},
    "cash_at_least": lambda needed: {"max_cash": needed, "max_cash_weight": None},
    "cash_floor": lambda needed: {"min_cash": needed, "min_cash_weight": ZERO},
    "cash_at_most": lambda needed: {"min_cash": needed, "min_cash_weight": ZERO},
}


def loosened(options: Options, reason: Reason) -> list[Options]:
    """The options with one limit relaxed to what a reason says is needed, for each limit that alone would do."""
    return [replace(options, **LOOSENED[name](value)) for name, value in reason.numbers.items() if name in LOOSENED]


RELAXABLE = ("min_cash", "max_cash", "min_trade_value", "max_turnover", "max_trades", "gain_budget")


def nearest(problem: RebalanceProblem) -> RebalanceSolution:
    """The nearest answer to an infeasible problem: bands may be left, each excess weighing a thousand times drift.

    Where that is not enough, limits are relaxed to what they need, of alternatives the first. Its reasons name every
    excess (OUTSIDE_BAND) and the limits that were relaxed (LIMIT_RELAXED). Each of the two has a time limit of its own.
    """
    options = replace(problem.options, soft_bands=True, nearest=False)
    solution, easier = solve(replace(problem, options=options)), options
    if solution.status == "infeasible":
        for reason in solution.reasons:
            easier = next(iter(loosened(easier, reason)), easier)
    if easier == options:
        return solution
    told = tuple(
        Reason("LIMIT_RELAXED", details={"option": name, "value": getattr(easier, name)})
        for name in RELAXABLE
        if getattr(easier, name) != getattr(options, name)
    )
    found = solve(replace(problem, options=easier))
    return replace(found, reasons=told + found.reasons)
