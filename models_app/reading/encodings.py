"""From bytes to text: UTF-8, or UTF-16 with its mark, without asking; anything else is shown and asked about."""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

from models_app.reading.questions import Answers, Question

_MARKS = (  # the longer one first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
)
_OTHERS = {  # what spreadsheets write that do not write Unicode
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "mac_roman": "Mac OS Roman",
    "cp850": "DOS 850 (Western Europe)",
}
_TWICE, _ONCE = "twice", "utf-8"
_SHOWN_WORDS = 5
_ODD_WORD = re.compile(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*")
_SAVE_AS = "Save it as UTF-8 (in a spreadsheet: “CSV UTF-8”) and try again."


class UnreadableError(Exception):
    """These bytes are no text that could be read without guessing; `line` counts from 1, 0 is the file as a whole."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass(frozen=True)
class Decoded:
    """The text of a file and how it was written; with a question, it is only the likeliest reading."""

    text: str
    encoding: str
    question: Question | None = None


def decode(content: bytes, answers: Answers) -> Decoded:
    """The text of the file without its mark; raises UnreadableError."""
    mark, codec, name = next((known for known in _MARKS if content.startswith(known[0])), (b"", "utf-8", "UTF-8"))
    if not content.removeprefix(mark).strip(b" \t\r\n\0"):
        raise UnreadableError(0, "The file is empty.")
    if codec in ("utf-8", "utf-8-sig") and (at := content.find(b"\0")) >= 0:
        what = f"Byte {at + 1} is a NUL: this is no text file, or UTF-16 without its mark."
        raise UnreadableError(_line_of(content, at), f"{what} {_SAVE_AS}")
    try:
        text = content.decode(codec).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if mark:
            message = f"Byte {error.start + 1} is not {name}, though the file begins with its mark. {_SAVE_AS}"
            raise UnreadableError(_line_of(content, error.start), message) from error
        return _not_unicode(content, error.start, answers)
    if "\0" in text:
        raise UnreadableError(0, f"There are NUL characters in the file: this is no text. {_SAVE_AS}")
    return Decoded(text, name) if text.isascii() else _perhaps_twice(text, name, answers)


def _line_of(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1


def _not_unicode(content: bytes, at: int, answers: Answers) -> Decoded:
    """Asks which of the old encodings it is, each with the names as they read in it."""
    words = list(dict.fromkeys(_ODD_WORD.findall(content)))
    readings = {codec: text for codec in _OTHERS if (text := _in(codec, words)) is not None}
    if not readings or _in(next(iter(readings)), [content], letters_only=False) is None:
        message = f"Byte {at + 1} (0x{content[at]:02X}) is not UTF-8, nor any encoding that is known here. {_SAVE_AS}"
        raise UnreadableError(_line_of(content, at), message)
    where = f"The file is not UTF-8: byte {at + 1} (0x{content[at]:02X}) in line {_line_of(content, at)}."
    first_of = {text: codec for codec, text in reversed(readings.items())}  # where two read alike, the more usual one
    options = tuple((codec, f"{_OTHERS[codec]}: {text}") for codec, text in readings.items() if first_of[text] == codec)
    question = Question("encoding", f"{where} How do these names read right?", options)
    chosen = question.answer(answers)
    codec = chosen or question.options[0][0]
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        message = f"Byte {error.start + 1} is not {_OTHERS[codec]}. {_SAVE_AS}"
        raise UnreadableError(_line_of(content, error.start), message) from error
    return Decoded(text, _OTHERS[codec], None if chosen else question)


def _in(codec: str, words: list[bytes], *, letters_only: bool = True) -> str | None:
    """The first of the words in this encoding; None where they cannot be, or are no words in it."""
    try:
        texts = [word.decode(codec) for word in words]
    except UnicodeDecodeError:
        return None
    if letters_only and not all(map(_is_wordlike, "".join(texts))):
        return None
    return ", ".join(texts[:_SHOWN_WORDS])


def _is_wordlike(letter: str) -> bool:
    return letter.isascii() or unicodedata.category(letter)[0] in "LMPZ" or letter in "€£¥°®"


def _perhaps_twice(text: str, name: str, answers: Answers) -> Decoded:
    """Asks about names like MÃ¼ller: UTF-8 that was opened as Windows-1252, and saved as UTF-8 once more."""
    repaired = {line: mended for line in set(text.splitlines()) if (mended := _undo(line)) is not None}
    if not repaired:
        return Decoded(text, name)
    options = ((_TWICE, "They are damaged, and read rightly"), (_ONCE, "They are right as they are in the file"))
    evidence = tuple(f"{line.strip()[:60]} → {mended.strip()[:60]}" for line, mended in [*repaired.items()][:3])
    said = "Some names look as if the file had been opened in a wrong encoding and saved again."
    question = Question("encoding", said, options, evidence)
    if (chosen := question.answer(answers)) == _TWICE:
        lines = text.splitlines(keepends=True)
        bare = [line.rstrip("\r\n") for line in lines]
        fixed = (repaired.get(body, body) + line[len(body) :] for line, body in zip(lines, bare, strict=True))
        return Decoded("".join(fixed), f"{name}, of which damaged names are mended")
    return Decoded(text, name, None if chosen else question)


def _undo(line: str) -> str | None:
    """The line before it was damaged; None for a line that was not."""
    if line.isascii():
        return None
    try:
        mended = line.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return None
    return None if mended == line else mended
