"""`ordergen verify`: what must hold in any database, checked again from the stored rows alone.

Each check is one promise, names the invariants it proves, and yields a sentence for each row that breaks it. All of
them see the database at one moment, at work or at rest: a run is judged only by what it has finished then. Rows are
read in small batches and once, so that a million orders take minutes and no memory to speak of.

What rows cannot tell: whether the same input would give the same orders again (I11) and how old a price was allowed to
be when its run was launched (I13).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, Max, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.utils import timezone

from models_app.models import ModelVersion
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link
from ordergen.core.db import as_of_one_moment
from ordergen.ops.verify_now import refused_now
from rebalance_app.judging.funds import Bound, Proposed
from rebalance_app.models import (
    ACTIVE,
    ANSWERED,
    DECIDED_COUNTERS,
    OPEN,
    AttemptState,
    Batch,
    BatchOrder,
    Decision,
    Order,
    OrderMove,
    OrderState,
    PortfolioRebalance,
    PriceSnapshot,
    ProposalState,
    Rebalance,
    RunState,
)
from rebalance_app.order_states.table import COUNTERS, ENDED, FINAL, OPEN_ORDER, bound_quantity
from rebalance_app.orders.decide import content_hash
from rebalance_app.proposals.recheck import proposal_faults
from rebalance_app.proposals.run_inputs import inputs_of
from rebalance_app.proposals.stored import read_lots
from rebalance_app.sending.services import batch_sha256
from rebalance_app.solving.failures import AFTER_ALL_ATTEMPTS

Faults = Iterator[str]
RowCheck = Callable[[PortfolioRebalance, Sequence[Order]], Faults]
ROWS_AT_ONCE = 50
SHOWN_FAULTS = 100
ZERO = Decimal(0)
AFTER_SENDING = (*ENDED, OrderState.ACKNOWLEDGED, OrderState.PARTLY_FILLED)
APPROVED = OPEN_ORDER | ENDED  # once, whatever became of them


@dataclass(frozen=True)
class Check:
    """One promise: of the tables, or of each answered portfolio and its orders."""

    invariants: tuple[str, ...]
    of_tables: Callable[[], Faults] | None = None
    of_rows: RowCheck | None = None

    @property
    def promise(self) -> str:
        return " ".join(((self.of_tables or self.of_rows).__doc__ or "").split())


CHECKS: dict[str, Check] = {}


def proves(*invariants: str) -> Callable[[Callable[[], Faults]], Callable[[], Faults]]:
    """Makes a function a check of the tables."""

    def add(function: Callable[[], Faults]) -> Callable[[], Faults]:
        CHECKS[function.__name__] = Check(invariants, of_tables=function)
        return function

    return add


def proves_of_each(*invariants: str) -> Callable[[RowCheck], RowCheck]:
    """Makes a function a check of each answered portfolio; all of them share one reading of the orders."""

    def add(function: RowCheck) -> RowCheck:
        CHECKS[function.__name__] = Check(invariants, of_rows=function)
        return function

    return add


def verify_all() -> dict[str, Any]:
    """Counts of what was looked at and what each check found, and the faults (the first hundred in words).

    `would_refuse` is no fault: what an approval would be refused for now. It is None where there are faults, for
    nothing that rests on them can be told.
    """
    with as_of_one_moment():  # else a worker that stores between two reads would look like a fault
        report = _verify_all()
    return report | {"would_refuse": None if report["violations"] else refused_now()}


def _verify_all() -> dict[str, Any]:
    inputs_of.cache_clear()  # what is stored now, not what this process read before
    found: Counter[str] = Counter()
    shown: list[str] = []
    for name, fault in chain(_faults_of_tables(), _faults_of_rows()):
        found[name] += 1
        if len(shown) < SHOWN_FAULTS:
            shown.append(f"{name}: {fault}")
    return {
        "runs": Rebalance.objects.count(),
        "portfolios": PortfolioRebalance.objects.count(),
        "orders": Order.objects.count(),
        "decisions": Decision.objects.count(),
        "audit_events": AuditEvent.objects.count(),
        "checks": {
            name: {"invariants": check.invariants, "promise": check.promise, "violations": found[name]}
            for name, check in CHECKS.items()
        },
        "violations": found.total(),
        "faults": shown,
    }


def _faults_of_tables() -> Iterator[tuple[str, str]]:
    for name, check in CHECKS.items():
        if check.of_tables:
            yield from ((name, fault) for fault in check.of_tables())


def _faults_of_rows() -> Iterator[tuple[str, str]]:
    of_rows = [(name, check.of_rows) for name, check in CHECKS.items() if check.of_rows]
    for row in _answered():
        orders = list(row.orders.all())
        for name, check in of_rows:
            yield from ((name, f"run #{row.rebalance.number}, {row.portfolio_name}: {f}") for f in check(row, orders))


def _answered() -> Iterator[PortfolioRebalance]:
    fields = ("proposal_id", "rebalance_id", "security_id", "ticker", "side", "quantity", "price", "value", "state")
    orders = Prefetch("orders", Order.objects.only(*fields))
    rows = PortfolioRebalance.objects.filter(state__in=ANSWERED).select_related("rebalance").prefetch_related(orders)
    rows = rows.defer("rebalance__options", "rebalance__limits")
    return rows.order_by("rebalance_id", "pk").iterator(chunk_size=ROWS_AT_ONCE)


def _runs() -> Iterator[Rebalance]:
    return Rebalance.objects.defer("options", "limits").order_by("pk").iterator(chunk_size=ROWS_AT_ONCE)


def _by_run_and_state(table: type[PortfolioRebalance | Order]) -> Counter[tuple[str, str]]:
    counts = table._default_manager.order_by().values_list("rebalance_id", "state").annotate(Count("pk"))  # noqa: SLF001
    return Counter({(run, state): n for run, state, n in counts})


@proves("I1", "I2")
def ended_runs_have_ended() -> Faults:
    """A run has one row for each portfolio, and when it has ended all of them have."""
    rows = _by_run_and_state(PortfolioRebalance)
    for run in _runs():
        there = sum(rows[run.pk, state] for state in ProposalState.values)
        unfinished = sum(rows[run.pk, state] for state in OPEN)
        if there != run.n_portfolios:
            yield f"run #{run.number} has {there} rows for {run.n_portfolios} portfolios"
        if unfinished and not run.is_active:
            yield f"run #{run.number} has ended with {unfinished} portfolios open"
        if run.state == RunState.COMPLETED and run.n_done != run.n_portfolios:
            yield f"run #{run.number} counts {run.n_done} of {run.n_portfolios} portfolios"


@proves("I2")
def runs_come_to_an_end() -> Faults:
    """No run stands still for longer than a dead worker's lease, a lost message and the sweeps after them take."""
    patience = settings.LEASE_SECONDS + 2 * settings.RESEND_SECONDS + 2 * settings.SWEEP_SECONDS + 60
    active = Rebalance.objects.filter(state__in=ACTIVE).order_by("number")
    for number, *signs in active.values_list(
        "number",
        "launched_at",
        Max("portfolios__enqueued_at"),
        Max("portfolios__finished_at"),
        Max("portfolios__lease_until"),  # ahead by a lease, which only adds to our patience
    ):
        last = max(sign for sign in signs if sign)
        if last < timezone.now() - timedelta(seconds=patience):
            yield f"run #{number} has stood still since {last:%Y-%m-%d %H:%M:%S}: does a sweeper run?"


@proves("I2", "I3")
def states_agree() -> Faults:
    """How a run ended follows from what was asked of it, and what has ended says when and holds no lease."""
    for run in _runs():
        if run.is_active == (run.finished_at is not None):
            yield f"run #{run.number} is {run.state} and finished at {run.finished_at}"
        if run.state == RunState.COMPLETED and (run.cancel_requested or run.n_cancelled):
            yield f"run #{run.number} was cancelled and calls itself completed"
        if run.state == RunState.CANCELLED and not run.cancel_requested:
            yield f"run #{run.number} is cancelled, though nobody asked for it"
    ended = Q(finished_at__isnull=False, lease_until__isnull=True)
    wrong = PortfolioRebalance.objects.filter(
        Q(state__in=OPEN, finished_at__isnull=False) | ~Q(state__in=OPEN) & ~ended
    )
    for row in _told(wrong):
        yield f"{_name(row)} is {row.state} and finished at {row.finished_at}"


def _told(rows: QuerySet[PortfolioRebalance]) -> Iterator[PortfolioRebalance]:
    few = rows.select_related("rebalance").defer("document", "rebalance__options", "rebalance__limits")
    return few.order_by("pk").iterator(chunk_size=ROWS_AT_ONCE)


def _name(row: PortfolioRebalance) -> str:
    return f"run #{row.rebalance.number}, {row.portfolio_name}"


@proves("I3")
def what_has_ended_stays() -> Faults:
    """A run that has ended counts what the trail says it counted then."""
    for run, told in _with_events("rebalance.finished"):
        for name, n in told.items():
            if getattr(run, f"n_{name}", n) != n:
                yield f"run #{run.number} ended with {n} {name} and counts {getattr(run, f'n_{name}')}"


@proves("I6")
def cancelling_ends_the_answers() -> Faults:
    """A run has no more answers and orders than when its cancellation was acknowledged."""
    for run, told in _with_events("rebalance.cancelled"):
        for name in (*ANSWERED, "orders"):
            if getattr(run, f"n_{name}") > told.get(name, getattr(run, f"n_{name}")):
                yield f"run #{run.number} was cancelled with {told[name]} {name} and has more"


def _with_events(action: str) -> Iterator[tuple[Rebalance, Mapping[str, Any]]]:
    """Runs with what was recorded when that happened to them."""
    events = AuditEvent.objects.filter(action=action).order_by("seq")
    for run_id, detail in events.values_list("object_id", "detail").iterator(chunk_size=ROWS_AT_ONCE):
        for run in Rebalance.objects.filter(pk=run_id).defer("options", "limits"):
            yield run, detail


@proves("I5")
def attempts_are_limited() -> Faults:
    """No portfolio was tried more often than is allowed, given up earlier, or ended without having been tried."""
    most = settings.MAX_ATTEMPTS
    tried = ~Q(state__in=(*OPEN, ProposalState.CANCELLED))
    early = Q(reason_code__in=AFTER_ALL_ATTEMPTS, attempt__lt=most) & tried
    wrong = Q(attempt__gt=most) | early | tried & Q(attempt=0)
    for row in _told(PortfolioRebalance.objects.filter(wrong)):
        yield f"{_name(row)} is {row.state} after {row.attempt} attempts"


@proves("I2", "I4")
def counters_count() -> Faults:
    """What a run's counters say is what its rows say."""
    rows, orders = _by_run_and_state(PortfolioRebalance), _by_run_and_state(Order)
    for run in _runs():
        for state in (*ANSWERED, "infeasible", "failed", "cancelled"):
            yield from _compare(run, state, rows[run.pk, state])
        for counter in DECIDED_COUNTERS:
            there = sum(orders[run.pk, state] for state, name in COUNTERS.items() if name == counter)
            yield from _compare(run, counter.removeprefix("n_"), there)
        yield from _compare(run, "orders", sum(orders[run.pk, state] for state in OrderState.values))


def _compare(run: Rebalance, name: str, there: int) -> Faults:
    if (counted := getattr(run, f"n_{name}")) != there:
        yield f"run #{run.number} counts {counted} {name}, there are {there}"


@proves_of_each("I7", "I8", "I9", "I10")
def answers_are_right(row: PortfolioRebalance, orders: Sequence[Order]) -> Faults:
    """Shares, lots, cash, bands and every other limit hold, by the check that knows no solver."""
    yield from proposal_faults(row, orders)
    said = (row.document or {}).get("status")
    if (row.state == ProposalState.TIME_LIMIT) != (said == "time_limit" and bool(orders)):
        yield f"it is {row.state}, but the solver said {said}"


@proves_of_each("I4", "I8")
def figures_are_those_of_the_orders(row: PortfolioRebalance, orders: Sequence[Order]) -> Faults:
    """What a portfolio's row says in lists is what its document and its orders say: one result, and whole."""
    bought, sold = (sum((o.value for o in orders if o.side == side), ZERO) for side in ("BUY", "SELL"))
    if (row.n_orders, row.buy_value, row.sell_value) != (len(orders), bought, sold):
        yield f"its orders are {len(orders)}, buying for {bought} and selling for {sold}"
    if row.cash_before is None or row.cash_after != row.cash_before - bought + sold:
        yield f"cash after is {row.cash_after}"
    yield from (f"{order} is worth {order.value}" for order in orders if order.value != order.quantity * order.price)


@proves_of_each("I12", "I14")
def prices_are_those_of_the_run(row: PortfolioRebalance, orders: Sequence[Order]) -> Faults:
    """Every order is at the price that its run was launched on, and at none that is missing, zero or negative."""
    prices = inputs_of(row.rebalance_id).prices
    for order in orders:
        known = prices.get(order.security_id)
        if order.price != known or order.price <= 0 or order.rebalance_id != row.rebalance_id:
            yield f"order {order.pk} is at {order.price}, its run has {known}"


@proves_of_each("I8", "I24")
def approved_orders_can_be_paid_for(row: PortfolioRebalance, orders: Sequence[Order]) -> Faults:
    """What is approved of a proposal keeps its cash floor without the rest, at the proposal's own cash and prices."""
    part, proposed = _approved_part(orders, in_full="SELL"), _proposed(row)
    if proposed is None or not any(order.side == "BUY" for order in part):
        return
    options, _ = inputs_of(row.rebalance_id).options_of(row.portfolio_id)
    outlook = proposed.outlook(options, part)
    if outlook.is_short:
        yield f"what is approved of it leaves {outlook.left} in cash, below the floor of {outlook.floor}"


@proves_of_each("I8")
def approved_orders_keep_the_limits(row: PortfolioRebalance, orders: Sequence[Order]) -> Faults:
    """What is approved of a proposal keeps its cash ceiling and its gain budget without the rest, at its own prices."""
    options, _ = inputs_of(row.rebalance_id).options_of(row.portfolio_id)
    ceiling = proposed.ceiling(options) if (proposed := _proposed(row)) else None
    if proposed is None or not any(o.side == "SELL" and o.state in OPEN_ORDER for o in orders):
        return
    if (
        ceiling is not None
        and (left := proposed.outlook(options, _approved_part(orders, in_full="BUY")).after) > ceiling
    ):
        yield f"what is approved of it leaves {left} in cash, above the ceiling of {ceiling}"
    if options.gain_budget is None or proposed.gain is None:
        return
    most = max(options.gain_budget, proposed.gain)
    if (gained := _least_gain(proposed, orders)) > most:
        yield f"what is approved of it gains {gained}, above the budget of {most}"


def _approved_part(orders: Sequence[Order], *, in_full: str) -> list[Bound]:
    """What is open or done of a proposal, and of one side all that was approved.

    What was cancelled, or taken back, since is no fault of an approval that counted on it.
    """
    counted = [(o, o.quantity if o.side == in_full and _was_approved(o) else bound_quantity(o)) for o in orders]
    return [Bound(o.security_id, o.side, shares, o.price) for o, shares in counted if shares]


def _least_gain(proposed: Proposed, orders: Sequence[Order]) -> Decimal:
    """What the approved sales gain, a loss that was approved counting in full, whatever became of it."""
    total = ZERO
    for order in orders:
        may_count = {bound_quantity(order), order.quantity if _was_approved(order) else 0}
        parts = (Bound(order.security_id, order.side, shares, order.price) for shares in may_count)
        total += min(proposed.gained([part], lambda order: order.price) for part in parts)
    return total


def _was_approved(order: Order) -> bool:
    """As far as its state tells: what was rejected may have been approved before."""
    return order.state in APPROVED or order.state == OrderState.REJECTED


def _proposed(row: PortfolioRebalance) -> Proposed | None:
    figures, document = (row.cash_before, row.market_value, row.cash_after), row.document or {}
    if None in figures:
        return None
    gained = document.get("realised_gain")
    return Proposed(*figures, gain=None if gained is None else Decimal(gained), lots=read_lots(document))


@proves("I12")
def snapshots_are_as_recorded() -> Faults:
    """No price snapshot was changed, neither its content nor, with it, the hash that the launch recorded."""
    for snapshot in PriceSnapshot.objects.order_by("pk").iterator(chunk_size=1):
        if hashlib.sha256(json.dumps(snapshot.payload, sort_keys=True).encode()).hexdigest() != snapshot.sha256:
            yield f"snapshot {snapshot.pk} is not what it was"
    hashes = dict(Rebalance.objects.order_by().values_list("pk", "snapshot__sha256"))
    for run, told in _with_events("rebalance.launched"):
        if told.get("prices_sha256", hashes[run.pk]) != hashes[run.pk]:
            yield f"run #{run.number} was launched on other prices than it has"


@proves("I6", "I10", "I14")
def failures_propose_nothing() -> Faults:
    """Only an answer has orders: no failure, and nothing that was cancelled."""
    wrong = Order.objects.exclude(proposal__state__in=ANSWERED).select_related("proposal")
    for order in wrong.defer("proposal__document").order_by("pk").iterator(chunk_size=ROWS_AT_ONCE):
        yield f"{order} of {order.proposal}"


@proves("I21", "I22")
def four_eyes() -> Faults:
    """Nobody approved what they launched, or what rests on a model as they saved it; what was approved stands there."""
    approvals = Decision.objects.filter(verdict="approved").order_by("pk")
    for own in approvals.filter(decided_by=F("order__rebalance__launched_by")).iterator(chunk_size=1000):
        yield f"decision {own.pk} is by who launched the run"
    saved = ModelVersion.objects.filter(
        model_id=OuterRef("order__rebalance__model_id"),
        version=OuterRef("order__rebalance__model_version"),
        saved_by=OuterRef("decided_by"),
    )
    # Releases that did not follow orders looked at launches only.
    earlier = OrderMove.objects.filter(order=OuterRef("order"), state_before=OrderState.APPROVED_EARLIER)
    since = approvals.filter(Exists(saved), ~Exists(earlier), order__known_at__isnull=False)
    for own in since.iterator(chunk_size=1000):
        yield f"decision {own.pk} is by who saved the model version that the run used"
    for decision in approvals.select_related("order").iterator(chunk_size=1000):
        if decision.content_hash != content_hash(decision.order):
            yield f"order {decision.order_id} is not what was approved"


@proves("I22")
def orders_are_as_decided() -> Faults:
    """An order is approved or rejected exactly when somebody's last decision on it says so."""
    approvals, rejections = (Count("pk", filter=Q(verdict=verdict)) for verdict in ("approved", "rejected"))
    decided = Decision.objects.order_by().values("order_id", "order__state")
    for order in decided.annotate(approvals=approvals, rejections=rejections).exclude(
        Q(order__state__in=APPROVED, approvals=1, rejections=0)
        | Q(order__state=OrderState.REJECTED, rejections=1, approvals__lte=1)
    ):
        counts = f"{order['approvals']} approvals and {order['rejections']} rejections"
        yield f"order {order['order_id']} is {order['order__state']} with {counts}"
    marked = Order.objects.filter(state__in=(*APPROVED, OrderState.REJECTED), decisions__isnull=True)
    for order_id, state in marked.order_by("pk").values_list("pk", "state").iterator(chunk_size=1000):
        yield f"order {order_id} is {state}, though nobody decided on it"


@proves("I3", "I20")
def orders_are_as_moved() -> Faults:
    """What became of an approved order is what was last said, none left a final state, none is done beyond itself."""
    before, last = "", None
    moves = OrderMove.objects.order_by("order_id", "pk").values_list("order_id", "state_before", "state_after")
    for order_id, came_from, went_to in moves.iterator(chunk_size=1000):
        if came_from in FINAL or (order_id == before and came_from != last):
            yield f"order {order_id} was moved from {came_from}, where it was not"
        before, last = order_id, went_to
    newest = OrderMove.objects.filter(order_id=OuterRef("pk")).order_by("-pk")
    followed = Order.objects.filter(moves__isnull=False).annotate(said=Subquery(newest.values("state_after")[:1]))
    for order in followed.exclude(state=F("said")).order_by("pk").distinct().iterator(chunk_size=1000):
        yield f"order {order.pk} is {order.state}, and was last said to be {order.said}"
    by_person = (OrderState.CLOSED, OrderState.CANCELLED, OrderState.LAPSED, OrderState.PARTLY_FILLED)
    unsaid = Q(state__in=by_person, moves__isnull=True) | Q(quantity_done__gt=F("quantity"))
    columns = ("pk", "state", "quantity_done", "quantity")
    for order_id, state, done, quantity in Order.objects.filter(unsaid).order_by("pk").values_list(*columns):
        yield f"order {order_id} is {state} with {done} of {quantity} done, and nobody said so"


@proves("I21", "I23")
def batches_are_as_recorded() -> Faults:
    """The file of each batch is what left: made of its orders again it is the same, and the trail has its hash."""
    told = dict(
        AuditEvent.objects.filter(action__in=("batch.exported", "batch.sending")).values_list(
            "object_id", "detail__sha256"
        )
    )
    for batch in Batch.objects.order_by("number").iterator(chunk_size=100):
        if not batch_sha256(batch) == batch.sha256 == told.get(batch.pk):
            yield f"batch #{batch.number} is not what left"


@proves("I17", "I18", "I20")
def sending_is_accounted_for() -> Faults:
    """Every order that a service was asked for has its attempt, what it was answered, and a name there of its own."""
    states = {
        AttemptState.SENT: (*AFTER_SENDING, OrderState.SENT),
        AttemptState.REFUSED: (OrderState.REFUSED,),
        AttemptState.UNCLEAR: (*AFTER_SENDING, OrderState.UNKNOWN),
        AttemptState.WAITING: (OrderState.SENDING,),
        AttemptState.ASKING: (OrderState.SENDING,),
    }
    attempts = BatchOrder.objects.exclude(state="").select_related("order").order_by("pk")
    for attempt in attempts.exclude(state=AttemptState.NOT_SENT).iterator(chunk_size=1000):
        if attempt.order.state not in states[AttemptState(attempt.state)]:
            yield f"order {attempt.order_id} is {attempt.order.state}, its attempt is {attempt.state}"
    asked = (OrderState.SENDING, OrderState.SENT, OrderState.UNKNOWN, OrderState.REFUSED, OrderState.NOT_SENT)
    for key in Order.objects.filter(state__in=asked).exclude(batch_orders__state__in=list(AttemptState)).values("pk"):
        yield f"order {key['pk']} was sent without an attempt"
    names = BatchOrder.objects.exclude(destination_id="").order_by().values("destination_id")
    for twice in names.annotate(times=Count("pk")).filter(times__gt=1):
        yield f"{twice['times']} orders are called {twice['destination_id']} at the service"


@proves("I26")
def moves_are_recorded() -> Faults:
    """The trail names exactly what was said of orders after their approval, by whom, and how much of each is done."""
    if _fingerprint(_told_moves()) == _fingerprint(_made_moves()):
        return
    told, made = Counter(_told_moves()), Counter(_made_moves())
    for order_id, done, _ in (made - told) | (told - made):
        yield f"order {order_id}: what became of it ({done} done) is not recorded as it was said"


def _told_moves() -> Iterator[tuple[str, str, str]]:
    """Order, quantity done and person, as the trail has them."""
    actions = [
        f"orders.{state}" for state in ("closed", "cancelled", "lapsed", "partly_filled", "outdated", "still_open")
    ]
    for event in AuditEvent.objects.filter(action__in=actions).order_by("seq").iterator(chunk_size=1):
        yield from ((key, str(done), event.actor_id) for key, done in event.detail["orders"].items())


def _made_moves() -> Iterator[tuple[str, str, str]]:
    rows = OrderMove.objects.order_by("pk").values_list("order_id", "quantity_done", "moved_by_id")
    return ((key, str(done), by or "") for key, done, by in rows.iterator(chunk_size=1000))


@proves("I26")
def changes_are_recorded() -> Faults:
    """Each launch, cancellation and end of a run, and each version of a model, is on the trail once."""
    events = _events_by_object()
    for run in _runs():
        told = {
            "launched": (1, events[run.pk, "rebalance.launched"]),
            "cancelled": (int(run.cancel_requested), events[run.pk, "rebalance.cancelled"]),
            "ended": (
                int(not run.is_active),
                sum(events[run.pk, f"rebalance.{end}"] for end in ("finished", "stopped")),
            ),
            "hidden": (int(run.hidden_at is not None), events[run.pk, "rebalance.hidden"]),
        }
        yield from (f"run #{run.number} is recorded {n} times as {what}" for what, (due, n) in told.items() if due != n)
    for model_id, versions in ModelVersion.objects.order_by().values_list("model_id").annotate(Count("pk")):
        if versions != (recorded := events[model_id, "model.create"] + events[model_id, "model.update"]):
            yield f"model {model_id} has {versions} versions and {recorded} events"


def _events_by_object() -> Counter[tuple[str, str]]:
    """How often the trail tells of each action on a run or a model."""
    events = AuditEvent.objects.filter(Q(action__startswith="rebalance.") | Q(action__startswith="model."))
    counts = events.order_by().values_list("object_id", "action").annotate(Count("pk"))
    return Counter({(subject, action): n for subject, action, n in counts})


@proves("I26")
def decisions_are_recorded() -> Faults:
    """The trail names exactly the orders that were decided on, by who decided."""
    if _fingerprint(_told_decisions()) == _fingerprint(_made_decisions()):
        return
    told, made = Counter(_told_decisions()), Counter(_made_decisions())
    for order_id, verdict, _ in (made - told) | (told - made):
        yield f"order {order_id}: {verdict} is not recorded as it was decided"


def _told_decisions() -> Iterator[tuple[str, str, str]]:
    """Order, verdict and person, as the trail has them."""
    events = AuditEvent.objects.filter(action__in=("orders.approved", "orders.rejected")).order_by("seq")
    for event in events.iterator(chunk_size=1):  # one event may name every order of a large run
        verdict = event.action.removeprefix("orders.")
        yield from ((order_id, verdict, event.actor_id) for order_id in event.detail.get("orders", ()))


def _made_decisions() -> Iterator[tuple[str, str, str]]:
    rows = Decision.objects.order_by("pk").values_list("order_id", "verdict", "decided_by_id")
    return rows.iterator(chunk_size=1000)


def _fingerprint(facts: Iterable[tuple[str, str, str]]) -> tuple[int, int]:
    """How many, and the sum of their hashes: the same for the same facts in any order, and no memory for millions."""
    count = total = 0
    for fact in facts:
        count += 1
        total += int.from_bytes(hashlib.sha256("|".join(map(str, fact)).encode()).digest(), "big")
    return count, total


@proves("I27")
def audit_chain_is_whole() -> Faults:
    """No event was changed, taken out or put in."""
    if (seq := first_broken_link()) is not None:
        yield f"event {seq} does not follow from the one before"
