"""Solving a chunk of a run; `solving` names the files on the way.

    claim   | the chunk's queued portfolios become ours by one conditional update, with a token and a lease
    load    | targets and prices the run was launched on, balances from the source -> a batch, and the rest
    solve   | the closed form for the whole batch; what it cannot certify, one by one and in the solver's own process
    store   | result, orders and counters in one transaction, and only where the row is still ours
    finish  | the run ends with its last portfolio; a service that is down stops it

A worker may die anywhere in between: the lease lapses, the sweeper queues the portfolio again (alone, so that one that
kills its worker takes no other with it), and nothing half-written is ever seen.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from models_app.portfolio.types import Reason, RebalanceProblem
from ordergen.audit.selectors import request_behind
from ordergen.core.correlation import correlated
from ordergen.core.errors import UnavailableError
from ordergen.core.ids import object_id
from rebalance_app.formats.sentences import sentence
from rebalance_app.models import PortfolioRebalance, ProposalState, Rebalance, RunState
from rebalance_app.optimiser.batch_solve import batch_solve
from rebalance_app.optimiser.solution import refused
from rebalance_app.optimiser.solve import solve_separable
from rebalance_app.order_states.on_the_way import Coming
from rebalance_app.proposals.document import batch_proposals, proposal
from rebalance_app.proposals.run_inputs import RunInputs, inputs_of
from rebalance_app.runs.lifecycle import run_finish, run_stop
from rebalance_app.runs.store import claim_cancel, proposals_store
from rebalance_app.solving.failures import SolverLostError, after_attempts, in_words, of_process, program_failed
from rebalance_app.solving.load import gather, refusals
from rebalance_app.solving.solver_process import SolverChild

logger = logging.getLogger(__name__)
_child = SolverChild()
LONGEST_REASON = 500  # characters of its column


def solver_close() -> None:
    """Ends this process's solver child; the next programme starts another."""
    _child.close()


def chunk_solve(*, run_id: str, chunk: int) -> None:
    """Does what is left to do of one chunk; nothing when others have it or it is done. Safe to call again, any time."""
    claim = _claim(run_id, chunk)
    if claim is None:
        return
    with correlated(request_behind("rebalance.launched", run_id)):
        try:
            _answer(claim)
        except UnavailableError as error:
            run_stop(run_id, first=claim.rows[0].pk, why=error.message)
            return
        except Exception as error:  # the lease lapses, which is time enough for what passes, and it is tried again
            claim.note(program_failed(in_words(error)))
            raise
        logger.info("run #%s: chunk %s of %s portfolios done", claim.run.number, chunk, len(claim.rows))
        run_finish(run_id)


def _answer(claim: Claim) -> None:
    work = gather(claim.inputs, claim.rows)
    proposals_store(claim.run, claim.token, refusals(claim.inputs, work))
    if work.batch:
        answer = batch_solve(work.batch)
        answered = list(batch_proposals(claim.inputs, work.batch_rows, work.batch, answer))
        proposals_store(claim.run, claim.token, answered)
        work = work.without(answer.answered)
    _solve_one_by_one(claim, work.problems(claim.inputs), work.coming)


def _solve_one_by_one(
    claim: Claim,
    problems: Sequence[tuple[PortfolioRebalance, RebalanceProblem]],
    coming: Mapping[str, Sequence[Coming]],
) -> None:
    """The general way: closed form with every option, and the integer programme where that is not enough."""
    certified = solve_separable([problem for _, problem in problems])
    answered = [
        proposal(claim.inputs, row, problem, done, coming.get(row.portfolio_id, ()))
        for (row, problem), done in zip(problems, certified, strict=True)
        if done
    ]
    proposals_store(claim.run, claim.token, answered)
    for (row, problem), done in zip(problems, certified, strict=True):
        if done is None and claim.renew():
            _solve_alone(claim, row, problem, coming.get(row.portfolio_id, ()))


@dataclass(frozen=True)
class Claim:
    """The rows of one chunk that are ours while the lease lasts."""

    run: Rebalance
    token: str
    rows: Sequence[PortfolioRebalance]

    def renew(self) -> bool:
        """Extends the lease on what is not finished yet; False when nothing is ours any more."""
        return self._ours.update(lease_until=_lease()) > 0

    def note(self, why: Reason) -> None:
        """Says with all that is still ours why this attempt came to nothing; it stands there until the next begins."""
        self._ours.update(reason_code=why.code, reason=sentence(why)[:LONGEST_REASON])

    @property
    def _ours(self) -> QuerySet[PortfolioRebalance]:
        return PortfolioRebalance.objects.filter(rebalance=self.run, token=self.token, state=ProposalState.SOLVING)

    @cached_property
    def inputs(self) -> RunInputs:
        return inputs_of(self.run.pk)


def _lease() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def _claim(run_id: str, chunk: int) -> Claim | None:
    token = object_id()
    claimed = PortfolioRebalance.objects.filter(rebalance_id=run_id, chunk=chunk, state=ProposalState.QUEUED).update(
        state=ProposalState.SOLVING,
        token=token,
        attempt=F("attempt") + 1,
        lease_until=_lease(),
        reason_code="",
        reason="",
    )
    if not claimed:
        if not Rebalance.objects.filter(pk=run_id).exists():
            logger.warning(
                "there is no run %.40r here: does another installation use this broker? Each needs one of its own",
                run_id,
            )
        return None
    run = Rebalance.objects.get(pk=run_id)
    if run.state == RunState.QUEUED:
        # Not with the claim: a cancellation locks the run and then its queued rows, and would wait for us as we for it.
        Rebalance.objects.filter(pk=run_id, state=RunState.QUEUED).update(
            state=RunState.RUNNING, started_at=timezone.now()
        )
        run.refresh_from_db(fields=["cancel_requested"])
    if run.cancel_requested:  # asked after the claim: in its condition, a join would let two workers claim one row
        claim_cancel(run, token)
        run_finish(run_id)
        return None
    return Claim(run, token, list(run.portfolios.filter(token=token)))


def _solve_alone(claim: Claim, row: PortfolioRebalance, problem: RebalanceProblem, coming: Sequence[Coming]) -> None:
    """One integer programme in the child; a failure gives the portfolio back for another attempt, up to the last."""
    try:
        solution = _child.solve(problem)
    except SolverLostError as error:
        seconds = problem.options.time_limit
        if error.may_pass:
            logger.exception("solver lost on portfolio %s, attempt %s", row.portfolio_id, row.attempt)
            if row.attempt < settings.MAX_ATTEMPTS:
                _give_back(claim, row, of_process(error, seconds))
                return
        solution = refused(problem, "error", (after_attempts(error, row.attempt, seconds),))
    proposals_store(claim.run, claim.token, [proposal(claim.inputs, row, problem, solution, coming)])


def _give_back(claim: Claim, row: PortfolioRebalance, why: Reason) -> None:
    """Lapsed, and under no token that could renew it with the rest: the sweeper queues it again, alone."""
    PortfolioRebalance.objects.filter(pk=row.pk, token=claim.token, state=ProposalState.SOLVING).update(
        lease_until=timezone.now(), token="", reason_code=why.code, reason=sentence(why)[:LONGEST_REASON]
    )
