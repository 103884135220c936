"""What a file leaves open, and what somebody said to it. A question that nobody answered stops an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Answers = Mapping[str, str]  # by the key of a question; an answer to what is not asked counts for nothing


@dataclass(frozen=True)
class Question:
    """Two meanings that the file itself does not decide between. Without options the answer is a word of one's own."""

    key: str
    text: str
    options: tuple[tuple[str, str], ...] = ()  # what is answered, and its meaning in words
    evidence: tuple[str, ...] = ()  # what of the file one has to see to answer

    def answer(self, answers: Answers) -> str | None:
        """What was answered, where it is one of the options; None while it is open."""
        given = answers.get(self.key)
        if given is None or (self.options and given not in dict(self.options)):
            return None
        return given

    @property
    def in_words(self) -> str:
        """One line with what may be answered, for the command line and for programs."""
        shown = f" ({'; '.join(self.evidence)})" if self.evidence else ""
        options = "; ".join(f"{self.key}={value}: {meaning}" for value, meaning in self.options)
        return f"{self.text}{shown} Answer {options or f'{self.key}=…'}"
