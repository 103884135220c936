"""Adding up to a sum: the first of all ways, security by security, is the one that trying everything finds."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalance_app.optimiser.canonical import lexicographic, subset_sum
from rebalance_app.optimiser.canonical.lexicographic import Search
from rebalance_app.optimiser.canonical.subset_sum import Progression, Sums, TwoSums, dividing, progressions
from rebalance_app.optimiser.failures import SearchLimit

RANGES = st.tuples(st.integers(-6, 6), st.integers(0, 4)).map(lambda x: (x[0], x[0] + x[1]))


def apart(ranges):
    """Ascending intervals that do not touch, of any."""
    found = []
    for first, last in sorted(ranges):
        if not found or first > found[-1][1]:
            found.append((first, last))
    return found


SECURITIES = st.lists(
    st.tuples(st.lists(RANGES, min_size=1, max_size=3).map(apart), st.integers(1, 9)), min_size=1, max_size=4
)


def every(securities):
    """All ways, the first first: id by id the larger trade, then a buy."""
    options = [[k for first, last in intervals for k in range(first, last + 1)] for intervals, _ in securities]
    return sorted(product(*options), key=lambda way: [(-abs(k), -k) for k in way])


def bought(securities, way):
    return sum(k * step for k, (_, step) in zip(way, securities, strict=True))


def traded(securities, way):
    return sum(abs(k) * step for k, (_, step) in zip(way, securities, strict=True))


@pytest.fixture(params=[0, 1, 2], ids=["all sums known", "few sums known", "last securities held"])
def _known(request, monkeypatch):
    if request.param == 2:
        monkeypatch.setattr(lexicographic, "PATIENCE", 1)
        monkeypatch.setattr(lexicographic, "MOST_HELD", 60)
    if request.param:
        for name, value in (("FULLY_KNOWN", 3), ("WINDOW", 2), ("JUMPS", 1), ("MOST_BITS", 2), ("FEW", 2)):
            monkeypatch.setattr(subset_sum, name, value)


@pytest.mark.usefixtures("_known")
def test_the_first_way_to_a_sum_is_that_of_trying_all():
    @settings(max_examples=150, deadline=None)
    @given(SECURITIES, st.integers(0, 10**6))
    def promise(securities, which):
        every_way = every(securities)
        total = traded(securities, every_way[which % len(every_way)]) + which % 3 - 1
        expected = next((list(way) for way in every_way if traded(securities, way) == total), None)
        assert Search(Sums([progressions(of, step) for of, step in securities], 1)).first(total) == expected

    promise()


@pytest.mark.usefixtures("_known")
def test_the_first_way_to_two_sums_is_that_of_trying_all():
    @settings(max_examples=150, deadline=None)
    @given(SECURITIES, st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 4))
    def promise(securities, which, below, above):
        every_way = every(securities)
        some = every_way[which % len(every_way)]
        both, buys = traded(securities, some) + which % 2, (traded(securities, some) + bought(securities, some)) // 2
        low, high = buys - below + 1, buys + above - 1

        def right(way):
            return traded(securities, way) == both and low <= (both + bought(securities, way)) / 2 <= high

        expected = next((list(way) for way in every_way if right(way)), None)
        assert (
            Search(TwoSums([progressions(of, step) for of, step in securities], 1)).first((both, low, high)) == expected
        )

    promise()


@pytest.mark.usefixtures("_known")
def test_the_nearest_sum_is_that_of_trying_all_or_a_nearer_one_that_is_not_known_to_be_impossible():
    @settings(max_examples=150, deadline=None)
    @given(SECURITIES, st.integers(0, 10**6), st.sampled_from([1, -1]))
    def promise(securities, which, sign):
        sums_of = sorted({traded(securities, way) for way in every(securities)})
        total = sums_of[which % len(sums_of)] + which % 7 - 3
        beyond = [each for each in sums_of if (each - total) * sign >= 0]
        expected = min(beyond, key=lambda each: abs(each - total), default=None)
        adding_up = Sums([progressions(of, step) for of, step in securities], 1)
        found = adding_up.nearest(total, sign)
        if found != expected:
            assert found is not None
            assert Search(adding_up).first(found) is None
            assert (found - total) * sign >= 0
            assert expected is None or (expected - found) * sign > 0

    promise()


@pytest.mark.parametrize(("sign", "nearest"), [(1, 120), (-1, 110)])
@pytest.mark.usefixtures("_known")
def test_the_nearest_sum_to_one_between_multiples_of_the_unit_is_a_multiple(sign, nearest):
    securities = [progressions([(0, 9)], 30), progressions([(0, 9)], 50)]
    assert Sums(securities, 10).nearest(115, sign) == nearest


@settings(max_examples=200, deadline=None)
@given(st.tuples(RANGES, RANGES), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(-400, 400), RANGES)
def test_two_securities_come_to_a_total_exactly_where_trying_all_says_so(ranges, units, total, part):
    one, other = (Progression(1, max(a, 0), max(b, 0), unit) for (a, b), unit in zip(ranges, units, strict=True))
    low, high = (10 * end for end in part)
    expected = any(
        x * one.unit + y * other.unit == total and low <= x * one.unit <= high
        for x in range(one.least, one.most + 1)
        for y in range(other.least, other.most + 1)
    )
    least, most = other.rest(total)
    assert bool(dividing(one, other.unit, total, max(low, least), min(high, most))) == expected


def test_a_sum_in_the_middle_of_millions_is_found_by_the_last_two_securities():
    securities = [
        progressions([(0, 18_549)], 1285),
        progressions([(21, 12_667)], 2418),
        progressions([(9, 1109)], 5747),
    ]
    found = Search(Sums(securities, 1)).first(30_000_001)
    assert sum(k * unit for k, unit in zip(found, (1285, 2418, 5747), strict=True)) == 30_000_001
    assert all(
        Search(Sums(securities[1:], 1)).first(30_000_001 - k * 1285) is None for k in range(found[0] + 1, 18_550)
    )


def test_a_coarse_unit_says_that_a_sum_between_its_multiples_is_impossible():
    securities = [progressions([(0, 9)], 30), progressions([(0, 9)], 50)]
    assert Search(Sums(securities, 10)).first(110) == [2, 1]
    assert Search(Sums(securities, 10)).first(115) is None


def test_a_search_that_would_take_too_long_is_given_up_not_answered(monkeypatch):
    for name, value in (("FULLY_KNOWN", 3), ("WINDOW", 2), ("JUMPS", 1), ("MOST_BITS", 2), ("FEW", 2)):
        monkeypatch.setattr(subset_sum, name, value)
    monkeypatch.setattr(lexicographic, "MOST_TRADES", 200)
    securities = [progressions([(0, 0), (3, 3)], 20 * number) for number in range(1, 13)]
    with pytest.raises(SearchLimit):
        Search(Sums(securities, 20)).first(2000)


def test_a_search_from_one_start_knows_of_the_starts_before_it_only_what_holds_for_all(monkeypatch):
    for name, value in (("FULLY_KNOWN", 3), ("WINDOW", 2), ("JUMPS", 1), ("MOST_BITS", 2), ("FEW", 2)):
        monkeypatch.setattr(subset_sum, name, value)
    securities = [
        progressions([(2, 4)] if number == 3 else [(0, 0), (3, 5)], 20 * number) for number in (1, 2, 3, 5, 7)
    ]
    search = Search(Sums(securities, 20))
    for total in range(0, 1800, 20):
        assert search.first(total) == Search(Sums(securities, 20)).first(total)
