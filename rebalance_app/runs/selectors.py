"""Reading runs and proposals for the pages. Lists page by key; sums of money are made here, never in SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, TypeVar

from django.db.models import Count, F, Min, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from ordergen.core.db import in_a_row
from ordergen.core.errors import NotFoundError
from rebalance_app.models import ACTIVE, OPEN, Order, PortfolioRebalance, ProposalState, Rebalance, RunState
from rebalance_app.proposals import certificate
from rebalance_app.proposals import stored as proposals
from rebalance_app.solving.run_inputs import facts_of

PAGE_SIZE = 50
MAX_FAILURE_GROUPS = 20
ZERO = Decimal(0)
FAILURES = (ProposalState.INFEASIBLE, ProposalState.FAILED)
PROPOSAL_SORTS = ("n_orders", "buy_value", "sell_value", "cash_after", "band_use_after")
ANSWERED = (ProposalState.SOLVED, ProposalState.TIME_LIMIT, ProposalState.NO_TRADES)
LONG = ("limits",)  # of a run: perhaps a line for each of 10,000 portfolios, read only where it is worked on
UNDECIDED = F("n_approved") + F("n_rejected") + F("n_superseded")
RUN_FILTERS: dict[str, Q] = {
    "active": Q(state__in=ACTIVE),
    "awaiting": Q(n_orders__gt=UNDECIDED),
    "failures": Q(n_infeasible__gt=0) | Q(n_failed__gt=0),
}
T = TypeVar("T")
Row = TypeVar("Row", Order, PortfolioRebalance)


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows, and the key that the next page begins after; empty on the last page."""

    rows: Sequence[T]
    next: str = ""


@dataclass(frozen=True)
class RunView:
    """A run as pages show it."""

    run: Rebalance

    @property
    def state(self) -> str:
        if self.run.state == RunState.COMPLETED and self.n_failures:
            return "completed_with_failures"
        return self.run.state

    @property
    def n_failures(self) -> int:
        return self.run.n_infeasible + self.run.n_failed

    @property
    def asked(self) -> dict[str, Any]:
        """The mode and the limits of this run alone, without how long a solver may take."""
        options = {"mode": "to_target"} | self.run.options
        return {
            name: value
            for name, value in options.items()
            if name != "time_limit" and value is not None and value is not False
        }

    @property
    def seconds(self) -> Decimal | None:
        if self.run.finished_at is None:
            return None
        return Decimal(str((self.run.finished_at - self.run.launched_at).total_seconds()))


def run_list(*, only: str = "", model: str = "", portfolio: str = "", before: int | None = None) -> Page[RunView]:
    """Runs, the latest first; `only` is one of RUN_FILTERS, `model` a part of its name, `portfolio` the id of one."""
    runs = Rebalance.objects.defer(*LONG).select_related("launched_by").order_by("-number")
    if only in RUN_FILTERS:
        runs = runs.filter(RUN_FILTERS[only])
    if model:
        runs = runs.filter(model_name__icontains=model)
    if portfolio:
        holding = PortfolioRebalance.objects.filter(portfolio_id=portfolio)
        runs = runs.filter(pk__in=list(holding.values_list("rebalance_id", flat=True)))
    if before is not None:
        runs = runs.filter(number__lt=before)
    found = list(runs[: PAGE_SIZE + 1])
    more = str(found[PAGE_SIZE - 1].number) if len(found) > PAGE_SIZE else ""
    return Page([RunView(run) for run in found[:PAGE_SIZE]], more)


def run_get(run_id: str) -> RunView:
    """The run with its prices' date; raises NotFoundError."""
    runs = Rebalance.objects.select_related("launched_by", "snapshot").defer("snapshot__payload", *LONG)
    found = runs.filter(pk=run_id).first()
    if found is None:
        raise NotFoundError(f"There is no run {run_id[:40]}.")
    return RunView(found)


@dataclass(frozen=True)
class RunTotals:
    """What a run proposes over all portfolios that have an answer, in money."""

    buys: Decimal
    sells: Decimal
    market_value: Decimal
    drift_before: Decimal
    drift_after: Decimal

    @property
    def net(self) -> Decimal:
        return self.sells - self.buys

    @property
    def turnover(self) -> Decimal | None:
        """Half of what is traded over market value."""
        return (self.buys + self.sells) / 2 / self.market_value if self.market_value > 0 else None

    @property
    def drift_share_before(self) -> Decimal | None:
        return _share(self.drift_before, self.market_value)

    @property
    def drift_share_after(self) -> Decimal | None:
        return _share(self.drift_after, self.market_value)


def _share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return None if part is None or not whole or whole <= 0 else part / whole


def run_totals(run: Rebalance) -> RunTotals:
    """One pass over the run's answered portfolios, and for a run that has ended one in the life of this process."""
    return _totals(run) if run.is_active else _totals_at_the_end(run.pk)


@lru_cache(maxsize=256)
def _totals_at_the_end(run_id: str) -> RunTotals:
    return _totals(Rebalance(pk=run_id))


def _totals(run: Rebalance) -> RunTotals:
    rows = run.portfolios.filter(state__in=ANSWERED).values_list(
        "buy_value", "sell_value", "market_value", "drift_before", "drift_after"
    )
    sums = [ZERO] * 5
    for row in rows.iterator():
        sums = [total + (value or ZERO) for total, value in zip(sums, row, strict=True)]
    return RunTotals(*sums)


@dataclass(frozen=True)
class FailureGroup:
    """Portfolios that failed for the same reason, with one of them to explain it."""

    code: str
    count: int
    portfolio_id: str
    portfolio_name: str
    message: str


def failure_groups(run: Rebalance) -> list[FailureGroup]:
    """Why portfolios of this run have no answer, the most frequent reason first."""
    if not run.n_infeasible + run.n_failed:
        return []
    failed = run.portfolios.filter(state__in=FAILURES).order_by()
    groups = failed.values("reason_code").annotate(count=Count("pk"), first=Min("pk")).order_by("-count", "reason_code")
    found = list(groups[:MAX_FAILURE_GROUPS])
    examples = run.portfolios.defer("document").in_bulk([group["first"] for group in found])
    return [_failure_group(group, examples[group["first"]]) for group in found]


def _failure_group(group: Mapping[str, Any], example: PortfolioRebalance) -> FailureGroup:
    code = group["reason_code"]
    return FailureGroup(code, group["count"], example.portfolio_id, example.portfolio_name, example.reason)


@dataclass(frozen=True)
class ProposalRow:
    """One portfolio of a run in the list."""

    row: PortfolioRebalance

    @property
    def drift_before(self) -> Decimal | None:
        return _share(self.row.drift_before, self.row.market_value)

    @property
    def drift_after(self) -> Decimal | None:
        return _share(self.row.drift_after, self.row.market_value)

    @property
    def cash_share_after(self) -> Decimal | None:
        return _share(self.row.cash_after, self.row.market_value)


@dataclass(frozen=True)
class ProposalFilter:
    """Which portfolios of a run; `outcome` is a ProposalState or "failures", `sort` one of PROPOSAL_SORTS."""

    outcome: str = ""
    reason: str = ""
    name: str = ""
    sort: str = ""


def proposal_list(run: Rebalance, wanted: ProposalFilter | None = None, *, after: str = "") -> Page[ProposalRow]:
    """The run's portfolios by name (rows are written in that order), or by a figure where they have it."""
    wanted = wanted or ProposalFilter()
    if wanted.sort:
        rows = run.portfolios.filter(**{f"{wanted.sort.lstrip('-')}__isnull": False}).order_by(wanted.sort, "pk")
        rows = rows.filter(behind(rows, wanted.sort, after)) if after else rows
    else:
        rows = proposals_by_key(run.pk, after=after)
    found = list(_matching(rows, wanted).defer("document")[: PAGE_SIZE + 1])
    more = found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else ""
    return Page([ProposalRow(row) for row in found[:PAGE_SIZE]], more)


def proposals_by_key(run_id: str, *, after: str = "", is_rising: bool = True) -> QuerySet[PortfolioRebalance]:
    """The portfolios of a run in the order they were written, or the other way, from behind the row `after`."""
    return in_a_row(PortfolioRebalance.objects.all(), "rebalance_id", run_id, after=after, is_rising=is_rising)


def behind(rows: QuerySet[Any], sort: str, after: str, *, is_rising: bool = True) -> Q:
    """What comes behind the row with the key `after`; nothing when there is no such row to sort from."""
    by_key = Q(pk__gt=after) if is_rising else Q(pk__lt=after)
    if not sort:
        return by_key
    name = sort.lstrip("-")
    last = rows.model.objects.filter(pk=after).values_list(name, flat=True).first()
    if last is None:
        return Q(pk__in=())
    further = "lt" if sort.startswith("-") else "gt"
    return Q(**{f"{name}__{further}": last}) | Q(**{name: last}) & by_key


def _matching(rows: QuerySet[PortfolioRebalance], wanted: ProposalFilter) -> QuerySet[PortfolioRebalance]:
    if wanted.outcome == "failures":
        rows = in_state(rows, FAILURES)
    elif wanted.outcome in ProposalState.values:
        rows = in_state(rows, [wanted.outcome])
    if wanted.reason:
        rows = rows.filter(reason_code=wanted.reason)
    if wanted.name:
        rows = rows.filter(portfolio_name__icontains=wanted.name)
    return rows


def in_state(rows: QuerySet[Row], states: Iterable[str]) -> QuerySet[Row]:
    """Of these rows those in such a state, looked for among them: SQLite would rather go through all in that state."""
    return rows.alias(in_state=Coalesce("state", Value(""))).filter(in_state__in=list(states))


def failed_portfolio_ids(run_id: str) -> list[str]:
    """The portfolios of a run that ended without an answer; in a stopped one, those that it never came to as well."""
    unanswered = Q(state__in=FAILURES) | Q(state=ProposalState.CANCELLED, rebalance__state=RunState.STOPPED)
    rows = PortfolioRebalance.objects.filter(unanswered, rebalance_id=run_id).order_by("pk")
    return list(rows.values_list("portfolio_id", flat=True))


@dataclass(frozen=True)
class SoldLot:
    """What a sale takes of one tax lot, and what that gains."""

    reference: str
    acquired_on: date | None
    quantity: Decimal
    cost: Decimal
    gain: Decimal


@dataclass(frozen=True)
class Line:
    """One security of a proposal, before and after. Weights, drifts and band edges are fractions of market value."""

    security_id: str
    ticker: str
    name: str
    price: Decimal | None
    quantity_before: Decimal
    quantity_after: Decimal | None
    target: Decimal
    low_drift: Decimal
    high_drift: Decimal
    weight_before: Decimal | None
    weight_after: Decimal | None
    band_use_before: Decimal | None
    band_use_after: Decimal | None
    state_before: str
    state_after: str | None
    side: str | None
    trade_quantity: int | None
    reason: str | None
    order: Order | None = None
    realised_gain: Decimal | None = None
    lots_sold: Sequence[SoldLot] = ()
    restrictions: Mapping[str, Any] = field(default_factory=dict)  # the security's own limits in this run
    is_at_band: bool = False  # its band kept it from the nearest whole number to its target

    @property
    def in_model(self) -> bool:
        return bool(self.target or self.low_drift or self.high_drift)

    @property
    def drift_before(self) -> Decimal | None:
        return None if self.weight_before is None else self.weight_before - self.target

    @property
    def drift_after(self) -> Decimal | None:
        return None if self.weight_after is None else self.weight_after - self.target

    @property
    def band_low(self) -> Decimal:
        return max(ZERO, self.target - self.low_drift)

    @property
    def band_high(self) -> Decimal:
        return self.target + self.high_drift

    @property
    def value(self) -> Decimal | None:
        """What the trade is worth."""
        return None if self.trade_quantity is None or self.price is None else self.trade_quantity * self.price

    @property
    def is_outside(self) -> bool:
        return self.state_after in ("breach_over", "breach_under", "not_in_model") and bool(self.drift_after)

    @property
    def no_band_before(self) -> bool:
        return self.band_use_before is None and bool(self.drift_before)

    @property
    def no_band_after(self) -> bool:
        return self.band_use_after is None and bool(self.drift_after)


DECIMALS = (
    "price", "quantity_before", "quantity_after", "target", "low_drift", "high_drift", "weight_before", "weight_after",
    "band_use_before", "band_use_after",
)  # fmt: skip
TEXTS = ("security_id", "ticker", "name", "state_before", "state_after", "side", "trade_quantity", "reason")


def _line(stored: Mapping[str, Any], orders: Mapping[str, Order]) -> Line:
    numbers = {name: None if stored[name] is None else Decimal(stored[name]) for name in DECIMALS}
    gain = stored.get("realised_gain")
    return Line(
        **numbers,  # type: ignore[arg-type]  # JSON
        **{name: stored[name] for name in TEXTS},
        order=orders.get(stored["security_id"]),
        realised_gain=None if gain is None else Decimal(gain),
        lots_sold=[_sold_lot(lot) for lot in stored.get("lots_sold", ())],
    )


def _sold_lot(stored: Mapping[str, Any]) -> SoldLot:
    day = stored["acquired_on"]
    numbers = (Decimal(stored[name]) for name in ("quantity", "cost", "gain"))
    return SoldLot(stored["reference"], date.fromisoformat(day) if day else None, *numbers)


@dataclass(frozen=True)
class Proposal:
    """One portfolio's result in a run, with everything that led to it."""

    run: RunView
    row: PortfolioRebalance
    lines: Sequence[Line]
    previous: PortfolioRebalance | None
    next: PortfolioRebalance | None

    @property
    def traded(self) -> list[Line]:
        """Lines with an order, the largest trade first."""
        return sorted((line for line in self.lines if line.side), key=lambda line: -(line.value or ZERO))

    @property
    def sold(self) -> list[Line]:
        """Sales under a gain budget, the largest gain first."""
        return sorted(
            (line for line in self.lines if line.realised_gain is not None),
            key=lambda line: -(line.realised_gain or ZERO),
        )

    @property
    def unchanged(self) -> list[Line]:
        return sorted((line for line in self.lines if not line.side), key=lambda line: line.ticker)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The certificate as it was stored."""
        return self.row.document or {}

    @property
    def limits(self) -> list[certificate.Limit]:
        return certificate.limits_held(self.facts)

    @property
    def at_band(self) -> list[Line]:
        return sorted((line for line in self.lines if line.is_at_band), key=lambda line: line.ticker)

    @property
    def was_stopped_by_cash(self) -> bool:
        return certificate.was_stopped_by_cash(self.facts)

    @property
    def closed_form(self) -> str:
        return certificate.closed_form(self.facts, [line.restrictions for line in self.lines])

    @property
    def reasons(self) -> Sequence[Mapping[str, Any]]:
        stored = self.facts.get("reasons")
        return stored or ([{"message": self.row.reason}] if self.row.reason else [])

    @property
    def drift_share_before(self) -> Decimal | None:
        return _share(self.row.drift_before, self.row.market_value)

    @property
    def drift_share_after(self) -> Decimal | None:
        return _share(self.row.drift_after, self.row.market_value)

    @property
    def turnover(self) -> Decimal | None:
        """Half of what is bought and sold, as a share of market value; None where there is no proposal."""
        bought, sold = self.row.buy_value, self.row.sell_value
        return None if self.row.cash_after is None else _share((bought + sold) / 2, self.row.market_value)

    @property
    def cash_share_after(self) -> Decimal | None:
        return _share(self.row.cash_after, self.row.market_value)


def proposal_get(run_id: str, portfolio_id: str) -> Proposal:
    """Raises NotFoundError for an unknown run, or a portfolio that is not in it."""
    view = run_get(run_id)
    row = view.run.portfolios.filter(portfolio_id=portfolio_id).first()
    if row is None:
        raise NotFoundError(f"Run #{view.run.number} has no portfolio {portfolio_id[:40]}.")
    orders = {order.security_id: order for order in row.orders.all()}
    own, at_band = facts_of(view.run.pk).restrictions, certificate.bands_that_shaped(row.document or {})
    lines = [
        replace(line, restrictions=own.get(line.security_id, {}), is_at_band=line.security_id in at_band)
        for line in (_line(stored, orders) for stored in proposals.lines(row))
    ]
    before, behind_it = (proposals_by_key(run_id, after=row.pk, is_rising=is_rising) for is_rising in (False, True))
    name = ("pk", "portfolio_id", "portfolio_name", "rebalance_id")
    return Proposal(view, row, lines, before.only(*name).first(), behind_it.only(*name).first())


def n_busy(portfolio_ids: Collection[str]) -> int:
    """How many of these portfolios a run is working on: mostly few are open, so those are looked through."""
    is_open = PortfolioRebalance.objects.filter(state__in=OPEN).values_list("portfolio_id", flat=True)
    return sum(key in portfolio_ids for key in is_open)
