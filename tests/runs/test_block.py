"""The array way of a run gives what the general way gives, or nothing."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_app.portfolio.batch import REASONS, Block, block_drift, block_solve, reasons, weights
from models_app.portfolio.drift import portfolio_drift
from models_app.portfolio.types import Options, Position, RebalanceProblem
from models_app.portfolio.units import MONEY_SCALE, WEIGHT_SCALE
from rebalance_app.optimiser.check.batch import is_optimal
from rebalance_app.optimiser.solve import solve

ids = tuple(f"{i:024d}" for i in range(5))


@st.composite
def blocks(draw):
    n, p = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    whole = st.integers
    column = lambda elements: np.array(draw(st.lists(elements, min_size=n, max_size=n)), dtype=np.int64)  # noqa: E731
    row = lambda elements: np.array(draw(st.lists(elements, min_size=p, max_size=p)), dtype=np.int64)  # noqa: E731
    quantities = np.array([draw(st.lists(whole(-5, 400), min_size=n, max_size=n)) for _ in range(p)], dtype=np.int64)
    return Block(
        security_ids=ids[:n],
        prices=column(whole(1, 3_000_000)),
        targets=column(st.sampled_from([0, 5_000, 100_000, 150_000, 185_000])),
        low_drifts=column(st.sampled_from([0, 2_500, 20_000])),
        high_drifts=column(st.sampled_from([0, 2_500, 50_000])),
        quantities=quantities,
        cash=row(whole(-50_000_000, 900_000_000)),
        floor=row(st.sampled_from([0, 10_000, 40_000_000])),
    )


def problem_of(block, row):
    def number(value, scale):
        return Decimal(int(value)) / scale

    positions = tuple(
        Position(
            name,
            Decimal(int(block.quantities[row, i])),
            number(block.prices[i], MONEY_SCALE),
            *(number(x[i], WEIGHT_SCALE) for x in (block.targets, block.low_drifts, block.high_drifts)),
        )
        for i, name in enumerate(block.security_ids)
    )
    floor = number(block.floor[row], MONEY_SCALE)
    return RebalanceProblem("p" * 24, number(block.cash[row], MONEY_SCALE), positions, Options(min_cash=floor))


@settings(max_examples=150, deadline=None)
@given(blocks())
def test_what_a_block_certifies_is_what_the_general_way_answers(block):
    answer = block_solve(block)
    for row in np.flatnonzero(answer.certified):
        solution = solve(problem_of(block, row))
        after = [int(solution.quantities[name]) for name in block.security_ids]

        assert (solution.status, solution.method) == ("optimal", "separable")
        assert after == answer.after[row].tolist()
        assert solution.cash_after == Decimal(int(answer.cash_after[row])) / MONEY_SCALE


@settings(max_examples=150, deadline=None)
@given(blocks())
def test_a_blocks_drift_is_the_one_definition_of_drift(block):
    value = block.cash + (block.prices * block.quantities).sum(axis=1)
    rows = np.flatnonzero(value > 0)
    part = Block(
        block.security_ids, block.prices, block.targets, block.low_drifts, block.high_drifts,
        block.quantities[rows], block.cash[rows], block.floor[rows],
    )  # fmt: skip
    found = block_drift(part, part.quantities, value[rows])
    share = weights(part, part.quantities, value[rows])
    for i, row in enumerate(rows):
        expected = portfolio_drift(problem_of(block, row).positions, Decimal(int(block.cash[row])) / MONEY_SCALE)
        worst = expected.worst_band_use

        assert Decimal(int(found.total[i])) / (MONEY_SCALE * WEIGHT_SCALE) == expected.total_drift
        assert found.breaches[i] == expected.breaches
        assert found.band_use[i] == (None if worst is None else worst.quantize(Decimal("0.000001"))) or not worst
        for j, line in enumerate(expected.positions):
            assert Decimal(int(share[i, j])) / WEIGHT_SCALE == line.weight.quantize(Decimal("0.000001"))


@settings(max_examples=100, deadline=None)
@given(blocks(), st.integers(0, 3), st.integers(0, 4), st.sampled_from([-2, -1, 1, 2]))
def test_the_check_refuses_a_certified_answer_with_one_cell_changed(block, row, column, change):
    answer = block_solve(block)
    row, column = row % len(block.cash), column % len(block.prices)
    changed = answer.after.copy()
    changed[row, column] += change
    before = problem_of(block, row)
    aim = block.targets[column] * int(answer.market_value[row])
    step = int(block.prices[column]) * WEIGHT_SCALE
    equally_near = abs(aim - changed[row, column] * step) == abs(aim - answer.after[row, column] * step)

    if answer.certified[row] and not equally_near:
        assert before.cash is not None
        assert not is_optimal(block, changed)[row]


def test_an_account_too_large_for_64_bits_is_left_to_the_general_way():
    huge = Block(
        ids[:1], np.array([10_000]), np.array([500_000]), np.array([10_000]), np.array([10_000]),
        np.array([[0]]), np.array([10**15]), np.array([0]),
    )  # fmt: skip

    assert not block_solve(huge).certified.any()


@pytest.mark.parametrize(
    ("held", "target", "name"),
    [(-5, 100_000, "COVER_SHORT"), (50, 0, "NOT_IN_MODEL"), (0, 100_000, "BREACH_UNDER"), (60, 100_000, "BREACH_OVER")],
)
def test_every_trade_says_what_it_is_for(held, target, name):
    band = 20_000 if target else 0
    block = Block(
        ids[:1], np.array([100_000]), np.array([target]), np.array([band]), np.array([band]),
        np.array([[held]]), np.array([10_000_000 - held * 100_000]), np.array([0]),
    )  # fmt: skip
    answer = block_solve(block)
    drift = block_drift(block, block.quantities, answer.market_value)

    assert answer.certified.all()
    assert REASONS[reasons(block, drift, answer.after, answer.market_value)[0, 0]] == name
