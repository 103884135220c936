"""What a file of one kind of the book's records would change in it, and the writing of that."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from django.db import models
from django.utils import timezone

from models_app.drift_index.changed import book_changed
from models_app.imports.plan import Findings, PlannedChanges
from models_app.models import Holding, Portfolio, Price, Security, TaxLot
from models_app.portfolio.types import ZERO
from models_app.portfolios.tax_lots import mismatches
from models_app.reading.import_progress import ImportProgress
from models_app.reading.problems import FileProblems
from models_app.reading.rows import FileRow
from models_app.sources.local import IDS_PER_QUERY, LocalSource, rows_where
from ordergen.accounts.models import User
from ordergen.core.db import bulk_insert, in_batches
from ordergen.core.ids import object_id

_IMPORT_FIRST = "Import {kind} first, or correct the row."
_ROWS_PER_UPDATE = 500
_SHOWN_MISMATCHES = 3


@dataclass
class RecordsWork:
    """Securities or portfolios: others refer to them, so a changed one is updated in place and none is removed."""

    table: type[models.Model]
    fields: tuple[str, ...]  # "id" first
    new: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    stated: set[str] = field(default_factory=set)  # portfolios whose cash the file states, changed or not

    def write(self, *, by: User | None, reason: str, progress: ImportProgress) -> None:  # noqa: ARG002  the audit event has them
        bulk_insert(self.table, self.fields, progress.each("Writing rows", self.new, len(self.new)))
        records = [self.table(**dict(zip(self.fields, row, strict=True))) for row in self.changed]
        self.table._default_manager.bulk_update(records, self.fields[1:], batch_size=_ROWS_PER_UPDATE)  # noqa: SLF001
        book_changed({row[0] for row in [*self.new, *self.changed]} if self.table is Portfolio else None)


@dataclass
class EntriesWork:
    """Prices, holdings or tax lots: nothing refers to them, so a changed one is taken out and put back under its id.

    Two statements for any number of rows, where updating each in place would take as many as there are rows.
    """

    table: type[models.Model]
    fields: tuple[str, ...]  # "id" first
    new: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    stated: set[str] = field(default_factory=set)  # portfolios whose holdings the file states, changed or not

    def write(self, *, by: User | None, reason: str, progress: ImportProgress) -> None:  # noqa: ARG002  the audit event has them
        owners = self._owners()
        outgoing = iter([*self.removed, *(row[0] for row in self.changed)])
        while ids := list(islice(outgoing, IDS_PER_QUERY)):
            self.table._default_manager.filter(pk__in=ids).delete()  # noqa: SLF001  typed for any table
        incoming = [*self.new, *self.changed]
        bulk_insert(self.table, self.fields, progress.each("Writing rows", incoming, len(incoming)))
        book_changed(owners)

    def _owners(self) -> set[str] | None:
        """The portfolios whose holdings change: none with their lots; None for prices, which concern everybody."""
        if self.table is not Holding:
            return set() if self.table is TaxLot else None
        removed = rows_where(Holding.objects.order_by(), "pk", self.removed, "portfolio_id")
        return {row[1] for row in [*self.new, *self.changed]} | {key for (key,) in removed}


def portfolios_stated(kind: str, portfolio_ids: Iterable[str]) -> None:
    """Keeps that it was said just now what these portfolios hold, or their cash, for what is on its way to them."""
    what = "cash_stated_at" if kind == "portfolios" else "holdings_stated_at"
    for batch in in_batches(portfolio_ids):
        Portfolio.objects.filter(pk__in=batch).update(**{what: timezone.now()})


class Seen:
    """Finds the second row that means the same thing, and names the first."""

    def __init__(self, problems: FileProblems) -> None:
        self._lines: dict[Hashable, int] = {}
        self._problems = problems

    def again(self, key: Hashable, row: FileRow, column: str) -> bool:
        """Whether a row before this one had `key`; then both lines are in a problem."""
        first = self._lines.setdefault(key, row.line)
        if first == row.line:
            return False
        self._problems.add(row.line, column, row.values[column], f"stands in line {first} already")
        return True


def diff_securities(rows: list[FileRow], found: Findings) -> RecordsWork:
    work = RecordsWork(Security, ("id", "ticker", "name"))
    known = {pk: (ticker, name) for pk, ticker, name in Security.objects.values_list(*work.fields)}
    for row in rows:
        row.values["name"] = row.values["name"] or ""
    _diff_records(rows, ("security_id", "ticker", "name"), known, found, work)
    return work


def diff_portfolios(rows: list[FileRow], found: Findings) -> RecordsWork:
    work = RecordsWork(Portfolio, ("id", "name", "cash"))
    known = {pk: (name, cash) for pk, name, cash in Portfolio.objects.values_list(*work.fields)}
    work.stated = _diff_records(rows, ("portfolio_id", "name", "cash"), known, found, work)
    return work


def _diff_records(
    rows: list[FileRow],
    columns: tuple[str, str, str],
    known: dict[str, tuple[Any, ...]],
    found: Findings,
    work: RecordsWork,
) -> set[str]:
    """Finds each row's record by id, else by its unique word (`columns[1]`: the ticker or the name); returns all."""
    id_column, unique, _ = columns
    owners = {values[0]: pk for pk, values in known.items()}
    seen, found_ids = Seen(found.problems), set[str]()
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
        found_ids.add(pk)
    return found_ids


def diff_prices(rows: list[FileRow], found: Findings) -> EntriesWork:
    work, seen = EntriesWork(Price, ("id", "security_id", "date", "close")), Seen(found.problems)
    tickers = dict(Security.objects.values_list("ticker", "pk"))
    known = _known_prices(rows)
    for row in rows:
        ticker, day, close = row.values["ticker"], row.values["date"], row.values["close"]
        security = tickers.get(ticker)
        if security is None:
            found.problems.add(row.line, "ticker", ticker, f"is not known. {_IMPORT_FIRST.format(kind='securities')}")
        elif not seen.again((security, day), row, "ticker"):
            key = (security, day)
            _place(work, known.get(key), key, (close,), (found.changes, f"{ticker} {day}"))
    return work


def _known_prices(rows: list[FileRow]) -> dict[tuple[str, Any], tuple[str, Any]]:
    """(id, close) by (security, date), for the days between the file's first and last."""
    days = [row.values["date"] for row in rows]
    if not days:
        return {}
    found = Price.objects.filter(date__gte=min(days), date__lte=max(days))
    return {(sec, day): (pk, close) for sec, day, pk, close in found.values_list("security_id", "date", "pk", "close")}


def _place(
    work: EntriesWork,
    before: tuple[Any, ...] | None,
    key: tuple[Any, ...],
    values: tuple[Any, ...],
    found: tuple[PlannedChanges, str],
) -> None:
    """Puts one entry where it belongs. `before` is the id and the values it had; `found` the changes and its name."""
    (changes, subject), columns = found, work.fields[-len(values) :]
    if before is None:
        changes.add("new", subject, columns, (), values)
        work.new.append((object_id(), *key, *values))
    elif before[1:] == values:
        changes.add("unchanged", subject, columns, (), ())
    else:
        changes.add("changed", subject, columns, before[1:], values)
        work.changed.append((before[0], *key, *values))


def diff_holdings(rows: list[FileRow], found: Findings) -> EntriesWork:
    work = _diff_owned(rows, Holding, (), ("quantity",), found)
    book = _Names()
    work.stated = {owner for row in rows if (owner := book.portfolio(row))}
    return work


def diff_lots(rows: list[FileRow], found: Findings) -> EntriesWork:
    _name_lots(rows)
    work = _diff_owned(rows, TaxLot, ("reference",), ("acquired_on", "quantity", "cost"), found)
    if not found.problems.count:
        _note_mismatches(rows, found)
    return work


def _name_lots(rows: list[FileRow]) -> None:
    """Gives each lot without a reference its day as one, and a number from the second of that day on."""
    counted: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        day = str(row.values["acquired_on"])
        if row.values.get("reference") in (None, day):
            key = (row.values["portfolio"], row.values["ticker"], day)
            counted[key] += 1
            row.values["reference"] = day if counted[key] == 1 else f"{day}/{counted[key]}"


def _diff_owned(
    rows: list[FileRow],
    table: type[models.Model],
    within: tuple[str, ...],
    columns: tuple[str, ...],
    found: Findings,
) -> EntriesWork:
    """Replaces what the portfolios in the file own. `within` tells entries of one security apart; 0 is none of it."""
    work, seen = EntriesWork(table, ("id", "portfolio_id", "security_id", *within, *columns)), Seen(found.problems)
    book = _Names()
    known = _known_entries(work, 2 + len(within), (book.portfolio(row) for row in rows))
    for row in rows:
        portfolio, security = book.portfolio(row), book.security(row)
        key = (portfolio, security, *(row.values[name] for name in within))
        if portfolio is None or security is None:
            _blame_unknown(row, portfolio, security, found.problems)
        elif not seen.again(key, row, within[0] if within else "ticker") and row.values["quantity"]:
            values = tuple(row.values[name] for name in columns)
            _place(work, known.pop(key, None), key, values, (found.changes, book.subject(*key)))
    for key, (pk, *before) in known.items():
        found.changes.add("removed", book.subject(*key), columns, before, ())
        work.removed.append(pk)
    return work


class _Names:
    """The book's portfolios and securities by what a row calls them, and what people call them."""

    def __init__(self) -> None:
        self._names = dict(Portfolio.objects.values_list("pk", "name"))
        self._portfolios = {pk: pk for pk in self._names} | {name: pk for pk, name in self._names.items()}
        self._securities = dict(Security.objects.values_list("ticker", "pk"))
        self._tickers = {pk: ticker for ticker, pk in self._securities.items()}

    def portfolio(self, row: FileRow) -> str | None:
        return self._portfolios.get(row.values["portfolio"])

    def security(self, row: FileRow) -> str | None:
        return self._securities.get(row.values["ticker"])

    def subject(self, portfolio: str, security: str, *within: str) -> str:
        return f"{' '.join((self._tickers[security], *within))}, {self._names[portfolio]}"


def _blame_unknown(row: FileRow, portfolio: str | None, security: str | None, problems: FileProblems) -> None:
    if portfolio is None:
        message = f"is not known. {_IMPORT_FIRST.format(kind='portfolios')}"
        problems.add(row.line, "portfolio", row.values["portfolio"], message)
    if security is None:
        message = f"is not known. {_IMPORT_FIRST.format(kind='securities')}"
        problems.add(row.line, "ticker", row.values["ticker"], message)


def _known_entries(
    work: EntriesWork, n_key: int, portfolio_ids: Iterable[str | None]
) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The id and the values by the key of `n_key` fields, of these portfolios."""
    named = (portfolio_id for portfolio_id in portfolio_ids if portfolio_id)
    rows = rows_where(work.table._default_manager.order_by("pk"), "portfolio_id", named, *work.fields)  # noqa: SLF001
    return {row[1 : 1 + n_key]: (row[0], *row[1 + n_key :]) for row in rows}


def _note_mismatches(rows: list[FileRow], found: Findings) -> None:
    """Says where the lots of the file do not add up to the holdings of the book."""
    book, in_lots = _Names(), defaultdict[str, dict[str, Decimal]](dict)
    for row in rows:
        sums, key = in_lots[str(book.portfolio(row))], str(book.security(row))
        sums[key] = sums.get(key, ZERO) + row.values["quantity"]
    held = LocalSource().balances(in_lots)
    differing = [
        f"{book.subject(portfolio, security)} ({differs})"
        for portfolio, sums in in_lots.items()
        for security, differs in mismatches(held[portfolio].quantities, sums).items()
    ]
    if differing:
        shown, n = "; ".join(differing[:_SHOWN_MISMATCHES]), len(differing)
        more = f"; and {n - _SHOWN_MISMATCHES:,} more" if n > _SHOWN_MISMATCHES else ""
        which = "1 holding" if n == 1 else f"{n:,} holdings"
        found.notes.append(
            f"The lots of {which} do not add up to what is held, so gains are unknown there and no gain budget can be "
            f"kept: {shown}{more}."
        )
