"""Every small problem has the orders of the best of all whole-share answers, and of equal ones those of the first."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings

from benchmarks.instances import alike, costly, grid, kinds, large, short_of_cash, small
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import shares
from tests.rebalance_app.optimiser.oracle import best
from tests.rebalance_app.optimiser.strategies import problems


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


def test_securities_that_are_alike_equal_brute_force():
    for seed in range(200):
        agrees(alike(seed))


@pytest.mark.parametrize("make", [small, alike, short_of_cash])
def test_costs_that_are_kept_above_the_floor_equal_brute_force(make):
    """And it matters: of the same problems without them, some answers leave less than the floor after costs."""
    problems = [costly(make(seed), seed) for seed in range(120)]
    for problem in problems:
        agrees(problem)
    carefree = (solve(replace(p, options=replace(p.options, reserve_costs=False))) for p in problems)
    missed = "cash after the trades is below its floor"
    assert any(s.solved and missed in violations(p, s) for p, s in zip(problems, carefree, strict=True))


@settings(max_examples=150, deadline=None)
@given(problems())
def test_any_problem_that_can_be_drawn_equals_brute_force(problem):
    agrees(problem)


def test_a_soft_band_with_many_steps_left_is_still_decided_exactly():
    agrees(small(979))  # once decided to the cent only, since two lines had more than 40 steps left


KINDS = {
    *("5 securities", "20 securities", "50 securities", "100 securities", "500 securities"),
    *("narrow bands", "wide bands", "asymmetric bands", "tight floor", "equal prices", "tie at .5", "exact edge"),
    *("short", "negative cash", "fractional holding", "single share above the band", "outside the model"),
}


def test_every_kind_that_the_proof_speaks_of_is_among_its_problems():
    found = Counter(kind for spec in grid() for kind in kinds(large(spec, 0)))
    assert {kind for kind in KINDS if found[kind] < 3} == set()
    assert {spec.market_value for spec in grid()} >= {10_000, 50_000_000}
