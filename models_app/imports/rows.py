"""The book written row by row, as programs do: the rules, the plan and the writing of an import, without a file.

write_rows:  one transaction: rows -> values | diff against the book | every problem by its row, or write | audit
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models_app.files.kinds import FileColumn, FileKind, get_kind
from models_app.imports.book import portfolios_stated
from models_app.imports.names import settle_names
from models_app.imports.plan import Findings, ImportPlan
from models_app.imports.plausibility import jumped_prices
from models_app.imports.services import DIFFS, must_import
from models_app.reading.import_progress import ImportProgress
from models_app.reading.problems import FileProblems
from models_app.reading.reading import Reading
from models_app.reading.rows import FileRow
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import one_at_a_time
from ordergen.core.errors import InvalidInputError
from ordergen.core.models import Setting

Row = Mapping[str, str | None]


def write_rows(kind: str, rows: Sequence[Row], *, by: User, where: str = "items.{}") -> ImportPlan:
    """Writes all the rows and one audit event, or nothing; returns what it came to.

    Each row has texts by the column of such a file. Raises NotAllowedError, and InvalidInputError with every problem
    at its field: `where` with the row's place, then the column.
    """
    layout = get_kind(kind)
    must_import(by, layout)
    found = Findings()
    read = [_read(line, row, layout, found.problems) for line, row in enumerate(rows, start=1)]
    with recorded():
        one_at_a_time("book")  # nobody changes it between the plan and the writing
        values = [row for row in read if row]
        settle_names(values, layout, {}, found, None)
        if found.questions:  # a program is not asked: it names things as the book does
            raise InvalidInputError(found.questions[0].text, fields={"items": found.questions[0].text})
        if layout.name == "prices" and (jumped := jumped_prices(values)):
            found.notes.append(f"{jumped.text} {'; '.join(jumped.evidence)}")
        work = DIFFS[kind](values, found)
        if found.problems.count:
            raise _refusal(found.problems, where)
        reading = Reading(layout, found.problems, rows=values)
        plan = ImportPlan(kind, "", "", reading, found, "", work)
        if plan.n_writes:
            work.write(by=by, reason="Written over the API", progress=ImportProgress())
            _tell(plan, by)
        portfolios_stated(kind, work.stated)
    return plan


def _read(line: int, row: Row, layout: FileKind, problems: FileProblems) -> FileRow | None:
    """The row's values; None, with a problem for each, where some cannot be read."""
    before = problems.count
    values = {column.name: _value(line, column, row.get(column.name), problems) for column in layout.columns}
    return FileRow(line, values) if problems.count == before else None


def _value(line: int, column: FileColumn, text: str | None, problems: FileProblems) -> object:
    if text is None or not text.strip():
        if not column.may_be_empty:
            problems.add(line, column.name, text, "is empty")
        return None
    try:
        return column.parse(text)
    except ValueError as error:
        problems.add(line, column.name, text, str(error))
        return None


def _refusal(problems: FileProblems, where: str) -> InvalidInputError:
    fields: dict[str, str] = {}
    for problem in problems.by_line:
        place = where.format(problem.line - 1)
        fields.setdefault(f"{place}.{problem.column}".strip("."), problem.message)
    counted = "1 row is" if problems.count == 1 else f"{problems.count:,} values are"
    return InvalidInputError(f"Nothing was written: {counted} not as the book can take them.", fields=fields)


def _tell(plan: ImportPlan, by: User) -> None:
    book, _ = Setting.objects.get_or_create(name="book_version")
    shown = [{"what": change.what, "subject": change.subject} for change in plan.changes.shown]
    detail = {"kind": plan.kind, "version": get_source().data_version(), **plan.changes.counts, "first": shown}
    record("book.write", book, f"Written {plan.summary}", by=by, detail=detail)
