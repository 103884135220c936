"""What a model said at a version, and what changed between two. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from models_app.investment_models.rules import WEIGHT_FIELDS, ModelDraft, PositionDraft, percent


@dataclass(frozen=True)
class ModelChange:
    """One difference: `old` None is an addition, `new` None a removal."""

    what: Literal["name", "position", "portfolio"]
    subject: str  # id of the security or portfolio; empty for the name
    old: PositionDraft | str | None
    new: PositionDraft | str | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"

    @property
    def old_text(self) -> str:
        return _text(self.old)

    @property
    def new_text(self) -> str:
        return _text(self.new)


def _text(value: PositionDraft | str | None) -> str:
    if isinstance(value, PositionDraft):
        return f"{percent(value.target)} % −{percent(value.low_drift)} +{percent(value.high_drift)} pp"
    return value or ""


def content_of(draft: ModelDraft) -> dict[str, Any]:
    """The JSON document that ModelVersion keeps: decimals as strings."""
    return {
        "name": draft.name,
        "positions": [
            {"security_id": position.security_id} | {field: f"{getattr(position, field):f}" for field in WEIGHT_FIELDS}
            for position in draft.positions
        ],
        "portfolios": list(draft.portfolios),
    }


def draft_of(content: Mapping[str, Any]) -> ModelDraft:
    """The draft that `content_of` was made from."""
    positions = (
        PositionDraft(row["security_id"], *(Decimal(row[field]) for field in WEIGHT_FIELDS))
        for row in content["positions"]
    )
    return ModelDraft(content["name"], tuple(positions), tuple(content["portfolios"]))


def changes(before: ModelDraft, after: ModelDraft) -> Iterator[ModelChange]:
    """Every difference: the name, then positions, then portfolios, each in the order of `after`, removals last."""
    if before.name != after.name:
        yield ModelChange("name", "", before.name, after.name)
    old, new = ({position.security_id: position for position in draft.positions} for draft in (before, after))
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key):
            yield ModelChange("position", key, old.get(key), new.get(key))
    were, are = set(before.portfolios), set(after.portfolios)
    yield from (ModelChange("portfolio", added, None, added) for added in after.portfolios if added not in were)
    yield from (ModelChange("portfolio", removed, removed, None) for removed in before.portfolios if removed not in are)
