"""From a chunk's rows to what can be solved: a batch of plain portfolios as arrays, the others one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from models_app.portfolio.batch import Batch, Bools, batch_of, has_only_floor, is_plain_portfolio
from models_app.portfolio.lots import mismatches, shares_in
from models_app.portfolio.types import ZERO, Reason, RebalanceProblem, RebalanceSolution
from models_app.sources import get_source
from models_app.sources.book_source import Balances
from rebalance_app.models import PortfolioRebalance
from rebalance_app.proposals.document import Proposal, proposal
from rebalance_app.proposals.run_inputs import RunInputs as RunFacts


@dataclass(frozen=True)
class Work:
    """A chunk's rows by what can be done with them. `batch_rows` are the rows of `batch`, in its order."""

    balances: Mapping[str, Balances]
    batch: Batch | None
    batch_rows: Sequence[PortfolioRebalance]
    others: Sequence[PortfolioRebalance]
    unknown: Sequence[PortfolioRebalance]  # to the book
    stale: Mapping[str, tuple[PortfolioRebalance, str]]  # by portfolio: its row, and a security with an old price
    unknown_gains: Mapping[str, tuple[PortfolioRebalance, Reason]]  # of those with a gain budget: whose lots are wrong

    def without(self, done: Bools) -> Work:
        """What is left when these rows of the batch are done: the others join what goes one by one."""
        left = [row for row, is_done in zip(self.batch_rows, done.tolist(), strict=True) if not is_done]
        return replace(self, batch=None, batch_rows=(), others=[*self.others, *left])

    def problems(self, facts: RunFacts) -> list[tuple[PortfolioRebalance, RebalanceProblem]]:
        """The problems of what goes one by one."""
        return [(row, facts.problem(row.portfolio_id, self.balances[row.portfolio_id])) for row in self.others]


def gather(facts: RunFacts, rows: Sequence[PortfolioRebalance]) -> Work:
    """Reads the balances of all rows at once and sorts the rows."""
    balances = with_lots(facts, get_source().balances([row.portfolio_id for row in rows]))
    known = [row for row in rows if row.portfolio_id in balances]
    stale = {
        row.portfolio_id: (row, old) for row in known if (old := stale_security(facts, balances[row.portfolio_id]))
    }
    unknown_gains = {
        row.portfolio_id: (row, why)
        for row in known
        if row.portfolio_id not in stale and (why := unknown_gain(facts, balances[row.portfolio_id]))
    }
    fresh = [row for row in known if row.portfolio_id not in stale.keys() | unknown_gains.keys()]
    plain = [row for row in fresh if _is_plain(facts, row.portfolio_id, balances[row.portfolio_id])]
    taken = {row.pk for row in plain}
    return Work(
        balances=balances,
        batch=_batch(facts, {row.portfolio_id: balances[row.portfolio_id] for row in plain}) if plain else None,
        batch_rows=plain,
        others=[row for row in fresh if row.pk not in taken],
        unknown=[row for row in rows if row.portfolio_id not in balances],
        stale=stale,
        unknown_gains=unknown_gains,
    )


def refusals(facts: RunFacts, work: Work) -> list[Proposal]:
    """The outcome of portfolios that cannot even be stated as a problem."""
    gone = "The book has no such portfolio any more."
    unknown = [proposal(facts, row, None, refusal(row, "UNKNOWN_PORTFOLIO", gone)) for row in work.unknown]
    stale = [_too_old(facts, row, work.balances[key], old) for key, (row, old) in work.stale.items()]
    return (
        unknown
        + stale
        + [_gainless(facts, row, work.balances[key], why) for key, (row, why) in work.unknown_gains.items()]
    )


def refusal(row: PortfolioRebalance, code: str, message: str, security_id: str | None = None) -> RebalanceSolution:
    """No answer, and why."""
    return RebalanceSolution(row.portfolio_id, "error", reasons=(Reason(code, message, security_id),))


def _too_old(facts: RunFacts, row: PortfolioRebalance, balances: Balances, security_id: str) -> Proposal:
    problem = facts.problem(row.portfolio_id, balances)
    return proposal(facts, row, problem, refusal(row, "STALE_PRICE", old_price(facts, security_id), security_id))


def _gainless(facts: RunFacts, row: PortfolioRebalance, balances: Balances, why: Reason) -> Proposal:
    problem = facts.problem(row.portfolio_id, balances)
    return proposal(facts, row, problem, RebalanceSolution(row.portfolio_id, "error", reasons=(why,)))


def with_lots(facts: RunFacts, balances: dict[str, Balances]) -> dict[str, Balances]:
    """The balances with the tax lots of whoever has a gain budget; nobody else's are read."""
    wanted = [key for key in balances if facts.needs_lots(key)] if facts.has_gain_budget else []
    if not wanted:
        return balances
    lots = get_source().tax_lots(wanted)
    return balances | {key: replace(balances[key], lots=lots.get(key, {})) for key in wanted}


def unknown_gain(facts: RunFacts, balances: Balances) -> Reason | None:
    """Why what the sales of this portfolio gain cannot be told; None where it can, or where nobody asked for lots."""
    if balances.lots is None:
        return None
    wrong = mismatches(balances.quantities, shares_in(balances.lots))
    if not wrong:
        return None
    security_id, differs = next(iter(wrong.items()))
    more = f" (and so for {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    message = (
        f"The tax lots of {facts.ticker(security_id)} do not add up to its holding: {differs}{more}. What a sale gains "
        "is unknown, so the gain budget cannot be kept: import lots that add up, or run without a gain budget."
    )
    return Reason("UNKNOWN_GAIN", message, security_id, {"in_lots": differs.in_lots, "held": differs.held})


def old_price(facts: RunFacts, security_id: str) -> str:
    """What to tell about a price that is too old to trade on."""
    newest = max(quote["date"] for quote in facts.quotes.values() if quote["date"])
    return (
        f"The last price of {facts.ticker(security_id)} is of {facts.quotes[security_id]['date']}, "
        f"while others are of {newest}: import a newer one."
    )


def stale_security(facts: RunFacts, balances: Balances) -> str | None:
    """A security of the model or the portfolio whose price is too old; None for none."""
    if not facts.stale:
        return None
    return min(facts.stale & (facts.targets.keys() | balances.quantities.keys()), default=None)


def _is_plain(facts: RunFacts, portfolio_id: str, balances: Balances) -> bool:
    """Whether arrays can state this portfolio's problem."""
    options, _ = facts.options_of(portfolio_id)
    return (
        has_only_floor(options)
        and facts.plain_securities.issuperset(balances.quantities)
        and facts.plain_securities.issuperset(facts.targets)
        and is_plain_portfolio(balances.quantities.values(), balances.cash)
    )


def _batch(facts: RunFacts, balances: Mapping[str, Balances]) -> Batch:
    """The portfolios of `balances`, in their order; the model's securities, then what else they hold."""
    outside = sorted({key for b in balances.values() for key in b.quantities if key not in facts.targets})
    return batch_of(
        [facts.position(key, ZERO) for key in (*facts.targets, *outside)],
        [b.quantities for b in balances.values()],
        [b.cash for b in balances.values()],
        [facts.options_of(key)[0] for key in balances],
    )
