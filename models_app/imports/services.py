"""Files into the book and the models: first a plan of what would change, then, if nothing is wrong or open, all of it.

plan_import:   bytes | read | names of the book | diff against it -> ImportPlan    (nothing is written)
apply_import:  one transaction: is the book still the one planned against? | write | audit
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from models_app.files.kinds import FileKind, get_kind, is_kept_elsewhere
from models_app.imports.book import (
    diff_holdings,
    diff_lots,
    diff_portfolios,
    diff_prices,
    diff_securities,
    portfolios_stated,
)
from models_app.imports.investment_models import diff_models, state_of_models
from models_app.imports.layouts import known_layouts, layout_named
from models_app.imports.names import note_other_names, settle_names, told_names
from models_app.imports.plan import Findings, ImportPlan, ImportWork
from models_app.imports.plausibility import jumped_prices
from models_app.imports.uploads import read_bytes
from models_app.reading.import_progress import ImportProgress
from models_app.reading.problems import SHOWN_PROBLEMS, FileProblems
from models_app.reading.questions import Answers
from models_app.reading.reading import Known, Reading, read
from models_app.reading.rows import FileRow
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.audit.services import record
from ordergen.core.db import atomic, one_at_a_time
from ordergen.core.errors import Code, ConflictError, InvalidInputError, promised
from ordergen.core.models import Setting
from ordergen.core.processes import collector_at_rest

Diff = Callable[[list[FileRow], Findings], ImportWork]
DIFFS: dict[str, Diff] = {
    "securities": diff_securities,
    "prices": diff_prices,
    "portfolios": diff_portfolios,
    "holdings": diff_holdings,
    "lots": diff_lots,
    "models": diff_models,
}


@dataclass(frozen=True)
class HowToRead:
    """What somebody says about a file: answers to questions, or the name of the layout it has."""

    answers: Answers = field(default_factory=dict)
    layout: str = ""
    most_problems: int = SHOWN_PROBLEMS  # that are kept to be shown


_AS_IT_SAYS = HowToRead()


def plan_import(
    kind: str,
    file: BinaryIO,
    by: User | None,
    *,
    file_name: str = "",
    progress: ImportProgress | None = None,
    how: HowToRead = _AS_IT_SAYS,
) -> ImportPlan:
    """What importing `file` as `kind` would change, every problem in it and every question; nothing is written.

    `by` is None on the command line. Raises NotAllowedError, NotFoundError for an unknown kind or layout, and
    InvalidInputError for a file above settings.IMPORT_MAX_BYTES; everything else that is wrong is a problem.
    """
    layout = get_kind(kind)
    must_import(by, layout)
    with collector_at_rest():
        return _plan(layout, file, file_name, progress or ImportProgress(), how)


def _plan(layout: FileKind, file: BinaryIO, file_name: str, progress: ImportProgress, how: HowToRead) -> ImportPlan:
    content, found = read_bytes(file), Findings(FileProblems(most=how.most_problems))
    version = _state(layout)  # before the reading of the book: a change in between voids the plan
    known = Known(how.answers, known_layouts(), layout_named(how.layout, layout.name) if how.layout else None)
    reading = read(content, layout, known, found.problems, progress)
    found.questions.extend(reading.questions)
    found.notes.extend(reading.notes)
    progress.now("Comparing with the book")
    confirmed = _settle(reading, how.answers, found)
    return ImportPlan(
        kind=layout.name,
        file_name=file_name,
        sha256=hashlib.sha256(content).hexdigest(),
        reading=reading,
        found=found,
        work=DIFFS[layout.name]([] if found.questions else reading.rows, found),
        book_version=version,
        confirmed=confirmed,
    )


def _settle(reading: Reading, answers: Answers, found: Findings) -> dict[str, str]:
    """Asks what only the book can raise: names spelled otherwise, and prices that jumped. Says what is confirmed."""
    if not reading.rows or reading.questions:
        return {}
    settle_names(reading.rows, reading.kind, answers, found, None if reading.is_documented else reading.text_of)
    question = jumped_prices(reading.rows) if reading.kind.name == "prices" else None
    if question is None:
        return {}
    reason = (question.answer(answers) or "").strip()
    if not reason:
        found.questions.append(question)
        return {}
    return {"reason": reason, "prices": "; ".join(question.evidence)}


def apply_import(plan: ImportPlan, *, by: User | None, progress: ImportProgress | None = None) -> ImportPlan:
    """Writes everything the plan says and one audit event, or nothing. Returns the plan.

    Raises NotAllowedError, InvalidInputError when the plan has problems, ConflictError when the book has changed
    since the plan was made (plan again and look again).
    """
    layout = get_kind(plan.kind)
    must_import(by, layout)
    if not plan.is_clean:
        raise _refusal(plan)
    with atomic():
        one_at_a_time("book")
        if _state(layout) != plan.book_version:
            raise ConflictError(
                "The book has changed since this file was looked at. Upload the file again.",
                code=Code.CHANGED_MEANWHILE,
            )
        if plan.n_writes:
            with collector_at_rest():
                _write(plan, by, progress or ImportProgress())
        portfolios_stated(plan.kind, plan.work.stated)
    return plan


def import_file(
    kind: str,
    path: Path,
    by: User | None,
    *,
    dry_run: bool = False,
    how: HowToRead = _AS_IT_SAYS,
    tell: Callable[[str], None] | None = None,
) -> ImportPlan:
    """Plans the file at `path` and, unless it is a `dry_run`, applies it; returns the plan.

    Raises what plan_import and apply_import raise, and InvalidInputError for a file that cannot be read or that has
    problems or open questions, in a dry run too; `tell` is given each of them in a line.
    """
    try:
        with path.open("rb") as file:
            plan = plan_import(kind, file, by, file_name=path.name, how=how)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not plan.is_clean:
        for line in in_lines(plan) if tell else ():
            promised(tell, "checked")(line)
        raise _refusal(plan)
    return plan if dry_run else apply_import(plan, by=by)


def in_lines(plan: ImportPlan) -> Iterator[str]:
    """Every problem and every open question of a plan, a line each; columns that are not named yet in one."""
    yield from map(str, plan.problems.by_line)
    unnamed = [question for question in plan.questions if question.key.startswith("column.")]
    yield from (question.in_words for question in plan.questions if question not in unnamed)
    if unnamed:
        keys = ", ".join(f"{question.key}" for question in unnamed)
        free = ", ".join(name for name, _ in unnamed[0].options if name) or "nothing else is missing"
        yield f"Columns without a meaning: {keys}. Answer each with the column it is read as ({free}), or with nothing."


def refuse_elsewhere(kind: FileKind) -> None:
    """Raises InvalidInputError for a kind that is kept elsewhere, whoever asks."""
    if is_kept_elsewhere(kind):
        raise InvalidInputError("The book is kept by other services; only models can be imported here.")


def must_import(by: User | None, kind: FileKind) -> None:
    """Raises InvalidInputError for a kind that is kept elsewhere, NotAllowedError for somebody who may not."""
    refuse_elsewhere(kind)
    if by is not None:
        by.must("book.import")
    if by is not None and kind.name == "models":
        by.must("model.edit")


def _state(kind: FileKind) -> str:
    """What a plan of this kind is made against."""
    version = get_source().data_version()
    return f"{version}/{state_of_models()}" if kind.name == "models" else version


def _write(plan: ImportPlan, by: User | None, progress: ImportProgress) -> None:
    note_other_names(plan.found.other_names, by=by)
    plan.work.write(by=by, reason=f"Import of {plan.file_name or 'a file'}", progress=progress)
    progress.now("Finishing")
    book, _ = Setting.objects.get_or_create(name="book_version")
    detail = {"file": plan.file_name, "sha256": plan.sha256, "rows": plan.n_rows, **plan.changes.counts}
    detail |= {"left_out": plan.reading.left_out.count} if plan.reading.left_out.count else {}
    detail |= {"layout": plan.reading.layout.name} if plan.reading.layout else {}
    detail |= {"other_names": told_names(plan.found.other_names)} if plan.found.other_names else {}
    detail |= {"confirmed": plan.confirmed} if plan.confirmed else {}
    record("book.import", book, f"Imported {plan.summary}", by=by, detail=detail)


def _refusal(plan: ImportPlan) -> InvalidInputError:
    """Says the first problem, or question, in a line; `fields` has every shown one by its place in the file."""
    where = {problem.place: problem.message for problem in plan.problems.by_line}
    where |= {question.key: question.in_words for question in plan.questions}
    first, *_ = in_lines(plan)
    n = plan.problems.count + len(plan.questions)
    more = f" (and {n - 1:,} more)" if n > 1 else ""
    return InvalidInputError(f"Nothing was imported from {plan.file_name or 'the file'}: {first}{more}", fields=where)
