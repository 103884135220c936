"""Which line of a table names its columns, and what each of them is read as: by our name, by a layout, by an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models_app.files.kinds import FileKind
from models_app.reading.known_layouts import LEAVES_OUT, Layout, fitting, header_keys
from models_app.reading.problems import FileProblems
from models_app.reading.questions import Answers, Question
from models_app.reading.separated import Record
from ordergen.core.canonical import canonical

_LOOKED_AT = 2_000  # records from the first, for a header that is known
_SHOWN_SAMPLES = 3
_SAMPLED = 200  # rows below the header, for samples and for the width of a table


@dataclass
class ReadColumn:
    """One column of a file. `name` is what it is read as: a column of the kind, "" for none, None while it is open."""

    position: int
    key: str
    label: str
    name: str | None
    samples: tuple[str, ...] = ()
    told: str = ""  # how its values are written

    @property
    def question(self) -> str:
        return f"column.{self.key}"


def own_keys(kind: FileKind) -> dict[str, str]:
    """Our columns by the key that their name has in a header."""
    return {canonical(column.name): column.name for column in kind.columns}


def is_own(keys: Iterable[str], kind: FileKind) -> bool:
    """Whether a header names every column by our names that a file of this kind has to have."""
    named = {own_keys(kind).get(key) for key in keys}
    return all(column.name in named for column in kind.columns if column.required and not column.may_be_stated)


def header_at(records: Sequence[Record], kind: FileKind, layouts: Sequence[Layout], answers: Answers) -> int:
    """The index of the record that names the columns: the one that was pointed out, is known, or looks most like it."""
    given = answers.get("header", "")
    for index, (line, _) in enumerate(records[:_LOOKED_AT]):
        if str(line) == given:
            return index
    for index, (_, cells) in enumerate(records[:_LOOKED_AT]):
        keys = header_keys(cells)
        if is_own(keys, kind) or fitting(layouts, kind, keys):
            return index
    return _likeliest(records[:_SAMPLED])


def _likeliest(records: Sequence[Record]) -> int:
    """The first record as wide as most are that has names only: no cell of it is just a number or a day."""
    widths = [_width(cells) for _, cells in records]
    usual = Counter(width for width in widths if width > 1).most_common(1)
    widest = usual[0][0] if usual else 1
    return next((i for i, (_, cells) in enumerate(records) if widths[i] >= widest and _are_names(cells)), 0)


def _width(cells: Sequence[str]) -> int:
    """Cells up to the last one that is not empty."""
    return next((at for at in range(len(cells), 0, -1) if cells[at - 1].strip()), 0)


def _are_names(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    return len(filled) > 1 and all(any(map(str.isalpha, cell)) for cell in filled)


def header_choices(records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    """The first lines, one of which names the columns."""
    return tuple((str(line), " · ".join(filter(None, map(str.strip, cells)))[:100]) for line, cells in records[:20])


def resolve(
    records: Sequence[Record], header: int, kind: FileKind, layout: Layout | None, answers: Answers
) -> list[ReadColumn]:
    """What each column is read as. A column without name and content is nothing."""
    labels, own, below = records[header][1], own_keys(kind), records[header + 1 :]
    names = {"", *own.values()}
    found = []
    for position, key in enumerate(header_keys(labels)):
        label = labels[position].strip()
        samples = _samples(below, position)
        given = answers.get(f"column.{key}")
        if (given is None and layout is not None) or (
            given is None
            and not label
            and not any(len(cells) > position and cells[position].strip() for _, cells in below)
        ):
            given = LEAVES_OUT
        elif given is None:
            given = own.get(key)
        found.append(ReadColumn(position, key, label or "(no name)", given if given in names else None, samples))
    return found


def _samples(below: Sequence[Record], position: int) -> tuple[str, ...]:
    cells = (cells[position].strip() for _, cells in below[:_SAMPLED] if len(cells) > position)
    return tuple(dict.fromkeys(filter(None, cells)))[:_SHOWN_SAMPLES]


def open_questions(columns: Sequence[ReadColumn], kind: FileKind) -> list[Question]:
    """A question for each column that nobody has named yet."""
    taken = {column.name for column in columns}
    free = tuple((name, name) for name in own_keys(kind).values() if name not in taken)
    return [
        Question(
            column.question,
            f"{column.label!r} is not a column of {kind.name}. What is it read as?",
            ((LEAVES_OUT, "leave it out"), *free),
            column.samples,
        )
        for column in columns
        if column.name is None
    ]


def blame_header(columns: Sequence[ReadColumn], kind: FileKind, line: int, problems: FileProblems) -> None:
    """Says which columns are there twice, and which are missing though nothing is open any more."""
    expected = f"The columns are {', '.join(kind.header)}."
    times = Counter(column.name for column in columns if column.name)
    for name, count in times.items():
        if count > 1:
            problems.add(line, name, "", f"stands {count} times in the header.")
    if any(column.name is None for column in columns):
        return
    for column in kind.columns:
        if column.required and column.name not in times and not column.may_be_stated:
            problems.add(line, column.name, "", f"is missing from the header. {expected}")
