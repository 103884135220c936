"""Many plain problems at once: rows of one array, solved by the vectorised closed form.

A problem is plain when nothing but bands, restrictions and cash limits applies, every holding is whole and every lot is
one share. Everything else, and whatever has no answer here, is left to the general path.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np

from models_app.portfolio.nearest import Book, Closed, closed_form
from models_app.portfolio.types import Options, Position, RebalanceProblem, RebalanceSolution
from models_app.portfolio.units import EXACT
from rebalance_app.optimiser.problem.integer_problem import integer_problem, most_decimals, unscaled
from rebalance_app.optimiser.problem.validate import refusals

from .solution import binding_bands, trade


def is_plain(problem: RebalanceProblem) -> bool:
    """Whether the closed form of `separable.closed_form` is the whole answer, up to cash limits in money."""
    o = problem.options
    plain = Options(min_cash=o.min_cash, max_cash=o.max_cash, time_limit=o.time_limit, nearest=o.nearest)
    return (
        o == plain
        and bool(problem.positions)
        and not refusals(problem)
        and all(p.lot_size == 1 and p.quantity == int(p.quantity) for p in problem.positions)
    )


@dataclass(frozen=True, slots=True)
class _Places:
    money: int
    weight: int


def _places(problems: Sequence[RebalanceProblem]) -> _Places:
    positions = [p for problem in problems for p in problem.positions]
    money = chain(
        (p.price for p in positions),
        *((x.cash, x.options.min_cash, x.options.max_cash) for x in problems),
    )
    weights = {w for p in positions for w in (p.target, p.low_drift, p.high_drift)}
    return _Places(most_decimals(money), most_decimals(weights))


def _grid(problems: Sequence[RebalanceProblem], cell: Callable[[Position], Any], pad: Any) -> np.ndarray[Any, Any]:
    """(P, N) of one number per position; short rows are padded. Python integers where 64 bits are too few."""
    width = max(len(x.positions) for x in problems)
    rows = [[cell(p) for p in x.positions] + [pad] * (width - len(x.positions)) for x in problems]
    try:
        return np.array(rows, dtype=np.bool_ if isinstance(pad, bool) else np.int64)
    except OverflowError:
        return np.array(rows, dtype=object)


def book_of(problems: Sequence[RebalanceProblem], places: _Places) -> Book:
    """The problems as whole numbers, one row each, padded to the longest."""
    money, weight = Decimal(10) ** places.money, Decimal(10) ** places.weight

    def whole(value: Decimal | None, unit: Decimal) -> int:
        return int(EXACT.multiply(value or 0, unit))

    restricted = any(not (p.can_buy and p.can_sell) for x in problems for p in x.positions)
    cash = [whole(x.cash, money) for x in problems]
    return Book(
        prices=_grid(problems, lambda p: whole(p.price, money), 1),
        quantities=_grid(problems, lambda p: int(p.quantity), 0),
        targets=_grid(problems, lambda p: whole(p.target, weight), 0),
        low_drifts=_grid(problems, lambda p: whole(p.low_drift, weight), 0),
        high_drifts=_grid(problems, lambda p: whole(p.high_drift, weight), 0),
        cash=np.array(cash, dtype=object if max(map(abs, cash)) >= 2**62 else np.int64),
        weight_scale=10**places.weight,
        buyable=_grid(problems, lambda p: p.can_buy, pad=True) if restricted else None,
        sellable=_grid(problems, lambda p: p.can_sell, pad=True) if restricted else None,
    )


def _within(cash: Decimal, options: Options) -> bool:
    return cash >= options.min_cash and (options.max_cash is None or cash <= options.max_cash)


def _clipped(book: Book, closed: Closed) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(P,) whether a band or a restriction keeps some position from the whole number nearest to its target."""
    step = book.prices * book.weight_scale
    off = np.abs(closed.market_value[:, None] * book.targets - closed.quantities * step)
    return np.asarray((2 * off > step).any(axis=1), dtype=np.bool_)


def _binding(problem: RebalanceProblem, after: dict[str, Decimal]) -> tuple[str, ...]:
    book = integer_problem(problem)
    return binding_bands(book, [int(after[x.position.security_id] - x.position.quantity) for x in book.securities])


def _solution(
    problem: RebalanceProblem, row: tuple[int, ...], quantities: Sequence[int], places: _Places
) -> RebalanceSolution | None:
    """The answer of one row, of market value, cash and objective as whole numbers; None if its cash fails."""
    market_value, cash_after, objective, clipped = row
    cash = unscaled(cash_after, places.money)
    if not _within(cash, problem.options):
        return None
    pairs = sorted(zip(problem.positions, quantities, strict=False), key=lambda x: x[0].security_id)
    after = {p.security_id: Decimal(n) for p, n in zip(problem.positions, quantities, strict=False)}
    value = unscaled(objective, places.money + places.weight)
    return RebalanceSolution(
        portfolio_id=problem.portfolio_id,
        status="optimal",
        method="separable",
        market_value=unscaled(market_value, places.money),
        objective=value,
        lower_bound=value,
        gap=Decimal("0.00"),
        quantities=after,
        trades=tuple(trade(p.security_id, n - int(p.quantity)) for p, n in pairs if n != p.quantity),
        cash_after=cash,
        binding=_binding(problem, after) if clipped else (),
        drift_value=value,
        first=True,
    )


def solve_plain(problems: Sequence[RebalanceProblem]) -> list[RebalanceSolution | None]:
    """Answers of the plain problems that need no solver; None for every other one."""
    found: list[RebalanceSolution | None] = [None] * len(problems)
    which = [i for i, problem in enumerate(problems) if is_plain(problem)]
    if not which:
        return found
    plain = [problems[i] for i in which]
    places = _places(plain)
    book = book_of(plain, places)
    closed = closed_form(book)
    columns = (closed.market_value, closed.cash_after, closed.objective, _clipped(book, closed))
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    for i, row, feasible, quantities in zip(which, rows, closed.feasible, closed.quantities.tolist(), strict=True):
        if feasible:
            found[i] = _solution(problems[i], row, quantities, places)
    return found
