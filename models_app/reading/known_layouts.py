"""How files of one shape are read: told once, or shipped as data for the files that people have most (`layouts/`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models_app.files.kinds import FileKind
from ordergen.core.canonical import canonical
from ordergen.core.errors import InvalidInputError

FOLDER = Path(__file__).with_name("layouts")
LEAVES_OUT = ""  # a column without a meaning here
_KEPT = ("column.", "decimal.", "order.", "only.")
_KEPT_WHOLE = ("encoding", "separator", "sheet", "leave_out", "repeated", "ends_at")


@dataclass(frozen=True)
class Layout:
    """A shape of file and what is known of it.

    `header` are the names that the first line of such a table has, whatever else stands there; `answers` are by key:
    `column.NAME` is what the column is read as, `only.NAME` what it holds in rows that count, `leave_out` and `ends_at`
    how rows begin that do not, or from which on none does (a line for each), and the rest are answers to questions.
    """

    name: str
    kind: str
    header: tuple[str, ...]
    answers: Mapping[str, str]

    def fits(self, keys: Iterable[str]) -> bool:
        """Whether a header (`header_keys`) is of this shape."""
        return set(self.header) <= set(keys)

    @property
    def document(self) -> dict[str, Any]:
        """The layout as it is exported and shipped."""
        return {"name": self.name, "kind": self.kind, "header": list(self.header), "answers": dict(self.answers)}


def header_keys(cells: Sequence[str]) -> list[str]:
    """A key for each column: its name in canonical form, "column 3" without one, "value 2" for the second of a name."""
    keys: list[str] = []
    seen: dict[str, int] = {}
    for number, cell in enumerate(cells, start=1):
        name = canonical(cell) or f"column {number}"
        seen[name] = seen.get(name, 0) + 1
        keys.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return keys


def layout_from(document: object, kinds: Iterable[str]) -> Layout:
    """A layout from what `document` made of one; raises InvalidInputError that says what is wrong with it."""
    if not isinstance(document, dict) or set(document) != {"name", "kind", "header", "answers"}:
        raise InvalidInputError("A layout has exactly name, kind, header and answers.")
    name, kind, header, answers = (document[key] for key in ("name", "kind", "header", "answers"))
    if not isinstance(name, str) or not 0 < len(name.strip()) <= 100 or not name.isprintable():
        raise InvalidInputError("The name of a layout has 1 to 100 characters, none of them invisible.")
    if not isinstance(kind, str) or kind not in kinds:
        raise InvalidInputError(f"{name}: there is no kind of file {kind!r}; there are {', '.join(kinds)}.")
    if not _are_texts(header) or not header or len(header) > 500:
        raise InvalidInputError(f"{name}: header has to be a list of 1 to 500 names of columns.")
    if not isinstance(answers, dict) or not _are_texts([*answers, *answers.values()]) or len(answers) > 1000:
        raise InvalidInputError(f"{name}: answers has to be an object of at most 1,000 texts.")
    if unknown := sorted(key for key in answers if not is_remembered(key)):
        raise InvalidInputError(f"{name}: {unknown[0]!r} is no answer that a layout can have.")
    return Layout(name.strip(), kind, tuple(map(canonical, header)), answers)


def is_remembered(key: str) -> bool:
    """Whether an answer belongs to a shape of file, and not to the one file that it was given for."""
    return key.startswith(_KEPT) or key in _KEPT_WHOLE


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) and len(value) <= 2000 for value in values)


@lru_cache(maxsize=1)
def shipped_layouts() -> tuple[Layout, ...]:
    """The layouts in `layouts/`, by name."""
    documents = (json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")))
    return tuple(layout_from(document, ("holdings", "prices", "lots")) for document in documents)


def fitting(layouts: Iterable[Layout], kind: FileKind, keys: Sequence[str]) -> Layout | None:
    """Of the layouts of this kind that a header fits, the first of those that know most of its columns."""
    found = [layout for layout in layouts if layout.kind == kind.name and layout.fits(keys)]
    return max(found, key=lambda layout: len(layout.header), default=None)
