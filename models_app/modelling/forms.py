"""The model editor: text as typed goes in, a draft comes out, and every fault stands at its field.

Targets are typed in per cent and bands in percentage points; the draft has fractions. What was typed is kept as it was
typed, so that a page shown again after a mistake has lost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from django.http import QueryDict

from models_app.investment_models import rules
from models_app.investment_models.rules import ModelDraft, ModelTotals, PositionDraft, percent
from models_app.investment_models.selectors import other_models
from models_app.portfolio.types import ZERO
from models_app.sources.book_source import BookSource, SecurityInfo
from ordergen.core.errors import InvalidInputError
from ordergen.core.ids import ANY_ID

SPARE_ROWS = 3  # empty rows under a new model's grid
LONGEST_NUMBER = 20
LARGEST_NUMBER = 10**6  # whatever is meant by more, it is no weight
_CELLS = ("security", "target", "low", "high")
TYPED = ("name", "reason", "paste", *_CELLS)  # texts with faults of their own; the rest is chosen, or searched with
_CELL_WORDS = {"security": "security", "target": "target", "low": "low band", "high": "high band"}
_FIELD_OF_CELL = {"security": "security_id", "target": "target", "low": "low_drift", "high": "high_drift"}
_ROW_FAULT = re.compile(r"positions\.(\d+)\.(\w+)")
_HEADERS = {"ticker", "security", "security_id", "symbol"}


def fraction(text: str) -> Decimal:
    """Reads "7.5" or "7.5 %", typed in per cent, as 0.075; what is no number as NaN, which the rules refuse."""
    plain = text.replace("\N{NO-BREAK SPACE}", " ").rstrip("% ").removesuffix("pp").strip()
    number = rules.number(plain) if len(plain) <= LONGEST_NUMBER else Decimal("NaN")
    sane = number.is_finite() and abs(number) <= LARGEST_NUMBER
    return number.scaleb(-2) if sane else Decimal("NaN")


class Securities:
    """The book's securities, found by what a person types: a ticker in any case, or an id."""

    def __init__(self, source: BookSource) -> None:
        self.by_id = source.securities()
        self._by_ticker = {known.ticker.upper(): known for known in self.by_id.values()}

    def find(self, text: str) -> SecurityInfo | None:
        return self._by_ticker.get(text.strip().upper()) or self.by_id.get(text.strip())

    def label(self, security_id: str) -> str:
        return self.by_id[security_id].ticker if security_id in self.by_id else security_id


@dataclass
class EditorRow:
    """One line of the grid as typed."""

    security: str = ""
    target: str = ""
    low: str = ""
    high: str = ""
    security_id: str = ""
    name: str = ""
    saved: PositionDraft | None = None
    errors: dict[str, str] = field(default_factory=dict)  # by cell
    focus: bool = False

    @property
    def is_blank(self) -> bool:
        return not any(getattr(self, cell).strip() for cell in _CELLS)

    @property
    def draft(self) -> PositionDraft:
        return PositionDraft(self.security_id, fraction(self.target), fraction(self.low), fraction(self.high))

    @property
    def band(self) -> tuple[Decimal, Decimal] | None:
        """Lowest and highest weight allowed; the lowest is never below zero, for shorts are not proposed."""
        made = self.draft
        if not all(value.is_finite() for value in (made.target, made.low_drift, made.high_drift)):
            return None
        return max(ZERO, made.target - made.low_drift), made.target + made.high_drift

    @property
    def change(self) -> Decimal | None:
        """Target minus the saved target; the whole of it for a security that is new here."""
        target = self.draft.target
        return target - (self.saved.target if self.saved else 0) if target.is_finite() else None

    @property
    def is_new(self) -> bool:
        return self.saved is None

    @property
    def messages(self) -> list[str]:
        """What is wrong with the row, each thing once."""
        return list(dict.fromkeys(self.errors.values()))

    @property
    def warning(self) -> str:
        made = self.draft
        if made.target.is_zero():
            return "A row at 0 % is removed on save."
        if made.target.is_finite() and made.low_drift.is_finite() and made.low_drift > made.target:
            return "The band reaches below 0 %; it is cut off there."
        return ""


@dataclass
class PortfolioChoice:
    id: str
    name: str
    chosen: bool
    also_in: list[str] = field(default_factory=list)


class ModelEditor:
    """The editor's state. `errors` holds the faults that belong to no row: name, positions, portfolios, reason."""

    most = rules.MAX_TARGET_SUM

    def __init__(self, source: BookSource, *, model_id: str | None, version: int, saved: ModelDraft | None) -> None:
        self.source = source
        self.securities = Securities(source)
        self.model_id, self.version = model_id, version
        self._saved = {position.security_id: position for position in saved.positions} if saved else {}
        self.name = self.reason = self.pasted = self.query = ""
        self.rows: list[EditorRow] = []
        self.portfolio_ids: list[str] = []
        self.errors: dict[str, str] = {}

    def fill(self, draft: ModelDraft) -> None:
        """Shows `draft`: a saved model, or a merge of two."""
        self.name, self.portfolio_ids = draft.name, list(draft.portfolios)
        for given in draft.positions:
            numbers = (given.target, given.low_drift, given.high_drift)
            self._append(_row([self.securities.label(given.security_id), *map(percent, numbers)]))

    def read(self, data: QueryDict) -> None:
        """Takes what was typed."""
        self.name, self.reason = data.get("name", ""), data.get("reason", "")
        self.pasted, self.query = data.get("paste", ""), data.get("q", "")
        self.portfolio_ids = list(dict.fromkeys(data.getlist("portfolio")))
        for cells in zip(*(data.getlist(cell) for cell in _CELLS), strict=False):
            self._append(_row(cells))

    def _append(self, row: EditorRow) -> None:
        known = self.securities.find(row.security)
        if known:
            row.security_id, row.name = known.id, known.name
        elif ANY_ID.fullmatch(row.security.strip()):
            row.security_id, row.name = row.security.strip(), "not in the book"
        row.saved = self._saved.get(row.security_id)
        self.rows.append(row)

    def add_rows(self, count: int = 1) -> None:
        first = len(self.rows)
        self.rows.extend(EditorRow() for _ in range(count))
        self.rows[first].focus = True

    def remove_row(self, number: int) -> None:
        """Takes out the row; the focus goes to the one that follows, or to the new last one."""
        if 0 <= number < len(self.rows):
            del self.rows[number]
        if self.rows:
            self.rows[min(number, len(self.rows) - 1)].focus = True

    def take_pasted_rows(self) -> None:
        """Pasted lines "ticker, target, low, high" change the row of their security, or are added at the end."""
        self.rows = [row for row in self.rows if not row.is_blank]
        lines = list(_pasted(self.pasted))
        for cells in lines:
            row = _row(cells)
            known = self.securities.find(row.security)
            same = next((old for old in self.rows if known and old.security_id == known.id), None)
            if same:
                same.target, same.low, same.high = row.target, row.low or same.low, row.high or same.high
            else:
                self._append(row)
        if lines:
            self.pasted = ""

    def draft(self) -> ModelDraft:
        """What the form says, faults and all; blank rows are nothing."""
        return ModelDraft(self.name, tuple(row.draft for row in self._filled), tuple(self.portfolio_ids))

    @property
    def _filled(self) -> list[EditorRow]:
        return [row for row in self.rows if not row.is_blank]

    def check(self, *, reason_required: bool = True) -> ModelDraft | None:
        """The draft to save; None when there are faults, which then stand in `errors` and in the rows' errors."""
        checked = None
        try:
            checked = rules.check(self.draft())
        except InvalidInputError as error:
            self.show_faults(error.fields)
        if reason_required and not self.reason.strip():
            self.errors["reason"] = "Say in a few words why."
        elif len(self.reason) > rules.MAX_REASON_LENGTH:
            self.errors["reason"] = f"A reason has at most {rules.MAX_REASON_LENGTH} characters."
        elif "\0" in self.reason:
            self.errors["reason"] = "A reason has no control characters."
        return None if self.errors or any(row.errors for row in self.rows) else checked

    def show_faults(self, faults: Mapping[str, str]) -> None:
        """Puts each fault of the rules where its text was typed."""
        filled = self._filled
        for path, message in faults.items():
            if match := _ROW_FAULT.fullmatch(path):
                filled[int(match[1])].errors[_cell_of(match[2])] = message
            else:
                self.errors[path] = message
        for row in filled:
            if not row.security_id:
                row.errors["security"] = f"The book has no security {row.security.strip()[:40] or 'without a ticker'}."

    @property
    def totals(self) -> ModelTotals:
        return rules.totals(row.draft for row in self._filled)

    @property
    def segments(self) -> list[tuple[str, Decimal]]:
        """Label and weight of each positive target, for the weight strip."""
        weights = ((row.security, row.draft.target) for row in self._filled)
        return [(label, weight) for label, weight in weights if weight.is_finite() and 0 < weight <= 1]

    @property
    def n_faults(self) -> int:
        return len(self.errors) + sum(len(row.errors) for row in self.rows)

    @property
    def faults(self) -> Iterator[tuple[str, str]]:
        """Id of the field and what is wrong there, from the top of the page to its end."""
        order = ("name", "positions", "rows", "portfolios", "reason")
        for place in order:
            if place == "rows":
                yield from self._row_faults()
            elif place in self.errors:
                yield place, self.errors[place]

    def _row_faults(self) -> Iterator[tuple[str, str]]:
        for number, row in enumerate(self.rows):
            for cell, message in row.errors.items():
                yield (
                    f"{cell}-{number}",
                    f"Row {number + 1}, {row.security or 'no ticker'}, {_CELL_WORDS[cell]}: {message}",
                )

    @property
    def chosen(self) -> list[PortfolioChoice]:
        """The portfolios ticked, by name; an id that the book does not know stands for itself."""
        known = self.source.portfolios(self.portfolio_ids)
        names = {key: known[key].name if key in known else key for key in self.portfolio_ids}
        return self._choices(sorted(names.items(), key=lambda pair: pair[1].lower()), chosen=True)

    @property
    def found(self) -> list[PortfolioChoice]:
        """What the search found and is not ticked yet."""
        found = self.source.find_portfolios(self.query.strip(), 30) if self.query.strip() else []
        ticked = set(self.portfolio_ids)
        return self._choices([(info.id, info.name) for info in found if info.id not in ticked], chosen=False)

    def _choices(self, names: Iterable[tuple[str, str]], *, chosen: bool) -> list[PortfolioChoice]:
        pairs = list(names)
        elsewhere = other_models([key for key, _ in pairs], but=self.model_id)
        return [PortfolioChoice(key, name, chosen, elsewhere.get(key, [])) for key, name in pairs]


def _row(cells: Sequence[str]) -> EditorRow:
    security, target, low, high = cells
    return EditorRow(security, target, low, high)


def _cell_of(name: str) -> str:
    return next(cell for cell, known in _FIELD_OF_CELL.items() if known == name)


def _pasted(text: str) -> Iterator[list[str]]:
    """Cells of each line: split at tabs, else semicolons, else commas; a heading line is passed over."""
    for line in text.splitlines():
        mark = next((mark for mark in "\t;," if mark in line), ",")
        cells = [cell.strip() for cell in line.split(mark)][:4]
        if cells[0] and cells[0].lower() not in _HEADERS:
            yield cells + [""] * (4 - len(cells))
