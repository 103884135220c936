"""Reading the figures: how old they are, how many portfolios stand how, what models come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone

from models_app.drift_index.document import STATES, PositionFigures
from models_app.drift_index.invalidate import basis
from models_app.drift_index.refresh import are_kept
from models_app.investment_models import selectors
from models_app.investment_models.rules import ModelTotals, PositionDraft, totals
from models_app.models import DriftFigures, FiguresRefresh, InvestmentModel, ModelFigures, ModelPortfolio, Portfolio
from models_app.sources import get_source

_HEAVY = ("lines", "unpriced")  # what no list shows


def rows_of(model_id: str = "") -> QuerySet[DriftFigures]:
    """The figures of the firm or of a model."""
    rows = DriftFigures.objects.order_by().defer(*_HEAVY)
    return rows.filter(model_id=model_id) if model_id else rows


@dataclass(frozen=True)
class Freshness:
    """How old figures are. `as_of`: everything shown was true then; `n_old` of `n` rows have changed since."""

    n: int
    n_old: int
    n_sums_old: int  # models whose sums do not know what the figures of their portfolios know
    n_missing: int
    as_of: datetime | None
    is_listed: bool  # False: nobody has looked which portfolios there are
    is_running: bool
    is_told: bool  # whether the book tells of its changes
    is_watched: bool  # or is looked through again and again
    fault: str

    @property
    def is_current(self) -> bool:
        return self.is_listed and not (self.n_old or self.n_sums_old or self.n_missing or self.fault)

    @property
    def seconds(self) -> int:
        return max(0, int((timezone.now() - self.as_of).total_seconds())) if self.as_of else 0

    @property
    def age(self) -> str:
        """Such as "12 s", "3 min", "5 h" or "2 days"."""
        for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
            if self.seconds >= 2 * size:
                return f"{self.seconds // size} {unit}"
        return f"{self.seconds} s"


def freshness(model_id: str = "") -> Freshness:
    """Of the firm's figures or a model's."""
    rows = DriftFigures.objects.order_by()
    rows = rows.filter(model_id=model_id) if model_id else rows
    told = rows.aggregate(
        n=Count("pk"),
        n_fresh=Count("pk", filter=Q(changed=None)),
        n_computed=Count("computed_at"),
        oldest=Min("computed_at"),
        oldest_changed=Min("computed_at", filter=~Q(changed=None)),
        newest=Max("computed_at"),
    )
    now, state = timezone.now(), FiguresRefresh.objects.first() or FiguresRefresh()
    rests = state.basis == basis()
    n_old = told["n"] - told["n_fresh"] if rests else told["n"]
    # What a book that tells of its changes has not marked is true until now, so it was when the last row was computed.
    is_told = not get_source().is_remote
    oldest = told["oldest_changed"] or told["oldest"] if is_told else told["oldest"]
    old_sums = ModelFigures.objects.exclude(changed=None)
    return Freshness(
        n=told["n"],
        n_old=n_old,
        n_sums_old=(old_sums.filter(pk=model_id) if model_id else old_sums).count(),
        n_missing=told["n"] - told["n_computed"],
        as_of=told["newest"] if is_told and not n_old else oldest,
        is_listed=rests or (is_told and not Portfolio.objects.exists()),
        is_running=bool(state.token and state.lease_until and state.lease_until > now),
        is_told=is_told,
        is_watched=are_kept(),
        fault=state.fault,
    )


@dataclass(frozen=True)
class Counts:
    """Portfolios by state."""

    by_state: dict[str, int]
    low_cash: int

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    def of(self, name: str) -> int:
        """Of a state, or of "low_cash", which is none but can come with any."""
        return self.low_cash if name == "low_cash" else self.by_state.get(name, 0)


def counts(rows: QuerySet[DriftFigures]) -> Counts:
    by_state: Counter[str] = Counter()
    low_cash = 0
    for state, low, n in rows.order_by().values_list("state", "low_cash").annotate(n=Count("pk")):
        by_state[state] += n
        low_cash += n if low else 0
    return Counts(dict(by_state), low_cash)


def in_state(rows: QuerySet[DriftFigures], state: str) -> QuerySet[DriftFigures]:
    """Those that a filter of the list keeps; all of them for a state that there is not."""
    if state == "low_cash":
        return rows.exclude(low_cash="")
    return rows.filter(state=state) if state in STATES else rows


def prices_of(model_id: str = "") -> date | None:
    """The day of the newest price among what portfolios hold or are to hold."""
    newest: date | None = rows_of(model_id).aggregate(day=Max("prices_of"))["day"]
    return newest


def unpriced_securities(model_id: str = "") -> set[str]:
    """Securities that a portfolio holds or is to hold, and that have no price."""
    lists = rows_of(model_id).filter(n_unpriced__gt=0).values_list("unpriced", flat=True).distinct()
    return {key for text in lists for key in text.split()}


def counts_of(model_id: str) -> Counts:
    """How the portfolios of a model stand; none is computed where no figures are kept."""
    if are_kept():
        return counts(rows_of(model_id))
    return Counts({"not_computed": ModelPortfolio.objects.filter(model_id=model_id).count()}, low_cash=0)


def portfolios_in_breach(model_id: str) -> list[str]:
    """The ids of the portfolios of a model that are outside a band."""
    return list(rows_of(model_id).filter(state="breach").values_list("portfolio_id", flat=True))


@dataclass(frozen=True)
class ModelStand:
    """A model with how its portfolios stand; `worst` as in the figures of the portfolio that it is from.

    `in_each`: how they stand in each position, by security id; of a position without figures it has nothing.
    """

    model: InvestmentModel
    positions: Sequence[PositionDraft]
    n_followers: int  # subscribed, whether the book knows them or not
    n_known: int
    n_breach: int
    market_value: Decimal
    worst: dict[str, Any] | None
    use: float
    in_each: Mapping[str, PositionFigures]

    @cached_property
    def totals(self) -> ModelTotals:
        return totals(self.positions)


def model_stands(models: Iterable[InvestmentModel]) -> list[ModelStand]:
    """How the portfolios of each model stand, in five queries."""
    found = list(models)
    ids = [model.pk for model in found]
    positions = selectors.model_positions(ids)
    followers = dict(_per_model(ModelPortfolio.objects.filter(model_id__in=ids)))
    known: dict[str, int] = defaultdict(int)
    breaches: dict[str, int] = defaultdict(int)
    rows = DriftFigures.objects.filter(model_id__in=ids).order_by()
    for model_id, state, n in rows.values_list("model_id", "state").annotate(n=Count("pk")):
        known[model_id] += n
        breaches[model_id] += n if state == "breach" else 0
    told = dict(ModelFigures.objects.filter(pk__in=ids).values_list("pk", "told"))
    return [
        ModelStand(
            model=model,
            positions=positions[model.pk],
            n_followers=followers.get(model.pk, 0),
            n_known=known[model.pk],
            n_breach=breaches[model.pk],
            market_value=Decimal(told.get(model.pk, {}).get("market_value", 0)),
            worst=told.get(model.pk, {}).get("worst"),
            use=told.get(model.pk, {}).get("use", 0.0),
            in_each=_in_each(told.get(model.pk, {})),
        )
        for model in found
    ]


def _per_model(rows: QuerySet[ModelPortfolio]) -> Iterable[tuple[str, int]]:
    return rows.order_by().values_list("model_id").annotate(n=Count("pk"))


def _in_each(told: Mapping[str, Any]) -> dict[str, PositionFigures]:
    return {
        key: PositionFigures(over, under, None if middle is None else Decimal(middle))
        for key, (over, under, middle) in told.get("positions", {}).items()
    }


def portfolios_missing(model_id: str) -> list[str]:
    """Portfolios of the model that have no row of figures: the book does not know them."""
    known = DriftFigures.objects.filter(model_id=model_id).values("portfolio_id")
    followers = ModelPortfolio.objects.filter(model_id=model_id).exclude(portfolio_id__in=known)
    return list(followers.order_by("pk").values_list("portfolio_id", flat=True))
