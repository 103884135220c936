"""The integer programme: its traps, its proof by multipliers, its exchanges, and its time limit."""

import time
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.reductions import Solution

from benchmarks.instances import Spec, large, small
from models_app.portfolio.types import Options
from rebalance_app.optimiser import coupled as joint
from rebalance_app.optimiser.canonical import branch_and_bound
from rebalance_app.optimiser.canonical.branch_and_bound import BranchAndBound
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.closed_form import solve_alone
from rebalance_app.optimiser.coupled import solve_jointly
from rebalance_app.optimiser.failures import NoAnswerInTime, SolverFailed
from rebalance_app.optimiser.local_search import Exchanges, OpenGap
from rebalance_app.optimiser.milp.breakpoints import table
from rebalance_app.optimiser.milp.formulation import programme
from rebalance_app.optimiser.milp.highs import ProgramInfeasible, solve_relaxed, solve_whole
from rebalance_app.optimiser.milp.lagrangian import lagrangian_bound, reduced_cost_fixing, rounded, whole_multipliers
from rebalance_app.optimiser.milp.node_relaxation import solve_node
from rebalance_app.optimiser.problem.coupling import broken_rows
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.objective import total_score
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem
from tests.rebalance_app.optimiser.oracle import best

PLAIN_SOLVE = cp.Problem.solve
TIGHT = Spec(securities=40, floor="0.06", min_trade="500", turnover="0.05", oddities=0)


def coupled_small(count):
    """Small problems that the closed form leaves open and that have an answer."""
    for seed in range(10_000):
        stated = small(seed)
        book = integer_problem(stated)
        choices, trades = solve_alone(book) if book.market_value >= 0 else ((), None)
        if trades is not None and broken_rows(book, trades) and best(stated) is not None:
            yield stated, book, choices
            count -= 1
        if not count:
            return


def test_branch_and_bound_alone_equals_brute_force():
    for stated, book, choices in coupled_small(25):
        found = solve_whole(book, choices, 10)
        assert book.score_money(total_score(book, found.trades)) == best(stated)[0]


def test_any_multipliers_prove_a_bound_that_is_not_above_the_optimum():
    rng = np.random.default_rng(5)
    for stated, book, choices in coupled_small(25):
        for _ in range(5):
            rows = broken_rows(book, solve_alone(book)[1])
            multipliers = whole_multipliers({name: rng.uniform(-1, 3) for name in rows})
            assert book.score_money(lagrangian_bound(table(book, choices), multipliers)) <= best(stated)[0]


def test_what_reduced_cost_fixing_takes_away_never_holds_the_optimum():
    for stated, book, choices in coupled_small(25):
        relaxed = solve_relaxed(book, choices, 10)
        optimum = best(stated)[0]
        gap = int((optimum - book.score_money(relaxed.bound)) * 10**9) * 10**book.places
        left = solve_whole(book, reduced_cost_fixing(relaxed.points, relaxed.multipliers, gap + 10**book.places), 10)
        assert book.score_money(total_score(book, left.trades)) == optimum


def test_exchanges_only_ever_return_something_better_that_honours_every_row():
    tried = 0
    for seed in range(6):
        book = integer_problem(large(TIGHT, seed))
        choices, _ = solve_alone(book)
        relaxed = solve_relaxed(book, choices, 10)
        trades = rounded(relaxed.points, relaxed.steps.tolist())
        if trades is None:
            continue
        found = Exchanges.of(book, choices).closer(trades, OpenGap({}, np.inf), [(0.001, 1000.0)])
        if found is not None:
            tried += 1
            assert total_score(book, found) < total_score(book, trades)
            assert broken_rows(book, found) == ()
    assert tried


@pytest.mark.parametrize("seed", [1, 6, 12, 14])
def test_the_last_cents_under_a_cash_floor_are_closed_by_exchanges_and_not_by_branching(seed, monkeypatch):
    def branching(*_):
        raise AssertionError

    monkeypatch.setattr(joint, "solve_whole", branching)
    stated = large(Spec(floor="0.055", band=("0.02", "0.02"), oddities=0), seed)
    solution = solve(stated)
    assert (solution.status, solution.method) == ("optimal", "milp")
    assert violations(stated, solution) == ()


@pytest.mark.parametrize("limit", [{"min_cash": D(200)}, {"max_cash": D(50)}])
def test_a_portfolio_of_nothing_but_cash_outside_its_limits_is_infeasible_with_reasons(limit):
    solution = solve(problem(100, **limit))
    assert solution.status == "infeasible"
    assert solution.reasons


@pytest.mark.parametrize("seed", range(4))
def test_limits_that_bind_together_are_solved_to_the_cent_and_pass_the_check(seed):
    stated = large(TIGHT, seed)
    solution = solve(stated)
    assert (solution.status, solution.method) == ("optimal", "milp")
    assert solution.gap <= D("0.01")
    assert violations(stated, solution) == ()
    assert solution.binding


def test_the_same_problem_has_the_same_orders_every_time_and_in_any_order_of_input():
    stated = large(TIGHT, 7)
    shuffled = replace(stated, positions=tuple(sorted(stated.positions, key=lambda p: hash(p.price))))
    first = solve(stated)
    assert solve(stated).trades == first.trades
    assert solve(shuffled).trades == first.trades


def test_a_time_out_without_any_answer_is_an_error_and_not_a_sale_of_everything(monkeypatch):
    stated = problem(100, *(position(n, 0, 51, "0.475", ("0.475", "0.4")) for n in "AB"))

    def no_time(*_):
        raise NoAnswerInTime

    monkeypatch.setattr("rebalance_app.optimiser.solve.solve_jointly", no_time)
    solution = solve(stated)
    assert (solution.status, solution.trades) == ("error", ())
    assert solution.reasons[0].code == "NO_ANSWER_IN_TIME"


@pytest.mark.parametrize("defect", [ValueError("Problem data contains NaN"), TypeError("no dual ray")])
def test_an_exception_in_the_solver_s_thread_is_raised_as_what_it_is_and_no_failure_of_the_solver(defect, monkeypatch):
    stated = problem(100, *(position(n, 0, 51, "0.475", ("0.475", "0.4")) for n in "AB"))

    def broken(*_, **__):
        raise defect

    monkeypatch.setattr(cp.Problem, "solve", broken)
    with pytest.raises(type(defect), match=str(defect)):
        solve(stated)


def test_an_end_of_the_solver_that_cvxpy_has_no_name_for_is_a_failure_of_the_solver(monkeypatch):
    stated = problem(100, *(position(n, 0, 51, "0.475", ("0.475", "0.4")) for n in "AB"))
    unnamed = Solution("UNKNOWN", None, {}, {}, {})
    monkeypatch.setattr(cp.Problem, "solve", lambda self, **_: self.unpack(unnamed))
    solution = solve(stated)

    assert solution.reasons[0].code == "SOLVER_FAILED"


def test_a_time_out_after_the_relaxation_offers_its_answer_with_its_gap(monkeypatch):
    stated = large(Spec(securities=40, floor="0.052", oddities=0, band=("0.02", "0.02")), 1)
    book = integer_problem(stated)
    choices, alone = solve_alone(book)
    assert broken_rows(book, alone)

    def no_time(*_):
        raise NoAnswerInTime

    monkeypatch.setattr(branch_and_bound, "MOST_LOOKS", 0)
    monkeypatch.setattr(joint, "solve_whole", no_time)
    found = solve_jointly(book, choices, 10)
    objective = book.score_money(total_score(book, found.trades))
    assert found.bound <= objective
    assert broken_rows(book, found.trades) == ()
    solution = solve(stated)
    assert solution.status == ("optimal" if solution.gap <= D("0.01") else "time_limit")


def test_a_subset_sum_that_cannot_be_proven_in_time_ends_in_time():
    positions = [position(f"S{i:02d}", 0, f"{37 + 7.1 * i:.2f}", "0.02", ("0.02", "0.02")) for i in range(45)]
    band = {"min_cash": D("40000.011"), "max_cash": D("40000.012")}
    stated = replace(problem("91234.56", *positions), options=Options(time_limit=2.0, **band))
    started = time.monotonic()
    solution = solve(stated)
    assert time.monotonic() - started < 6
    assert solution.status in {"infeasible", "error", "optimal", "time_limit"}
    assert violations(stated, solution) == () if solution.solved else solution.trades == ()


def stubborn(self, **options):
    """A solver that does not look at the clock once it branches."""
    if self.is_mixed_integer():
        time.sleep(20)
    return PLAIN_SOLVE(self, **options)


@pytest.mark.parametrize(("seed", "status"), [(1, "time_limit"), (None, "error")])
def test_a_solver_that_ignores_its_limit_is_left_behind_and_what_there_was_is_offered(seed, status, monkeypatch):
    monkeypatch.setattr(cp.Problem, "solve", stubborn)
    monkeypatch.setattr(BranchAndBound, "run", lambda *_: None)
    monkeypatch.setattr(Exchanges, "closer", lambda *_: None)
    if seed is None:
        monkeypatch.setattr(joint, "rounded", lambda *_: None)
    stated = large(Spec(securities=40, floor="0.055", oddities=0, band=("0.02", "0.02")), seed or 1)
    started = time.monotonic()
    solution = solve(replace(stated, options=replace(stated.options, time_limit=1.0)))
    assert time.monotonic() - started < 10, "not the solver's twenty seconds"
    assert solution.status == status
    if solution.solved:
        assert violations(stated, solution) == ()
        assert solution.gap > D("0.01")
    else:
        assert solution.reasons[0].code == "NO_ANSWER_IN_TIME"


def test_relaxed_multipliers_are_those_of_the_rows_that_bind():
    book = integer_problem(large(TIGHT, 2))
    choices, _ = solve_alone(book)
    multipliers = solve_relaxed(book, choices, 10).multipliers
    assert set(multipliers) == {"cash_floor", "turnover"}
    assert any(multipliers.values())


def test_a_part_that_is_solved_directly_has_the_bound_and_the_answer_of_the_statement():
    for seed in range(6):
        book = integer_problem(large(TIGHT, seed))
        choices, _ = solve_alone(book)
        stated, part = solve_relaxed(book, choices, 10), solve_node(table(book, choices), 10)
        assert abs(book.score_money(part.bound - stated.bound)) < D("0.01")
        assert part.steps == pytest.approx(stated.steps, abs=1e-5)


def test_a_part_without_an_answer_has_a_bound_above_every_answer():
    book = integer_problem(
        replace(large(TIGHT, 2), options=Options(min_cash_weight=D("0.06"), max_turnover=D("0.0001")))
    )
    choices, _ = solve_alone(book)
    with pytest.raises(ProgramInfeasible):
        solve_relaxed(book, choices, 10)
    points = table(book, choices)
    worst = np.maximum.reduceat(points.score, points.start).sum()
    assert solve_node(points, 10).bound > worst


def test_what_branch_and_bound_proves_counts_where_it_is_more_than_was_known(monkeypatch):
    monkeypatch.setattr(BranchAndBound, "run", lambda *_: None)
    monkeypatch.setattr(Exchanges, "closer", lambda *_: None)
    for seed in range(4):
        book = integer_problem(
            large(Spec(20, 100_000, ("0.02", "0.02"), floor="0.055", oddities=0, min_trade="1000"), seed)
        )
        choices, _ = solve_alone(book)
        found, relaxed = solve_jointly(book, choices, 10), solve_relaxed(book, choices, 10)
        assert book.score_money(total_score(book, found.trades)) - found.bound <= D("0.01")
        assert found.bound - book.score_money(relaxed.bound) > 1


def test_branch_and_bound_refuses_amounts_whose_cents_floats_lose():
    book = integer_problem(problem(3 * 10**14, position("A", 0, 1000, "0.5", "0.1"), min_cash=D(10**14)))
    choices, _ = solve_alone(book)
    with pytest.raises(SolverFailed, match="100,000,000,000,000"):
        solve_whole(book, choices, 5)


def test_slopes_of_the_programme_add_up_to_the_exact_score():
    book = integer_problem(large(TIGHT, 3))
    choices, _ = solve_alone(book)
    stated = programme(table(book, choices))
    full = stated.columns.length
    top = sum(total for total in (stated.slopes["score"] * full))
    exact = total_score(book, [c.most for c in choices])
    assert stated.constants["score"] + top == pytest.approx(float(book.score_money(exact)))


def test_the_search_for_the_first_answer_leaves_half_of_the_time_for_finding_one_at_all(monkeypatch):
    given = []
    monkeypatch.setattr(BranchAndBound, "run", lambda _self, seconds: given.append(seconds))
    book = integer_problem(large(TIGHT, 2))
    choices, _ = solve_alone(book)
    solve_jointly(book, choices, 10)
    assert given[0] <= 5
