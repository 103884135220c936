"""The words of a file and what the book knows by them: what is spelled otherwise is asked about, and then remembered.

A word is looked up as it stands, then among the other names that somebody noted. One that is new but equals a known
one in canonical form (KLP.B and KLP/B) is a question; so is any other in a file of somebody else's making, for a broker
names securities as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils import timezone

from models_app.files.kinds import FileKind
from models_app.imports.plan import Findings
from models_app.models import OtherName
from models_app.reading.questions import Answers, Question
from models_app.reading.rows import FileRow
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.core.canonical import canonical

_NEW, _SAME = "new", "same"
_MOST_QUESTIONS = 25
_COLUMNS = {"ticker": "security", "portfolio": "portfolio"}
_OWN_COLUMN = {"securities": ("ticker", "security"), "portfolios": ("name", "portfolio")}


@dataclass
class _Book:
    """What the book calls its securities, or its portfolios."""

    of: str
    ids: Mapping[str, str]  # by the word that the book has
    other_ids: Mapping[str, str]  # by other names, in canonical form

    @cached_property
    def words(self) -> dict[str, str]:
        """The book's words by id."""
        return {pk: word for word, pk in self.ids.items()}

    @cached_property
    def alike(self) -> dict[str, str]:
        """The book's words by their canonical form."""
        return {canonical(word): word for word in self.ids}

    def other(self, word: str) -> str | None:
        """The book's word for a thing that somebody noted under this one."""
        return self.words.get(self.other_ids.get(canonical(word), ""))


def settle_names(
    rows: list[FileRow], kind: FileKind, answers: Answers, found: Findings, tell: Callable[[FileRow], str] | None
) -> None:
    """Puts the book's words into the rows where a file has others; what is open is in `found.questions`.

    `tell` says what else stands in a row; it is given for files of somebody else's making only.
    """
    own = _OWN_COLUMN.get(kind.name)
    if own is not None:
        _settle_new(rows, own[0], _book(own[1]), answers, found)
        return
    for column, of in _COLUMNS.items():
        if rows and column in rows[0].values:
            _settle_known(rows, column, _book(of), (answers, found, tell))


def _book(of: str) -> _Book:
    source = get_source()
    others = dict(OtherName.objects.filter(of=of).values_list("word", "record_id"))
    if of == "security":
        return _Book(of, {info.ticker: pk for pk, info in source.securities().items()}, others)
    return _Book(of, {info.name: pk for pk, info in source.portfolios().items()}, others)


def portfolio_word(word: str) -> str | None:
    """The book's name of the portfolio that is called so: by its name, its id, or a name that somebody noted."""
    book = _book("portfolio")
    return word if word in book.ids else book.words.get(word) or book.other(word)


def _settle_new(rows: list[FileRow], column: str, book: _Book, answers: Answers, found: Findings) -> None:
    """Securities or portfolios: asks about each new one that looks like one that is known, or like another new one."""
    id_column = f"{book.of}_id"
    in_file: dict[str, FileRow] = {}
    for row in rows:
        word = row.values[column]
        if row.values.get(id_column) or word in book.ids:
            continue
        other = book.other(word) or book.alike.get(canonical(word))
        twin = in_file.setdefault(canonical(word), row)
        if other is not None:
            _settle_one(row, column, (book, other), answers, found)
        elif twin.values[column] != word:
            _settle_twins(row, twin, column, book.of, (answers, found))


def _settle_one(row: FileRow, column: str, known: tuple[_Book, str], answers: Answers, found: Findings) -> None:
    """A new word beside one that the book has: another thing, or the same, which is then noted."""
    (book, other), word = known, row.values[column]
    options = ((_SAME, f"It is {other}: take it for that"), (_NEW, f"They are two: add {word}"))
    text = f"{word} is a new {book.of}, and {other} is known. Are they the same?"
    chosen = _asked(Question(f"{book.of}.{word}", text, options), answers, found)
    if chosen == _SAME:
        found.name(book.of, word, other, book.ids[other])
        row.values[column] = other


def _settle_twins(row: FileRow, twin: FileRow, column: str, of: str, how: tuple[Answers, Findings]) -> None:
    """Two new words of one file that look alike: asked about, unless they name things with names of their own."""
    (answers, found), word, other = how, row.values[column], twin.values[column]
    if of == "security" and canonical(row.values["name"] or "") != canonical(twin.values["name"] or ""):
        found.notes.append(f"{word} and {other} look alike, and are taken in as two: they have names of their own.")
        return
    options = ((_SAME, "They are one: refuse the second row"), (_NEW, f"They are two: add {word} too"))
    text = f"{word} in line {row.line} looks like {other} in line {twin.line}. Are they the same?"
    chosen = _asked(Question(f"{of}.{word}", text, options), answers, found)
    if chosen == _SAME:
        found.problems.add(row.line, column, word, f"is the same as {other} in line {twin.line}")


def _asked(question: Question, answers: Answers, found: Findings) -> str | None:
    """What was answered; None, with the question, while nobody has."""
    chosen = question.answer(answers)
    if chosen is None:
        found.questions.append(question)
    return chosen


def _settle_known(
    rows: list[FileRow],
    column: str,
    book: _Book,
    how: tuple[Answers, Findings, Callable[[FileRow], str] | None],
) -> None:
    """Entries of the book: finds each word that is not the book's own, by another name or by an answer."""
    answers, found, tell = how
    unknown = {row.values[column] for row in rows} - book.ids.keys() - book.words.keys() - {None}
    if not unknown:
        return
    words = {row.values[column]: row for row in reversed(rows) if row.values[column] in unknown}
    meant: dict[str, str] = {}
    open_questions: list[Question] = []
    for word in sorted(unknown, key=lambda word: words[word].line):
        other = book.other(word)
        if other is None:
            question = _which(book, word, tell(words[word]) if tell else None)
            other = _answered(book, question, answers, found) if question else None
            if other is None and question and question.answer(answers) is None:
                open_questions.append(question)
        if other is not None:
            meant[word] = other
    if len(open_questions) <= _MOST_QUESTIONS:
        found.questions.extend(open_questions)
    for row in rows if meant else ():
        row.values[column] = meant.get(row.values[column], row.values[column])


def _which(book: _Book, word: str, told: str | None) -> Question | None:
    """What to ask about a word that the book has not; None in a file of ours, where nothing is like it."""
    alike = book.alike.get(canonical(word))
    key = f"{book.of}.{word}"
    if alike is not None:
        options = ((_SAME, f"It is {alike}"), (_NEW, f"It is another {book.of}, which the book lacks"))
        return Question(key, f"The book has no {book.of} {word}, but {alike}. Are they the same?", options)
    if told is None:
        return None
    evidence = (told,) if told else ()
    return Question(key, f"The book has no {book.of} {word}. What does it call it? (Empty: it lacks it.)", (), evidence)


def _answered(book: _Book, question: Question, answers: Answers, found: Findings) -> str | None:
    """The book's word that was answered, which is noted; None where there is none, or nothing was said."""
    word, chosen = question.key.partition(".")[2], question.answer(answers)
    if chosen is None or chosen in (_NEW, ""):
        return None
    other = book.alike[canonical(word)] if question.options else chosen.strip()
    if other not in book.ids:
        found.questions.append(question)
        found.notes.append(f"The book has no {book.of} {other} either.")
        return None
    found.name(book.of, word, other, book.ids[other])
    return other


def note_other_names(names: Sequence[tuple[str, str, str]], *, by: User | None) -> None:
    """Remembers (of, word, id) for the next file; the last one that somebody said stands. Inside a transaction."""
    for of, written, pk in names:
        OtherName.objects.update_or_create(
            of=of,
            word=canonical(written),
            defaults={"written": written, "record_id": pk, "noted_by": by, "noted_at": timezone.now()},
        )


def told_names(names: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """For the trail: id by what a file calls it."""
    return {f"{of} {written}": pk for of, written, pk in names}
