"""The layouts of files that the firm has taught: saved under a name, found again by their header, given on as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from django.utils import timezone

from models_app.files.kinds import KINDS
from models_app.models import FileLayout
from models_app.reading.known_layouts import Layout, is_remembered, layout_from, shipped_layouts
from models_app.reading.reading import Reading
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.errors import InvalidInputError, NotFoundError

_MOST_BYTES = 2**20


def known_layouts() -> tuple[Layout, ...]:
    """The firm's layouts, the last saved first, and those that are shipped."""
    rows = FileLayout.objects.order_by("-saved_at", "name")
    return (*(Layout(row.name, row.kind, tuple(row.header), row.answers) for row in rows), *shipped_layouts())


def layout_named(name: str, kind: str) -> Layout:
    """The layout of that name for files of that kind; raises NotFoundError that names the ones there are."""
    of_kind = [layout for layout in known_layouts() if layout.kind == kind]
    for layout in of_kind:
        if layout.name.casefold() == name.strip().casefold():
            return layout
    there_are = ", ".join(f"“{layout.name}”" for layout in of_kind) or "none"
    raise NotFoundError(f"There is no layout “{name[:100]}” for {kind}; there are: {there_are}.")


def learned(name: str, reading: Reading, answers: Mapping[str, str]) -> Layout:
    """What a file that was read teaches: its header, and every answer that belongs to its shape.

    Raises InvalidInputError for a name that cannot be one.
    """
    kept = {key: value for key, value in answers.items() if is_remembered(key)}
    kept |= {column.question: column.name or "" for column in reading.columns}
    if reading.left_out.signs:
        kept["leave_out"] = "\n".join(reading.left_out.signs)
    document = {
        "name": name,
        "kind": reading.kind.name,
        "header": [column.key for column in reading.columns],
        "answers": kept,
    }
    return layout_from(document, KINDS)


def layouts_save(layouts: Iterable[Layout], *, by: User | None) -> int:
    """Saves each under its name, over the one that has it, with an event each; says how many differed from before."""
    with recorded():
        return sum(_save(layout, by) for layout in layouts)


def _save(layout: Layout, by: User | None) -> bool:
    row = FileLayout.objects.filter(name=layout.name).first()
    content: dict[str, Any] = {"kind": layout.kind, "header": list(layout.header), "answers": dict(layout.answers)}
    before = {key: getattr(row, key) for key in content} if row else None
    if before == content:
        return False
    row = row or FileLayout(name=layout.name)
    row.kind, row.header, row.answers = content["kind"], content["header"], content["answers"]
    row.saved_by, row.saved_at = by, timezone.now()
    row.save()
    detail = {"before": before, "after": content}
    record("layout.save", row, f"Saved the layout “{layout.name}” for {layout.kind}", by=by, detail=detail)
    return True


def layouts_document() -> dict[str, Any]:
    """Every layout of the firm, for another installation to read."""
    rows = FileLayout.objects.order_by("name")
    return {"layouts": [Layout(row.name, row.kind, tuple(row.header), row.answers).document for row in rows]}


def layouts_import(file: BinaryIO, *, by: User) -> int:
    """Saves the layouts of an exported document, all or none; raises InvalidInputError naming what is wrong."""
    by.must("book.import")
    content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise _wrong("The file is larger than 1 MB, which no file of layouts is.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _wrong("The file is no JSON: take one that was downloaded here as layouts.json.") from error
    entries = document.get("layouts") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _wrong("The file has no list named layouts: take one that was downloaded here as layouts.json.")
    try:
        layouts = [layout_from(entry, KINDS) for entry in entries]
    except InvalidInputError as error:
        raise _wrong(error.message) from error
    if len({layout.name for layout in layouts}) < len(layouts):
        raise _wrong("Two layouts in the file have the same name.")
    return layouts_save(layouts, by=by)


def _wrong(message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={"file": message})
