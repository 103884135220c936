"""The array way of a run gives what the general way gives, or nothing."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models_app.portfolio.batch import STORED, Batch, Places, are_plain_securities, is_plain_portfolio
from models_app.portfolio.batch_drift import batch_drift, weights
from models_app.portfolio.drift import portfolio_drift
from models_app.portfolio.types import Options, Position, RebalanceProblem
from models_app.portfolio.units import MILLIONTH, WEIGHT_SCALE
from rebalance_app.optimiser.batch_solve import batch_solve, solve_plain, stated
from rebalance_app.optimiser.check.batch import is_optimal
from rebalance_app.optimiser.solve import solve
from rebalance_app.proposals.document import bands_that_bind

ids = tuple(f"{i:024d}" for i in range(5))


@st.composite
def batches(draw):
    n, p = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    whole = st.integers
    column = lambda elements: np.array(draw(st.lists(elements, min_size=n, max_size=n)), dtype=np.int64)  # noqa: E731
    row = lambda elements: np.array(draw(st.lists(elements, min_size=p, max_size=p)), dtype=np.int64)  # noqa: E731
    quantities = np.array([draw(st.lists(whole(-5, 400), min_size=n, max_size=n)) for _ in range(p)], dtype=np.int64)
    barred = st.sets(whole(0, n - 1), max_size=2) if draw(st.booleans()) else st.just(())
    return Batch(
        security_ids=ids[:n],
        prices=column(whole(1, 3_000_000)),
        targets=column(st.sampled_from([0, 5_000, 100_000, 150_000, 185_000])),
        low_drifts=column(st.sampled_from([0, 2_500, 20_000])),
        high_drifts=column(st.sampled_from([0, 2_500, 50_000])),
        quantities=quantities,
        cash=row(whole(-50_000_000, 900_000_000)),
        floor=row(st.sampled_from([0, 10_000, 40_000_000])),
        ceiling=row(st.sampled_from([50_000_000, 10**12])),
        barred_buys=tuple(draw(barred)),
        barred_sales=tuple(draw(barred)),
        places=draw(st.sampled_from([STORED, Places(2, 6), Places(7, 6)])),
    )


def money(batch, value):
    return Decimal(int(value)).scaleb(-batch.places.money)


def problem_of(batch, row):
    """In objects, with a limit that never binds and that arrays do not know: it goes the general way."""
    positions = tuple(
        Position(
            name,
            Decimal(int(batch.quantities[row, i])),
            money(batch, batch.prices[i]),
            *(Decimal(int(x[i])) / batch.weight_scale for x in (batch.targets, batch.low_drifts, batch.high_drifts)),
            can_buy=i not in batch.barred_buys,
            can_sell=i not in batch.barred_sales,
        )
        for i, name in enumerate(batch.security_ids)
    )
    floor, ceiling = money(batch, batch.floor[row]), money(batch, batch.ceiling[row])
    options = Options(min_cash=floor, max_cash=ceiling, max_trades=len(positions))
    return RebalanceProblem("p" * 24, money(batch, batch.cash[row]), positions, options)


@settings(max_examples=150, deadline=None)
@given(batches())
def test_what_a_batch_answers_is_what_the_general_way_answers(batch):
    answer = batch_solve(batch)
    for row in np.flatnonzero(answer.answered):
        solution = solve(problem_of(batch, row))
        after = [int(solution.quantities[name]) for name in batch.security_ids]

        assert (solution.status, solution.method) == ("optimal", "separable")
        assert after == answer.quantities[row].tolist()
        assert solution.cash_after == money(batch, answer.cash_after[row])
        assert solution.objective == money(batch, answer.drift[row]) / batch.weight_scale
        assert list(solution.binding) == bands_that_bind(batch, answer)[row]


@settings(max_examples=100, deadline=None)
@given(batches(), st.integers(0, 3))
def test_a_problem_alone_is_answered_by_arrays_as_the_general_way_answers_it(batch, row):
    general = problem_of(batch, row % len(batch.cash))
    plain = replace(general, options=replace(general.options, max_trades=None))
    by_arrays, expected = solve_plain(plain), solve(general)

    assert (by_arrays is not None) == (expected.method == "separable" and bool(expected.market_value))
    if by_arrays:
        assert by_arrays == replace(expected, seconds=0.0)
        assert (str(by_arrays.gap), stated(general)) == ("0.00", None)


@settings(max_examples=150, deadline=None)
@given(batches())
def test_a_batchs_drift_is_the_one_definition_of_drift(batch):
    value = batch.cash + (batch.prices * batch.quantities).sum(axis=1)
    rows = np.flatnonzero(value > 0)
    part = batch.rows(rows)
    found = batch_drift(part, part.quantities, value[rows])
    share = weights(part, part.quantities, value[rows])
    for i, row in enumerate(rows):
        expected = portfolio_drift(problem_of(batch, row).positions, money(batch, batch.cash[row]))
        worst = expected.worst_band_use

        assert money(batch, found.total[i]) / WEIGHT_SCALE == expected.total_drift
        assert found.breaches[i] == expected.breaches
        used = found.band_use_at(i, found.worst()[i]) if found.worst()[i] >= 0 else None
        assert (used and used.quantize(MILLIONTH)) == (worst and worst.quantize(MILLIONTH))
        for j, line in enumerate(expected.positions):
            assert Decimal(int(share[i, j])) / WEIGHT_SCALE == line.weight.quantize(MILLIONTH)


@settings(max_examples=100, deadline=None)
@given(batches(), st.integers(0, 3), st.integers(0, 4), st.sampled_from([-2, -1, 1, 2]))
def test_the_check_refuses_a_certified_answer_with_one_cell_changed(batch, row, column, change):
    answer = batch_solve(batch)
    row, column = row % len(batch.cash), column % len(batch.prices)
    changed = answer.quantities.copy()
    changed[row, column] += change
    before = problem_of(batch, row)
    aim = batch.targets[column] * int(answer.market_value[row])
    step = int(batch.prices[column]) * WEIGHT_SCALE
    equally_near = abs(aim - changed[row, column] * step) == abs(aim - answer.quantities[row, column] * step)

    if answer.answered[row] and not equally_near:
        assert before.cash is not None
        assert not is_optimal(batch, changed)[row]


def test_an_account_too_large_for_64_bits_is_left_to_the_general_way():
    huge = Batch(
        ids[:1], np.array([10_000]), np.array([500_000]), np.array([10_000]), np.array([10_000]),
        np.array([[0]]), np.array([10**15]), np.array([0]), np.array([np.inf]),
    )  # fmt: skip

    assert not batch_solve(huge).answered.any()


def test_only_whole_shares_in_lots_of_one_at_whole_ticks_are_plain():
    plain = Position("A", Decimal(0), Decimal("1.2345"), Decimal("0.123456"), Decimal("0.1"), Decimal("0.1"))
    others = (
        {"price": None}, {"price": Decimal(0)}, {"price": Decimal("1.23456")}, {"price": Decimal(2**53)},
        {"target": Decimal("0.1234567")}, {"lot_size": 2},
    )  # fmt: skip

    assert are_plain_securities([plain, replace(plain, can_buy=False), replace(plain, can_sell=False)])
    assert are_plain_securities([replace(plain, price=Decimal("1.23456"))], Places(money=5))
    assert not any(are_plain_securities([plain, replace(plain, **other)]) for other in others)
    assert is_plain_portfolio([Decimal("-3.0"), Decimal(2**53 - 1)], Decimal("1.2345"))
    assert is_plain_portfolio([], Decimal(0))
    assert not is_plain_portfolio([Decimal("0.5")], Decimal(0))
    assert not is_plain_portfolio([Decimal(2**53)], Decimal(0))
    assert not is_plain_portfolio([Decimal(1)], Decimal("0.00001"))
