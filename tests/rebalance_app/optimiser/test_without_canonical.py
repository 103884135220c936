"""Without `canonical` an answer may be any of the equals, but it is as good, to a cent."""

import pytest

from benchmarks.instances import Spec, alike, large, mixed, short_of_cash, small, taxed
from rebalance_app.optimiser import coupled
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D

BAND = ("0.02", "0.02")
FLOOR = Spec(floor="0.055", band=BAND, oddities=0)
ALL_AT_ONCE = Spec(floor="0.055", band=BAND, oddities=0, min_trade="1000", turnover="0.07")


def relaxed_and_improved(relaxed, start, good, _deadline):
    """What stands in `solve_jointly` in the place of `first_of_equals`, where nobody asks for the first."""
    return good(start, relaxed.bound)


def in_turn(stated, monkeypatch):
    """The answer with `canonical`, and the one without."""
    first = solve(stated)
    monkeypatch.setattr(coupled, "first_of_equals", relaxed_and_improved)
    return first, solve(stated)


@pytest.mark.parametrize(
    "stated",
    [
        *(large(FLOOR, seed) for seed in range(3)),
        *(large(ALL_AT_ONCE, seed) for seed in range(3)),
        *map(taxed, range(3)),
        *map(mixed, (1, 3, 5)),
    ],
    ids=lambda stated: stated.portfolio_id,
)
def test_without_it_an_answer_is_optimal_to_a_cent_and_not_called_the_first(stated, monkeypatch):
    first, other = in_turn(stated, monkeypatch)
    assert (first.status, other.status, other.first) == ("optimal", "optimal", first.method == "separable")
    assert abs(first.objective - other.objective) <= D("0.01")
    assert violations(stated, other) == ()


@pytest.mark.parametrize("make", [small, alike, short_of_cash])
def test_without_it_small_problems_have_an_answer_where_they_had_one_and_none_where_not(make, monkeypatch):
    compared = 0
    for seed in range(40):
        with monkeypatch.context() as patched:
            first, other = in_turn(make(seed), patched)
        assert first.status == other.status
        if first.method == "milp":
            assert abs(first.objective - other.objective) <= D("0.01")
            compared += 1
    assert compared > 2
