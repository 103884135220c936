"""Writing models. Each verb is one transaction: the rows, the version that says who and why, the audit event.

    check the draft ─> raise the version, if it is still the one the editor saw ─> replace the rows
                    ─> ModelVersion ─> audit ─> mark the figures that are old now

Of two editors with the same version exactly one gets through the second step, on any database and from any process.
`by` is None where the system itself acts (command line, an API opened to a closed network).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from models_app.drift_index.changed import models_changed
from models_app.investment_models import selectors
from models_app.investment_models.rules import MAX_REASON_LENGTH, WEIGHT_FIELDS, ModelDraft, PositionDraft, check
from models_app.investment_models.versions import ModelChange, changes, content_of
from models_app.models import InvestmentModel, ModelPortfolio, ModelPosition, ModelVersion
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import this_moment
from ordergen.core.errors import Code, ConflictError, InvalidInputError

MAX_TRIES = 5  # of a verb that carries no version, against other writers


def model_create(*, draft: ModelDraft, by: User | None, reason: str = "") -> InvestmentModel:
    """Saves a new model at version 1.

    Raises NotAllowedError, InvalidInputError with every fault, or ConflictError when the name is taken.
    """
    _may_edit(by)
    checked, now = check(draft), this_moment()
    with recorded():
        _refuse_taken_name(checked.name)
        model = InvestmentModel(name=checked.name, version=1, created_at=now, updated_at=now)
        _claim_name(checked.name, lambda: model.save(force_insert=True))
        _write_rows(model, checked)
        _remember(model, checked, by=by, reason=reason, action="model.create", before=None)
        models_changed(checked.portfolios)
    return model


def model_update(
    *, model_id: str, version: int, draft: ModelDraft, by: User | None, reason: str = ""
) -> InvestmentModel:
    """Replaces the model's content, if it is still at `version`; the new version is one higher.

    Raises NotAllowedError, InvalidInputError with every fault, NotFoundError, or ConflictError: a stale version
    (says the current one, who saved it and when) or a name that is taken.
    """
    _may_edit(by)
    checked = check(draft)
    with recorded():
        before = selectors.model_draft(_claim(model_id, version))
        _refuse_taken_name(checked.name, but=model_id)
        _claim_name(checked.name, lambda: InvestmentModel.objects.filter(pk=model_id).update(name=checked.name))
        model = selectors.model_get(model_id)
        ModelPosition.objects.filter(model_id=model_id).delete()
        ModelPortfolio.objects.filter(model_id=model_id).delete()
        _write_rows(model, checked)
        _remember(model, checked, by=by, reason=reason, action="model.update", before=before)
        models_changed({*before.portfolios, *checked.portfolios})
    return model


def model_delete(*, model_id: str, version: int, by: User | None, reason: str = "") -> None:
    """Removes the model if it is still at `version`. Its versions, runs and audit events stay.

    Raises NotAllowedError, NotFoundError, or ConflictError for a stale version.
    """
    _may_edit(by)
    with recorded():
        model = _claim(model_id, version)
        summary = f"Deleted model {model.name}, last version {version}{_because(reason)}"
        draft = selectors.model_draft(model)
        detail = {"version": version, "reason": reason, "content": content_of(draft)}
        record("model.delete", model, summary, by=by, detail=detail)
        model.delete()
        models_changed(draft.portfolios)


def model_position_add(*, model_id: str, position: PositionDraft, by: User | None) -> InvestmentModel:
    """Adds a security to the model; one with a zero target is accepted and not stored.

    Raises InvalidInputError with the fields of `position` when it breaks a rule or the security is already there.
    """

    def alter(draft: ModelDraft) -> ModelDraft:
        if _row_of(draft, position.security_id) is not None:
            raise _fault("security_id", f"Security {position.security_id} is already in the model.")
        return replace(draft, positions=(*draft.positions, position))

    return _change(model_id, by, alter, f"Added {position.security_id}", position)


def model_position_update(*, model_id: str, position: PositionDraft, by: User | None) -> InvestmentModel:
    """Replaces the three numbers of a security that the model has; a zero target removes it.

    Raises InvalidInputError with the fields of `position` when it breaks a rule or the security is not there.
    """

    def alter(draft: ModelDraft) -> ModelDraft:
        row = _known_row(draft, position.security_id)
        return replace(draft, positions=(*draft.positions[:row], position, *draft.positions[row + 1 :]))

    return _change(model_id, by, alter, f"Changed {position.security_id}", position)


def model_position_delete(*, model_id: str, position: PositionDraft, by: User | None) -> InvestmentModel:
    """Removes a security, only if the model says of it exactly what `position` says (0.05 equals 0.0500).

    Raises InvalidInputError naming the fields that differ, or that the security is not there.
    """

    def alter(draft: ModelDraft) -> ModelDraft:
        row = _known_row(draft, position.security_id)
        _refuse_difference(stored=draft.positions[row], given=position)
        return replace(draft, positions=draft.positions[:row] + draft.positions[row + 1 :])

    return _change(model_id, by, alter, f"Removed {position.security_id}", position)


def model_portfolios_add(*, model_id: str, portfolio_ids: Iterable[str], by: User | None) -> InvestmentModel:
    """Subscribes portfolios to the model; those already subscribed are passed over in silence."""
    given = tuple(portfolio_ids)

    def alter(draft: ModelDraft) -> ModelDraft:
        return replace(draft, portfolios=tuple(dict.fromkeys((*draft.portfolios, *given))))

    return _change(model_id, by, alter, "Added portfolios")


def model_portfolios_remove(*, model_id: str, portfolio_ids: Iterable[str], by: User | None) -> InvestmentModel:
    """Takes portfolios off the model; those not subscribed are passed over in silence. One has to remain."""
    given = frozenset(portfolio_ids)

    def alter(draft: ModelDraft) -> ModelDraft:
        return replace(draft, portfolios=tuple(kept for kept in draft.portfolios if kept not in given))

    return _change(model_id, by, alter, "Removed portfolios")


def _change(
    model_id: str,
    by: User | None,
    alter: Callable[[ModelDraft], ModelDraft],
    reason: str,
    position: PositionDraft | None = None,
) -> InvestmentModel:
    """Applies `alter` to the model as it is now, again if another writer comes between; no change, no new version."""
    _may_edit(by)
    for tries_left in reversed(range(MAX_TRIES)):
        model = selectors.model_get(model_id)
        _, before = selectors.model_version(model_id, model.version)  # with its decimals as they were written
        after = _checked(alter(before), position)
        if after == before:
            return model
        try:
            return model_update(model_id=model_id, version=model.version, draft=after, by=by, reason=reason)
        except ConflictError:
            if not tries_left:
                raise
    raise AssertionError("MAX_TRIES is positive")


def _checked(draft: ModelDraft, position: PositionDraft | None) -> ModelDraft:
    """`check`, with faults named from the view of a caller who sent one position and not a model."""
    try:
        return check(draft)
    except InvalidInputError as error:
        rows = [f"positions.{row}." for row, known in enumerate(draft.positions) if known is position]
        names = {field: field.removeprefix(rows[0]) if rows else field for field in error.fields}
        told = {names[field]: message for field, message in error.fields.items()}
        raise InvalidInputError(error.message, fields=told) from error


def _may_edit(by: User | None) -> None:
    if by is not None:
        by.must("model.edit")


def _claim(model_id: str, version: int) -> InvestmentModel:
    """Raises the version from `version`, or raises what stands against it; from here on the row is ours."""
    seen = InvestmentModel.objects.filter(pk=model_id, version=version)
    if not seen.update(version=F("version") + 1, updated_at=this_moment()):
        raise _stale(selectors.model_get(model_id), version)
    return selectors.model_get(model_id)


def _stale(model: InvestmentModel, version: int) -> ConflictError:
    last = ModelVersion.objects.filter(model_id=model.pk).select_related("saved_by").first()
    by_whom = f" by {last.saved_by.display_name}" if last and last.saved_by else ""
    return ConflictError(
        f"{model.name} was changed since version {version}: it is now at version {model.version}, "
        f"saved{by_whom} on {model.updated_at:%d %b %Y at %H:%M:%S} UTC."
    )


def _refuse_taken_name(name: str, *, but: str | None = None) -> None:
    if InvestmentModel.objects.filter(name=name).exclude(pk=but).exists():
        raise _taken(name)


def _claim_name(name: str, write: Callable[[], Any]) -> None:
    """Two writers may both find a name free; the unique column lets one of them have it."""
    try:
        write()
    except IntegrityError as error:
        raise _taken(name) from error


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"There already is a model named {name}.",
        fields={"name": "This name is taken by another model."},
        code=Code.NAME_TAKEN,
    )


def _write_rows(model: InvestmentModel, draft: ModelDraft) -> None:
    ModelPosition.objects.bulk_create(
        ModelPosition(model=model, **{field.name: getattr(position, field.name) for field in fields(position)})
        for position in draft.positions
    )
    ModelPortfolio.objects.bulk_create(
        ModelPortfolio(model=model, portfolio_id=portfolio_id) for portfolio_id in draft.portfolios
    )


def _remember(
    model: InvestmentModel, draft: ModelDraft, *, by: User | None, reason: str, action: str, before: ModelDraft | None
) -> None:
    reason = reason.strip()
    if len(reason) > MAX_REASON_LENGTH:
        raise _fault("reason", f"A reason has at most {MAX_REASON_LENGTH} characters.")
    ModelVersion.objects.create(
        model_id=model.pk,
        version=model.version,
        content=content_of(draft),
        saved_by=by,
        saved_at=model.updated_at,
        reason=reason,
    )
    made = list(changes(before, draft)) if before else []
    summary = f"{model.name} v{model.version}: {_in_words(made) if before else 'created'}{_because(reason)}"
    detail = {"version": model.version, "reason": reason, "changes": [_plain(change) for change in made]}
    record(action, model, summary, by=by, detail=detail)


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _plain(change: ModelChange) -> Mapping[str, Any]:
    return {"what": change.what, "id": change.subject, "old": change.old_text, "new": change.new_text}


def _in_words(made: list[ModelChange]) -> str:
    counts = {kind: sum(change.what == kind for change in made) for kind in ("position", "portfolio", "name")}
    told = [f"{count} {kind}{'s' if count > 1 else ''} changed" for kind, count in counts.items() if count]
    return ", ".join(told) or "saved without changes"


def _row_of(draft: ModelDraft, security_id: str) -> int | None:
    return next((row for row, known in enumerate(draft.positions) if known.security_id == security_id), None)


def _known_row(draft: ModelDraft, security_id: str) -> int:
    row = _row_of(draft, security_id)
    if row is None:
        raise _fault("security_id", f"Security {security_id} is not in the model.")
    return row


def _refuse_difference(*, stored: PositionDraft, given: PositionDraft) -> None:
    differing = dict(_differences(stored, given))
    if differing:
        raise InvalidInputError("The position is not as given, so it was not removed.", fields=differing)


def _differences(stored: PositionDraft, given: PositionDraft) -> Iterator[tuple[str, str]]:
    for field in WEIGHT_FIELDS:
        if getattr(stored, field) != getattr(given, field):
            yield field, f"The model has {getattr(stored, field)}."


def _fault(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={field: message})
