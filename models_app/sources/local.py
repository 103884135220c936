"""The book in ordergen's own tables, filled by CSV import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from django.db.models import Case, IntegerField, Q, QuerySet, When

from models_app.models import Holding, Portfolio, Price, Security, TaxLot
from models_app.portfolio import types
from models_app.portfolio.units import TICK
from models_app.sources.book_source import Balances, Lots, PortfolioInfo, PriceInfo, SecurityInfo
from ordergen.core.db import newest_of_each
from ordergen.core.models import Setting

if TYPE_CHECKING:
    import pandas as pd

# SQLite takes 32,766 parameters in a statement and PostgreSQL 65,535; a query asks for at most this many ids.
IDS_PER_QUERY = 10_000
_STATED = ("holdings_stated_at", "cash_stated_at")


class LocalSource:
    """See BookSource for what each method promises; each costs one query (two for balances) per 10,000 ids."""

    name = "local"
    is_remote = False
    has_tax_lots = True

    def securities(self, ids: Iterable[str] | None = None) -> dict[str, SecurityInfo]:
        rows = rows_where(Security.objects.order_by("ticker"), "pk", ids, "id", "ticker", "name")
        return {row[0]: SecurityInfo(*row) for row in rows}

    def latest_prices(self, ids: Iterable[str]) -> dict[str, PriceInfo]:
        found = newest_of_each(Price.objects.order_by(), "security", ids, by="date", value="close")
        # SQLite gives a subquery's decimal back with 15 digits; the column has four places.
        return {key: PriceInfo(close.quantize(TICK), day) for key, close, day in found}

    def portfolios(self, ids: Iterable[str] | None = None) -> dict[str, PortfolioInfo]:
        rows = rows_where(Portfolio.objects.order_by("name"), "pk", ids, "id", "name")
        return {row[0]: PortfolioInfo(*row) for row in rows}

    def balances(self, portfolio_ids: Iterable[str]) -> dict[str, Balances]:
        wanted = list(portfolio_ids)
        owners = list(rows_where(Portfolio.objects.order_by(), "pk", wanted, "id", "cash", *_STATED))
        quantities: dict[str, dict[str, Any]] = {owner[0]: {} for owner in owners}
        held = Holding.objects.order_by().exclude(quantity=0)
        for portfolio_id, security_id, quantity in rows_where(
            held, "portfolio_id", wanted, "portfolio_id", "security_id", "quantity"
        ):
            quantities[portfolio_id][security_id] = quantity
        return {
            key: Balances(cash, quantities[key], stated_at=_latest(stated), stated_whole_at=_earliest(stated))
            for key, cash, *stated in owners
        }

    def stated_at(self, portfolio_ids: Iterable[str]) -> dict[str, datetime | None]:
        rows = rows_where(Portfolio.objects.order_by(), "pk", list(portfolio_ids), "id", *_STATED)
        return {key: _latest(stated) for key, *stated in rows}

    def tax_lots(self, portfolio_ids: Iterable[str]) -> dict[str, Lots]:
        found: dict[str, dict[str, list[types.TaxLot]]] = {}
        columns = ("portfolio_id", "security_id", "quantity", "cost", "acquired_on", "reference")
        rows = rows_where(TaxLot.objects.order_by("acquired_on", "reference"), "portfolio_id", portfolio_ids, *columns)
        for portfolio_id, security_id, *lot in rows:
            found.setdefault(portfolio_id, {}).setdefault(security_id, []).append(types.TaxLot(*lot))
        return dict(found)

    def price_history(self, ids: Iterable[str], since: date | None = None) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415  a second and a half to load, which only histories need

        prices = Price.objects.order_by() if since is None else Price.objects.order_by().filter(date__gte=since)
        rows = rows_where(prices, "security_id", ids, "date", "security_id", "close")
        table = pd.DataFrame.from_records(list(rows), columns=["date", "security_id", "close"])
        return table.pivot_table(index="date", columns="security_id", values="close", aggfunc="first")

    def find_securities(self, text: str, limit: int = 20) -> list[SecurityInfo]:
        begins = Q(ticker__istartswith=text)
        found = _best_first(Security.objects.filter(Q(ticker__icontains=text) | Q(name__icontains=text)), begins)
        return [
            SecurityInfo(*row) for row in found.order_by("rank", "ticker").values_list("id", "ticker", "name")[:limit]
        ]

    def find_portfolios(self, text: str, limit: int = 20) -> list[PortfolioInfo]:
        found = _best_first(Portfolio.objects.filter(name__icontains=text), Q(name__istartswith=text))
        return [PortfolioInfo(*row) for row in found.order_by("rank", "name").values_list("id", "name")[:limit]]

    def data_version(self) -> str:
        return Setting.read("book_version")

    def faults(self) -> dict[str, str]:
        return {}


def _latest(stated: Sequence[datetime | None]) -> datetime | None:
    return max((moment for moment in stated if moment), default=None)


def _earliest(stated: Sequence[datetime | None]) -> datetime | None:
    """When the last of them was; None where one never was."""
    return None if None in stated else min(moment for moment in stated if moment)


def _best_first(found: QuerySet[Any], begins: Q) -> QuerySet[Any]:
    ranked: QuerySet[Any] = found.annotate(rank=Case(When(begins, then=0), default=1, output_field=IntegerField()))
    return ranked


def rows_where(
    queryset: QuerySet[Any], key: str, ids: Iterable[str] | None, *columns: str
) -> Iterator[tuple[Any, ...]]:
    """The values of `columns` for the rows whose `key` is one of `ids`; every row when `ids` is None."""
    if ids is None:
        yield from queryset.values_list(*columns)
        return
    remaining = iter(dict.fromkeys(ids))
    while batch := list(islice(remaining, IDS_PER_QUERY)):
        yield from queryset.filter(**{f"{key}__in": batch}).values_list(*columns)
