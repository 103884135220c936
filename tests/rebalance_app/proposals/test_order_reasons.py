"""What an order is for: the same of arrays as of one position."""

import numpy as np
import pytest
from hypothesis import given, settings

from models_app.portfolio.batch import Batch
from models_app.portfolio.batch_drift import batch_drift
from models_app.portfolio.drift import portfolio_drift
from rebalance_app.optimiser.batch_solve import batch_solve
from rebalance_app.proposals.order_reasons import REASONS, order_reason, order_reasons
from tests.models_app.portfolio.test_batch import batches, ids, problem_of


@settings(max_examples=150, deadline=None)
@given(batches())
def test_an_order_is_for_the_same_told_of_arrays_or_of_one_position(batch):
    answer = batch_solve(batch)
    rows = np.flatnonzero(answer.answered)
    batch, answer = batch.rows(rows), answer.rows(rows)
    change = answer.quantities - batch.quantities
    found = order_reasons(batch, batch_drift(batch, batch.quantities, answer.market_value), change)
    for row, changes in enumerate(change.tolist()):
        problem = problem_of(batch, row)
        was = portfolio_drift(problem.positions, problem.cash).positions
        for cell, shares in enumerate(changes):
            if shares:
                assert REASONS[found[row, cell]] == order_reason(was[cell], shares)


@pytest.mark.parametrize(
    ("held", "target", "name"),
    [(-5, 100_000, "COVER_SHORT"), (50, 0, "NOT_IN_MODEL"), (0, 100_000, "BREACH_UNDER"), (60, 100_000, "BREACH_OVER")],
)
def test_every_trade_says_what_it_is_for(held, target, name):
    band = 20_000 if target else 0
    batch = Batch(
        ids[:1], np.array([100_000]), np.array([target]), np.array([band]), np.array([band]),
        np.array([[held]]), np.array([10_000_000 - held * 100_000]), np.array([0]), np.array([np.inf]),
    )  # fmt: skip
    answer = batch_solve(batch)
    before = batch_drift(batch, batch.quantities, answer.market_value)

    assert answer.answered.all()
    assert REASONS[order_reasons(batch, before, answer.quantities - batch.quantities)[0, 0]] == name
