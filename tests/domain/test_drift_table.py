"""Drift as arrays is the drift of one portfolio at a time, or no answer at all."""

from decimal import Decimal

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models_app.portfolio.batch import Block
from models_app.portfolio.batch_drift import drift_table
from models_app.portfolio.drift import portfolio_drift
from models_app.portfolio.units import MILLIONTH, MONEY_SCALE, WEIGHT_SCALE
from tests.runs.test_block import blocks, problem_of

NEAR, ZERO = Decimal("0.8"), Decimal(0)
STATES = ["in_band", "near", "breach_over", "breach_under", "not_in_model"]


def block_of(*quantities, prices, targets, band, cash=0):
    n = len(prices)
    return Block(
        security_ids=tuple(f"{i:024d}" for i in range(n)),
        prices=np.array(prices) * MONEY_SCALE,
        targets=np.array(targets),
        low_drifts=np.array([band] * n),
        high_drifts=np.array([band] * n),
        quantities=np.array(quantities),
        cash=np.array([cash] * len(quantities)),
        floor=np.zeros(len(quantities), dtype=np.int64),
    )


def compare(block, near=NEAR):
    """Asserts that every answered row is what the general way says; returns how many were."""
    table = drift_table(block, near=near)
    for row in np.flatnonzero(table.answered):
        problem = problem_of(block, row)
        one = portfolio_drift(problem.positions, problem.cash, near=near)
        assert Decimal(int(table.market_value[row])) / MONEY_SCALE == one.market_value
        assert Decimal(int(table.total[row])) / MONEY_SCALE / WEIGHT_SCALE == one.total_drift
        assert (table.breaches[row], table.trades[row]) == (one.breaches, one.trades)
        assert [STATES[code] for code in table.state[row]] == [p.state for p in one.positions]
        assert [Decimal(int(d)) for d in table.drift[row]] == [
            (p.weight.quantize(MILLIONTH) - p.target) * WEIGHT_SCALE for p in one.positions
        ]
        compare_worst(table, row, one)
    return int(table.answered.sum())


def compare_worst(table, row, one):
    if not any(p.drift for p in one.positions):
        assert (table.worst[row], table.worst_drift[row], table.worst_use[row]) == (-1, None, None)
        return
    worst = one.positions[table.worst[row]]
    most = max((p.no_band, abs(p.band_use or ZERO), abs(p.drift)) for p in one.positions if p.drift)
    assert (worst.no_band, abs(worst.band_use or ZERO).quantize(MILLIONTH)) == (most[0], most[1].quantize(MILLIONTH))
    assert abs(table.worst_drift[row] - worst.drift) < Decimal("1e-20")
    assert (table.worst_use[row] is None) == worst.no_band
    if not worst.no_band:
        assert abs(table.worst_use[row] - worst.band_use) <= abs(worst.band_use) * Decimal("1e-18")


@settings(max_examples=150, deadline=None)
@given(blocks(), st.sampled_from([NEAR, Decimal("0.333333"), Decimal(1), Decimal(0)]))
@example(block_of([0], prices=[1], targets=[0], band=0, cash=1), Decimal(0))
@example(block_of([1], prices=[1], targets=[500_000], band=1000, cash=MONEY_SCALE), Decimal(0))
def test_every_row_that_is_answered_is_what_the_general_way_says(block, near):
    compare(block, near)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 2**33))
@example(10**12, 2**33)
def test_what_could_leave_64_bits_is_left_to_the_general_way(price, quantity):
    block = block_of(
        [quantity, 1], [1, 2], prices=[price // MONEY_SCALE + 1, 3], targets=[300_000, 300_000], band=20_000
    )
    compare(block)


def test_of_two_equally_far_out_the_first_is_the_worst_and_what_has_no_band_is_worse_than_all():
    equal = block_of([30, 30, 0], prices=[1, 1, 1], targets=[200_000, 200_000, 0], band=10_000, cash=40 * MONEY_SCALE)
    assert drift_table(equal, near=NEAR).worst.tolist() == [0]
    outside = Block(
        equal.security_ids, equal.prices, equal.targets, np.array([10_000, 10_000, 0]), np.array([10_000, 10_000, 0]),
        np.array([[30, 30, 1]]), equal.cash, equal.floor,
    )  # fmt: skip
    found = drift_table(outside, near=NEAR)
    assert (found.worst.tolist(), found.worst_use) == ([2], [None])
    assert compare(equal) == compare(outside) == 1


def test_at_the_edge_of_its_band_a_position_is_in_and_near():
    block = block_of([22, 20], prices=[1, 1], targets=[200_000, 200_000], band=20_000, cash=58 * MONEY_SCALE)
    assert drift_table(block, near=NEAR).state.tolist() == [[1, 0]]
    assert compare(block) == 1
