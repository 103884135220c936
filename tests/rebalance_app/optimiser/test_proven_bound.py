"""What branch and bound proves: a number in money that no answer is below, rounded down and never overstated."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from rebalance_app.optimiser.closed_form import solve_alone
from rebalance_app.optimiser.milp.breakpoints import table
from rebalance_app.optimiser.milp.formulation import programme
from rebalance_app.optimiser.milp.highs import proven_bound, solve_whole
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.objective import total_score
from tests.rebalance_app.optimiser.build import D, position, problem
from tests.rebalance_app.optimiser.oracle import best
from tests.rebalance_app.optimiser.test_milp import coupled_small


@pytest.fixture(scope="module")
def stated():
    book = integer_problem(problem(100, *(position(name, 0, 51, "0.475", "0.475") for name in "AB")))
    choices, _ = solve_alone(book)
    return programme(table(book, choices))


def proven(stated, base, above_base):
    """The bound for a base that costs so much money, and a solver that proved so much above it."""
    score = int(D(base) / stated.points.ip.score_money(1))
    solved = SimpleNamespace(solver_stats=SimpleNamespace(extra_stats=SimpleNamespace(mip_dual_bound=above_base)))
    return proven_bound(solved, replace(stated, base_score=score))


@pytest.mark.parametrize(
    ("base", "above_base", "bound"),
    [
        ("5", 1.23456, "6.2345"),
        ("5", 1.2345, "6.2344"),
        ("0", 1.9999999, "1.9999"),
        ("5", -1.23451, "3.7654"),
        ("-3", 5.00005, "2.0000"),
        ("-3", 5.0, "1.9999"),
        ("-3.00004", 5.0, "1.9999"),
        ("1000000000", 0.12345, "1000000000.1234"),
    ],
)
def test_a_bound_is_the_sum_rounded_down_beyond_the_solver_s_tolerance_whatever_the_sign_of_its_parts(
    stated, base, above_base, bound
):
    assert proven(stated, base, above_base) == D(bound)


@pytest.mark.parametrize(("base", "above_base"), [("-3", 1.0), ("-3", 3.0), ("2", -7.5), ("0", 0.0), ("0", -0.00001)])
def test_a_bound_below_nothing_is_nothing_for_no_objective_is_negative(stated, base, above_base):
    bound = proven(stated, base, above_base)
    assert bound == 0
    assert not bound.is_signed()


def test_what_is_proven_is_never_above_the_best_and_within_a_cent_of_it():
    for _, book, choices in coupled_small(25):
        found = solve_whole(book, choices, 10)
        objective = book.score_money(total_score(book, found.trades))
        assert objective == best(book.problem)[0]
        if found.bound is not None:
            assert 0 <= found.bound <= objective
            assert objective - found.bound <= D("0.01")
