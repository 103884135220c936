"""The vectorised closed form equals the one in Python integers, cell by cell, and never overflows silently."""

import numpy as np
import pytest

from models_app.portfolio.nearest import Book, closed_form, fits

SCALE = 1000


def nearest_in_band(price, held, target, low, high, value):
    """The definition, in Python integers: value in money units, weights in 1/SCALE."""
    allowed = [
        u for u in range(value // price + 2) if value * (target - low) <= u * price * SCALE <= value * (target + high)
    ]
    return min(allowed, key=lambda u: (abs(value * target - u * price * SCALE), abs(u - held)), default=None)


def random_book(seed, rows=60, columns=7, largest=400):
    rng = np.random.default_rng(seed)
    shape = (rows, columns)
    return Book(
        prices=rng.integers(20, largest, shape),
        quantities=rng.integers(-3, 30, shape),
        targets=rng.integers(0, 200, shape),
        low_drifts=rng.integers(0, 60, shape),
        high_drifts=rng.integers(0, 60, shape),
        cash=rng.integers(0, 4000, rows),
        weight_scale=SCALE,
    )


@pytest.mark.parametrize("seed", range(5))
def test_every_cell_equals_the_definition(seed):
    book = random_book(seed)
    found = closed_form(book)
    for i in range(len(book.cash)):
        value = int(book.cash[i] + (book.prices[i] * book.quantities[i]).sum())
        cells = zip(
            *(x[i].tolist() for x in (book.prices, book.quantities, book.targets, book.low_drifts, book.high_drifts)),
            strict=True,
        )
        expected = [nearest_in_band(*cell, value) for cell in cells] if value >= 0 else [None]
        assert found.feasible[i] == (None not in expected)
        if found.feasible[i]:
            assert found.quantities[i].tolist() == expected
            assert found.cash_after[i] == value - (book.prices[i] * expected).sum()
            assert found.objective[i] == np.abs(value * book.targets[i] - book.prices[i] * expected * SCALE).sum()


def test_python_integers_take_over_where_64_bits_end_and_agree_where_they_do_not():
    book = random_book(9)
    wide = closed_form(book.as_objects())
    assert closed_form(book).quantities.tolist() == wide.quantities.tolist()
    huge = Book(
        prices=np.array([[1], [3]]),
        quantities=np.array([[0], [0]]),
        targets=np.array([[333], [500]]),
        low_drifts=np.array([[1], [500]]),
        high_drifts=np.array([[1], [500]]),
        cash=np.array([9 * 10**18, 3000]),
        weight_scale=SCALE,
    )
    assert fits(huge).tolist() == [False, True]
    assert closed_form(huge).quantities.tolist() == [[333 * 9 * 10**15], [500]]


def test_what_all_portfolios_share_may_be_given_once():
    one = random_book(4)
    shared = Book(one.prices[0], one.quantities, one.targets[0], one.low_drifts[0], one.high_drifts[0], one.cash, SCALE)
    tall = [
        np.broadcast_to(x[0], one.quantities.shape) for x in (one.prices, one.targets, one.low_drifts, one.high_drifts)
    ]
    spread = Book(tall[0], one.quantities, tall[1], tall[2], tall[3], one.cash, SCALE)
    assert closed_form(shared).quantities.tolist() == closed_form(spread).quantities.tolist()


def test_restrictions_clip_to_what_is_held():
    book = Book(
        prices=np.array([10, 10]),
        quantities=np.array([[5, 9]]),
        targets=np.array([100, 50]),
        low_drifts=np.array([100, 50]),
        high_drifts=np.array([100, 100]),
        cash=np.array([860]),
        weight_scale=SCALE,
        buyable=np.array([False, True]),
        sellable=np.array([True, False]),
    )
    assert closed_form(book).quantities.tolist() == [[5, 9]]


def test_no_portfolio_is_no_answer_and_no_error():
    empty = random_book(1, rows=0)
    assert closed_form(empty).quantities.shape == (0, 7)
