"""What a file of securities, prices, portfolios or holdings would change in the book, and the writing of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.db import models

from models_app.changes import book_changed
from models_app.imports.plan import Changes, Findings, Problems
from models_app.imports.progress import Progress
from models_app.imports.reading import Row
from models_app.models import Holding, Portfolio, Price, Security
from models_app.sources.local import IDS_PER_QUERY, rows_where
from ordergen.accounts.models import User
from ordergen.db import bulk_insert, object_id

_IMPORT_FIRST = "Import {kind} first, or correct the row."
_ROWS_PER_UPDATE = 500


@dataclass
class RecordsWork:
    """Securities or portfolios: others refer to them, so a changed one is updated in place and none is removed."""

    table: type[models.Model]
    fields: tuple[str, ...]  # "id" first
    new: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)

    def write(self, *, by: User | None, reason: str, progress: Progress) -> None:  # noqa: ARG002  the audit event has them
        bulk_insert(self.table, self.fields, progress.each("Writing rows", self.new, len(self.new)))
        records = [self.table(**dict(zip(self.fields, row, strict=True))) for row in self.changed]
        self.table._default_manager.bulk_update(records, self.fields[1:], batch_size=_ROWS_PER_UPDATE)  # noqa: SLF001
        book_changed({row[0] for row in [*self.new, *self.changed]} if self.table is Portfolio else None)


@dataclass
class EntriesWork:
    """Prices or holdings: nothing refers to them, so a changed one is taken out and put back under its id.

    Two statements for any number of rows, where updating each in place would take as many as there are rows.
    """

    table: type[models.Model]
    fields: tuple[str, ...]  # "id" first
    new: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def write(self, *, by: User | None, reason: str, progress: Progress) -> None:  # noqa: ARG002  the audit event has them
        owners = self._owners()
        outgoing = iter([*self.removed, *(row[0] for row in self.changed)])
        while ids := list(islice(outgoing, IDS_PER_QUERY)):
            self.table._default_manager.filter(pk__in=ids).delete()  # noqa: SLF001  typed for any table
        incoming = [*self.new, *self.changed]
        bulk_insert(self.table, self.fields, progress.each("Writing rows", incoming, len(incoming)))
        book_changed(owners)

    def _owners(self) -> set[str] | None:
        """The portfolios whose holdings change; None for prices, which concern everybody."""
        if self.table is not Holding:
            return None
        removed = rows_where(Holding.objects.order_by(), "pk", self.removed, "portfolio_id")
        return {row[1] for row in [*self.new, *self.changed]} | {key for (key,) in removed}


class Seen:
    """Finds the second row that means the same thing, and names the first."""

    def __init__(self, problems: Problems) -> None:
        self._lines: dict[Hashable, int] = {}
        self._problems = problems

    def again(self, key: Hashable, row: Row, column: str) -> bool:
        """Whether a row before this one had `key`; then both lines are in a problem."""
        first = self._lines.setdefault(key, row.line)
        if first == row.line:
            return False
        self._problems.add(row.line, column, row.values[column], f"stands in line {first} already")
        return True


def diff_securities(rows: list[Row], found: Findings) -> RecordsWork:
    work = RecordsWork(Security, ("id", "ticker", "name"))
    known = {pk: (ticker, name) for pk, ticker, name in Security.objects.values_list(*work.fields)}
    for row in rows:
        row.values["name"] = row.values["name"] or ""
    _diff_records(rows, ("security_id", "ticker", "name"), known, found, work)
    return work


def diff_portfolios(rows: list[Row], found: Findings) -> RecordsWork:
    work = RecordsWork(Portfolio, ("id", "name", "cash"))
    known = {pk: (name, cash) for pk, name, cash in Portfolio.objects.values_list(*work.fields)}
    _diff_records(rows, ("portfolio_id", "name", "cash"), known, found, work)
    return work


def _diff_records(
    rows: list[Row],
    columns: tuple[str, str, str],
    known: dict[str, tuple[Any, ...]],
    found: Findings,
    work: RecordsWork,
) -> None:
    """Finds each row's record by id, else by its unique word (`columns[1]`: the ticker or the name)."""
    id_column, unique, _ = columns
    owners = {values[0]: pk for pk, values in known.items()}
    seen = Seen(found.problems)
    for row in rows:
        given, word = row.values.get(id_column), row.values[unique]
        owner = owners.get(word)
        if given and owner and owner != given:
            found.problems.add(row.line, unique, word, f"belongs to {owner}, not to {given}")
            continue
        pk = given or owner or object_id()
        if seen.again(word, row, unique) or seen.again(pk, row, id_column if given else unique):
            continue
        before, after = known.get(pk), tuple(row.values[column] for column in columns[1:])
        what = "new" if before is None else "unchanged" if before == after else "changed"
        found.changes.add(what, word if before is None else before[0], columns[1:], before or (), after)
        if what != "unchanged":
            (work.new if before is None else work.changed).append((pk, *after))


def diff_prices(rows: list[Row], found: Findings) -> EntriesWork:
    work, seen = EntriesWork(Price, ("id", "security_id", "date", "close")), Seen(found.problems)
    tickers = dict(Security.objects.values_list("ticker", "pk"))
    known = _known_prices(rows)
    for row in rows:
        ticker, day, close = row.values["ticker"], row.values["date"], row.values["close"]
        security = tickers.get(ticker)
        if security is None:
            found.problems.add(row.line, "ticker", ticker, f"is not known. {_IMPORT_FIRST.format(kind='securities')}")
        elif not seen.again((security, day), row, "ticker"):
            _place(work, known.get((security, day)), (security, day, close), found.changes, f"{ticker} {day}")
    return work


def _known_prices(rows: list[Row]) -> dict[tuple[str, Any], tuple[str, Any]]:
    """(id, close) by (security, date), for the days between the file's first and last."""
    days = [row.values["date"] for row in rows]
    if not days:
        return {}
    found = Price.objects.filter(date__gte=min(days), date__lte=max(days))
    return {(sec, day): (pk, close) for sec, day, pk, close in found.values_list("security_id", "date", "pk", "close")}


def _place(
    work: EntriesWork, before: tuple[str, Any] | None, row: tuple[Any, ...], changes: Changes, subject: str
) -> None:
    """Puts one entry where it belongs. `before` is (id, value); `row` is the fields without the id, its value last."""
    column = (work.fields[-1],)
    if before is None:
        changes.add("new", subject, column, (), row[-1:])
        work.new.append((object_id(), *row))
    elif before[1] == row[-1]:
        changes.add("unchanged", subject, column, (), ())
    else:
        changes.add("changed", subject, column, before[1:], row[-1:])
        work.changed.append((before[0], *row))


def diff_holdings(rows: list[Row], found: Findings) -> EntriesWork:
    work, seen = EntriesWork(Holding, ("id", "portfolio_id", "security_id", "quantity")), Seen(found.problems)
    tickers = dict(Security.objects.values_list("ticker", "pk"))
    names = dict(Portfolio.objects.values_list("pk", "name"))
    portfolios = {pk: pk for pk in names} | {name: pk for pk, name in names.items()}
    known = _known_holdings(portfolios.get(row.values["portfolio"]) for row in rows)
    for row in rows:
        portfolio, security = portfolios.get(row.values["portfolio"]), tickers.get(row.values["ticker"])
        if portfolio is None or security is None:
            _blame_unknown(row, portfolio, security, found.problems)
        elif not seen.again((portfolio, security), row, "ticker") and row.values["quantity"]:
            key = (portfolio, security)
            subject = f"{row.values['ticker']}, {names[portfolio]}"
            _place(work, known.pop(key, None), (*key, row.values["quantity"]), found.changes, subject)
    _remove_holdings(known, names, tickers, found.changes, work)
    return work


def _blame_unknown(row: Row, portfolio: str | None, security: str | None, problems: Problems) -> None:
    if portfolio is None:
        message = f"is not known. {_IMPORT_FIRST.format(kind='portfolios')}"
        problems.add(row.line, "portfolio", row.values["portfolio"], message)
    if security is None:
        message = f"is not known. {_IMPORT_FIRST.format(kind='securities')}"
        problems.add(row.line, "ticker", row.values["ticker"], message)


def _known_holdings(portfolio_ids: Iterable[str | None]) -> dict[tuple[str, str], tuple[str, Any]]:
    """(id, quantity) by (portfolio, security), of these portfolios."""
    named = (portfolio_id for portfolio_id in portfolio_ids if portfolio_id)
    columns = ("portfolio_id", "security_id", "pk", "quantity")
    rows = rows_where(Holding.objects.order_by("pk"), "portfolio_id", named, *columns)
    return {(portfolio, security): (pk, held) for portfolio, security, pk, held in rows}


def _remove_holdings(
    gone: dict[tuple[str, str], tuple[str, Any]],
    names: dict[str, str],
    tickers: dict[str, str],
    changes: Changes,
    work: EntriesWork,
) -> None:
    by_id = {pk: ticker for ticker, pk in tickers.items()}
    for (portfolio, security), (pk, quantity) in gone.items():
        changes.add("removed", f"{by_id[security]}, {names[portfolio]}", ("quantity",), (quantity,), ())
        work.removed.append(pk)
