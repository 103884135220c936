"""A run, its portfolios, the orders it proposes and the decisions on them. Nothing here is ever deleted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import TextChoices

from models_app.models import id_field
from models_app.portfolio.units import COLUMN_DIGITS, MONEY_PLACES, WEIGHT_PLACES
from ordergen.core.exact_decimal import ExactDecimalField


def money(**options: Any) -> models.DecimalField[Any, Any]:
    """An amount or a price, or any sum that such a column holds."""
    return models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=MONEY_PLACES, **options)


def weight() -> models.DecimalField[Any, Any]:
    """A fraction of market value; null when it is not known, or beyond showing."""
    return models.DecimalField(max_digits=COLUMN_DIGITS, decimal_places=WEIGHT_PLACES, null=True, blank=True)


class RunState(TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    CANCELLED = "cancelled", "Cancelled"
    STOPPED = "stopped", "Stopped"  # a service it depends on was down


ACTIVE = (RunState.QUEUED, RunState.RUNNING)


class ProposalState(TextChoices):
    QUEUED = "queued", "Queued"
    SOLVING = "solving", "Solving"
    SOLVED = "solved", "Solved"
    NO_TRADES = "no_trades", "No trades needed"
    TIME_LIMIT = (
        "time_limit",
        "Not proven optimal",
    )  # trades that passed every check, but the bound was not reached in time
    INFEASIBLE = "infeasible", "Infeasible"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


OPEN = (ProposalState.QUEUED, ProposalState.SOLVING)
ANSWERED = (ProposalState.SOLVED, ProposalState.TIME_LIMIT, ProposalState.NO_TRADES)
FAILURES = (ProposalState.INFEASIBLE, ProposalState.FAILED)
DECIDED_COUNTERS = ("n_approved", "n_ended", "n_rejected", "n_superseded", "n_outdated")  # of a run's orders
OUTCOMES = ("solved", "no_trades", "time_limit", "infeasible", "failed", "cancelled")  # a run has a counter for each


class OrderState(TextChoices):
    """What can be said of an order; `order_states.table` says who moves it from where to where."""

    PROPOSED = "proposed", "Proposed"
    HELD = "held", "Held"
    APPROVED_ONCE = "approved_once", "Approved 1 of 2"
    APPROVED = "approved", "Approved"
    SENDING = "sending", "Sending"
    NOT_SENT = "not_sent", "Not sent"
    UNKNOWN = "unknown", "Unknown"
    SENT = "sent", "Sent"
    EXPORTED = "exported", "Exported"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    PARTLY_FILLED = "partly_filled", "Partly filled"
    FILLED = "filled", "Filled"
    REFUSED = "refused", "Refused"  # by its destination
    CANCELLED = "cancelled", "Cancelled"
    LAPSED = "lapsed", "Lapsed"
    CLOSED = "closed", "Done outside"
    REJECTED = "rejected", "Rejected"
    SUPERSEDED = "superseded", "Superseded"  # a later run proposes for the same portfolio
    OUTDATED = "outdated", "Outdated"
    APPROVED_EARLIER = "approved_earlier", "Approved earlier"  # before orders were followed to their end


class OpenOrders(TextChoices):
    """What a run does about orders of earlier runs that are on their way."""

    NET = "net", "Count them as done"
    LEAVE_OUT = "leave_out", "Leave their portfolios out"
    IGNORE = "ignore", "Not counted"  # what API v1 promises, and what earlier releases did


class PriceSnapshot(models.Model):
    """The prices of one run, frozen: they value all its portfolios, and an auditor finds them again."""

    id = id_field()
    source = models.CharField(max_length=20)
    fetched_at = models.DateTimeField()
    sha256 = models.CharField(max_length=64)
    payload = (
        models.JSONField()
    )  # {security_id: {"ticker", "name", "price": "12.3400"|null, "date": "2026-11-20"|null}}

    def __str__(self) -> str:
        return f"{self.source} {self.fetched_at:%Y-%m-%d %H:%M:%S}"


class Rebalance(models.Model):
    """One run: one launch, one model version, one price snapshot. Its state is a function of its portfolios' states."""

    id = id_field()
    number = models.PositiveIntegerField(unique=True)
    model_id = models.CharField(max_length=24, db_index=True)
    model_name = models.CharField(max_length=255, db_index=True)
    model_version = models.PositiveIntegerField()
    snapshot = models.ForeignKey(PriceSnapshot, models.PROTECT, related_name="+")
    options = models.JSONField(default=dict)
    limits = models.JSONField(default=dict)  # at launch: {"model": {…}, "portfolios": {id: {…}}, "securities": {…}}
    open_orders = models.CharField(max_length=10, choices=OpenOrders, default=OpenOrders.IGNORE)
    note = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=12, choices=RunState, default=RunState.QUEUED, db_index=True)
    launched_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    launched_at = models.DateTimeField(db_index=True)
    started_at = models.DateTimeField(null=True, blank=True)  # when a worker took its first portfolios
    finished_at = models.DateTimeField(null=True, blank=True)
    idempotency_key = models.CharField(max_length=100, unique=True, null=True, blank=True)
    request_hash = models.CharField(max_length=64, blank=True)
    cancel_requested = models.BooleanField(default=False)
    hidden_at = models.DateTimeField(null=True, blank=True)  # "deleted" through API v1; every other door still shows it
    # Counters, raised in the transaction that finishes a portfolio, so that no page counts rows.
    n_portfolios = models.PositiveIntegerField()
    n_solved = models.PositiveIntegerField(default=0)
    n_no_trades = models.PositiveIntegerField(default=0)
    n_time_limit = models.PositiveIntegerField(default=0)
    n_infeasible = models.PositiveIntegerField(default=0)
    n_failed = models.PositiveIntegerField(default=0)
    n_cancelled = models.PositiveIntegerField(default=0)
    n_orders = models.PositiveIntegerField(default=0)
    n_approved = models.PositiveIntegerField(default=0)  # and open: on their way
    n_ended = models.PositiveIntegerField(default=0)  # after their approval: done, cancelled, lapsed, refused
    n_rejected = models.PositiveIntegerField(default=0)
    n_superseded = models.PositiveIntegerField(default=0)
    n_outdated = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"Run #{self.number}"

    @property
    def n_done(self) -> int:
        return sum(self.outcomes.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """Portfolios that have ended, by how."""
        return {name: getattr(self, f"n_{name}") for name in OUTCOMES}

    @property
    def n_awaiting(self) -> int:
        """Orders nobody has decided on yet."""
        decided: int = sum(getattr(self, name) for name in DECIDED_COUNTERS)
        return self.n_orders - decided

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def open_orders_again(self) -> OpenOrders:
        """What a run that repeats this one does about orders on their way: nothing is ordered twice by repeating."""
        return OpenOrders.LEAVE_OUT if self.open_orders == OpenOrders.LEAVE_OUT else OpenOrders.NET


class PortfolioRebalance(models.Model):
    """One portfolio in a run: the unit of work, and its proposal.

    A worker owns the row while `token` is its own and `lease_until` has not passed; only then may it write the result.
    """

    id = id_field()
    rebalance = models.ForeignKey(Rebalance, models.PROTECT, related_name="portfolios", db_index=False)
    portfolio_id = models.CharField(max_length=24, db_index=True)
    portfolio_name = models.CharField(max_length=255)
    chunk = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=ProposalState, default=ProposalState.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    token = models.CharField(max_length=24, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField()  # when a message for it was last sent
    finished_at = models.DateTimeField(null=True, blank=True)
    # What lists show and sort by; the whole record is in `document`.
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    method = models.CharField(max_length=12, blank=True)
    n_orders = models.PositiveIntegerField(default=0)
    buy_value = money(default=Decimal(0))
    sell_value = money(default=Decimal(0))
    largest_order = money(default=Decimal(0))  # its value: where a run's largest orders are looked for
    market_value = money(null=True, blank=True)
    cash_before = money(null=True, blank=True)
    cash_after = money(null=True, blank=True)
    drift_before = money(null=True, blank=True)  # Σ|MV·t − p·u|
    drift_after = money(null=True, blank=True)
    band_use_before = weight()
    band_use_after = weight()
    seconds = models.FloatField(null=True, blank=True)
    document = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["rebalance", "portfolio_id"], name="a_portfolio_once_per_run"),)
        indexes = (
            models.Index(fields=["rebalance", "id"]),
            models.Index(fields=["rebalance", "largest_order"]),
            models.Index(fields=["rebalance", "chunk", "state"]),
            models.Index(fields=["state", "lease_until"]),
        )

    def __str__(self) -> str:
        return f"{self.portfolio_name} {self.state}"


class Order(models.Model):
    """A whole number of shares to buy or sell for one portfolio, as proposed; Decision holds what came of it."""

    id = id_field()
    rebalance = models.ForeignKey(Rebalance, models.PROTECT, related_name="orders", db_index=False)
    proposal = models.ForeignKey(PortfolioRebalance, models.PROTECT, related_name="orders", db_index=False)
    portfolio_id = models.CharField(max_length=24)
    portfolio_name = models.CharField(max_length=255)
    security_id = models.CharField(max_length=24)
    ticker = models.CharField(max_length=20)
    side = models.CharField(max_length=4, choices=(("BUY", "Buy"), ("SELL", "Sell")))
    quantity = models.PositiveBigIntegerField()
    quantity_before = ExactDecimalField(max_digits=21, decimal_places=10)  # the holding it was computed from
    price = money()
    value = money()
    weight_before = weight()
    weight_after = weight()
    reason = models.CharField(max_length=20)
    state = models.CharField(max_length=20, choices=OrderState, default=OrderState.PROPOSED)
    quantity_done = models.PositiveBigIntegerField(null=True, blank=True)  # null while nobody said anything of it
    known_at = models.DateTimeField(null=True, blank=True)  # when it was approved, or what came of it last known

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["proposal", "security_id"], name="one_order_per_security_and_proposal"),
            models.CheckConstraint(condition=models.Q(quantity__gt=0), name="an_order_has_a_quantity"),
        )
        indexes = (
            models.Index(fields=["rebalance", "state", "id"]),
            models.Index(fields=["state", "id"]),
            # SQLite, which keeps no statistics, would look for a portfolio's open orders among all open ones.
            models.Index(fields=["portfolio_id", "state"]),
            models.Index(
                fields=["portfolio_id", "known_at"],
                condition=models.Q(quantity_done__isnull=False),
                name="orders_of_which_some_is_done",
            ),
            # What is open in a security, for any portfolio. What a run proposes is not in it, and costs it nothing.
            models.Index(
                fields=["security_id", "state", "side", "rebalance", "id"],
                condition=models.Q(known_at__isnull=False),
                name="orders_moved_by_security",
            ),
        )

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} {self.ticker}"


class OrderMove(models.Model):
    """What became of an order after its approval, or why it can have none: who said so, when, and how much was done."""

    id = id_field()
    order = models.ForeignKey(Order, models.PROTECT, related_name="moves")
    state_before = models.CharField(max_length=20, choices=OrderState)
    state_after = models.CharField(max_length=20, choices=OrderState)
    moved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    moved_at = models.DateTimeField()
    quantity_done = models.PositiveBigIntegerField(null=True, blank=True)  # of the order, in all
    reason = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.state_before} to {self.state_after} {self.order_id}"


class Decision(models.Model):
    """Who approved or rejected an order, when, and the hash of exactly what was decided on."""

    id = id_field()
    order = models.ForeignKey(Order, models.PROTECT, related_name="decisions", db_index=False)
    verdict = models.CharField(max_length=8, choices=(("approved", "Approved"), ("rejected", "Rejected")))
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()
    comment = models.CharField(max_length=500, blank=True)
    content_hash = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["order", "verdict"], name="one_verdict_of_a_kind_per_order"),)

    def __str__(self) -> str:
        return f"{self.verdict} {self.order_id}"


class AttemptState(TextChoices):
    """Of an order in a batch that is sent to a service; in a file there is nothing to ask."""

    WAITING = "waiting", "Waiting"
    ASKING = "asking", "Asking"  # kept before the request: whoever dies then leaves it unclear
    SENT = "sent", "Sent"
    NOT_SENT = "not_sent", "Not sent"
    REFUSED = "refused", "Refused"
    UNCLEAR = "unclear", "Unclear"


class Batch(models.Model):
    """Orders that leave together, in one layout, for one destination. What left is made of its rows again, any time.

    A sender owns a batch for a service while `token` is its own and `lease_until` has not passed.
    """

    id = id_field()
    number = models.PositiveIntegerField(unique=True)
    layout = models.CharField(max_length=20)
    token = models.CharField(max_length=24, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    n_orders = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)  # of the file

    class Meta:
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"Batch #{self.number}"


class BatchOrder(models.Model):
    """One order of a batch, its place in it, and, where a service is asked, what came of that.

    An order is in one batch, for it leaves once; in another only after a service said for certain that it has nothing.
    """

    id = id_field()
    batch = models.ForeignKey(Batch, models.PROTECT, related_name="orders", db_index=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="batch_orders")
    place = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=AttemptState, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    destination_id = models.CharField(max_length=40, blank=True)  # what the service calls the order
    said = models.CharField(max_length=500, blank=True)  # by the service, or what went wrong

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["batch", "place"], name="one_order_at_a_place_of_a_batch"),
            models.UniqueConstraint(fields=["batch", "order"], name="an_order_once_in_a_batch"),
        )
        indexes = (models.Index(fields=["state", "asked_at"], condition=~models.Q(state=""), name="orders_being_sent"),)

    def __str__(self) -> str:
        return f"{self.batch_id} {self.place}"


class LimitSet(models.Model):
    """What somebody set as the limits of a model, a portfolio or a security. The latest of a subject is in force."""

    id = id_field()
    scope = models.CharField(max_length=10)
    subject_id = models.CharField(max_length=24)
    values = models.JSONField()
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    set_at = models.DateTimeField()
    reason = models.CharField(max_length=500)

    class Meta:
        indexes = (models.Index(fields=["scope", "subject_id", "set_at"]),)

    def __str__(self) -> str:
        return f"{self.scope} {self.subject_id} {self.values}"
