"""Models as API v2 reads and writes them: decimals as strings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ninja import Field, Schema

from models_app.investment_models.rules import WEIGHT_FIELDS, ModelDraft, PositionDraft
from models_app.investment_models.selectors import ModelSize, size_of
from models_app.investment_models.versions import ModelChange
from models_app.models import InvestmentModel, ModelVersion
from ordergen.apis.conventions import DecimalText, HexId, Instant, SecurityId, Strict

MAX_ROWS = 1_000  # positions or portfolios in one body; the rules are narrower


class PositionIn(Strict):
    security_id: SecurityId = Field(examples=["0000000000000000000000A1"])
    target: DecimalText = Field(examples=["0.05"])
    low_drift: DecimalText = Field(examples=["0.01"])
    high_drift: DecimalText = Field(examples=["0.02"])


class ModelIn(Strict):
    name: str = Field(examples=["Balanced"])
    positions: list[PositionIn] = Field([], max_length=MAX_ROWS)
    portfolios: list[HexId] = Field(max_length=10 * MAX_ROWS, examples=[["68a0c0ffee0000000000beef"]])
    reason: str = Field("", max_length=500, description="Why; kept with the version")

    def to_draft(self) -> ModelDraft:
        rows = (PositionDraft(row.security_id, row.target, row.low_drift, row.high_drift) for row in self.positions)
        return ModelDraft(self.name, tuple(rows), tuple(self.portfolios))


class PositionOut(Schema):
    security_id: str
    target: str
    low_drift: str
    high_drift: str


class ModelSummary(Schema):
    id: str
    name: str
    version: int
    n_positions: int
    n_portfolios: int
    target_sum: Decimal
    created_at: datetime
    updated_at: datetime
    last_rebalance_at: datetime | None


class ModelFilter(Schema):
    name: str | None = Field(None, max_length=100, description="A part of it")
    portfolio_id: HexId | None = Field(None, description="Follows the model")
    security_id: SecurityId | None = Field(None, description="Has a place in the model")
    needs_rebalance: bool | None = Field(
        None, description="Whether one of its portfolios is outside a band, as last computed"
    )
    rebalanced_from: Instant | None = Field(None, description="Last rebalanced then or later")
    not_rebalanced_since: Instant | None = Field(None, description="Last rebalanced before, or never")
    changed_after: int | None = Field(None, ge=0, le=2**62, description="An event behind this number is about it")


class ModelOut(ModelSummary):
    positions: list[PositionOut]
    portfolios: list[str]


class FollowerOut(Schema):
    id: str
    name: str | None


class VersionSummary(Schema):
    version: int
    saved_by: str | None
    saved_at: datetime
    reason: str


class VersionOut(VersionSummary):
    name: str
    positions: list[PositionOut]
    portfolios: list[str]


class ChangeOut(Schema):
    what: Literal["name", "position", "portfolio"]
    kind: Literal["added", "removed", "changed"]
    id: str = Field(description="Of the security or portfolio; empty for the name")
    old: PositionOut | str | None
    new: PositionOut | str | None


class DiffOut(Schema):
    from_version: int
    to_version: int
    changes: list[ChangeOut]


def model_summary(model: InvestmentModel, size: ModelSize) -> dict[str, Any]:
    return {
        "id": model.pk,
        "name": model.name,
        "version": model.version,
        "n_positions": size.n_positions,
        "n_portfolios": size.n_portfolios,
        "target_sum": size.target_sum.normalize(),
        "created_at": model.created_at,
        "updated_at": model.updated_at,
        "last_rebalance_at": model.last_rebalance_at,
    }


def model_out(model: InvestmentModel, draft: ModelDraft) -> dict[str, Any]:
    return model_summary(model, size_of(draft)) | _content(draft)


def version_summary(version: ModelVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "saved_by": version.saved_by.username if version.saved_by else None,
        "saved_at": version.saved_at,
        "reason": version.reason,
    }


def version_out(version: ModelVersion, draft: ModelDraft) -> dict[str, Any]:
    return version_summary(version) | {"name": draft.name} | _content(draft)


def change_out(change: ModelChange) -> dict[str, Any]:
    old, new = (_position(side) if isinstance(side, PositionDraft) else side for side in (change.old, change.new))
    return {"what": change.what, "kind": change.kind, "id": change.subject, "old": old, "new": new}


def _content(draft: ModelDraft) -> dict[str, Any]:
    return {"positions": [_position(row) for row in draft.positions], "portfolios": list(draft.portfolios)}


def _position(row: PositionDraft) -> dict[str, str]:
    return {"security_id": row.security_id} | {name: f"{getattr(row, name).normalize():f}" for name in WEIGHT_FIELDS}
