"""From answers to rows: what a portfolio's result and its orders look like in the database. Writes nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from models_app.portfolio.batch import Batch, BatchAnswer
from models_app.portfolio.batch_drift import BatchDrift, batch_drift, weights
from models_app.portfolio.drift import PortfolioDrift, portfolio_drift
from models_app.portfolio.lots import realised_gain
from models_app.portfolio.types import ZERO, Reason, RebalanceProblem, RebalanceSolution
from models_app.portfolio.units import (
    COLUMN_DIGITS,
    MILLIONTH,
    MONEY_LIMIT,
    MONEY_PLACES,
    MONEY_SCALE,
    TICK,
    WEIGHT_SCALE,
    WIDE,
)
from ordergen.core.errors import promised
from ordergen.core.ids import object_id
from rebalance_app.formats.sentences import sentence
from rebalance_app.models import OrderState, PortfolioRebalance, ProposalState
from rebalance_app.order_states.on_the_way import Coming
from rebalance_app.proposals.order_reasons import REASONS, order_reason, order_reasons
from rebalance_app.proposals.run_inputs import RunInputs
from rebalance_app.proposals.stored import pack, pack_lots, text

PROPOSAL_FIELDS = (
    "state", "reason_code", "reason", "method", "seconds", "n_orders", "buy_value", "sell_value", "largest_order",
    "market_value", "cash_before", "cash_after", "drift_before", "drift_after", "band_use_before", "band_use_after",
    "document",
)  # fmt: skip
ORDER_FIELDS = (
    "id", "rebalance", "proposal", "portfolio_id", "portfolio_name", "security_id", "ticker", "side", "quantity",
    "quantity_before", "price", "value", "weight_before", "weight_after", "reason", "state",
)  # fmt: skip
UNKNOWN = dict.fromkeys(PROPOSAL_FIELDS) | {"reason_code": "", "reason": "", "method": "", "n_orders": 0}
UNKNOWN |= dict.fromkeys(("buy_value", "sell_value", "largest_order"), Decimal(0))


@dataclass(frozen=True)
class Proposal:
    """One portfolio's row as it is to be (values of PROPOSAL_FIELDS), and its orders (tuples of ORDER_FIELDS)."""

    row: PortfolioRebalance
    values: Mapping[str, Any]
    orders: Sequence[tuple[Any, ...]]

    @property
    def is_answer(self) -> bool:
        """Whether it puts undecided orders of earlier runs out of date."""
        return self.values["state"] in (ProposalState.SOLVED, ProposalState.NO_TRADES, ProposalState.TIME_LIMIT)


def proposal(
    inputs: RunInputs,
    row: PortfolioRebalance,
    problem: RebalanceProblem | None,
    solution: RebalanceSolution,
    coming: Sequence[Coming] = (),
) -> Proposal:
    """The general way: from one solution. Without a problem there is nothing but the reason.

    `coming` is what the problem counts as done though it is on its way only.
    """
    told = [reason_told(inputs, reason) for reason in solution.reasons]
    values: dict[str, Any] = UNKNOWN | {
        "state": _state(solution).value,
        "method": solution.method or "",
        "seconds": solution.seconds,
    }
    if told:
        values |= {"reason_code": solution.reasons[0].code, "reason": (told[0]["message"] or "")[:500]}
    if problem is None:
        return Proposal(row, values | {"document": {"reasons": told}}, ())
    before = portfolio_drift(problem.positions, problem.cash)
    after = _after(problem, solution)
    orders = list(_orders(inputs, row, problem, solution, (before, after)))
    if too_large := _too_large(orders, after):
        return proposal(inputs, row, problem, too_large, coming)
    values |= _figures(before, after, orders)
    values["document"] = _certificate(solution, before, after) | _texts(values) | {"reasons": told}
    values["document"]["cash_after_costs"] = text(solution.cash_after_costs)
    values["document"]["limits"] = limits_applied(inputs, row.portfolio_id)
    if coming:
        values["document"]["open_orders"] = [one.to_json(inputs.prices) for one in coming]
    if inputs.needs_lots(row.portfolio_id):
        values["document"] |= _gains(problem, solution)
    if solution.nearest:
        values["document"]["nearest"] = _nearest(inputs, solution.nearest)
    values["document"]["quantities"] = pack(
        [p.quantity for p in problem.positions],
        [solution.quantities[p.security_id] for p in problem.positions] if solution.solved else None,
        [p.security_id for p in problem.positions[len(inputs.targets) :]],
    )
    return Proposal(row, values, orders)


def _state(solution: RebalanceSolution) -> ProposalState:
    if solution.status == "error":
        return ProposalState.FAILED
    if solution.status == "infeasible":
        return ProposalState.INFEASIBLE
    if not solution.trades:
        return ProposalState.NO_TRADES
    return ProposalState.SOLVED if solution.status == "optimal" else ProposalState.TIME_LIMIT


def reason_told(inputs: RunInputs, reason: Reason) -> dict[str, str | None]:
    """The reason in words, which call securities by their tickers."""
    return {"code": reason.code, "message": sentence(reason, inputs.ticker), "security_id": reason.security_id}


def _after(problem: RebalanceProblem, solution: RebalanceSolution) -> PortfolioDrift | None:
    if not solution.solved:
        return None
    cash = promised(solution.cash_after, "a solution has its cash")
    positions = tuple(replace(p, quantity=solution.quantities[p.security_id]) for p in problem.positions)
    return portfolio_drift(positions, cash)


def _orders(
    inputs: RunInputs,
    row: PortfolioRebalance,
    problem: RebalanceProblem,
    solution: RebalanceSolution,
    drifts: tuple[PortfolioDrift, PortfolioDrift | None],
) -> Iterator[tuple[Any, ...]]:
    traded = {trade.security_id: trade for trade in solution.trades}
    before, after = drifts
    if not traded or after is None:
        return
    for position, was, then in zip(problem.positions, before.positions, after.positions, strict=True):
        if (trade := traded.get(position.security_id)) and position.price is not None:
            yield (
                object_id(), row.rebalance_id, row.pk, row.portfolio_id, row.portfolio_name, position.security_id,
                inputs.ticker(position.security_id), trade.side, trade.quantity, position.quantity, position.price,
                position.price * trade.quantity, _rounded(was.weight, MILLIONTH), _rounded(then.weight, MILLIONTH),
                order_reason(was, then.quantity - was.quantity), OrderState.PROPOSED.value,
            )  # fmt: skip


def _too_large(orders: Sequence[tuple[Any, ...]], after: PortfolioDrift | None) -> RebalanceSolution | None:
    """A refusal where money would not fit its column; what is stored is never rounded, and never a failed write."""
    value, portfolio_id, security_id = map(ORDER_FIELDS.index, ("value", "portfolio_id", "security_id"))
    largest = max(orders, key=lambda order: abs(order[value]), default=None)
    traded = sum((order[value] for order in orders), Decimal(0))
    if largest is None or after is None or max(traded, abs(after.cash)) < MONEY_LIMIT:
        return None
    reason = Reason("TOO_LARGE", largest[security_id], details={"value": largest[value]})
    return RebalanceSolution(largest[portfolio_id], "error", reasons=(reason,))


def _figures(before: PortfolioDrift, after: PortfolioDrift | None, orders: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """The columns that lists show."""
    side, value = ORDER_FIELDS.index("side"), ORDER_FIELDS.index("value")
    return {
        "n_orders": len(orders),
        "buy_value": sum((order[value] for order in orders if order[side] == "BUY"), Decimal(0)),
        "sell_value": sum((order[value] for order in orders if order[side] == "SELL"), Decimal(0)),
        "largest_order": max((order[value] for order in orders), default=Decimal(0)),
        "market_value": _rounded(before.market_value),
        "cash_before": before.cash,
        "cash_after": after.cash if after else None,
        "drift_before": _rounded(before.total_drift),
        "drift_after": _rounded(after.total_drift if after else None),
        "band_use_before": _rounded(before.worst_band_use, MILLIONTH),
        "band_use_after": _rounded(after.worst_band_use if after else None, MILLIONTH),
    }


def _certificate(solution: RebalanceSolution, before: PortfolioDrift, after: PortfolioDrift | None) -> dict[str, Any]:
    return {
        "status": solution.status,
        "method": solution.method,
        "objective": text(solution.objective),
        "lower_bound": text(solution.lower_bound),
        "gap": text(solution.gap),
        "first": solution.first,
        "seconds": round(solution.seconds, 6),
        "binding": list(solution.binding),
        "breaches_before": before.breaches,
        "breaches_after": after.breaches if after else None,
    }


def _gains(problem: RebalanceProblem, solution: RebalanceSolution) -> dict[str, Any]:
    """The tax lots it was computed from, all of them, and what its sales gain by them."""
    gained = realised_gain(problem, solution.quantities) if solution.solved else None
    return {"lots": pack_lots({p.security_id: p.lots for p in problem.positions}), "realised_gain": text(gained)}


def _nearest(inputs: RunInputs, solution: RebalanceSolution) -> dict[str, Any]:
    """What would come nearest where there is no answer, and what it exceeds. For reading: it makes no orders."""
    return {
        "trades": [
            {"ticker": inputs.ticker(trade.security_id), "side": trade.side, "quantity": trade.quantity}
            for trade in solution.trades
        ],
        "cash_after": text(solution.cash_after),
        "drift_after": text(solution.drift_value),
        "reasons": [reason_told(inputs, reason) for reason in solution.reasons],
    }


def limits_applied(inputs: RunInputs, portfolio_id: str) -> dict[str, dict[str, Any]]:
    """The limits that held for this portfolio, each with the level it comes from: run, portfolio or model."""
    options, levels = inputs.options_of(portfolio_id)
    values = {name: getattr(options, name) for name in levels}
    if not (options.cost_bps or options.ticket_cost):
        values.pop("reserve_costs", None)  # of nothing
    return {
        name: {"value": text(value) if isinstance(value, Decimal) else value, "level": levels[name]}
        for name, value in values.items()
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str | None]:
    names = ("market_value", "cash_before", "cash_after", "drift_before", "drift_after")
    return {name: text(values[name]) for name in (*names, "band_use_before", "band_use_after")}


def _rounded(number: Decimal | None, unit: Decimal = TICK) -> Decimal | None:
    """To the decimals of its column; a figure that no column holds is as good as unknown."""
    if number is None or abs(number) >= unit.scaleb(COLUMN_DIGITS):
        return None
    return number.quantize(unit, context=WIDE)


def batch_proposals(
    inputs: RunInputs, rows: Sequence[PortfolioRebalance], batch: Batch, answer: BatchAnswer
) -> Iterator[Proposal]:
    """The way of arrays: the proposals of every answered row of a batch; `rows` are in its order."""
    answered = np.flatnonzero(answer.answered).tolist()
    if not answered:
        return
    rows, batch, answer = [rows[at] for at in answered], batch.rows(answered), answer.rows(answered)
    before = batch_drift(batch, batch.quantities, answer.market_value)
    after = batch_drift(batch, answer.quantities, answer.market_value)
    orders = _BatchOrders(inputs, batch, answer, before)
    used = list(zip(_worst_use(before), _worst_use(after), strict=True))
    breaches = list(zip(before.breaches.tolist(), after.breaches.tolist(), strict=True))
    totals = list(zip(before.total.tolist(), answer.drift.tolist(), strict=True))
    held, aimed = batch.quantities.tolist(), answer.quantities.tolist()
    at_bands = bands_that_bind(batch, answer)
    for at, row in enumerate(rows):
        made, bought, sold, largest = orders.of(row, at)
        values = UNKNOWN | {
            "state": (ProposalState.SOLVED if made else ProposalState.NO_TRADES).value,
            "method": "separable",
            "seconds": 0.0,
            "n_orders": len(made),
            "buy_value": _money(bought),
            "sell_value": _money(sold),
            "largest_order": _money(largest),
            "market_value": _money(int(answer.market_value[at])),
            "cash_before": _money(int(batch.cash[at])),
            "cash_after": _money(int(answer.cash_after[at])),
            "drift_before": _rounded(_fine(totals[at][0])),
            "drift_after": _rounded(_fine(totals[at][1])),
            "band_use_before": used[at][0],
            "band_use_after": used[at][1],
        }
        values["document"] = _texts(values) | {
            "status": "optimal",
            "method": "separable",
            **dict.fromkeys(("objective", "lower_bound"), text(_fine(totals[at][1]))),
            "gap": "0",
            "first": True,
            "cash_after_costs": text(values["cash_after"]),  # plain problems have none
            "seconds": 0.0,
            "binding": at_bands[at],
            "breaches_before": breaches[at][0],
            "breaches_after": breaches[at][1],
            "reasons": [],
            "limits": limits_applied(inputs, row.portfolio_id),
            "quantities": _packed(batch, len(inputs.targets), held[at], aimed[at]),
        }
        yield Proposal(row, values, made)


def bands_that_bind(batch: Batch, answer: BatchAnswer) -> list[list[str]]:
    """Of each portfolio, as `binding_bands` of the optimiser says it of one: where a band ends short of the target."""
    mv, step = answer.market_value[:, None], batch.prices * batch.weight_scale
    value, aim = answer.quantities * step, mv * batch.targets
    short, beyond = 2 * (aim - value) > step, 2 * (value - aim) > step
    short &= value + step > aim + mv * batch.high_drifts
    beyond &= value - step < np.maximum(0, aim - mv * batch.low_drifts)
    bound = (short | beyond) & (batch.targets + batch.high_drifts > 0)
    return [sorted(f"band:{batch.security_ids[cell]}" for cell in np.flatnonzero(row)) for row in bound]


def _worst_use(drift: BatchDrift) -> list[Decimal | None]:
    """Of each portfolio to six decimals; 0 where nothing has drifted, None where something has no band there."""
    uses = [ZERO if at < 0 else drift.band_use_at(row, at) for row, at in enumerate(drift.worst().tolist())]
    return [None if use is None else use.quantize(MILLIONTH) for use in uses]


def _packed(batch: Batch, n_model: int, held: list[int], aimed: list[int]) -> dict[str, Any]:
    """Like `proposals.pack`, leaving out what other portfolios of the batch hold beyond the model."""
    own = [at for at in range(n_model, len(held)) if held[at]]
    return {
        "before": held[:n_model] + [held[at] for at in own],
        "after": aimed[:n_model] + [aimed[at] for at in own],
        "outside": [batch.security_ids[at] for at in own],
    }


def _money(units: int) -> Decimal:
    return Decimal(units).scaleb(-MONEY_PLACES)


def _fine(units: int) -> Decimal:
    return (Decimal(units) / (MONEY_SCALE * WEIGHT_SCALE)).normalize(WIDE)


class _BatchOrders:
    """The orders of a batch, row by row: everything that needs arithmetic was done in arrays before."""

    def __init__(self, inputs: RunInputs, batch: Batch, answer: BatchAnswer, before: BatchDrift) -> None:
        self.change = answer.quantities - batch.quantities
        self.names = [(key, inputs.ticker(key)) for key in batch.security_ids]
        self.prices = [(price, _money(price)) for price in batch.prices.tolist()]
        self.held = batch.quantities
        self.before = weights(batch, batch.quantities, answer.market_value)
        self.after = weights(batch, answer.quantities, answer.market_value)
        self.why = order_reasons(batch, before, self.change)

    def of(self, row: PortfolioRebalance, at: int) -> tuple[list[tuple[Any, ...]], int, int, int]:
        """The orders of one portfolio, what they buy and sell for, and the value of the largest, in ticks."""
        cells = np.flatnonzero(self.change[at])
        columns = (self.change[at], self.held[at], self.before[at], self.after[at], self.why[at])
        found = zip(cells.tolist(), *(column[cells].tolist() for column in columns), strict=True)
        head = (row.rebalance_id, row.pk, row.portfolio_id, row.portfolio_name)
        orders, bought, sold, largest = [], 0, 0, 0
        for cell, change, held, was, then, why_ in found:
            units, price = self.prices[cell]
            value = units * abs(change)
            largest = max(largest, value)
            if change > 0:
                bought += value
            else:
                sold += value
            money = f"{value // MONEY_SCALE}.{value % MONEY_SCALE:0{MONEY_PLACES}d}"
            what = ("BUY" if change > 0 else "SELL", abs(change), held, price, money)
            weighed = (was / WEIGHT_SCALE, then / WEIGHT_SCALE, REASONS[why_], "proposed")
            orders.append((object_id(), *head, *self.names[cell], *what, *weighed))
        return orders, bought, sold, largest
