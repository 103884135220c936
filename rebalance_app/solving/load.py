"""From a chunk's rows to what can be solved: a batch of plain portfolios as arrays, the others one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from models_app.portfolio.batch import Batch, Bools, batch_of, has_only_cash_limits, is_plain_portfolio
from models_app.portfolio.types import ZERO, Reason, RebalanceProblem, RebalanceSolution
from models_app.portfolios.tax_lots import mismatches, shares_in
from models_app.sources import get_source
from models_app.sources.book_source import Balances
from rebalance_app.models import OpenOrders, PortfolioRebalance
from rebalance_app.order_states.on_the_way import Coming, expected, on_their_way
from rebalance_app.proposals.document import Proposal, proposal
from rebalance_app.proposals.run_inputs import RunInputs


@dataclass(frozen=True)
class Work:
    """A chunk's rows by what can be done with them. `batch_rows` are the rows of `batch`, in its order."""

    balances: Mapping[str, Balances]  # with what is on its way to them, where the run counts that
    coming: Mapping[str, Sequence[Coming]]  # what it counted of that
    batch: Batch | None
    batch_rows: Sequence[PortfolioRebalance]
    others: Sequence[PortfolioRebalance]
    unknown: Sequence[PortfolioRebalance]  # to the book
    unfit: Sequence[tuple[PortfolioRebalance, Reason]]  # a price is too old, or what sales gain is not known

    def without(self, done: Bools) -> Work:
        """What is left when these rows of the batch are done: the others join what goes one by one."""
        left = [row for row, is_done in zip(self.batch_rows, done.tolist(), strict=True) if not is_done]
        return replace(self, batch=None, batch_rows=(), others=[*self.others, *left])

    def problems(self, inputs: RunInputs) -> list[tuple[PortfolioRebalance, RebalanceProblem]]:
        """The problems of what goes one by one."""
        return [(row, self.problem(inputs, row)) for row in self.others]

    def problem(self, inputs: RunInputs, row: PortfolioRebalance) -> RebalanceProblem:
        return inputs.problem(row.portfolio_id, self.balances[row.portfolio_id])


def gather(inputs: RunInputs, rows: Sequence[PortfolioRebalance]) -> Work:
    """Reads the balances of all rows at once and sorts the rows."""
    there = with_lots(inputs, get_source().balances([row.portfolio_id for row in rows]))
    coming = {} if inputs.open_orders == OpenOrders.IGNORE else on_their_way(there)
    balances = there | {key: expected(there[key], some, inputs.prices) for key, some in coming.items()}
    known = [row for row in rows if row.portfolio_id in balances]
    unfit = [
        (row, why)
        for row in known
        if (why := why_unfit(inputs, balances[row.portfolio_id], coming.get(row.portfolio_id, ())))
    ]
    refused = {row.pk for row, _ in unfit}
    fit = [row for row in known if row.pk not in refused]
    alone = [row for row in fit if row.portfolio_id not in coming]
    plain = [row for row in alone if _is_plain(inputs, row.portfolio_id, balances[row.portfolio_id])]
    taken = {row.pk for row in plain}
    return Work(
        balances=balances,
        coming=coming,
        batch=_batch(inputs, {row.portfolio_id: balances[row.portfolio_id] for row in plain}) if plain else None,
        batch_rows=plain,
        others=[row for row in fit if row.pk not in taken],
        unknown=[row for row in rows if row.portfolio_id not in balances],
        unfit=unfit,
    )


def refusals(inputs: RunInputs, work: Work) -> list[Proposal]:
    """The outcome of portfolios that cannot even be stated as a problem, or not to any use."""
    gone = Reason("UNKNOWN_PORTFOLIO")
    unknown = [proposal(inputs, row, None, refusal(row.portfolio_id, gone)) for row in work.unknown]
    return unknown + [
        proposal(
            inputs,
            row,
            work.problem(inputs, row),
            refusal(row.portfolio_id, why),
            work.coming.get(row.portfolio_id, ()),
        )
        for row, why in work.unfit
    ]


def refusal(portfolio_id: str, why: Reason) -> RebalanceSolution:
    """No answer, and why."""
    return RebalanceSolution(portfolio_id, "error", reasons=(why,))


def with_lots(inputs: RunInputs, balances: dict[str, Balances]) -> dict[str, Balances]:
    """The balances with the tax lots of whoever has a gain budget; nobody else's are read."""
    wanted = [key for key in balances if inputs.needs_lots(key)] if inputs.has_gain_budget else []
    if not wanted:
        return balances
    lots = get_source().tax_lots(wanted)
    return balances | {key: replace(balances[key], lots=lots.get(key, {})) for key in wanted}


def unknown_gain(balances: Balances) -> Reason | None:
    """Why what the sales of this portfolio gain cannot be told; None where it can, or where nobody asked for lots."""
    if balances.lots is None:
        return None
    there = {key: held - balances.on_order.get(key, ZERO) for key, held in balances.quantities.items()}
    wrong = mismatches(there, shares_in(balances.lots))
    if not wrong:
        return None
    security_id, differs = next(iter(wrong.items()))
    numbers = {"in_lots": differs.in_lots, "held": differs.held}
    return Reason("UNKNOWN_GAIN", security_id, numbers, {"case": "lots_differ", "more": len(wrong) - 1})


def stale_price(inputs: RunInputs, balances: Balances) -> Reason | None:
    """A security of the model or the portfolio has a price too old to trade on; None where none has."""
    if not inputs.stale:
        return None
    old = min(inputs.stale & (inputs.targets.keys() | balances.quantities.keys()), default=None)
    if old is None:
        return None
    newest = max(quote["date"] for quote in inputs.quotes.values() if quote["date"])
    return Reason("STALE_PRICE", old, details={"day": inputs.quotes[old]["date"] or "", "newest": newest})


def why_unfit(inputs: RunInputs, balances: Balances, coming: Sequence[Coming] = ()) -> Reason | None:
    """Why this portfolio is no problem to be solved; None where it is one."""
    return open_order(inputs, balances, coming) or stale_price(inputs, balances) or unknown_gain(balances)


def open_order(inputs: RunInputs, balances: Balances, coming: Sequence[Coming]) -> Reason | None:
    """The first order on its way for which this portfolio is left out; None where all of them can be counted."""
    if not coming:
        return None
    case, some = "left_out", coming
    if inputs.open_orders == OpenOrders.NET:
        case, some = "unclear", [one for one in coming if one.is_unclear]
        if not some and balances.lots is not None:  # which lots an order that is not done takes is not known
            case, some = "lots", [one for one in coming if one.order.side == "SELL"]
    if not some:
        return None
    of = some[0].order
    if case == "unclear" and not of.is_open:
        case = "half_stated" if some[0].is_half_stated else "missing"
    told: dict[str, float | str] = {
        "case": case,
        "side": of.side,
        "run": float(of.rebalance__number),
        "more": float(len(some) - 1),
    }
    return Reason("OPEN_ORDER", of.security_id, {"quantity": Decimal(of.quantity)}, told)


def _is_plain(inputs: RunInputs, portfolio_id: str, balances: Balances) -> bool:
    """Whether arrays can state this portfolio's problem."""
    options, _ = inputs.options_of(portfolio_id)
    return (
        has_only_cash_limits(options)
        and inputs.plain_securities.issuperset(balances.quantities)
        and inputs.plain_securities.issuperset(inputs.targets)
        and is_plain_portfolio(balances.quantities.values(), balances.cash)
    )


def _batch(inputs: RunInputs, balances: Mapping[str, Balances]) -> Batch:
    """The portfolios of `balances`, in their order; the model's securities, then what else they hold."""
    outside = sorted({key for b in balances.values() for key in b.quantities if key not in inputs.targets})
    return batch_of(
        [inputs.position(key, ZERO) for key in (*inputs.targets, *outside)],
        [b.quantities for b in balances.values()],
        [b.cash for b in balances.values()],
        [inputs.options_of(key)[0] for key in balances],
    )
