"""What a file of models would change. The rules of a model are asked of `rules.check`, its writing of the services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from models_app.drift_index.changed import models_changed_together
from models_app.imports.book import Seen
from models_app.imports.plan import Findings, PlannedChanges
from models_app.investment_models import selectors
from models_app.investment_models.rules import WEIGHT_FIELDS, ModelDraft, PositionDraft, check
from models_app.investment_models.versions import changes as differences
from models_app.modelling.services import model_create, model_update
from models_app.models import InvestmentModel
from models_app.reading.import_progress import ImportProgress
from models_app.reading.problems import FileProblems
from models_app.reading.rows import FileRow
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.core.canonical import canonical
from ordergen.core.errors import InvalidInputError

_UNKNOWN = "is not known. Import it first, or correct the row."
_CASH = "is cash, and that is what the targets of a model leave: take the row out"
_CASH_WORDS = frozenset({"cash", "cash usd", "cash eur", "bargeld", "liquidität", "kasse", "liquidités", "efectivo"})


@dataclass
class ModelsWork:
    """Drafts to save: each as a new model, or as the next version of one that is at `version`."""

    new: list[ModelDraft] = field(default_factory=list)
    changed: list[tuple[str, int, ModelDraft]] = field(default_factory=list)  # id, version, content
    stated: frozenset[str] = frozenset()  # a model says nothing of what portfolios own

    def write(self, *, by: User | None, reason: str, progress: ImportProgress) -> None:
        """Saves each through the models' own services, which refuse a version that has moved on."""
        progress.now("Saving models")
        with models_changed_together():
            for draft in self.new:
                model_create(draft=draft, by=by, reason=reason)
            for model_id, version, draft in self.changed:
                model_update(model_id=model_id, version=version, draft=draft, by=by, reason=reason)


@dataclass(frozen=True)
class _IdByWord:
    """What the words in a file mean: id by ticker, and by portfolio name."""

    securities: Mapping[str, str]
    portfolios: Mapping[str, str]


@dataclass
class _Written:
    """One model as the file writes it, with the line of each of its parts."""

    name: str
    line: int
    positions: list[PositionDraft] = field(default_factory=list)
    position_rows: list[FileRow] = field(default_factory=list)
    portfolios: list[str] = field(default_factory=list)

    def add(self, column: str, pk: str, row: FileRow) -> None:
        """Takes in what a row says: a position (`column` is "ticker") or a portfolio."""
        if column == "portfolio":
            self.portfolios.append(pk)
            return
        self.positions.append(PositionDraft(pk, *(row.values[name] for name in WEIGHT_FIELDS)))
        self.position_rows.append(row)

    @property
    def draft(self) -> ModelDraft:
        return ModelDraft(self.name, tuple(self.positions), tuple(self.portfolios))


def diff_models(rows: list[FileRow], found: Findings) -> ModelsWork:
    """Compares each model in the file with the one of its name; only valid models get into the work."""
    known = {row.model.name: row for row in selectors.model_list()}
    work = ModelsWork()
    models = _group(rows, _ids(known), found.problems)
    is_whole = not found.problems.count
    for written in models:
        try:
            draft = check(written.draft)
        except InvalidInputError as error:
            _blame(written, error.fields, found.problems, is_whole=is_whole)
            continue
        _compare(draft, known.get(draft.name), found.changes, work)
    zeros = [f"{row.values['ticker']} in line {row.line}" for row in rows if row.values["target"] == 0]
    if zeros:
        shown = f"{', '.join(zeros[:5])}{' …' if len(zeros) > 5 else ''}"
        found.notes.append(f"A target of 0 is no position of a model, and is left out: {shown}.")
    return work


def _ids(known: Mapping[str, selectors.ModelRow]) -> _IdByWord:
    """The book's ids by word and by themselves; an id that a model already has is known even if the book lacks it."""
    source = get_source()
    securities = {p.security_id: p.security_id for row in known.values() for p in row.draft.positions}
    portfolios = {pk: pk for row in known.values() for pk in row.draft.portfolios}
    infos, funds = source.securities(), source.portfolios()
    securities |= {pk: pk for pk in infos} | {info.ticker: pk for pk, info in infos.items()}
    portfolios |= {pk: pk for pk in funds} | {info.name: pk for pk, info in funds.items()}
    return _IdByWord(securities, portfolios)


def _group(rows: list[FileRow], ids: _IdByWord, problems: FileProblems) -> list[_Written]:
    models: dict[str, _Written] = {}
    seen = Seen(problems)
    for row in rows:
        written = models.setdefault(row.values["model"], _Written(row.values["model"], row.line))
        column = _row_kind(row, problems)
        if not column:
            continue
        word = row.values[column]
        pk = (ids.securities if column == "ticker" else ids.portfolios).get(word)
        if pk is None:
            problems.add(row.line, column, word, _CASH if canonical(word) in _CASH_WORDS else _UNKNOWN)
        elif not seen.again((written.name, column, pk), row, column):
            written.add(column, pk, row)
    return list(models.values())


def _row_kind(row: FileRow, problems: FileProblems) -> str:
    """Says "ticker" for a position's row, "portfolio" for a portfolio's, empty with a problem for neither."""
    filled = {name for name in ("ticker", *WEIGHT_FIELDS, "portfolio") if row.values[name] is not None}
    if filled == {"portfolio"}:
        return "portfolio"
    if filled == {"ticker", *WEIGHT_FIELDS}:
        return "ticker"
    missing = ", ".join(name for name in ("ticker", *WEIGHT_FIELDS) if name not in filled)
    if "portfolio" in filled:
        problems.add(
            row.line, "portfolio", row.values["portfolio"], "stands on a position's row; give it a row of its own"
        )
    else:
        problems.add(row.line, "", "", f"is a position without {missing}; only a portfolio's row leaves them empty")
    return ""


def _blame(written: _Written, faults: Mapping[str, str], problems: FileProblems, *, is_whole: bool) -> None:
    """Turns the rules' faults by field ("positions.3.target", "portfolios") into problems by line and column.

    Where rows of the file could not be read, a model is not blamed for what those rows would have brought.
    """
    for path, message in faults.items():
        _, *position = path.split(".")
        if position:
            row = written.position_rows[int(position[0])]
            column = "ticker" if position[1] == "security_id" else position[1]
            problems.add(row.line, column, row.values[column], message)
        elif is_whole:
            problems.add(written.line, "model", written.name, message)


def _compare(draft: ModelDraft, row: selectors.ModelRow | None, changes: PlannedChanges, work: ModelsWork) -> None:
    if row is None:
        said = (str(len(draft.positions)), str(len(draft.portfolios)))
        changes.add("new", draft.name, ("positions", "portfolios"), (), said)
        work.new.append(draft)
        return
    made = list(_difference_texts(row.draft, draft))
    names, before, after = zip(*made, strict=True) if made else ((), (), ())
    changes.add("changed" if made else "unchanged", draft.name, names, before, after)
    if made:
        work.changed.append((row.model.pk, row.model.version, draft))


def _difference_texts(before: ModelDraft, after: ModelDraft) -> Iterator[tuple[str, str, str]]:
    source = get_source()
    made = list(differences(before, after))
    securities = source.securities(change.subject for change in made if change.what == "position")
    portfolios = source.portfolios(change.subject for change in made if change.what == "portfolio")
    words = {pk: info.ticker for pk, info in securities.items()} | {pk: info.name for pk, info in portfolios.items()}
    for change in made:
        word = words.get(change.subject, change.subject)
        if change.what == "portfolio":
            yield "portfolio", word if change.old else "", word if change.new else ""
        else:
            yield word, change.old_text, change.new_text


def state_of_models() -> str:
    """PlannedChanges whenever a model's content or the set of models does."""
    return ",".join(
        f"{pk}:{version}" for pk, version in InvestmentModel.objects.order_by("pk").values_list("pk", "version")
    )
