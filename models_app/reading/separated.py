"""From text to records of cells: which character separates them, and where a record begins and ends."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from models_app.reading.questions import Answers, Question

Record = tuple[int, tuple[str, ...]]  # the line it begins on, and its cells
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BY_NAME = {name: mark for mark, name in SEPARATORS.items()}
_SAID = re.compile(r'\s*"?sep=(.)"?[ \t]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_LOOKED_AT = 200  # records, or this many characters, are enough to see how a table is written
_HEAD = 200_000
_CLEARLY = 1.5  # times as regular as the next one


@dataclass
class Table:
    """The records that are not blank. `broken_at` is the line from which quotes do not match; 0 where they do."""

    separator: str
    records: list[Record] = field(default_factory=list)
    broken_at: int = 0
    question: Question | None = None


def split(text: str, answers: Answers, is_header: Callable[[Sequence[str]], bool]) -> Table:
    """The table in `text`. `is_header` knows the first line of a table that has been seen before."""
    said = _SAID.match(text)
    if said and said[1] in SEPARATORS:
        rest = text[said.end() :]
        return _read(rest, said[1], text.count("\n", 0, said.end()) or 1)
    candidates = {mark: _regularity(text, mark, is_header) for mark in SEPARATORS}
    best, *others = sorted(candidates, key=lambda mark: -candidates[mark])
    next_best = max(candidates[mark] for mark in others)
    if candidates[best] > _CLEARLY * next_best or candidates[best] >= 1 > next_best or not candidates[best]:
        return _read(text, best)
    options = tuple((SEPARATORS[mark], _shown(text, mark)) for mark in (best, *others) if candidates[mark])
    question = Question("separator", "Which character separates the columns?", options)
    chosen = question.answer(answers)
    table = _read(text, _BY_NAME[chosen] if chosen else best)
    table.question = None if chosen else question
    return table


def _regularity(text: str, separator: str, is_header: Callable[[Sequence[str]], bool]) -> float:
    """From 0 to 1, the share of records with the same number of cells; far above 1 with a header that is known."""
    records = [cells for cells in _lenient(text, separator) if any(cells)]
    if any(is_header(cells) for cells in records):
        return 100.0
    widths = Counter(width for cells in records if (width := len(cells)) > 1)
    if not widths:
        return 0.0
    return max(widths.values()) / len(records)


def _lenient(text: str, separator: str) -> Iterator[list[str]]:
    """The first records whatever their quotes; none where a cell has no end."""
    reader = csv.reader(io.StringIO(text[:_HEAD], newline=""), delimiter=separator, skipinitialspace=True)
    with contextlib.suppress(csv.Error):
        yield from islice(reader, _LOOKED_AT)


def _shown(text: str, separator: str) -> str:
    records = islice(_lenient(text, separator), 2)
    return f"{SEPARATORS[separator]}: " + " / ".join(" · ".join(cells)[:80] for cells in records)


def _read(text: str, separator: str, lines_before: int = 0) -> Table:
    table = Table(separator)
    if not _fill(table, text, lines_before):
        tidied = _without_blanks_behind_quotes(text, separator)
        table = Table(separator)
        _fill(table, tidied, lines_before)
    return table


def _fill(table: Table, text: str, lines_before: int) -> bool:
    """Whether all quotes match."""
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, delimiter=table.separator, strict=True, skipinitialspace=True)
    line = lines_before + 1
    try:
        for cells in reader:
            if "".join(cells).strip():
                table.records.append((line, tuple(cells)))  # of which the garbage collector keeps no account
            line = lines_before + reader.line_num + 1
    except csv.Error:
        table.broken_at = line
        return False
    return True


def _without_blanks_behind_quotes(text: str, separator: str) -> str:
    """`"Bell" ,"MOSS" ,` as programs that align columns write it: quotes count only where a cell begins."""
    mark = re.escape(separator)
    blank = "[ ]" if separator == "\t" else r"[ \t]"
    cell = rf'((?:^|(?<=[\r\n{mark}])){blank}*"(?:[^"]|"")*"){blank}+(?=[\r\n{mark}]|\Z)'
    whole = rf'((?:^|(?<=[\r\n{mark}])){blank}*"(?:[^"]|"")*")(?=[\r\n{mark}]|\Z)'
    return re.sub(rf"{cell}|{whole}", lambda found: found[1] or found[2], text)
