"""Sums with a number of orders and a budget for gains beside them: the first way is the one that trying all finds."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_app.portfolio.types import TaxLot
from rebalance_app.optimiser.canonical import cardinality, gain_bound
from rebalance_app.optimiser.canonical.cardinality import Counted, Orders
from rebalance_app.optimiser.canonical.gain_bound import Gains
from rebalance_app.optimiser.canonical.lexicographic import Search
from rebalance_app.optimiser.canonical.subset_sum import Sums, TwoSums, progressions
from rebalance_app.optimiser.failures import SearchLimit
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.objective import realised_gain
from tests.rebalance_app.optimiser.build import D, position, problem
from tests.rebalance_app.optimiser.test_subset_sum import SECURITIES, bought, every, traded

SECURITY = integer_problem(
    problem(1000, position("A", 8, 10, "0.1", lots=(TaxLot(D(8), D(9)),)), gain_budget=D(0))
).securities[0]
NUMBERS = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda x: (min(x), max(x)))


def made(way):
    return sum(1 for k in way if k)


KNOWN = {
    "all sums known": {},
    "few sums known": {"KNOWN": 40, "MOST_KNOWN": 5, "LEAST_KNOWN": 2, "MOST_SUMS": 1},
    "all sums looked at together": {"MOST_SUMS": 1},
}


@pytest.fixture(params=KNOWN)
def _known(request, monkeypatch):
    for name, value in KNOWN[request.param].items():
        monkeypatch.setattr(cardinality, name, value)


@pytest.mark.usefixtures("_known")
def test_the_first_way_with_a_number_of_orders_is_that_of_trying_all():
    @settings(max_examples=200, deadline=None)
    @given(SECURITIES, st.integers(0, 10**6), NUMBERS)
    def promise(securities, which, number):
        every_way = every(securities)
        total = traded(securities, every_way[which % len(every_way)]) + which % 5 // 4
        right = (way for way in every_way if traded(securities, way) == total and number[0] <= made(way) <= number[1])
        sums = Sums([progressions(of, step) for of, step in securities], 1)
        assert Search(sums, [(Orders(sums, number), number)]).first(total) == next(map(list, right), None)

    promise()


@pytest.mark.usefixtures("_known")
def test_the_first_way_to_two_sums_with_a_number_of_orders_is_that_of_trying_all():
    @settings(max_examples=200, deadline=None)
    @given(SECURITIES, st.integers(0, 10**6), NUMBERS, st.integers(0, 6), st.integers(0, 6))
    def promise(securities, which, number, below, above):
        every_way = every(securities)
        some = every_way[which % len(every_way)]
        both, buys = (
            traded(securities, some) + which % 5 // 4,
            (traded(securities, some) + bought(securities, some)) // 2,
        )
        low, high = buys - below, buys + above

        def right(way):
            within = low <= (both + bought(securities, way)) / 2 <= high
            return within and traded(securities, way) == both and number[0] <= made(way) <= number[1]

        sums = TwoSums([progressions(of, step) for of, step in securities], 1)
        expected = next(map(list, filter(right, every_way)), None)
        assert Search(sums, [(Orders(sums, number), number)]).first((both, low, high)) == expected

    promise()


@settings(max_examples=200, deadline=None)
@given(SECURITIES, st.integers(0, 5), st.booleans())
def test_where_all_sums_below_the_most_are_known_orders_come_to_what_trying_all_says(securities, number, exact):
    counted = Counted(Sums([progressions(of, step) for of, step in securities], 1), exact=exact)
    right = (way for way in every(securities) if (made(way) == number if exact else made(way) <= number))
    sums = {traded(securities, way) for way in right}
    assert sums == {total for total in range(4 * 10 * 9 + 1) if counted.possible(0, total, number)}


def test_a_search_that_tries_too_many_pairs_of_securities_or_takes_too_long_is_given_up_not_answered(monkeypatch):
    sums, number = Sums([progressions([(-40, 40)], step) for step in range(101, 131)], 1), (3, 3)
    with pytest.raises(SearchLimit):
        Search(sums, [(Orders(sums, number), number)], deadline=0.0).first(7919)
    monkeypatch.setattr(cardinality, "MOST_TRIED", 0)
    with pytest.raises(SearchLimit):
        Search(sums, [(Orders(sums, number), number)]).first(7919)


LOTS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30)), min_size=1, max_size=3)


@pytest.mark.parametrize("two", [False, True], ids=["one sum", "two sums"])
def test_the_first_way_within_a_budget_for_gains_is_that_of_trying_all(two, monkeypatch):
    monkeypatch.setattr(gain_bound, "AT_ONCE", range(1, 100))

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(LOTS, st.integers(1, 2), st.integers(5, 12)), min_size=1, max_size=4), st.data())
    def promise(given_securities, data):
        held = [sum(shares for shares, _ in lots) for lots, _, _ in given_securities]
        stated = problem(
            1000,
            *(
                position(
                    f"S{i}", shares, price, "0.1", lot_size=lot, lots=tuple(TaxLot(D(n), D(c)) for n, c in lots if n)
                )
                for i, (shares, (lots, lot, price)) in enumerate(zip(held, given_securities, strict=True))
            ),
            gain_budget=D(0),
        )
        securities = integer_problem(stated).securities
        most = [shares // lot for shares, (_, lot, _) in zip(held, given_securities, strict=True)]
        ends = [sorted((data.draw(st.integers(-sold, 3)), data.draw(st.integers(-sold, 3)))) for sold in most]
        sets = [[(a, b)] for a, b in ends]
        all_ways = sorted(product(*(range(a, b + 1) for a, b in ends)), key=lambda way: [(-abs(k), -k) for k in way])
        steps = [security.step for security in securities]

        def amount(way, side):
            return sum(max(0, side * k) * step for k, step in zip(way, steps, strict=True))

        def gain(way):
            return sum(realised_gain(security, k) for security, k in zip(securities, way, strict=True))

        some = data.draw(st.sampled_from(all_ways))
        both, buys, most_gain = (
            amount(some, 1) + amount(some, -1),
            amount(some, 1),
            gain(some) + data.draw(st.integers(-5, 5)),
        )
        low, high = (buys - steps[0], buys + steps[0]) if two else (0, both)

        def right(way):
            within = low <= amount(way, 1) <= high
            return within and amount(way, 1) + amount(way, -1) == both and gain(way) <= most_gain

        sums = (TwoSums if two else Sums)([progressions(of, step) for of, step in zip(sets, steps, strict=True)], 1)
        start = (both, low, high) if two else both
        assert Search(sums, [(Gains(securities, sets), most_gain)]).first(start) == next(
            map(list, filter(right, all_ways)), None
        )

    promise()


def test_a_step_that_sells_the_rest_of_one_lot_and_begins_the_next_is_found_within_what_it_gains():
    lots = TaxLot(D(3), D(9)), TaxLot(D(5), D(6))
    book = integer_problem(problem(1000, position("A", 8, 10, "0.1", lot_size=2, lots=lots), gain_budget=D(7)))
    step, sets = book.securities[0].step, [[(-4, -1)]]
    kept = [(Gains(book.securities, sets), book.gain_budget)]
    assert Search(Sums([progressions(sets[0], step)], step), kept).first(2 * step) == [-2]


def test_a_sale_that_ends_where_losses_do_is_found_between_smaller_and_larger_ones_that_gain_too_much():
    losing, gaining = TaxLot(D(300), D(15)), TaxLot(D(500), D(2))
    book = integer_problem(
        problem(
            1000,
            position("A", 800, 10, "0.1", lots=(losing, gaining)),
            position("B", 800, 10, "0.1", lots=(TaxLot(D(800), D(9)),)),
            gain_budget=D(-995),
        )
    )
    step, sets = book.securities[0].step, [[(-800, 0)], [(-800, 0)]]
    sums, kept = Sums([progressions(of, step) for of in sets], step), [(Gains(book.securities, sets), book.gain_budget)]
    assert Search(sums, kept).first(800 * step) == [-300, -500]


def test_where_floats_lose_grains_a_way_within_the_gain_budget_is_found_all_the_same():
    steps, sets = (1, 1, 54043195528445958), [[(-4, 3)], [(-6, -4)], [(-1, -1), (5, 5)]]
    lots = ((25, -4503599627), (4, -4)), ((2, 0), (4, 45035996270)), ()
    securities = [
        replace(SECURITY, step=step, shares=shares, tax_lots=of)
        for step, shares, of in zip(steps, (10, 1, 10), lots, strict=True)
    ]
    sums = TwoSums([progressions(of, step) for of, step in zip(sets, steps, strict=True)], 1)
    kept = [(Gains(securities, sets), 45035996265)]
    assert Search(sums, kept).first((54043195528445964, 0, 0)) == [-2, -4, -1]


def test_gains_beyond_64_bits_are_kept_within_a_budget():
    securities = [replace(SECURITY, step=2**66 + odd, shares=1, tax_lots=((20, -(2**64)),)) for odd in (1, 3, 5)]
    sets = [[(-20, 0)] for _ in securities]
    sums, kept = (
        Sums([progressions(of, security.step) for of, security in zip(sets, securities, strict=True)], 1),
        Gains(securities, sets),
    )
    total = sum(sold * security.step for sold, security in zip((4, 5, 6), securities, strict=True))
    assert Search(sums, [(kept, -15 * 2**64)]).first(total) == [-6, -1, -8], "and 49 = 6 + 3 × 1 + 5 × 8"
    assert Search(sums, [(kept, -15 * 2**64 - 1)]).first(total) is None
