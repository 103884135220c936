"""Approving and rejecting orders. Every door comes through here, so four-eyes holds for everyone.

read the book ─> judge in the transaction ─> move what is allowed, with its decisions and their event
              ─> what is refused for good becomes outdated, with its event ─> what is refused: one event
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import bulk_insert, in_batches, refusal
from ordergen.core.errors import Code, ConflictError, InvalidInputError, NotFoundError, OrdergenError, PartlyDoneError
from ordergen.core.ids import object_id
from rebalance_app.judging.book_now import Book, Verdict, read_book
from rebalance_app.judging.findings import judge_approval, judge_rejection
from rebalance_app.judging.judgement import Judgement, policy
from rebalance_app.judging.lines import OrderLine, lines_of, lines_where
from rebalance_app.models import Decision, Order, OrderState, Rebalance
from rebalance_app.order_states.move import moves_keep, orders_move

MOVE_OF: Mapping[Verdict, str] = {"approved": "approve", "rejected": "reject"}
DECISION_FIELDS = ("id", "order", "verdict", "decided_by", "decided_at", "comment", "content_hash")
SIGNED = ("pk", "rebalance_id", "portfolio_id", "security_id", "side", "quantity", "price")
MAX_COMMENT = 500
PORTFOLIOS_AT_ONCE = 200  # of a run, decided in one transaction: others wait for it, and it is kept in memory
MOST_NAMED = 1_000  # orders left alone that are named; of a large run the rest is only counted
MOST_REASONS = 100  # that are told apart: those of money have the numbers of each portfolio in them
OTHER_REASONS = "Other reasons of the same kinds."


@dataclass
class DecisionOutcome:
    """What came of a request: how many orders were decided, and how many were left alone for which reason."""

    n_decided: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    outdated: Counter[str] = field(default_factory=Counter)  # of `reasons`, those for which orders are outdated now
    skipped: list[tuple[str, str]] = field(default_factory=list)  # the first MOST_NAMED, each with its reason

    @property
    def n_skipped(self) -> int:
        return self.reasons.total()

    @property
    def n_outdated(self) -> int:
        return self.outdated.total()

    def add(self, n_decided: int, skipped: Mapping[str, str], outdated: Collection[str] = ()) -> None:
        """Counts some more orders, those left alone by id; `outdated` are of those."""
        self.n_decided += n_decided
        for key, reason in skipped.items():
            is_told = reason in self.reasons or len(self.reasons) < MOST_REASONS
            told = reason if is_told else OTHER_REASONS
            self.reasons[told] += 1
            self.outdated[told] += key in outdated
        self.skipped += sorted(skipped.items())[: MOST_NAMED - len(self.skipped)]


def order_decide(*, by: User, order_ids: Sequence[str], verdict: Verdict, comment: str = "") -> DecisionOutcome:
    """Approves or rejects these orders; those that `by` may not decide on are skipped and said.

    Raises NotAllowedError (role), NotFoundError (an id nobody proposed), InvalidInputError (verdict or comment) and
    ConflictError when somebody else decided on one of them, or the book changed, meanwhile; nothing is written then.
    """
    _check(by, verdict, comment)
    wanted = dict.fromkeys(order_ids)
    book = read_book([Q(pk__in=batch) for batch in in_batches(wanted)], verdict)
    with recorded():
        orders = [line for batch in in_batches(wanted) for line in lines_where(Q(pk__in=batch))]
        if missing := wanted.keys() - {order.pk for order in orders}:
            raise NotFoundError(f"No such order: {min(missing)}.")
        decided = DecisionOutcome()
        together = with_others(orders) if verdict == "approved" else orders
        _decide(by, orders, verdict, comment, book, together, decided)
        return decided


def run_decide(
    *, by: User, run_id: str, verdict: Verdict, comment: str = "", expected_count: int | None = None
) -> DecisionOutcome:
    """Decides on every order of a run that still awaits a decision.

    That is all or nothing for PORTFOLIOS_AT_ONCE portfolios; a larger run is decided so many at a time. Whoever dies in
    the middle leaves the rest as it was: to ask again decides on that, and on nothing twice.
    `expected_count` is how many the person saw; where there are more or fewer now, ConflictError asks to look again.
    Raises what `order_decide` raises, and PartlyDoneError where something stops it after orders were decided.
    """
    _check(by, verdict, comment)
    run = Rebalance.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFoundError("No such run.")
    if refused := policy(by, run, OrderState.PROPOSED, verdict):
        return _refused(by, run, verdict, refused.why, expected_count)
    decided = DecisionOutcome()
    for at_once in portfolios_awaiting(run):
        try:
            with_count = expected_count if not decided.n_decided and not decided.skipped else None
            _decide_portfolios(by, run, at_once, verdict, comment, with_count, decided)
        except (OrdergenError, DatabaseError) as error:
            why = _why(error)
            if not (decided.n_decided and why):
                raise
            raise PartlyDoneError(f"{why} Before that, {decided.n_decided:,} orders were {verdict}.") from error
    return decided


def _why(error: OrdergenError | DatabaseError) -> str:
    """What stopped a decision, in words for whoever made it; empty where there are none."""
    if isinstance(error, OrdergenError):
        return error.message
    told = refusal(error)
    return told.why if told else ""


def _refused(by: User, run: Rebalance, verdict: Verdict, why: str, expected_count: int | None) -> DecisionOutcome:
    """What awaits a decision in a run awaits it from others: it need not be read for that."""
    with recorded():
        count = _count(run, expected_count)
        first = run.orders.filter(state=OrderState.PROPOSED).order_by("pk").values_list("pk", flat=True)[:MOST_NAMED]
        refused = DecisionOutcome(0, Counter({why: count}), skipped=[(key, why) for key in first])
        if count:
            _tell_refused(by, run, verdict, refused)
    return refused


def _count(run: Rebalance, expected_count: int | None) -> int:
    """How many orders of the run await a decision; raises ConflictError where that is not what somebody saw."""
    count = run.orders.filter(state=OrderState.PROPOSED).count()
    if expected_count not in (None, count):
        raise ConflictError(
            f"{count} orders await a decision, not {expected_count}: look again.", code=Code.CHANGED_MEANWHILE
        )
    return count


def portfolios_awaiting(run: Rebalance) -> Iterator[list[str]]:
    """The proposals of a run that have orders, PORTFOLIOS_AT_ONCE at a time; once at least, to see that none await."""
    proposals = iter(run.portfolios.filter(n_orders__gt=0).order_by("pk").values_list("pk", flat=True))
    yield list(islice(proposals, PORTFOLIOS_AT_ONCE))
    while at_once := list(islice(proposals, PORTFOLIOS_AT_ONCE)):
        yield at_once


def _decide_portfolios(  # noqa: PLR0913, PLR0917  what was asked, of which part, and where it is counted
    by: User,
    run: Rebalance,
    proposal_ids: Sequence[str],
    verdict: Verdict,
    comment: str,
    expected_count: int | None,
    decided: DecisionOutcome,
) -> None:
    awaiting = Q(proposal__in=proposal_ids, state=OrderState.PROPOSED)
    book = read_book([awaiting], verdict)
    with recorded():
        if expected_count is not None:
            _count(run, expected_count)
        orders = lines_where(awaiting)
        _decide(by, orders, verdict, comment, book, orders, decided)


def content_hash(order: Order | OrderLine) -> str:
    """sha256 of what an approval signs: who trades what, which way, how much, at which price."""
    signed = {name: str(getattr(order, name)) for name in SIGNED}
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).hexdigest()


def with_others(orders: Sequence[OrderLine]) -> list[OrderLine]:
    """The orders, and what else awaits a decision of the proposals that they are of."""
    chosen = {order.pk for order in orders}
    awaiting = lines_of((order.proposal_id for order in orders), OrderState.PROPOSED)
    return [*orders, *(line for line in awaiting if line.pk not in chosen)]


def _decide(  # noqa: PLR0913, PLR0917  what was asked, of which orders, and where it is counted
    by: User,
    orders: Sequence[OrderLine],
    verdict: Verdict,
    comment: str,
    book: Book,
    together: Sequence[OrderLine],
    decided: DecisionOutcome,
) -> None:
    """Decides on what may be decided on; `together` is all that awaits of the proposals concerned."""
    if verdict == "approved":
        judged = judge_approval(by, orders, book, together, has_reason=bool(comment.strip()))
    else:
        judged = judge_rejection(by, orders, book)
    allowed, outdated = judged.open(orders), judged.weighing(orders, "final")
    if allowed:
        _write(by, allowed, verdict, comment, judged.runs)
    if outdated:
        _outdate(by, outdated, judged)
    for run, refused in _by_run(judged.weighing(orders, "hard", "final"), judged.runs):
        told = DecisionOutcome()
        told.add(0, {order.pk: judged.left_alone[order.pk].why for order in refused})
        _tell_refused(by, run, verdict, told)
    left = {key: found.why for key, found in judged.left_alone.items()}
    decided.add(len(allowed), left, {order.pk for order in outdated})


def _check(by: User, verdict: str, comment: str) -> None:
    by.must("order.decide")
    if verdict not in ("approved", "rejected"):
        raise InvalidInputError("The verdict is approved or rejected.", fields={"verdict": "approved or rejected"})
    if len(comment) > MAX_COMMENT or "\0" in comment:
        message = f"at most {MAX_COMMENT} characters of text"
        raise InvalidInputError(f"A comment is {message}.", fields={"comment": message})
    if verdict == "rejected" and not comment.strip():
        raise InvalidInputError("Say why the orders are rejected.", fields={"comment": "say why"})


def _write(
    by: User, orders: Sequence[OrderLine], verdict: Verdict, comment: str, runs: Mapping[str, Rebalance]
) -> None:
    now, comment = timezone.now(), comment.strip()
    orders_move(MOVE_OF[verdict], orders, known_at=now)
    bulk_insert(Decision, DECISION_FIELDS, _decisions(by, orders, verdict, comment, now))
    for run, decided in _by_run(orders, runs):
        _tell(by, run, decided, verdict, comment)


def _by_run(
    orders: Iterable[OrderLine], runs: Mapping[str, Rebalance]
) -> Iterator[tuple[Rebalance, Sequence[OrderLine]]]:
    """The runs of these orders, each with its own, in the order of their numbers."""
    groups: defaultdict[str, list[OrderLine]] = defaultdict(list)
    for order in orders:
        groups[order.rebalance_id].append(order)
    yield from sorted(((runs[key], some) for key, some in groups.items()), key=lambda pair: pair[0].number)


def _decisions(
    by: User, orders: Sequence[OrderLine], verdict: Verdict, comment: str, now: datetime
) -> Iterator[tuple[object, ...]]:
    return ((object_id(), order.pk, verdict, by.pk, now, comment, content_hash(order)) for order in orders)


def _tell(by: User, run: Rebalance, orders: Sequence[OrderLine], verdict: Verdict, comment: str) -> None:
    """Records the decided orders of one run."""
    detail = {"orders": [order.pk for order in orders], "comment": comment}
    record(f"orders.{verdict}", run, f"{len(orders)} orders of run #{run.number} {verdict}", by=by, detail=detail)


def _outdate(by: User, orders: Sequence[OrderLine], judged: Judgement) -> None:
    """Moves what is refused for good, keeps the reason with each, and records it for each run."""
    now = timezone.now()
    reasons: defaultdict[str, list[OrderLine]] = defaultdict(list)
    for order in orders:
        reasons[judged.left_alone[order.pk].why].append(order)
    for why, some in reasons.items():
        moves_keep(OrderState.OUTDATED, some, by=by.pk, at=now, done={}, reason=why[:MAX_COMMENT])
    orders_move("outdate", orders, known_at=now)
    for run, of_run in _by_run(orders, judged.runs):
        counts = Counter(judged.left_alone[order.pk].why for order in of_run)
        detail = {"orders": {order.pk: None for order in of_run}, "reasons": counts}
        record("orders.outdated", run, f"{len(of_run)} orders of run #{run.number} outdated", by=by, detail=detail)


def _tell_refused(by: User, run: Rebalance, verdict: Verdict, refused: DecisionOutcome) -> None:
    """Records that somebody asked for what was refused, and why; of many orders the first are named."""
    done = "approve" if verdict == "approved" else "reject"
    summary = f"Refused to {done} {refused.n_skipped} orders of run #{run.number}"
    detail = {"orders": [key for key, _ in refused.skipped], "count": refused.n_skipped, "reasons": refused.reasons}
    record("orders.refused", run, summary, by=by, detail=detail)
