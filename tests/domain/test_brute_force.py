"""Every small problem has its answer compared with the best of all whole-share answers."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.instances import small
from rebalance_app.domain.solve import solve
from rebalance_app.domain.verify import violations
from tests.domain.oracle import best


def agrees(problem):
    solution, expected = solve(problem), best(problem)
    assert solution.status == ("infeasible" if expected is None else "optimal"), (problem, solution, expected)
    if expected is None:
        assert solution.reasons
        return
    objective, traded, _ = expected
    prices = {p.security_id: p.price for p in problem.positions}
    assert solution.lower_bound <= objective <= solution.objective
    assert solution.objective - objective <= Decimal("0.01")
    assert violations(problem, solution) == ()
    if solution.method == "separable":
        assert solution.objective == objective
        assert sum(t.quantity * prices[t.security_id] for t in solution.trades) == traded


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
