"""Reading proposals for pages and API: the portfolios of a run with their outcome, and one with all that led to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from models_app.portfolio.types import ZERO
from ordergen.core.db import in_a_row
from ordergen.core.errors import NotFoundError
from ordergen.web.keyset import Keyset, KeysetPage, cut
from rebalance_app.models import FAILURES, Order, PortfolioRebalance, ProposalState, Rebalance
from rebalance_app.proposals import certificate
from rebalance_app.proposals import stored as proposals
from rebalance_app.proposals.run_inputs import inputs_of

PAGE_SIZE = 50
PROPOSAL_SORTS = ("n_orders", "buy_value", "sell_value", "cash_after", "band_use_after")
LONG = ("limits",)  # of a run: perhaps a line for each of 10,000 portfolios, read only where it is worked on
Row = TypeVar("Row", Order, PortfolioRebalance)


def run_get(run_id: str) -> Rebalance:
    """The run with its prices' date; raises NotFoundError."""
    runs = Rebalance.objects.select_related("launched_by", "snapshot").defer("snapshot__payload", *LONG)
    found = runs.filter(pk=run_id).first()
    if found is None:
        raise NotFoundError(f"There is no run {run_id[:40]}.")
    return found


def share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return None if part is None or not whole or whole <= 0 else part / whole


@dataclass(frozen=True)
class ProposalRow:
    """One portfolio of a run in the list."""

    row: PortfolioRebalance

    @property
    def drift_before(self) -> Decimal | None:
        return share(self.row.drift_before, self.row.market_value)

    @property
    def drift_after(self) -> Decimal | None:
        return share(self.row.drift_after, self.row.market_value)

    @property
    def cash_share_after(self) -> Decimal | None:
        return share(self.row.cash_after, self.row.market_value)


@dataclass(frozen=True)
class ProposalFilter:
    """Which portfolios of a run; `outcome` is a ProposalState or "failures", `sort` one of PROPOSAL_SORTS."""

    outcome: str = ""
    reason: str = ""
    name: str = ""
    sort: str = ""


def proposal_list(run: Rebalance, wanted: ProposalFilter | None = None, *, after: str = "") -> KeysetPage[ProposalRow]:
    """The run's portfolios by name (rows are written in that order), or by a figure where they have it."""
    wanted = wanted or ProposalFilter()
    if wanted.sort:
        by = Keyset("pk", wanted.sort)
        rows = run.portfolios.filter(**{f"{wanted.sort.removeprefix('-')}__isnull": False}).order_by(*by.terms)
        rows = rows.filter(by.behind_row(rows, after)) if after else rows
    else:
        rows = proposals_by_key(run.pk, after=after)
    found = _matching(rows, wanted).defer("document")[: PAGE_SIZE + 1]
    return cut(found, PAGE_SIZE, lambda row: row.pk).showing(ProposalRow)


def proposals_by_key(run_id: str, *, after: str = "", is_rising: bool = True) -> QuerySet[PortfolioRebalance]:
    """The portfolios of a run in the order they were written, or the other way, from behind the row `after`."""
    return in_a_row(PortfolioRebalance.objects.all(), "rebalance_id", run_id, after=after, is_rising=is_rising)


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


@dataclass(frozen=True)
class SoldLot:
    """What a sale takes of one tax lot, and what that gains."""

    reference: str
    acquired_on: date | None
    quantity: Decimal
    cost: Decimal
    gain: Decimal


@dataclass(frozen=True)
class ProposalLine:
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
    on_their_way: int = 0  # of the quantity before, what was ordered earlier and not there yet; negative: not gone yet
    is_at_band: bool = False  # its band kept it from the nearest whole number to its target

    @property
    def quantity_held(self) -> Decimal:
        return self.quantity_before - self.on_their_way

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
    def no_band_after(self) -> bool:
        return self.band_use_after is None and bool(self.drift_after)


DECIMALS = (
    "price", "quantity_before", "quantity_after", "target", "low_drift", "high_drift", "weight_before", "weight_after",
    "band_use_before", "band_use_after",
)  # fmt: skip
TEXTS = ("security_id", "ticker", "name", "state_before", "state_after", "side", "trade_quantity", "reason")


def _line(stored: Mapping[str, Any], orders: Mapping[str, Order]) -> ProposalLine:
    numbers = {name: None if stored[name] is None else Decimal(stored[name]) for name in DECIMALS}
    gain = stored.get("realised_gain")
    return ProposalLine(
        **numbers,  # type: ignore[arg-type]  # JSON
        **{name: stored[name] for name in TEXTS},
        order=orders.get(stored["security_id"]),
        realised_gain=None if gain is None else Decimal(gain),
        lots_sold=[_sold_lot(lot) for lot in stored.get("lots_sold", ())],
        on_their_way=stored.get("on_their_way", 0),
    )


def _sold_lot(stored: Mapping[str, Any]) -> SoldLot:
    day = stored["acquired_on"]
    numbers = (Decimal(stored[name]) for name in ("quantity", "cost", "gain"))
    return SoldLot(stored["reference"], date.fromisoformat(day) if day else None, *numbers)


@dataclass(frozen=True)
class ProposalView:
    """One portfolio's result in a run, with everything that led to it, and its neighbours in the run."""

    run: Rebalance
    row: PortfolioRebalance
    lines: Sequence[ProposalLine]
    previous: PortfolioRebalance | None
    next: PortfolioRebalance | None

    @property
    def traded(self) -> list[ProposalLine]:
        """Lines with an order, the largest trade first."""
        return sorted((line for line in self.lines if line.side), key=lambda line: -(line.value or ZERO))

    @property
    def sold(self) -> list[ProposalLine]:
        """Sales under a gain budget, the largest gain first."""
        return sorted(
            (line for line in self.lines if line.realised_gain is not None),
            key=lambda line: -(line.realised_gain or ZERO),
        )

    @property
    def unchanged(self) -> list[ProposalLine]:
        return sorted((line for line in self.lines if not line.side), key=lambda line: line.ticker)

    @property
    def document(self) -> Mapping[str, Any]:
        """As it was stored, with its certificate."""
        return self.row.document or {}

    @property
    def counted(self) -> Sequence[Mapping[str, Any]]:
        """Orders on their way then, as the document has them: done in its figures, or why there is no proposal."""
        found: Sequence[Mapping[str, Any]] = self.document.get("open_orders", ())
        return found

    @property
    def is_left_out(self) -> bool:
        """Whether there is no proposal because of them."""
        return self.row.reason_code == "OPEN_ORDER"

    @property
    def cash_on_its_way(self) -> Decimal:
        """Of the cash before, what those orders bring, less what they cost."""
        worth = ((one["side"], one["quantity"] * Decimal(one["price"])) for one in self.counted)
        return sum((value if side == "SELL" else -value for side, value in worth), ZERO)

    @property
    def cash_held(self) -> Decimal | None:
        """The cash that was there."""
        return None if self.row.cash_before is None else self.row.cash_before - self.cash_on_its_way

    @property
    def limits(self) -> list[certificate.Limit]:
        return certificate.limits_held(self.document)

    @property
    def at_band(self) -> list[ProposalLine]:
        return sorted((line for line in self.lines if line.is_at_band), key=lambda line: line.ticker)

    @property
    def was_stopped_by_cash(self) -> bool:
        return certificate.was_stopped_by_cash(self.document)

    @property
    def closed_form(self) -> str:
        return certificate.closed_form(self.document, [line.restrictions for line in self.lines])

    @property
    def reasons(self) -> Sequence[Mapping[str, Any]]:
        stored = self.document.get("reasons")
        return stored or ([{"message": self.row.reason}] if self.row.reason else [])

    @property
    def drift_share_before(self) -> Decimal | None:
        return share(self.row.drift_before, self.row.market_value)

    @property
    def drift_share_after(self) -> Decimal | None:
        return share(self.row.drift_after, self.row.market_value)

    @property
    def turnover(self) -> Decimal | None:
        """Half of what is bought and sold, as a share of market value; None where there is no proposal."""
        bought, sold = self.row.buy_value, self.row.sell_value
        return None if self.row.cash_after is None else share((bought + sold) / 2, self.row.market_value)

    @property
    def costs(self) -> Decimal:
        """What the orders cost at the rates of the run; 0 where they cost nothing, or nothing was told of it."""
        before, after = self.document.get("cash_after"), self.document.get("cash_after_costs")
        return Decimal(before) - Decimal(after) if before and after else Decimal(0)

    @property
    def cash_share_after(self) -> Decimal | None:
        return share(self.row.cash_after, self.row.market_value)


def proposal_get(run_id: str, portfolio_id: str) -> ProposalView:
    """Raises NotFoundError for an unknown run, or a portfolio that is not in it."""
    run = run_get(run_id)
    row = run.portfolios.filter(portfolio_id=portfolio_id).first()
    if row is None:
        raise NotFoundError(f"Run #{run.number} has no portfolio {portfolio_id[:40]}.")
    orders = {order.security_id: order for order in row.orders.all()}
    own, at_band = inputs_of(run.pk).restrictions, certificate.bands_that_shaped(row.document or {})
    lines = [
        replace(line, restrictions=own.get(line.security_id, {}), is_at_band=line.security_id in at_band)
        for line in (_line(stored, orders) for stored in proposals.lines(row))
    ]
    before, behind_it = (proposals_by_key(run_id, after=row.pk, is_rising=is_rising) for is_rising in (False, True))
    name = ("pk", "portfolio_id", "portfolio_name", "rebalance_id")
    return ProposalView(run, row, lines, before.only(*name).first(), behind_it.only(*name).first())
