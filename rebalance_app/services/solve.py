"""Solving a chunk of a run.

    claim   | the chunk's queued portfolios become ours by one conditional update, with a token and a lease
    gather  | targets from the run's model version, prices from its snapshot, balances from the source
    solve   | the closed form for all at once; what it cannot certify goes to the solver's own process, one by one
    store   | result, orders and counters in one transaction, and only where the row is still ours
    finish  | the run ends with its last portfolio

A worker may die anywhere in between: the lease lapses, the sweeper queues the portfolio again (alone, so that one that
kills its worker takes no other with it), and nothing half-written is ever seen.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from models_app.models import InvestmentModel, ModelVersion
from models_app.sources import get_source
from models_app.sources.base import Balances
from ordergen.audit.services import record
from ordergen.db import atomic, object_id
from rebalance_app.domain.jsonl import options_from_json
from rebalance_app.domain.solve import solve_separable
from rebalance_app.domain.types import ZERO, Options, Position, Reason, RebalanceProblem, RebalanceSolution
from rebalance_app.domain.verify import violations
from rebalance_app.models import PortfolioRebalance, ProposalState, Rebalance, RunState
from rebalance_app.services.solver_child import SolverChild, SolverCrashedError, SolverHungError
from rebalance_app.services.store import proposals_store

logger = logging.getLogger(__name__)
_child = SolverChild()


def chunk_solve(*, rebalance_id: str, chunk: int) -> None:
    """Does what is left to do of one chunk; nothing when others have it or it is done. Safe to call again, any time."""
    claim = _claim(rebalance_id, chunk)
    if claim is None:
        return
    problems, refused = _gather(claim)
    proposals_store(claim.run, claim.token, refused)
    certified = solve_separable([problem for _, problem in problems])
    proposals_store(
        claim.run,
        claim.token,
        [(row, problem, done) for (row, problem), done in zip(problems, certified, strict=True) if done],
    )
    for (row, problem), done in zip(problems, certified, strict=True):
        if done is None and claim.renew():
            _solve_alone(claim, row, problem)
    run_finish(rebalance_id)


@dataclass(frozen=True)
class Claim:
    """The rows of one chunk that are ours while the lease lasts."""

    run: Rebalance
    token: str
    rows: Sequence[PortfolioRebalance]

    def renew(self) -> bool:
        """Extends the lease on what is not finished yet; False when nothing is ours any more."""
        ours = PortfolioRebalance.objects.filter(rebalance=self.run, token=self.token, state=ProposalState.SOLVING)
        return ours.update(lease_until=_lease()) > 0

    @cached_property
    def options(self) -> Options:
        return options_from_json(self.run.options)


def _lease() -> Any:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def _claim(rebalance_id: str, chunk: int) -> Claim | None:
    token = object_id()
    claimed = PortfolioRebalance.objects.filter(
        rebalance_id=rebalance_id, chunk=chunk, state=ProposalState.QUEUED
    ).update(state=ProposalState.SOLVING, token=token, attempt=F("attempt") + 1, lease_until=_lease())
    if not claimed:
        return None
    Rebalance.objects.filter(pk=rebalance_id, state=RunState.QUEUED).update(state=RunState.RUNNING)
    run = Rebalance.objects.select_related("snapshot").get(pk=rebalance_id)
    return Claim(run, token, list(run.portfolios.filter(token=token)))


Answer = tuple[PortfolioRebalance, RebalanceProblem | None, RebalanceSolution]


def _gather(claim: Claim) -> tuple[list[tuple[PortfolioRebalance, RebalanceProblem]], list[Answer]]:
    """The problems that can be solved, and answers for those that cannot even be stated."""
    quotes = claim.run.snapshot.payload
    targets = _targets(claim.run)
    stale = _stale(quotes)
    balances = get_source().balances([row.portfolio_id for row in claim.rows])
    problems: list[tuple[PortfolioRebalance, RebalanceProblem]] = []
    refused: list[Answer] = []
    for row in claim.rows:
        problem = _problem(row.portfolio_id, balances.get(row.portfolio_id), targets, quotes, claim.options)
        if problem is None:
            refused.append((row, None, _refusal(row, "UNKNOWN_PORTFOLIO", "The book has no such portfolio any more.")))
        elif too_old := [p.security_id for p in problem.positions if p.security_id in stale]:
            refused.append((row, problem, _stale_refusal(row, too_old[0], quotes)))
        else:
            problems.append((row, problem))
    return problems, refused


def _targets(run: Rebalance) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    """target, low and high drift by security id, as the model stood at launch."""
    content = ModelVersion.objects.get(model_id=run.model_id, version=run.model_version).content
    return {
        line["security_id"]: (Decimal(line["target"]), Decimal(line["low_drift"]), Decimal(line["high_drift"]))
        for line in content["positions"]
    }


def _problem(
    portfolio_id: str,
    balances: Balances | None,
    targets: Mapping[str, tuple[Decimal, Decimal, Decimal]],
    quotes: Mapping[str, Mapping[str, str | None]],
    options: Options,
) -> RebalanceProblem | None:
    if balances is None:
        return None
    held = balances.quantities
    outside = [key for key in sorted(held) if key not in targets]
    positions = [
        Position(key, held.get(key, ZERO), _price(quotes, key), *targets.get(key, (ZERO, ZERO, ZERO)))
        for key in [*targets, *outside]
    ]
    return RebalanceProblem(portfolio_id, balances.cash, tuple(positions), options)


def _price(quotes: Mapping[str, Mapping[str, str | None]], security_id: str) -> Decimal | None:
    price = quotes.get(security_id, {}).get("price")
    return None if price is None else Decimal(price)


def _stale(quotes: Mapping[str, Mapping[str, str | None]]) -> frozenset[str]:
    """Securities whose last price is too far behind the newest of the book to trade on."""
    dates = {key: date.fromisoformat(quote["date"]) for key, quote in quotes.items() if quote["date"]}
    if not dates:
        return frozenset()
    oldest = max(dates.values()) - timedelta(days=settings.PRICE_MAX_AGE_DAYS)
    return frozenset(key for key, day in dates.items() if day < oldest)


def _stale_refusal(row: PortfolioRebalance, security_id: str, quotes: Mapping[str, Any]) -> RebalanceSolution:
    quote = quotes[security_id]
    newest = max(q["date"] for q in quotes.values() if q["date"])
    return _refusal(
        row,
        "STALE_PRICE",
        f"The last price of {quote['ticker']} is of {quote['date']}, while others are of {newest}: import a newer one.",
        security_id,
    )


def _refusal(row: PortfolioRebalance, code: str, message: str, security_id: str | None = None) -> RebalanceSolution:
    return RebalanceSolution(row.portfolio_id, "error", reasons=(Reason(code, message, security_id),))


def _solve_alone(claim: Claim, row: PortfolioRebalance, problem: RebalanceProblem) -> None:
    """One integer programme in the child; a crash gives the portfolio back for another attempt, up to the last."""
    try:
        solution = _child.solve(problem)
        if solution.solved and (faults := violations(problem, solution)):
            solution = _refusal(row, "NOT_VERIFIED", f"The answer broke a rule and was thrown away: {faults[0]}")
    except SolverHungError as error:
        solution = _refusal(
            row, "SOLVER_KILLED", f"No answer within the time limit: {error}. Raise the limit or relax the bands."
        )
    except SolverCrashedError as error:
        logger.exception("solver lost on portfolio %s, attempt %s", row.portfolio_id, row.attempt)
        if row.attempt < settings.MAX_ATTEMPTS:
            _give_back(claim, row)
            return
        solution = _refusal(row, "POISON", f"Solving this portfolio failed {row.attempt} times: {error}.")
    proposals_store(claim.run, claim.token, [(row, problem, solution)])


def _give_back(claim: Claim, row: PortfolioRebalance) -> None:
    PortfolioRebalance.objects.filter(pk=row.pk, token=claim.token, state=ProposalState.SOLVING).update(
        lease_until=timezone.now()  # lapsed: the sweeper queues it again, alone
    )


def run_finish(rebalance_id: str) -> None:
    """Ends a run whose portfolios have all ended; does nothing otherwise, or the second time."""
    with atomic():
        run = Rebalance.objects.get(pk=rebalance_id)
        if run.n_done < run.n_portfolios or not run.is_active:
            return
        state = RunState.CANCELLED if run.cancel_requested else RunState.COMPLETED
        now = timezone.now()
        ended = Rebalance.objects.filter(pk=run.pk, state=run.state).update(state=state, finished_at=now)
        if ended:
            InvestmentModel.objects.filter(pk=run.model_id).update(last_rebalance_at=now)
            record("rebalance.finished", run, f"Run #{run.number} {state.label.lower()}", by=None, detail=_outcome(run))


def _outcome(run: Rebalance) -> dict[str, int]:
    names = ("solved", "no_trades", "time_limit", "infeasible", "failed", "cancelled", "orders")
    return {name: getattr(run, f"n_{name}") for name in names}
