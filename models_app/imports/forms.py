"""The forms of an import: the file, how it is to be read, and layouts from elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Any
from zlib import crc32

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from models_app.files.kinds import FileKind
from models_app.imports.names import portfolio_word
from models_app.imports.plan import ImportPlan
from models_app.imports.uploads import too_large_message
from models_app.reading.columns import ReadColumn, own_keys
from models_app.reading.questions import Question
from models_app.reading.reading import Reading

_HEADER = "header"
_OF_CELLS = ("encoding", "separator", "sheet")
_NO_PORTFOLIO = "The book has no portfolio of this name. Import portfolios first, or correct it."
_MAX_ANSWER_LENGTH = 300


class UploadForm(forms.Form):
    """A file; and for a kind whose files may be of one portfolio each, that portfolio."""

    file = forms.FileField(
        label="File",
        allow_empty_file=True,  # what is wrong with it is said where every other file's problems are
        error_messages={"required": "Choose a file."},
        help_text="CSV, as text of any kind, or an Excel workbook (.xlsx).",
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx,text/csv"}),
    )
    portfolio = forms.CharField(
        label="Portfolio",
        required=False,
        max_length=255,
        help_text="Only for a file that names none, as brokers' files do: the name of the portfolio that it is of.",
    )

    def __init__(self, kind: FileKind, *data: Any) -> None:
        super().__init__(*data)
        if kind.stated is None:
            del self.fields["portfolio"]

    def clean_file(self) -> UploadedFile[Any]:
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > settings.IMPORT_MAX_BYTES:
            raise forms.ValidationError(too_large_message())
        return file

    def clean_portfolio(self) -> str:
        word: str = self.cleaned_data["portfolio"]
        if word and portfolio_word(word) is None:
            raise forms.ValidationError(_NO_PORTFOLIO)
        return word


class ReadingForm(forms.Form):
    """How a file is to be read: an answer to each question that it leaves open, and what each of its columns is.

    While it is open what the cells are at all, nothing is asked about columns.
    """

    remember_as = forms.CharField(
        label="Remember as",
        required=False,
        max_length=100,
        help_text="A name, as “Schwab positions”: the next file with these columns is read like this one, unasked.",
    )

    def __init__(self, plan: ImportPlan, data: Any = None) -> None:
        super().__init__(data)
        self.reading: Reading = plan.reading
        questions = [question for question in plan.questions if not question.key.startswith("column.")]
        first = [question for question in questions if question.key in _OF_CELLS]
        self.questions = {_field_name(question.key): question for question in first or questions}
        self.columns = {f"column-{column.position}": column for column in ([] if first else self.reading.columns)}
        remember = {} if first else {"remember_as": self.fields["remember_as"]}
        asked = {name: _question_field(question) for name, question in self.questions.items()}
        header = {} if first else self._header_field()
        self.fields = {**asked, **header, **self._column_fields(), **remember}

    def _header_field(self) -> dict[str, forms.Field]:
        choices = self.reading.header_choices
        if len(choices) < 2 or self.reading.is_documented:
            return {}
        shown = [(value, f"line {value}: {text}") for value, text in choices]
        if self._line not in dict(choices):
            shown.append((self._line, f"line {self._line}"))
        return {
            _HEADER: forms.ChoiceField(
                label="The columns are named in", choices=shown, initial=self._line, required=False
            )
        }

    def _column_fields(self) -> dict[str, forms.Field]:
        choices = [("", "— left out —"), *((name, name) for name in own_keys(self.reading.kind).values())]
        return {
            name: forms.ChoiceField(label=column.label, choices=choices, initial=column.name or "", required=False)
            for name, column in self.columns.items()
        }

    @property
    def _line(self) -> str:
        return str(self.reading.header_line)

    @property
    def question_fields(self) -> list[tuple[Question, forms.BoundField]]:
        """Each question with its field."""
        return [(question, self[name]) for name, question in self.questions.items()]

    @property
    def column_fields(self) -> list[tuple[ReadColumn, forms.BoundField]]:
        """Each column of the file with its field."""
        return [(column, self[name]) for name, column in self.columns.items()]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        for name, question in self.questions.items():
            if question.key == "portfolio" and portfolio_word(said.get(name, "")) is None:
                self.add_error(name, _NO_PORTFOLIO)
        if self._is_of_this_header:
            self._check_columns({name: said.get(name) for name in self.columns})
        return said

    def _check_columns(self, said: dict[str, str | None]) -> None:
        times = Counter(word for word in said.values() if word)
        for name, word in said.items():
            if word and times[word] > 1:
                self.add_error(name, f"Two columns are read as {word}: leave one of them out.")
        kind = self.reading.kind
        lacks = [c.name for c in kind.columns if c.required and c.name not in times and c is not kind.stated]
        if said and lacks:
            self.add_error(None, f"No column is read as {' or '.join(lacks)} yet. Choose one under “Columns”.")

    @property
    def _is_of_this_header(self) -> bool:
        """Whether the columns that were shown are those of the line that was chosen."""
        return (self.cleaned_data.get(_HEADER) or self._line) == self._line

    @property
    def answers(self) -> dict[str, str]:
        """What was said, by the key of each question; of another line, what its columns are is asked anew."""
        said = self.cleaned_data
        answers = {question.key: said[name] for name, question in self.questions.items()}
        if not self._is_of_this_header:
            return answers | {_HEADER: said[_HEADER]}
        return answers | {column.question: said[name] for name, column in self.columns.items()}


def _field_name(key: str) -> str:
    """A name for a field whatever words of the file are in the key."""
    return f"answer-{crc32(key.encode()):08x}"


def _question_field(question: Question) -> forms.Field:
    if question.options:
        return forms.ChoiceField(
            label=question.text,
            choices=question.options,
            widget=forms.RadioSelect,
            error_messages={"required": "Choose one: the file does not say."},
        )
    may_be_empty = question.key.startswith(("security.", "portfolio."))
    return forms.CharField(
        label=question.text,
        required=not may_be_empty,
        max_length=_MAX_ANSWER_LENGTH,
        error_messages={"required": "Say it, or choose another file."},
    )


class LayoutsForm(forms.Form):
    """Layouts that another installation gave."""

    file = forms.FileField(
        label="File of layouts",
        error_messages={"required": "Choose a file."},
        help_text="layouts.json, as it is downloaded here.",
        widget=forms.ClearableFileInput(attrs={"accept": ".json,application/json"}),
    )
