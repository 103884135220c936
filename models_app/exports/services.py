"""The book and the models as CSV, in the columns that imports read: what is exported imports without a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from models_app.files.kinds import get_kind, is_kept_elsewhere
from models_app.investment_models import selectors
from models_app.models import Holding, Portfolio, Price, Security, TaxLot
from models_app.sources import get_source
from models_app.sources.book_source import BookSource, PortfolioInfo, SecurityInfo
from ordergen.core.csv import BYTE_ORDER_MARK, csv_text, guard
from ordergen.core.errors import InvalidInputError

_ROWS_PER_PIECE = 2_000
Row = tuple[str, ...]


def export(kind: str) -> Iterator[str]:
    """The CSV text of everything of this kind, piece by piece, the header first; raises NotFoundError at once.

    A book that is kept elsewhere is read before the first piece, so that an outage is an UnavailableError and never
    half a file. It begins with the mark of UTF-8. A text that a spreadsheet would run, or make a number or a day of,
    begins with an apostrophe, which the import takes off.
    """
    layout, source = get_kind(kind), get_source()
    rows = _ROWS_ELSEWHERE[kind](source) if is_kept_elsewhere(layout) else _ROWS[kind]()
    return _pieces(layout.header, rows)


def _pieces(header: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield BYTE_ORDER_MARK + csv_text([header])
    remaining = iter(rows)
    while batch := list(islice(remaining, _ROWS_PER_PIECE)):
        yield csv_text(batch)


def _plain(number: Decimal) -> str:
    """Plain digits without trailing zeros."""
    return f"{number.normalize():f}"


def _securities() -> Iterator[Row]:
    rows = Security.objects.order_by("ticker").values_list("id", "ticker", "name")
    return ((guard(pk), guard(ticker), guard(name)) for pk, ticker, name in _stream(rows))


def _prices() -> Iterator[Row]:
    rows = Price.objects.order_by("date", "security__ticker").values_list("date", "security__ticker", "close")
    return ((day.isoformat(), guard(ticker), _plain(close)) for day, ticker, close in _stream(rows))


def _portfolios() -> Iterator[Row]:
    rows = Portfolio.objects.order_by("name").values_list("id", "name", "cash")
    return ((guard(pk), guard(name), _plain(cash)) for pk, name, cash in _stream(rows))


def _holdings() -> Iterator[Row]:
    rows = Holding.objects.exclude(quantity=0).order_by("portfolio__name", "security__ticker")
    values = rows.values_list("portfolio__name", "security__ticker", "quantity")
    return ((guard(name), guard(ticker), _plain(quantity)) for name, ticker, quantity in _stream(values))


def _lots() -> Iterator[Row]:
    rows = TaxLot.objects.order_by("portfolio__name", "security__ticker", "acquired_on", "reference")
    columns = ("portfolio__name", "security__ticker", "reference", "acquired_on", "quantity", "cost")
    for *texts, day, quantity, cost in _stream(rows.values_list(*columns)):
        yield (*map(guard, texts), day.isoformat(), _plain(quantity), _plain(cost))


def _models() -> Iterator[Row]:
    """A row per position, then one per portfolio; an id stands for what the book does not know."""
    source = get_source()
    return _model_rows(_tickers(source.securities()), _names(source.portfolios()))


def _model_rows(tickers: Mapping[str, str], names: Mapping[str, str]) -> Iterator[Row]:
    for row in selectors.model_list():
        model = guard(row.model.name)
        for position in row.draft.positions:
            numbers = map(_plain, (position.target, position.low_drift, position.high_drift))
            yield (model, guard(tickers.get(position.security_id, position.security_id)), *numbers, "")
        for portfolio_id in row.draft.portfolios:
            yield (model, "", "", "", "", guard(names.get(portfolio_id, portfolio_id)))


def _tickers(securities: Mapping[str, SecurityInfo]) -> dict[str, str]:
    return _unambiguous({key: info.ticker for key, info in securities.items()})


def _names(portfolios: Mapping[str, PortfolioInfo]) -> dict[str, str]:
    return _unambiguous({key: info.name for key, info in portfolios.items()})


def _unambiguous(words: Mapping[str, str]) -> dict[str, str]:
    """By id, the word; the id itself for a word that another has too, which happens where we do not keep the book."""
    counts = Counter(words.values())
    return {key: word if counts[word] == 1 else key for key, word in words.items()}


def _securities_elsewhere(source: BookSource) -> list[Row]:
    return [(guard(info.id), guard(info.ticker), guard(info.name)) for info in source.securities().values()]


def _prices_elsewhere(source: BookSource) -> list[Row]:
    securities = source.securities()
    quotes = source.latest_prices(securities)
    return sorted((of.date.isoformat(), guard(securities[key].ticker), _plain(of.price)) for key, of in quotes.items())


def _portfolios_elsewhere(source: BookSource) -> list[Row]:
    portfolios = source.portfolios()
    owned = source.balances(portfolios)
    return [(guard(key), guard(portfolios[key].name), _plain(held.cash)) for key, held in owned.items()]


def _holdings_elsewhere(source: BookSource) -> list[Row]:
    portfolios = source.portfolios()
    owned, names, tickers = source.balances(portfolios), _names(portfolios), _tickers(source.securities())
    return [
        (guard(names[portfolio_id]), guard(tickers.get(key, key)), _plain(quantity))
        for portfolio_id, held in owned.items()
        for key, quantity in held.quantities.items()
    ]


def _lots_elsewhere(source: BookSource) -> list[Row]:
    raise InvalidInputError(f"The services that keep the book ({source.name}) know no tax lots, so there is no file.")


def _stream(rows: Any) -> Iterator[Any]:
    stream: Iterator[Any] = rows.iterator(chunk_size=_ROWS_PER_PIECE)
    return stream


_ROWS: dict[str, Callable[[], Iterator[Row]]] = {
    "securities": _securities,
    "prices": _prices,
    "portfolios": _portfolios,
    "holdings": _holdings,
    "lots": _lots,
    "models": _models,
}
_ROWS_ELSEWHERE: dict[str, Callable[[BookSource], list[Row]]] = {
    "securities": _securities_elsewhere,
    "prices": _prices_elsewhere,
    "portfolios": _portfolios_elsewhere,
    "holdings": _holdings_elsewhere,
    "lots": _lots_elsewhere,
}
