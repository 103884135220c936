"""Drift as arrays is the drift of one portfolio at a time, or no answer at all."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models_app.portfolio.batch import Batch
from models_app.portfolio.batch_drift import batch_drift, weights
from models_app.portfolio.drift import portfolio_drift
from models_app.portfolio.nearest import closed_form
from models_app.portfolio.units import MILLIONTH, MONEY_SCALE, WEIGHT_SCALE
from tests.models_app.portfolio.test_batch import batches, money, problem_of

NEAR, ZERO = Decimal("0.8"), Decimal(0)
STATES = ["in_band", "near", "breach_over", "breach_under", "not_in_model"]


def batch_of(*quantities, prices, targets, band, cash=0):
    n = len(prices)
    return Batch(
        security_ids=tuple(f"{i:024d}" for i in range(n)),
        prices=np.array(prices) * MONEY_SCALE,
        targets=np.array(targets),
        low_drifts=np.array([band] * n),
        high_drifts=np.array([band] * n),
        quantities=np.array(quantities),
        cash=np.array([cash] * len(quantities)),
        floor=np.zeros(len(quantities), dtype=np.int64),
        ceiling=np.full(len(quantities), 2**62),
    )


def answered(batch):
    """The portfolios that arrays can answer for, with the drift of each and what each would hold nearest to target."""
    n = len(batch.cash)
    unlimited = {"floor": np.full(n, -np.inf), "ceiling": np.full(n, np.inf), "barred_buys": (), "barred_sales": ()}
    found = closed_form(replace(batch, **unlimited))
    rows = np.flatnonzero(found.answered)
    batch, found = batch.rows(rows), found.rows(rows)
    return batch, batch_drift(batch, batch.quantities, found.market_value), found


def compare(batch, near=NEAR):
    """Asserts that every answered row is what the general way says; returns how many were."""
    batch, found, nearest = answered(batch)
    trades = (nearest.quantities != batch.quantities).sum(axis=1)
    states, share, worst = found.states(near), weights(batch, batch.quantities, found.market_value), found.worst()
    for row in range(len(batch.cash)):
        problem = problem_of(batch, row)
        one = portfolio_drift(problem.positions, problem.cash, near=near)
        assert money(batch, found.market_value[row]) == one.market_value
        assert money(batch, found.total[row]) / WEIGHT_SCALE == one.total_drift
        assert (found.breaches[row], trades[row]) == (one.breaches, one.trades)
        assert [STATES[code] for code in states[row]] == [p.state for p in one.positions]
        assert [Decimal(int(w)) / WEIGHT_SCALE for w in share[row]] == [
            p.weight.quantize(MILLIONTH) for p in one.positions
        ]
        compare_worst(found, row, worst[row], one)
    return len(batch.cash)


def compare_worst(found, row, column, one):
    if not any(p.drift for p in one.positions):
        assert column == -1
        return
    worst = one.positions[column]
    most = max((p.no_band, abs(p.band_use or ZERO), abs(p.drift)) for p in one.positions if p.drift)
    assert (worst.no_band, abs(worst.band_use or ZERO).quantize(MILLIONTH)) == (most[0], most[1].quantize(MILLIONTH))
    assert abs(found.drift_at(row, column) - worst.drift) < Decimal("1e-20")
    assert (found.band_use_at(row, column) is None) == worst.no_band
    if not worst.no_band:
        assert abs(found.band_use_at(row, column) - worst.band_use) <= abs(worst.band_use) * Decimal("1e-18")


@settings(max_examples=150, deadline=None)
@given(batches(), st.sampled_from([NEAR, Decimal("0.333333"), Decimal(1), Decimal(0)]))
@example(batch_of([0], prices=[1], targets=[0], band=0, cash=1), Decimal(0))
@example(batch_of([1], prices=[1], targets=[500_000], band=1000, cash=MONEY_SCALE), Decimal(0))
def test_every_row_that_is_answered_is_what_the_general_way_says(batch, near):
    compare(batch, near)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**12), st.integers(1, 2**33))
@example(10**12, 2**33)
def test_what_could_leave_64_bits_is_left_to_the_general_way(price, quantity):
    batch = batch_of(
        [quantity, 1], [1, 2], prices=[price // MONEY_SCALE + 1, 3], targets=[300_000, 300_000], band=20_000
    )
    compare(batch)


def test_of_two_equally_far_out_the_first_is_the_worst_and_what_has_no_band_is_worse_than_all():
    equal = batch_of([30, 30, 0], prices=[1, 1, 1], targets=[200_000, 200_000, 0], band=10_000, cash=40 * MONEY_SCALE)
    assert answered(equal)[1].worst().tolist() == [0]
    outside = Batch(
        equal.security_ids, equal.prices, equal.targets, np.array([10_000, 10_000, 0]), np.array([10_000, 10_000, 0]),
        np.array([[30, 30, 1]]), equal.cash, equal.floor, equal.ceiling,
    )  # fmt: skip
    _, found, _ = answered(outside)
    assert (found.worst().tolist(), found.band_use_at(0, 2)) == ([2], None)
    assert compare(equal) == compare(outside) == 1


def test_at_the_edge_of_its_band_a_position_is_in_and_near():
    batch = batch_of([22, 20], prices=[1, 1], targets=[200_000, 200_000], band=20_000, cash=58 * MONEY_SCALE)
    assert answered(batch)[1].states(NEAR).tolist() == [[1, 0]]
    assert compare(batch) == 1
