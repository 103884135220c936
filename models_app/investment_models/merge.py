"""Two people changed the same version of a model: what follows by itself, and what somebody has to decide. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models_app.investment_models.rules import ModelDraft, PositionDraft

Side = Literal["theirs", "mine"]


@dataclass(frozen=True)
class MergeRow:
    """One security in three states; None where a model does not have it."""

    security_id: str
    base: PositionDraft | None
    theirs: PositionDraft | None
    mine: PositionDraft | None
    choice: Side | None = None

    @property
    def is_conflict(self) -> bool:
        """Both sides changed it, and not to the same."""
        return self.theirs not in (self.mine, self.base) and self.mine != self.base

    @property
    def is_changed(self) -> bool:
        return self.theirs != self.base or self.mine != self.base

    @property
    def is_open(self) -> bool:
        return self.is_conflict and self.choice is None

    @property
    def took(self) -> str:
        """Whose change follows by itself: "theirs", "yours", or "both" when they agree."""
        if self.theirs == self.mine:
            return "both"
        return "theirs" if self.mine == self.base else "yours"

    @property
    def result(self) -> PositionDraft | None:
        if self.is_conflict:
            return self.mine if self.choice == "mine" else self.theirs
        return self.theirs if self.mine == self.base else self.mine


@dataclass(frozen=True)
class Merge:
    """A three-way merge; `choices` decides the conflicts by security id, and "name" by that word."""

    base: ModelDraft
    theirs: ModelDraft
    mine: ModelDraft
    choices: Mapping[str, Side] = field(default_factory=dict)

    @property
    def rows(self) -> list[MergeRow]:
        """Every security of the three, conflicts first."""
        states = [{row.security_id: row for row in draft.positions} for draft in (self.base, self.theirs, self.mine)]
        base, theirs, mine = states
        keys = dict.fromkeys([*theirs, *mine, *base])
        rows = [MergeRow(key, base.get(key), theirs.get(key), mine.get(key), self.choices.get(key)) for key in keys]
        return sorted(rows, key=lambda row: not row.is_conflict)

    @property
    def name_is_conflict(self) -> bool:
        return self.theirs.name not in (self.mine.name, self.base.name) and self.mine.name != self.base.name

    @property
    def name(self) -> str:
        if self.name_is_conflict:
            return self.mine.name if self.choices.get("name") == "mine" else self.theirs.name
        return self.theirs.name if self.mine.name == self.base.name else self.mine.name

    @property
    def portfolios(self) -> tuple[str, ...]:
        """Theirs, with what we added and without what we removed; sets do not conflict."""
        base, mine = set(self.base.portfolios), set(self.mine.portfolios)
        kept = [key for key in self.theirs.portfolios if key in mine or key not in base]
        added = [key for key in self.mine.portfolios if key not in base]
        return tuple(dict.fromkeys([*kept, *added]))

    @property
    def open(self) -> list[str]:
        """What nobody has decided yet."""
        undecided = [row.security_id for row in self.rows if row.is_open]
        return ["name", *undecided] if self.name_is_conflict and "name" not in self.choices else undecided

    @property
    def result(self) -> ModelDraft:
        """The merged model; where a choice is open it says what is saved now."""
        positions = tuple(row.result for row in self.rows if row.result is not None)
        return ModelDraft(self.name, positions, self.portfolios)
