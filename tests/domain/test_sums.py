"""Adding up to a sum: the first of all ways, line by line, is the one that trying everything finds."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalance_app.domain import sums
from rebalance_app.domain.sums import Pair, Piece, Sums, TooMany, TwoSums, pieces

RANGES = st.tuples(st.integers(-6, 6), st.integers(0, 4)).map(lambda x: (x[0], x[0] + x[1]))


def apart(ranges):
    """Ascending intervals that do not touch, of any."""
    found = []
    for first, last in sorted(ranges):
        if not found or first > found[-1][1]:
            found.append((first, last))
    return found


LINES = st.lists(
    st.tuples(st.lists(RANGES, min_size=1, max_size=3).map(apart), st.integers(1, 9)), min_size=1, max_size=4
)


def every(lines):
    """All ways, the first first: id by id the larger trade, then a buy."""
    options = [[k for first, last in intervals for k in range(first, last + 1)] for intervals, _ in lines]
    return sorted(product(*options), key=lambda way: [(-abs(k), -k) for k in way])


def bought(lines, way):
    return sum(k * step for k, (_, step) in zip(way, lines, strict=True))


def traded(lines, way):
    return sum(abs(k) * step for k, (_, step) in zip(way, lines, strict=True))


@pytest.fixture(params=[False, True], ids=["all sums known", "few sums known"])
def _known(request, monkeypatch):
    if request.param:
        for name, value in (("KNOWN", 3), ("WINDOW", 2), ("JUMPS", 1), ("FEW", 2)):
            monkeypatch.setattr(sums, name, value)


@pytest.mark.usefixtures("_known")
@pytest.mark.parametrize(("sell", "total_of"), [(-1, bought), (1, traded)])
def test_the_first_way_to_a_sum_is_that_of_trying_all(sell, total_of):
    @settings(max_examples=300, deadline=None)
    @given(LINES, st.integers(0, 10**6))
    def promise(lines, which):
        ways = every(lines)
        total = total_of(lines, ways[which % len(ways)]) + which % 3 - 1
        expected = next((list(way) for way in ways if total_of(lines, way) == total), None)
        assert Sums([pieces(of, step, sell * step) for of, step in lines], 1).first(total) == expected

    promise()


@pytest.mark.usefixtures("_known")
def test_the_first_way_to_two_sums_is_that_of_trying_all():
    @settings(max_examples=300, deadline=None)
    @given(LINES, st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 4))
    def promise(lines, which, below, above):
        ways = every(lines)
        some = ways[which % len(ways)]
        both, buys = traded(lines, some) + which % 2, (traded(lines, some) + bought(lines, some)) // 2
        low, high = buys - below + 1, buys + above - 1

        def right(way):
            return traded(lines, way) == both and low <= (both + bought(lines, way)) / 2 <= high

        expected = next((list(way) for way in ways if right(way)), None)
        assert TwoSums([pieces(of, step, step) for of, step in lines], 1).first(both, low, high) == expected

    promise()


@pytest.mark.usefixtures("_known")
def test_the_nearest_sum_is_that_of_trying_all_or_a_nearer_one_that_is_not_known_to_be_impossible():
    @settings(max_examples=150, deadline=None)
    @given(LINES, st.integers(0, 10**6), st.sampled_from([1, -1]))
    def promise(lines, which, sign):
        sums_of = sorted({traded(lines, way) for way in every(lines)})
        total = sums_of[which % len(sums_of)] + which % 7 - 3
        beyond = [each for each in sums_of if (each - total) * sign >= 0]
        expected = min(beyond, key=lambda each: abs(each - total), default=None)
        adding_up = Sums([pieces(of, step, step) for of, step in lines], 1)
        found = adding_up.nearest(total, sign)
        if found != expected:
            assert adding_up.first(found) is None
            assert found == total

    promise()


@settings(max_examples=500, deadline=None)
@given(st.tuples(RANGES, RANGES), st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(-400, 400), RANGES)
def test_two_lines_come_to_a_total_exactly_where_trying_all_says_so(ranges, units, total, part):
    signs = [1 if which % 2 else -1 for which in units]
    one, other = (
        Piece(1, max(a, 0), max(b, 0), sign * unit) for (a, b), unit, sign in zip(ranges, units, signs, strict=True)
    )
    low, high = (10 * end for end in part)
    expected = any(
        x * one.unit + y * other.unit == total and low <= x * one.unit <= high
        for x in range(one.least, one.most + 1)
        for y in range(other.least, other.most + 1)
    )
    assert Pair.of(one, other).comes_to(total, low, high) == expected


def test_a_sum_in_the_middle_of_millions_is_found_by_the_last_two_lines():
    lines = [pieces([(0, 18_549)], 1285, 1285), pieces([(21, 12_667)], 2418, 2418), pieces([(9, 1109)], 5747, 5747)]
    found = Sums(lines, 1).first(30_000_001)
    assert sum(k * unit for k, unit in zip(found, (1285, 2418, 5747), strict=True)) == 30_000_001
    assert all(Sums(lines[1:], 1).first(30_000_001 - k * 1285) is None for k in range(found[0] + 1, 18_550))


def test_a_coarse_unit_says_that_a_sum_between_its_multiples_is_impossible():
    lines = [pieces([(0, 9)], 30, 30), pieces([(0, 9)], 50, 50)]
    assert Sums(lines, 10).first(110) == [2, 1]
    assert Sums(lines, 10).first(115) is None


def test_a_search_that_would_take_too_long_is_given_up_not_answered(monkeypatch):
    for name, value in (("KNOWN", 3), ("WINDOW", 2), ("JUMPS", 1), ("FEW", 2), ("MOST_LOOKS", 200)):
        monkeypatch.setattr(sums, name, value)
    lines = [pieces([(0, 40)], 20, 20) for _ in range(12)]
    with pytest.raises(TooMany):
        Sums(lines, 2).first(8 * 20 * 40 + 10)
