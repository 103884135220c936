"""Every small problem has the orders of the best of all whole-share answers, and of equal ones those of the first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.instances import small
from rebalance_app.domain.solve import solve
from rebalance_app.domain.verify import violations
from tests.domain.build import shares
from tests.domain.oracle import best


def agrees(problem):
    solution, expected = solve(problem), best(problem)
    assert solution.status == ("infeasible" if expected is None else "optimal"), (problem, solution, expected)
    if expected is None:
        assert solution.reasons
        return
    objective, _, changes = expected
    assert (solution.objective, solution.lower_bound) == (objective, objective)
    assert shares(solution) == {name: change for name, change in changes.items() if change}
    assert violations(problem, solution) == ()


@pytest.mark.parametrize("block", range(3))
def test_every_option_together_equals_brute_force(block):
    for seed in range(100 * block, 100 * block + 100):
        agrees(small(seed))


def test_plain_problems_equal_brute_force():
    for seed in range(300):
        agrees(small(seed, plain=True))


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=10_000, max_value=10**9))
def test_any_seed_equals_brute_force(seed):
    agrees(small(seed))
