"""A stored proposal as the problem it answers and the answer it gives, both read from the rows, for another check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from models_app.portfolio.types import ZERO, RebalanceProblem, RebalanceSolution, Trade
from models_app.portfolios.tax_lots import mismatches, shares_in
from models_app.sources.book_source import Balances
from rebalance_app.models import Order, PortfolioRebalance
from rebalance_app.optimiser.check.scalar import total_costs, total_gain, violations
from rebalance_app.proposals import stored as proposals
from rebalance_app.proposals.run_inputs import inputs_of


def proposal_faults(row: PortfolioRebalance, orders: Sequence[Order]) -> Iterator[str]:
    """What is wrong with an answered portfolio and its orders, by the check that imports no solver."""
    document = row.document
    if not document or not document.get("quantities") or document["quantities"]["after"] is None:
        yield "it has no quantities"
        return
    problem, after = _problem(row, document), [Decimal(quantity) for quantity in document["quantities"]["after"]]
    if len(after) != len(problem.positions):
        yield "it has not one quantity for each position"
        return
    solution = _solution(problem, after, document, orders)
    yield from violations(problem, solution)
    if inputs_of(row.rebalance_id).needs_lots(row.portfolio_id):
        yield from _gain_faults(problem, solution, document)


def _gain_faults(problem: RebalanceProblem, solution: RebalanceSolution, document: dict[str, Any]) -> Iterator[str]:
    """That the gain is what the stored lots make it, and that they are lots of all that was held."""
    lots = proposals.read_lots(document)
    there = {p.security_id: p.quantity - p.on_order for p in problem.positions}
    if lots is None or mismatches(there, shares_in(lots)):
        yield "its tax lots do not add up to its holdings"
    elif (gained := total_gain(problem, solution.quantities)) != _number(document.get("realised_gain")):
        yield f"its sales realise {gained}, not {document.get('realised_gain')}"


def _problem(row: PortfolioRebalance, document: dict[str, Any]) -> RebalanceProblem:
    inputs, quantities = inputs_of(row.rebalance_id), document["quantities"]
    ids = [*inputs.targets, *quantities["outside"]]
    held = {key: Decimal(quantity) for key, quantity in zip(ids, quantities["before"], strict=True)}
    lots = proposals.read_lots(document)
    outside = {key: held[key] for key in ids if held[key] or key in quantities["outside"]}
    coming: Counter[str] = Counter()
    for order in document.get("open_orders", ()):
        coming[order["security_id"]] += order["quantity"] if order["side"] == "BUY" else 0
    on_order = {key: Decimal(shares) for key, shares in coming.items() if shares and key in outside}
    cash = Decimal(document["cash_before"])
    return inputs.problem(row.portfolio_id, Balances(cash, outside, lots, on_order=on_order))


def _solution(
    problem: RebalanceProblem, after: Sequence[Decimal], document: dict[str, Any], orders: Sequence[Order]
) -> RebalanceSolution:
    """The answer as it was stored; market value and total drift, stored to four places, as the quantities make them."""
    worth = [(p.price or ZERO, p, quantity) for p, quantity in zip(problem.positions, after, strict=True)]
    value = problem.cash + sum((price * p.quantity for price, p, _ in worth), ZERO)
    quantities = {p.security_id: quantity for _, p, quantity in worth}
    return RebalanceSolution(
        problem.portfolio_id,
        document["status"],
        method=document["method"],
        market_value=value,
        objective=_number(document["objective"]),
        lower_bound=_number(document["lower_bound"]),
        gap=_number(document["gap"]),
        quantities=quantities,
        trades=tuple(Trade(o.security_id, "BUY" if o.side == "BUY" else "SELL", o.quantity) for o in orders),
        cash_after=_number(document["cash_after"]),
        cash_after_costs=_after_costs(problem, quantities, document),
        drift_value=sum((abs(value * p.target - price * quantity) for price, p, quantity in worth), ZERO),
    )


def _after_costs(problem: RebalanceProblem, after: Mapping[str, Decimal], document: dict[str, Any]) -> Decimal | None:
    """As it was stored; documents from before it was are as right as their cash."""
    if "cash_after_costs" in document or not document["cash_after"]:
        return _number(document.get("cash_after_costs"))
    return Decimal(document["cash_after"]) - total_costs(problem, after)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
