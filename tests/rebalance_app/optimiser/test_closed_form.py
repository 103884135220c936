"""The closed form of arrays equals the definition, cell by cell, and never overflows silently."""

from decimal import Decimal

import numpy as np
import pytest

from models_app.portfolio.batch import Batch
from models_app.portfolio.nearest import closed_form
from models_app.portfolio.types import Options, Position, RebalanceProblem
from models_app.portfolio.units import WEIGHT_SCALE
from rebalance_app.optimiser.solve import solve


def nearest_in_band(price, held, target, low, high, value):
    """The definition, in Python integers: value in ticks, weights in millionths."""
    allowed = [
        u
        for u in range(value // price + 2)
        if value * (target - low) <= u * price * WEIGHT_SCALE <= value * (target + high)
    ]
    return min(allowed, key=lambda u: (abs(value * target - u * price * WEIGHT_SCALE), abs(u - held)), default=None)


def random_batch(seed, rows=60, columns=7, largest=400):
    rng = np.random.default_rng(seed)
    weights = [rng.integers(0, most, columns) * 1000 for most in (200, 60, 60)]
    return Batch(
        tuple(map(str, range(columns))),
        rng.integers(20, largest, columns),
        *weights,
        rng.integers(-3, 30, (rows, columns)),
        rng.integers(0, 4000, rows),
        np.full(rows, -np.inf),
        np.full(rows, np.inf),
    )


@pytest.mark.parametrize("seed", range(5))
def test_every_cell_equals_the_definition(seed):
    batch = random_batch(seed)
    found = closed_form(batch)
    columns = [x.tolist() for x in (batch.targets, batch.low_drifts, batch.high_drifts)]
    for i, held in enumerate(batch.quantities.tolist()):
        value = int(batch.cash[i] + (batch.prices * batch.quantities[i]).sum())
        cells = zip(batch.prices.tolist(), held, *columns, strict=True)
        expected = [nearest_in_band(*cell, value) for cell in cells] if value > 0 else [None]
        assert found.answered[i] == (None not in expected)
        if found.answered[i]:
            assert found.quantities[i].tolist() == expected
            assert found.cash_after[i] == value - (batch.prices * expected).sum()
            assert found.drift[i] == np.abs(value * batch.targets - batch.prices * expected * WEIGHT_SCALE).sum()


def test_more_portfolios_than_go_in_one_chunk_are_answered_each_as_alone():
    batch = random_batch(9, rows=600)
    found = closed_form(batch)
    for row in (0, 255, 256, 599):
        alone = closed_form(batch.rows([row]))
        assert (alone.answered[0], alone.quantities[0].tolist()) == (
            found.answered[row],
            found.quantities[row].tolist(),
        )


def test_what_could_leave_64_bits_is_left_to_the_general_way_which_answers_it():
    batch = random_batch(3, rows=2, columns=1)
    batch.targets[:], batch.low_drifts[:], batch.high_drifts[:] = 500_000, 10_000, 10_000
    batch.quantities[:], batch.cash[:] = 0, [9 * 10**18, 3000]

    assert closed_form(batch).answered.tolist() == [False, True]

    rich = RebalanceProblem(
        "p",
        Decimal(9 * 10**14),
        (Position("A", Decimal(0), Decimal(3), *map(Decimal, ("0.5", "0.01", "0.01"))),),
        Options(),
    )
    assert solve(rich).quantities == {"A": Decimal(15 * 10**13)}


def test_no_portfolio_is_no_answer_and_no_error():
    assert closed_form(random_batch(1, rows=0)).quantities.shape == (0, 7)
