"""Writing what a worker found: a portfolio's result, its orders and the run's counters, all or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, F
from django.utils import timezone

from ordergen.db import atomic, bulk_insert, object_id
from rebalance_app.domain.drift import PortfolioDrift, PositionDrift, portfolio_drift
from rebalance_app.domain.types import RebalanceProblem, RebalanceSolution, Trade
from rebalance_app.models import Order, OrderState, PortfolioRebalance, ProposalState, Rebalance

Answer = tuple[PortfolioRebalance, RebalanceProblem | None, RebalanceSolution]
CENT_FRACTION = Decimal("0.0001")
MICRO = Decimal("0.000001")
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
            counts["n_orders"] = bulk_insert(Order, ORDER_FIELDS, (order for p in written for order in p.orders))
        Rebalance.objects.filter(pk=run.pk).update(**{name: F(name) + n for name, n in counts.items()})


@dataclass(frozen=True)
class Proposal:
    """One portfolio's row as it is to be, and the orders that go with it."""

    row: PortfolioRebalance
    values: dict[str, Any]
    orders: list[tuple[Any, ...]]

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
    values: dict[str, Any] = {"state": _state(solution), "method": solution.method or "", "seconds": solution.seconds}
    if solution.reasons:
        values["reason_code"] = solution.reasons[0].code
        values["reason"] = solution.reasons[0].message[:500]
    if problem is None:
        return Proposal(row, values, [])
    before = portfolio_drift(problem.positions, problem.cash)
    after = _after(problem, solution) if solution.solved else None
    lines = _lines(run, before, after, solution)
    orders = [_order(run, row, line) for line in lines if line["side"]]
    values |= _totals(before, after, orders)
    values["document"] = _document(values, lines, before, after, solution)
    return Proposal(row, values, orders)


def _state(solution: RebalanceSolution) -> ProposalState:
    if solution.status == "error":
        return ProposalState.FAILED
    if solution.status == "infeasible":
        return ProposalState.INFEASIBLE
    if not solution.trades:
        return ProposalState.NO_TRADES
    return ProposalState.SOLVED if solution.status == "optimal" else ProposalState.TIME_LIMIT


def _after(problem: RebalanceProblem, solution: RebalanceSolution) -> PortfolioDrift:
    from dataclasses import replace

    positions = tuple(replace(p, quantity=solution.quantities[p.security_id]) for p in problem.positions)
    assert solution.cash_after is not None, "a solution has its cash"
    return portfolio_drift(positions, solution.cash_after)
