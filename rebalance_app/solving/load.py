"""From a chunk's rows to what can be solved: a block of plain portfolios as arrays, the others one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

import numpy as np
from numpy.typing import NDArray

from models_app.portfolio.batch import Block
from models_app.portfolio.types import ZERO, Options, Reason, RebalanceProblem, RebalanceSolution
from models_app.portfolio.units import MONEY_SCALE, WEIGHT_SCALE
from models_app.portfolios.tax_lots import mismatches, shares_in
from models_app.sources import get_source
from models_app.sources.base import Balances
from rebalance_app.models import PortfolioRebalance
from rebalance_app.proposals.document import Proposal, proposal
from rebalance_app.solving.run_inputs import RunFacts

Bools = NDArray[np.bool_]
MOST = 2**63 - 1  # of an array's whole numbers; no portfolio of a block is worth as much
LARGEST_WHOLE = 2**53  # a quantity beyond this is left to the general way


@dataclass(frozen=True)
class Work:
    """A chunk's rows by what can be done with them. `block_rows` are the rows of `block`, in its order."""

    balances: Mapping[str, Balances]
    block: Block | None
    block_rows: Sequence[PortfolioRebalance]
    others: Sequence[PortfolioRebalance]
    unknown: Sequence[PortfolioRebalance]  # to the book
    unfit: Sequence[tuple[PortfolioRebalance, Reason]]  # a price is too old, or what sales gain is not known

    def without(self, done: Bools) -> Work:
        """What is left when these rows of the block are done: the others join what goes one by one."""
        left = [row for row, is_done in zip(self.block_rows, done.tolist(), strict=True) if not is_done]
        return replace(self, block=None, block_rows=(), others=[*self.others, *left])

    def problems(self, facts: RunFacts) -> list[tuple[PortfolioRebalance, RebalanceProblem]]:
        """The problems of what goes one by one."""
        return [(row, self.problem(facts, row)) for row in self.others]

    def problem(self, facts: RunFacts, row: PortfolioRebalance) -> RebalanceProblem:
        return facts.problem(row.portfolio_id, self.balances[row.portfolio_id])


def gather(facts: RunFacts, rows: Sequence[PortfolioRebalance]) -> Work:
    """Reads the balances of all rows at once and sorts the rows."""
    balances = with_lots(facts, get_source().balances([row.portfolio_id for row in rows]))
    known = [row for row in rows if row.portfolio_id in balances]
    unfit = [(row, why) for row in known if (why := _unfit(facts, balances[row.portfolio_id]))]
    refused = {row.pk for row, _ in unfit}
    fit = [row for row in known if row.pk not in refused]
    plain = [row for row in fit if _is_plain(facts, row.portfolio_id, balances[row.portfolio_id])]
    taken = {row.pk for row in plain}
    return Work(
        balances=balances,
        block=_block(facts, {row.portfolio_id: balances[row.portfolio_id] for row in plain}) if plain else None,
        block_rows=plain,
        others=[row for row in fit if row.pk not in taken],
        unknown=[row for row in rows if row.portfolio_id not in balances],
        unfit=unfit,
    )


def refusals(facts: RunFacts, work: Work) -> list[Proposal]:
    """The outcome of portfolios that cannot even be stated as a problem, or not to any use."""
    gone = Reason("UNKNOWN_PORTFOLIO")
    unknown = [proposal(facts, row, None, refusal(row.portfolio_id, gone)) for row in work.unknown]
    return unknown + [
        proposal(facts, row, work.problem(facts, row), refusal(row.portfolio_id, why)) for row, why in work.unfit
    ]


def refusal(portfolio_id: str, why: Reason) -> RebalanceSolution:
    """No answer, and why."""
    return RebalanceSolution(portfolio_id, "error", reasons=(why,))


def with_lots(facts: RunFacts, balances: dict[str, Balances]) -> dict[str, Balances]:
    """The balances with the tax lots of whoever has a gain budget; nobody else's are read."""
    wanted = [key for key in balances if facts.needs_lots(key)] if facts.has_gain_budget else []
    if not wanted:
        return balances
    lots = get_source().tax_lots(wanted)
    return balances | {key: replace(balances[key], lots=lots.get(key, {})) for key in wanted}


def unknown_gain(balances: Balances) -> Reason | None:
    """Why what the sales of this portfolio gain cannot be told; None where it can, or where nobody asked for lots."""
    if balances.lots is None:
        return None
    wrong = mismatches(balances.quantities, shares_in(balances.lots))
    if not wrong:
        return None
    security_id, differs = next(iter(wrong.items()))
    numbers = {"in_lots": differs.in_lots, "held": differs.held}
    return Reason("UNKNOWN_GAIN", security_id, numbers, {"case": "lots_differ", "more": len(wrong) - 1})


def stale_price(facts: RunFacts, balances: Balances) -> Reason | None:
    """A security of the model or the portfolio has a price too old to trade on; None where none has."""
    if not facts.stale:
        return None
    old = min(facts.stale & (facts.targets.keys() | balances.quantities.keys()), default=None)
    if old is None:
        return None
    newest = max(quote["date"] for quote in facts.quotes.values() if quote["date"])
    return Reason("STALE_PRICE", old, details={"day": facts.quotes[old]["date"] or "", "newest": newest})


def _unfit(facts: RunFacts, balances: Balances) -> Reason | None:
    return stale_price(facts, balances) or unknown_gain(balances)


def _is_plain(facts: RunFacts, portfolio_id: str, balances: Balances) -> bool:
    """Whether nothing but bands and a cash floor applies to whole numbers of priced, unrestricted securities."""
    options, _ = facts.options_of(portfolio_id)
    plain = Options(min_cash=options.min_cash, min_cash_weight=options.min_cash_weight, time_limit=options.time_limit)
    return (
        options == plain
        and _is_whole(balances.cash * MONEY_SCALE)
        and facts.plain_securities.issuperset(balances.quantities)
        and facts.plain_securities.issuperset(facts.targets)
        and all(map(_is_whole, balances.quantities.values()))
    )


def _is_whole(number: Decimal) -> bool:
    return number == int(number) and -LARGEST_WHOLE < number < LARGEST_WHOLE


def _block(facts: RunFacts, balances: Mapping[str, Balances]) -> Block:
    """The portfolios of `balances`, in their order."""
    outside = sorted({key for b in balances.values() for key in b.quantities if key not in facts.targets})
    ids = (*facts.targets, *outside)
    column = {key: at for at, key in enumerate(ids)}
    quantities = np.zeros((len(balances), len(ids)), dtype=np.int64)
    for row, b in enumerate(balances.values()):
        at = [column[key] for key in b.quantities]
        quantities[row, at] = [int(quantity) for quantity in b.quantities.values()]
    prices = _whole((facts.prices[key] for key in ids), MONEY_SCALE)
    targets, lows, highs = (_whole(column_, WEIGHT_SCALE) for column_ in _band_columns(facts, len(outside)))
    cash = _whole((b.cash for b in balances.values()), MONEY_SCALE)
    value = cash + (quantities * prices).sum(axis=1)
    floor = _floors([facts.options_of(key)[0] for key in balances], value)
    return Block(ids, prices, targets, lows, highs, quantities, cash, floor)


def _floors(options: Sequence[Options], value: NDArray[np.int64]) -> NDArray[np.int64]:
    """What must be left of market values, in ticks, never less than asked for."""
    floors = [
        min(max(ceil(o.min_cash * MONEY_SCALE), ceil(o.min_cash_weight * worth)), MOST)
        for o, worth in zip(options, value.tolist(), strict=True)
    ]
    return np.array(floors, dtype=np.int64)


def _band_columns(facts: RunFacts, n_outside: int) -> Iterator[list[Decimal]]:
    for at in range(3):
        yield [band[at] for band in facts.targets.values()] + [ZERO] * n_outside


def _whole(numbers: Iterator[Decimal] | Sequence[Decimal], scale: int) -> NDArray[np.int64]:
    return np.array([int(number * scale) for number in numbers], dtype=np.int64)
