"""From a chunk's rows to what can be solved: a block of plain portfolios as arrays, the others one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from models_app.sources import get_source
from models_app.sources.base import Balances
from rebalance_app.domain.block import MONEY, WEIGHT, Block
from rebalance_app.domain.types import ZERO, Options, Reason, RebalanceProblem, RebalanceSolution
from rebalance_app.facts import RunFacts
from rebalance_app.models import PortfolioRebalance
from rebalance_app.services.propose import Proposal, proposal

Bools = NDArray[np.bool_]
LARGEST_WHOLE = 2**53  # a quantity beyond this is left to the general way


@dataclass(frozen=True)
class Work:
    """A chunk's rows by what can be done with them. `block_rows` are the rows of `block`, in its order."""

    balances: Mapping[str, Balances]
    block: Block | None
    block_rows: Sequence[PortfolioRebalance]
    others: Sequence[PortfolioRebalance]
    unknown: Sequence[PortfolioRebalance]  # to the book
    stale: Mapping[str, tuple[PortfolioRebalance, str]]  # by portfolio: its row, and a security with an old price

    def without(self, done: Bools) -> Work:
        """What is left when these rows of the block are done: the others join what goes one by one."""
        left = [row for row, is_done in zip(self.block_rows, done.tolist(), strict=True) if not is_done]
        return replace(self, block=None, block_rows=(), others=[*self.others, *left])

    def problems(self, facts: RunFacts, options: Options) -> list[tuple[PortfolioRebalance, RebalanceProblem]]:
        """The problems of what goes one by one."""
        return [(row, facts.problem(row.portfolio_id, self.balances[row.portfolio_id], options)) for row in self.others]


def gather(facts: RunFacts, rows: Sequence[PortfolioRebalance], options: Options) -> Work:
    """Reads the balances of all rows at once and sorts the rows."""
    balances = get_source().balances([row.portfolio_id for row in rows])
    known = [row for row in rows if row.portfolio_id in balances]
    stale = {row.portfolio_id: (row, old) for row in known if (old := _stale(facts, balances[row.portfolio_id]))}
    fresh = [row for row in known if row.portfolio_id not in stale]
    plain = [row for row in fresh if _is_plain(facts, balances[row.portfolio_id])] if _are_plain(options, facts) else []
    taken = {row.pk for row in plain}
    return Work(
        balances=balances,
        block=_block(facts, [balances[row.portfolio_id] for row in plain], options) if plain else None,
        block_rows=plain,
        others=[row for row in fresh if row.pk not in taken],
        unknown=[row for row in rows if row.portfolio_id not in balances],
        stale=stale,
    )


def refusals(facts: RunFacts, work: Work) -> list[Proposal]:
    """The outcome of portfolios that cannot even be stated as a problem."""
    gone = "The book has no such portfolio any more."
    unknown = [proposal(facts, row, None, refusal(row, "UNKNOWN_PORTFOLIO", gone)) for row in work.unknown]
    return unknown + [_too_old(facts, row, work.balances[key], old) for key, (row, old) in work.stale.items()]


def refusal(row: PortfolioRebalance, code: str, message: str, security_id: str | None = None) -> RebalanceSolution:
    """No answer, and why."""
    return RebalanceSolution(row.portfolio_id, "error", reasons=(Reason(code, message, security_id),))


def _too_old(facts: RunFacts, row: PortfolioRebalance, balances: Balances, security_id: str) -> Proposal:
    newest = max(quote["date"] for quote in facts.quotes.values() if quote["date"])
    message = (
        f"The last price of {facts.ticker(security_id)} is of {facts.quotes[security_id]['date']}, "
        f"while others are of {newest}: import a newer one."
    )
    problem = facts.problem(row.portfolio_id, balances, Options())
    return proposal(facts, row, problem, refusal(row, "STALE_PRICE", message, security_id))


def _stale(facts: RunFacts, balances: Balances) -> str | None:
    """A security of the model or the portfolio whose price is too old; None for none."""
    if not facts.stale:
        return None
    return min(facts.stale & (facts.targets.keys() | balances.quantities.keys()), default=None)


def _are_plain(options: Options, facts: RunFacts) -> bool:
    """Whether nothing but bands and a cash floor applies, and every security of the model has a price."""
    plain = Options(min_cash=options.min_cash, min_cash_weight=options.min_cash_weight, time_limit=options.time_limit)
    return options == plain and facts.targets.keys() <= facts.prices.keys()


def _is_plain(facts: RunFacts, balances: Balances) -> bool:
    """Whether every holding is a whole number of something that has a price."""
    return all(
        quantity == int(quantity) and abs(quantity) < LARGEST_WHOLE and key in facts.prices
        for key, quantity in balances.quantities.items()
    )


def _block(facts: RunFacts, balances: Sequence[Balances], options: Options) -> Block:
    outside = sorted({key for b in balances for key in b.quantities if key not in facts.targets})
    ids = (*facts.targets, *outside)
    column = {key: at for at, key in enumerate(ids)}
    quantities = np.zeros((len(balances), len(ids)), dtype=np.int64)
    for row, b in enumerate(balances):
        at = [column[key] for key in b.quantities]
        quantities[row, at] = [int(quantity) for quantity in b.quantities.values()]
    prices = _whole((facts.prices[key] for key in ids), MONEY)
    targets, lows, highs = (_whole(column_, WEIGHT) for column_ in _band_columns(facts, len(outside)))
    cash = _whole((b.cash for b in balances), MONEY)
    value = cash + (quantities * prices).sum(axis=1)
    floor = np.maximum(int(options.min_cash * MONEY), -(-value * int(options.min_cash_weight * WEIGHT) // WEIGHT))
    return Block(ids, prices, targets, lows, highs, quantities, cash, floor)


def _band_columns(facts: RunFacts, n_outside: int) -> Iterator[list[Decimal]]:
    for at in range(3):
        yield [band[at] for band in facts.targets.values()] + [ZERO] * n_outside


def _whole(numbers: Iterator[Decimal] | Sequence[Decimal], scale: int) -> NDArray[np.int64]:
    return np.array([int(number * scale) for number in numbers], dtype=np.int64)
