"""Reading runs for the pages. Sums of money are made here, never in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, reduce
from operator import add
from typing import Any

from django.db.models import Count, F, Min, Q

from models_app.portfolio.types import ZERO
from ordergen.web.keyset import Keyset, KeysetPage, read_page
from rebalance_app.models import (
    ACTIVE,
    ANSWERED,
    DECIDED_COUNTERS,
    FAILURES,
    OPEN,
    PortfolioRebalance,
    ProposalState,
    Rebalance,
    RunState,
)
from rebalance_app.proposals.selectors import LONG, share

PAGE_SIZE = 50
MAX_FAILURE_GROUPS = 20
DECIDED = reduce(add, map(F, DECIDED_COUNTERS))
AWAITING_ORDERS = F("n_orders") - DECIDED
RUN_FILTERS: dict[str, Q] = {
    "active": Q(state__in=ACTIVE),
    "awaiting": Q(n_orders__gt=DECIDED),
    "failures": Q(n_infeasible__gt=0) | Q(n_failed__gt=0),
}


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
        if not any(Decimal(options.get(name) or 0) for name in ("cost_bps", "ticket_cost")):
            options.pop("reserve_costs", None)  # of nothing
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


def run_list(*, only: str = "", model: str = "", portfolio: str = "", before: int | None = None) -> KeysetPage[RunView]:
    """Runs, the latest first; `only` is one of RUN_FILTERS, `model` a part of its name, `portfolio` the id of one."""
    runs = Rebalance.objects.defer(*LONG).select_related("launched_by")
    if only in RUN_FILTERS:
        runs = runs.filter(RUN_FILTERS[only])
    if model:
        runs = runs.filter(model_name__icontains=model)
    if portfolio:
        holding = PortfolioRebalance.objects.filter(portfolio_id=portfolio)
        runs = runs.filter(pk__in=list(holding.values_list("rebalance_id", flat=True)))
    return read_page(runs, Keyset("-number"), PAGE_SIZE, after=before).showing(RunView)


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
        return share(self.drift_before, self.market_value)

    @property
    def drift_share_after(self) -> Decimal | None:
        return share(self.drift_after, self.market_value)


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


def failed_portfolio_ids(run_id: str) -> list[str]:
    """The portfolios of a run that ended without an answer; in a stopped one, those that it never came to as well."""
    unanswered = Q(state__in=FAILURES) | Q(state=ProposalState.CANCELLED, rebalance__state=RunState.STOPPED)
    rows = PortfolioRebalance.objects.filter(unanswered, rebalance_id=run_id).order_by("pk")
    return list(rows.values_list("portfolio_id", flat=True))


def n_busy(portfolio_ids: Collection[str]) -> int:
    """How many of these portfolios a run is working on: mostly few are open, so those are looked through."""
    is_open = PortfolioRebalance.objects.filter(state__in=OPEN).values_list("portfolio_id", flat=True)
    return sum(key in portfolio_ids for key in is_open)
