"""Limits that stay: on a model, a portfolio or a security, for every run until they are set anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from models_app.investment_models.selectors import model_get
from models_app.portfolio.types import Options, ProblemError
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import in_batches
from ordergen.core.errors import Code, ConflictError, InvalidInputError, NotFoundError
from rebalance_app.formats.problem_json import options_from_json
from rebalance_app.limits.levels import NARROWER
from rebalance_app.models import LimitSet

MAX_REASON = 500
MODEL_NAMES = frozenset(NARROWER) - {"hold", "time_limit"} | {"cost_bps", "ticket_cost"}
NAMES = {
    "model": MODEL_NAMES,
    "portfolio": MODEL_NAMES | {"hold"},
    "security": frozenset({"lot_size", "can_buy", "can_sell"}),
}


NEVER_SET = "none"  # the version of limits that nobody ever set


def limits_set(
    *, by: User, scope: str, subject_id: str, values: Mapping[str, Any], reason: str, seen: str | None = None
) -> LimitSet:
    """Sets all limits of one model, portfolio or security; none lifts them. What was set before stays readable.

    `seen` is the version that they are to replace, where the caller says one. Raises NotAllowedError, NotFoundError
    (no such subject), InvalidInputError at the fields that make no sense, and ConflictError for another version.
    """
    by.must("model.edit")
    given = {name: value for name, value in values.items() if value is not None}
    _check(scope, given, reason)
    name = _subject_name(scope, subject_id)
    with recorded():
        _refuse_unseen(scope, subject_id, seen)
        limits = LimitSet.objects.create(
            scope=scope, subject_id=subject_id, values=given, set_by=by, set_at=timezone.now(), reason=reason.strip()
        )
        told = ", ".join(f"{key} {value}" for key, value in given.items()) or "none"
        record(
            "limits.set",
            limits,
            f"Limits of {scope} {name}: {told}",
            by=by,
            detail={"scope": scope, "subject_id": subject_id, "reason": reason, **given},
        )
    return limits


def limits_change(
    *, by: User, scope: str, subject_id: str, changes: Mapping[str, Any], reason: str, seen: str | None = None
) -> LimitSet:
    """Sets the limits that are named, lifts those named with None, and leaves all others as they are at this moment.

    Raises what `limits_set` raises.
    """
    by.must("model.edit")
    with recorded():  # nobody sets any between the reading and the writing
        latest = limits_latest(scope=scope, subject_id=subject_id)
        values = (latest.values if latest else {}) | dict(changes)
        return limits_set(by=by, scope=scope, subject_id=subject_id, values=values, reason=reason, seen=seen)


def limits_version(limits: LimitSet | None) -> str:
    """A word for how the limits of a subject were last set."""
    return limits.pk if limits else NEVER_SET


def _refuse_unseen(scope: str, subject_id: str, seen: str | None) -> None:
    rows = LimitSet.objects.filter(scope=scope, subject_id=subject_id).select_related("set_by")
    latest = rows.order_by("set_at", "pk").last()
    if seen is not None and seen != limits_version(latest):
        by_whom = f", by {latest.set_by.display_name} on {latest.set_at:%d %b %Y at %H:%M:%S} UTC" if latest else ""
        message = f"These limits are not those that you saw{by_whom}. Read them again."
        raise ConflictError(message, code=Code.STALE_VERSION)


def options_read(values: Mapping[str, Any], argument: str) -> Options:
    """The options; raises InvalidInputError at `argument`.name of one that makes no sense or that cannot be kept."""
    try:
        options = options_from_json(values, where=argument)
    except ProblemError as error:
        raise InvalidInputError(str(error), fields={error.field: error.message}) from error
    refuse_unknowable_gains(values, field=f"{argument}.gain_budget")
    return options


def refuse_unknowable_gains(*levels: Mapping[str, Any], field: str = "gain_budget") -> None:
    """Raises InvalidInputError where any of these options or limits has a gain budget that this book cannot keep."""
    if any(level.get("gain_budget") is not None for level in levels) and not get_source().has_tax_lots:
        message = "needs tax lots, which the services that keep this book do not know; `ordergen solve` takes them"
        raise InvalidInputError(f"A gain budget {message}.", fields={field: message})


def limits_now(scope: str, subject_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The limits in force by subject; subjects without any are absent."""
    latest: dict[str, dict[str, Any]] = {}
    for batch in in_batches(subject_ids):
        rows = LimitSet.objects.filter(scope=scope, subject_id__in=batch).order_by("set_at", "pk")
        latest |= dict(rows.values_list("subject_id", "values"))
    return {subject: values for subject, values in latest.items() if values}


def limits_latest(*, scope: str, subject_id: str) -> LimitSet | None:
    """How the limits of one subject were last set; None when never. Raises NotFoundError for an unknown subject."""
    _check_scope(scope)
    _subject_name(scope, subject_id)
    rows = LimitSet.objects.filter(scope=scope, subject_id=subject_id).select_related("set_by")
    return rows.order_by("set_at", "pk").last()


def _check_scope(scope: str) -> None:
    if scope not in NAMES:
        raise NotFoundError(f"Limits are set on a {', a '.join(NAMES)}, not on a {scope[:20]}.")


def _check(scope: str, values: Mapping[str, Any], reason: str) -> None:
    _check_scope(scope)
    if len(reason) > MAX_REASON or not reason.strip():
        raise InvalidInputError("Say why, in at most 500 characters.", fields={"reason": "say why"})
    if unknown := sorted(values.keys() - NAMES[scope]):
        message = f"is no limit of a {scope}"
        fields = {f"values.{name}": message for name in unknown}
        raise InvalidInputError(f"{unknown[0]} {message}.", fields=fields)
    if scope == "security":
        _check_security(values)
        return
    options_read(values, "values")


def _check_security(values: Mapping[str, Any]) -> None:
    faults = {
        f"values.{name}": "must be true or false"
        for name in ("can_buy", "can_sell")
        if not isinstance(values.get(name, True), bool)
    }
    lot = values.get("lot_size", 1)
    if isinstance(lot, bool) or not isinstance(lot, int) or not 1 <= lot <= 10**6:
        faults["values.lot_size"] = "must be a whole number from 1 to 1,000,000"
    if faults:
        raise InvalidInputError("These limits make no sense.", fields=faults)


def _subject_name(scope: str, subject_id: str) -> str:
    if scope == "model":
        return model_get(subject_id).name
    source = get_source()
    if scope == "portfolio" and (portfolio := source.portfolios([subject_id]).get(subject_id)):
        return portfolio.name
    if scope == "security" and (security := source.securities([subject_id]).get(subject_id)):
        return security.ticker
    raise NotFoundError(f"There is no {scope} {subject_id[:40]}.")
