"""What sales realise by tax lots: highest cost first, exact, and the same in every statement of it."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_app.portfolio.lots import gain, lots_sold, realised_gain
from models_app.portfolio.types import Options, Position, ProblemError, RebalanceProblem, TaxLot
from rebalance_app.formats.problem_json import problem_from_json, problem_to_json
from rebalance_app.optimiser.canonical import branch_and_bound
from rebalance_app.optimiser.check import scalar as verify
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.objective import realised_gain as gain_in_minor_units
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem, shares
from tests.rebalance_app.optimiser.oracle import best

OLD = TaxLot(D(6), D("9.75"), date(2024, 3, 1), "A1")
NEW = TaxLot(D(4), D(12), date(2025, 6, 30), "A2")
TWIN = TaxLot(D(4), D(12), date(2025, 7, 1), "A3")


def _problem(lots, quantity, price="11"):
    held = Position("A", D(quantity), D(price), D(0), D(0), D(0), lots=tuple(lots))
    return RebalanceProblem("P", D(0), (held,), Options(gain_budget=D(0)))


def test_the_highest_cost_is_sold_first_and_of_equal_costs_the_lot_that_comes_first():
    assert lots_sold([OLD, NEW, TWIN], D(9)) == [(NEW, 4), (TWIN, 4), (OLD, 1)]
    assert lots_sold([OLD], D(0)) == []


def test_a_gain_is_exact_beyond_the_digits_of_usual_decimals():
    lot = TaxLot(D("99999999999.9999"), D("0.0001"))

    assert gain([(lot, lot.quantity)], D("99999999999.9999")) == D("9999999999999970000000.00000002")


def test_a_loss_counts_against_gains():
    assert realised_gain(_problem([OLD, NEW], 10), {"A": D(5)}) == 4 * (11 - 12) + (11 - D("9.75"))


def test_a_gain_is_unknown_where_the_lots_do_not_cover_what_is_sold():
    assert realised_gain(_problem([NEW], 10), {"A": D(5)}) is None
    assert realised_gain(_problem([], 10), {"A": D(10)}) == 0, "nothing is sold"


lot = st.builds(
    TaxLot,
    st.decimals(Decimal("0.0001"), Decimal(5000), places=4),
    st.decimals(Decimal(0), Decimal(5000), places=4),
)


@given(lots=st.lists(lot, min_size=1, max_size=6), share=st.integers(0, 100), price=st.integers(1, 10**8))
def test_optimiser_check_and_report_state_the_same_gain(lots, share, price):
    held = sum((x.quantity for x in lots), D(0))
    problem = _problem(lots, held, D(price).scaleb(-4))
    sold = int(held) * share // 100
    after, book = {"A": held - sold}, integer_problem(problem)
    grains = gain_in_minor_units(book.securities[0], -sold)

    assert realised_gain(problem, after) == verify.total_gain(problem, after) == book.money(grains)


def test_a_lot_keeps_its_name_and_its_day_in_json():
    problem = _problem([OLD, TaxLot(D(4), D(12))], 10)

    assert problem_from_json(problem_to_json(problem)) == problem


@pytest.mark.parametrize("day", ["2026-02-30", "20260101", 7])
def test_a_day_that_is_none_is_refused_at_its_place(day):
    given = problem_to_json(_problem([OLD], 6))
    given["positions"][0]["lots"][0]["acquired_on"] = day
    with pytest.raises(ProblemError) as refused:
        problem_from_json(given)
    assert refused.value.field == "positions[0].lots[0].acquired_on"


def _short_of_cash_with_a_gain_to_offset():
    """A must be sold at a gain of 20, of which the budget allows 10; B can be sold at a loss of 4 each instead of C."""
    return problem(
        520,
        position("A", 12, 20, "0.2", "0.15", lots=(TaxLot(D(12), D(10)),)),
        position("B", 10, 20, "0.2", "0.15", lots=(TaxLot(D(10), D(24)),)),
        position("C", 2, 20, "0.2", "0.2", lots=(TaxLot(D(2), D(20)),)),
        min_cash=D(500),
        gain_budget=D(10),
    )


def test_losses_are_sold_to_make_room_for_gains_and_no_more_of_them_than_that_takes():
    stated = _short_of_cash_with_a_gain_to_offset()
    solution = solve(stated)
    assert shares(solution) == {"A": -2, "B": -3, "C": 6}, "20 gained and 12 lost; what B is short of, C has"
    assert (solution.first, shares(solution)) == (True, {name: k for name, k in best(stated)[2].items() if k})


def test_where_the_losses_to_be_sold_were_not_looked_for_to_the_end_no_answer_is_called_the_first(monkeypatch):
    monkeypatch.setattr(branch_and_bound, "MOST_LOOKS", 1)
    assert not solve(_short_of_cash_with_a_gain_to_offset()).first


def test_a_lot_of_which_everything_was_sold_changes_nothing():
    stated = _short_of_cash_with_a_gain_to_offset()
    sold = TaxLot(D(0), D(99))
    lots = tuple(replace(p, lots=(sold, *p.lots)) for p in stated.positions)
    found, expected = solve(replace(stated, positions=lots)), solve(stated)
    assert (found.status, found.trades, found.objective) == (expected.status, expected.trades, expected.objective)
    assert list(lots_sold((sold, OLD), D(2))) == list(lots_sold((OLD,), D(2)))
