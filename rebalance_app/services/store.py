"""Writing what a worker found: a portfolio's result, its orders and the run's counters, all or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from itertools import repeat
from typing import Any

from django.db.models import Count, F
from django.utils import timezone

from ordergen.db import atomic, bulk_insert, object_id
from rebalance_app.domain.drift import PortfolioDrift, PositionDrift, portfolio_drift
from rebalance_app.domain.types import Position, Reason, RebalanceProblem, RebalanceSolution, Trade
from rebalance_app.models import Order, OrderState, PortfolioRebalance, ProposalState, Rebalance

Answer = tuple[PortfolioRebalance, RebalanceProblem | None, RebalanceSolution]
CENT_FRACTION = Decimal("0.0001")
MICRO = Decimal("0.000001")
WIDE = Context(prec=200)
COLUMN_DIGITS = 15
SECURITY_ID = re.compile(r"\b[A-Za-z0-9]{24}\b")
Quotes = Mapping[str, Mapping[str, str | None]]
COUNTERS = {
    ProposalState.SOLVED: "n_solved",
    ProposalState.NO_TRADES: "n_no_trades",
    ProposalState.TIME_LIMIT: "n_time_limit",
    ProposalState.INFEASIBLE: "n_infeasible",
    ProposalState.FAILED: "n_failed",
    ProposalState.CANCELLED: "n_cancelled",
}
ORDER_FIELDS = (
    "id", "rebalance", "proposal", "portfolio_id", "portfolio_name", "security_id", "ticker", "side", "quantity",
    "quantity_before", "price", "value", "weight_before", "weight_after", "reason", "state",
)  # fmt: skip


def proposals_store(run: Rebalance, token: str, answers: Sequence[Answer]) -> None:
    """Stores the answers of the rows that are still ours under `token`; what is no longer ours is thrown away whole.

    A run that was cancelled meanwhile takes no more proposals: its portfolios end as cancelled, without orders.
    """
    proposals = [_proposal(run, *answer) for answer in answers]
    with atomic():
        cancelled = Rebalance.objects.filter(pk=run.pk, cancel_requested=True).exists()
        written = [proposal for proposal in proposals if _write(proposal, token, cancelled=cancelled)]
        counts = Counter(
            COUNTERS[ProposalState.CANCELLED if cancelled else proposal.values["state"]] for proposal in written
        )
        if not written:
            return
        if not cancelled:
            _supersede(run, [proposal.row.portfolio_id for proposal in written if proposal.replaces])
            rows = (tuple(order.values()) for proposal in written for order in proposal.orders)
            counts["n_orders"] = bulk_insert(Order, ORDER_FIELDS, rows)
        Rebalance.objects.filter(pk=run.pk).update(**{name: F(name) + n for name, n in counts.items()})


@dataclass(frozen=True)
class Proposal:
    """One portfolio's row as it is to be, and the orders that go with it."""

    row: PortfolioRebalance
    values: dict[str, Any]
    orders: list[dict[str, Any]]

    @property
    def replaces(self) -> bool:
        """Whether undecided orders of earlier runs are out of date with this answer."""
        return self.values["state"] in (ProposalState.SOLVED, ProposalState.NO_TRADES, ProposalState.TIME_LIMIT)


def _write(proposal: Proposal, token: str, *, cancelled: bool) -> bool:
    ours = PortfolioRebalance.objects.filter(pk=proposal.row.pk, token=token, state=ProposalState.SOLVING)
    values = {"state": ProposalState.CANCELLED} if cancelled else proposal.values
    return ours.update(**values, finished_at=timezone.now(), lease_until=None) == 1


def _supersede(run: Rebalance, portfolio_ids: Sequence[str]) -> None:
    """Orders that nobody has decided on give way to the newer proposal, so that no portfolio is traded twice."""
    earlier = Order.objects.filter(portfolio_id__in=portfolio_ids, state=OrderState.PROPOSED).exclude(rebalance=run)
    counts = list(earlier.order_by().values_list("rebalance").annotate(Count("pk")))
    if not counts:
        return
    earlier.update(state=OrderState.SUPERSEDED)
    for rebalance_id, count in counts:
        Rebalance.objects.filter(pk=rebalance_id).update(n_superseded=F("n_superseded") + count)


def _proposal(
    run: Rebalance, row: PortfolioRebalance, problem: RebalanceProblem | None, solution: RebalanceSolution
) -> Proposal:
    quotes = run.snapshot.payload
    reasons = [_reason(reason, quotes) for reason in solution.reasons]
    values: dict[str, Any] = {"state": _state(solution), "method": solution.method or "", "seconds": solution.seconds}
    if reasons:
        values |= {"reason_code": reasons[0]["code"], "reason": reasons[0]["message"][:500]}
    if problem is None:
        return Proposal(row, values, [])
    before = portfolio_drift(problem.positions, problem.cash)
    after = _after(problem, solution)
    traded = {trade.security_id: trade for trade in solution.trades}
    pairs = zip(problem.positions, before.positions, after.positions if after else repeat(None), strict=False)
    lines = [_line(quotes, traded.get(p.security_id), p, was, then) for p, was, then in pairs]
    orders = [_order(run, row, line) for line in lines if line["side"]]
    values |= _totals(before, after, orders)
    values["document"] = _document(values, before, after, solution) | {"positions": lines, "reasons": reasons}
    return Proposal(row, values, orders)


def _state(solution: RebalanceSolution) -> ProposalState:
    if solution.status == "error":
        return ProposalState.FAILED
    if solution.status == "infeasible":
        return ProposalState.INFEASIBLE
    if not solution.trades:
        return ProposalState.NO_TRADES
    return ProposalState.SOLVED if solution.status == "optimal" else ProposalState.TIME_LIMIT


def _reason(reason: Reason, quotes: Quotes) -> dict[str, str | None]:
    """The reason with tickers where the domain, which knows no names, says ids."""
    message = SECURITY_ID.sub(lambda found: _ticker(quotes, found[0]), reason.message)
    return {"code": reason.code, "message": message, "security_id": reason.security_id}


def _ticker(quotes: Quotes, security_id: str) -> str:
    return (quotes.get(security_id) or {}).get("ticker") or security_id


def _after(problem: RebalanceProblem, solution: RebalanceSolution) -> PortfolioDrift | None:
    if not solution.solved:
        return None
    assert solution.cash_after is not None, "a solution has its cash"
    positions = tuple(replace(p, quantity=solution.quantities[p.security_id]) for p in problem.positions)
    return portfolio_drift(positions, solution.cash_after)


def _line(
    quotes: Quotes, trade: Trade | None, position: Position, was: PositionDrift, then: PositionDrift | None
) -> dict[str, Any]:
    """One position before and after, as the proposal's document keeps it: decimals as strings, unknown as null."""
    return {
        "security_id": position.security_id,
        "ticker": _ticker(quotes, position.security_id),
        "name": (quotes.get(position.security_id) or {}).get("name") or "",
        "price": _text(position.price),
        "quantity_before": _text(position.quantity),
        "quantity_after": _text(then.quantity if then else None),
        "target": _text(position.target),
        "low_drift": _text(position.low_drift),
        "high_drift": _text(position.high_drift),
        "weight_before": _text(was.weight, MICRO),
        "weight_after": _text(then.weight if then else None, MICRO),
        "band_use_before": _text(was.band_use, MICRO),
        "band_use_after": _text(then.band_use if then else None, MICRO),
        "state_before": was.state,
        "state_after": then.state if then else None,
        "side": trade.side if trade else None,
        "trade_quantity": trade.quantity if trade else None,
        "reason": _why(trade, position, was) if trade else None,
    }


def _why(trade: Trade, position: Position, was: PositionDrift) -> str:
    """What this order is for, in one word."""
    if position.quantity < 0:
        return "COVER_SHORT"
    if was.state == "not_in_model":
        return "NOT_IN_MODEL"
    if (was.state, trade.side) in {("breach_over", "SELL"), ("breach_under", "BUY")}:
        return was.state.upper()
    away = was.drift is not None and (was.drift < 0) == (trade.side == "SELL") and was.drift != 0
    return ("RAISE_CASH" if trade.side == "SELL" else "INVEST_CASH") if away else "TOWARD_TARGET"


def _order(run: Rebalance, row: PortfolioRebalance, line: Mapping[str, Any]) -> dict[str, Any]:
    price = Decimal(line["price"])
    return {
        "id": object_id(),
        "rebalance": run.pk,
        "proposal": row.pk,
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "security_id": line["security_id"],
        "ticker": line["ticker"],
        "side": line["side"],
        "quantity": line["trade_quantity"],
        "quantity_before": Decimal(line["quantity_before"]),
        "price": price,
        "value": price * line["trade_quantity"],
        "weight_before": line["weight_before"],
        "weight_after": line["weight_after"],
        "reason": line["reason"],
        "state": OrderState.PROPOSED,
    }


def _totals(
    before: PortfolioDrift, after: PortfolioDrift | None, orders: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The columns that lists show."""
    return {
        "n_orders": len(orders),
        "buy_value": sum((o["value"] for o in orders if o["side"] == "BUY"), Decimal(0)),
        "sell_value": sum((o["value"] for o in orders if o["side"] == "SELL"), Decimal(0)),
        "market_value": _rounded(before.market_value),
        "cash_before": before.cash,
        "cash_after": after.cash if after else None,
        "drift_before": _rounded(before.total_drift),
        "drift_after": _rounded(after.total_drift if after else None),
        "band_use_before": _rounded(before.worst_band_use, MICRO),
        "band_use_after": _rounded(after.worst_band_use if after else None, MICRO),
    }


def _document(
    values: Mapping[str, Any], before: PortfolioDrift, after: PortfolioDrift | None, solution: RebalanceSolution
) -> dict[str, Any]:
    """The proposal's certificate and figures; its positions and reasons come beside it."""
    figures = ("market_value", "cash_before", "cash_after", "drift_before", "drift_after")
    return {
        **{name: _text(values[name]) for name in (*figures, "band_use_before", "band_use_after")},
        "status": solution.status,
        "method": solution.method,
        "objective": _text(solution.objective),
        "lower_bound": _text(solution.lower_bound),
        "gap": _text(solution.gap),
        "seconds": round(solution.seconds, 6),
        "binding": list(solution.binding),
        "breaches_before": before.breaches,
        "breaches_after": after.breaches if after else None,
    }


def _rounded(number: Decimal | None, unit: Decimal = CENT_FRACTION) -> Decimal | None:
    """To the decimals of its column; a figure that no column holds is as good as unknown."""
    if number is None or abs(number) >= unit.scaleb(COLUMN_DIGITS):
        return None
    return number.quantize(unit, context=WIDE)


def _text(number: Decimal | None, unit: Decimal | None = None) -> str | None:
    if number is None:
        return None
    return format(_rounded(number, unit) if unit else number, "f")
