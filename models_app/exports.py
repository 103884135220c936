"""The book and the models as CSV, in the columns that imports read: what is exported imports without a change."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from models_app import selectors
from models_app.imports.cells import guard
from models_app.imports.layout import get_kind
from models_app.models import Holding, Portfolio, Price, Security, TaxLot
from models_app.sources import get_source

_ROWS_PER_PIECE = 2_000


def export(kind: str) -> Iterator[str]:
    """The CSV text of everything of this kind, piece by piece, the header first; raises NotFoundError at once.

    A text cell that a spreadsheet would run as a formula begins with an apostrophe, which the import takes off again.
    """
    header = get_kind(kind).header
    return _pieces(header, _ROWS[kind]())


def _pieces(header: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield csv_text([header])
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_PER_PIECE)):
        yield csv_text(batch)


def csv_text(rows: Iterable[Iterable[str]]) -> str:
    """Rows as the CSV that every export of ours is; texts of strangers go through `guard` first."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _plain(number: Decimal) -> str:
    """Plain digits without trailing zeros."""
    return f"{number.normalize():f}"


def _securities() -> Iterator[tuple[str, ...]]:
    rows = Security.objects.order_by("ticker").values_list("id", "ticker", "name")
    return ((pk, guard(ticker), guard(name)) for pk, ticker, name in _stream(rows))


def _prices() -> Iterator[tuple[str, ...]]:
    rows = Price.objects.order_by("date", "security__ticker").values_list("date", "security__ticker", "close")
    return ((day.isoformat(), guard(ticker), _plain(close)) for day, ticker, close in _stream(rows))


def _portfolios() -> Iterator[tuple[str, ...]]:
    rows = Portfolio.objects.order_by("name").values_list("id", "name", "cash")
    return ((pk, guard(name), _plain(cash)) for pk, name, cash in _stream(rows))


def _holdings() -> Iterator[tuple[str, ...]]:
    rows = Holding.objects.exclude(quantity=0).order_by("portfolio__name", "security__ticker")
    values = rows.values_list("portfolio__name", "security__ticker", "quantity")
    return ((guard(name), guard(ticker), _plain(quantity)) for name, ticker, quantity in _stream(values))


def _lots() -> Iterator[tuple[str, ...]]:
    rows = TaxLot.objects.order_by("portfolio__name", "security__ticker", "acquired_on", "reference")
    columns = ("portfolio__name", "security__ticker", "reference", "acquired_on", "quantity", "cost")
    for *texts, day, quantity, cost in _stream(rows.values_list(*columns)):
        yield (*map(guard, texts), day.isoformat(), _plain(quantity), _plain(cost))


def _models() -> Iterator[tuple[str, ...]]:
    """A row per position, then one per portfolio; an id stands for what the book does not know."""
    tickers = {pk: info.ticker for pk, info in get_source().securities().items()}
    names = {pk: info.name for pk, info in get_source().portfolios().items()}
    for row in selectors.model_list():
        model = guard(row.model.name)
        for position in row.draft.positions:
            numbers = map(_plain, (position.target, position.low_drift, position.high_drift))
            yield (model, guard(tickers.get(position.security_id, position.security_id)), *numbers, "")
        for portfolio_id in row.draft.portfolios:
            yield (model, "", "", "", "", guard(names.get(portfolio_id, portfolio_id)))


def _stream(rows: Any) -> Iterator[Any]:
    stream: Iterator[Any] = rows.iterator(chunk_size=_ROWS_PER_PIECE)
    return stream


_ROWS: dict[str, Callable[[], Iterator[tuple[str, ...]]]] = {
    "securities": _securities,
    "prices": _prices,
    "portfolios": _portfolios,
    "holdings": _holdings,
    "lots": _lots,
    "models": _models,
}
