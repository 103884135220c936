"""CSV files into the book and the models: first a plan of what would change, then, if nothing is wrong, all of it.

plan_import:   bytes | read_rows | diff against the book -> ImportPlan    (nothing is written)
apply_import:  one transaction: is the book still the one planned against? | write | audit
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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
from models_app.imports.import_progress import ImportProgress
from models_app.imports.investment_models import diff_models, state_of_models
from models_app.imports.plan import Findings, ImportPlan, ImportWork
from models_app.imports.reading import FileRow, read_bytes, read_rows
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.audit.services import record
from ordergen.core.db import atomic, one_at_a_time
from ordergen.core.errors import Code, ConflictError, InvalidInputError
from ordergen.core.models import Setting

Diff = Callable[[list[FileRow], Findings], ImportWork]
DIFFS: dict[str, Diff] = {
    "securities": diff_securities,
    "prices": diff_prices,
    "portfolios": diff_portfolios,
    "holdings": diff_holdings,
    "lots": diff_lots,
    "models": diff_models,
}


def plan_import(
    kind: str, file: BinaryIO, by: User | None, *, file_name: str = "", progress: ImportProgress | None = None
) -> ImportPlan:
    """What importing `file` as `kind` would change, and every problem in it; nothing is written.

    `by` is None on the command line. Raises NotAllowedError, NotFoundError for an unknown kind, and
    InvalidInputError for a file above settings.IMPORT_MAX_BYTES; everything else that is wrong is a problem.
    """
    layout = get_kind(kind)
    must_import(by, layout)
    content, found = read_bytes(file), Findings()
    version = _state(layout)  # before the reading of the book: a change in between voids the plan
    progress = progress or ImportProgress()
    rows = read_rows(content, layout, found.problems, progress)
    progress.now("Comparing with the book")
    return ImportPlan(
        kind=kind,
        file_name=file_name,
        sha256=hashlib.sha256(content).hexdigest(),
        n_rows=len(rows),
        work=DIFFS[kind](rows, found),
        changes=found.changes,
        problems=found.problems,
        book_version=version,
        notes=found.notes,
    )


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
            _write(plan, by, progress or ImportProgress())
        portfolios_stated(plan.work.stated)
    return plan


def import_file(kind: str, path: Path, by: User | None, *, dry_run: bool = False) -> ImportPlan:
    """Plans the file at `path` and, unless it is a `dry_run`, applies it; returns the plan.

    Raises what plan_import and apply_import raise, and InvalidInputError for a file that cannot be read or that has
    problems, in a dry run too.
    """
    try:
        with path.open("rb") as file:
            plan = plan_import(kind, file, by, file_name=path.name)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not plan.is_clean:
        raise _refusal(plan)
    return plan if dry_run else apply_import(plan, by=by)


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
    plan.work.write(by=by, reason=f"Import of {plan.file_name or 'a file'}", progress=progress)
    progress.now("Finishing")
    book, _ = Setting.objects.get_or_create(name="book_version")
    detail = {"file": plan.file_name, "sha256": plan.sha256, "rows": plan.n_rows, **plan.changes.counts}
    record("book.import", book, f"Imported {plan.summary}", by=by, detail=detail)


def _refusal(plan: ImportPlan) -> InvalidInputError:
    """Says the first problem in a line; `fields` has every shown one by its place in the file."""
    problems = plan.problems.by_line
    more = f" (and {plan.problems.count - 1:,} more)" if plan.problems.count > 1 else ""
    where = {problem.place: problem.message for problem in problems}
    return InvalidInputError(
        f"Nothing was imported from {plan.file_name or 'the file'}: {problems[0]}{more}", fields=where
    )
