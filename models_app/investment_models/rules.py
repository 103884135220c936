"""The rules of an investment model. Every number is stated here, once; forms, JSON and imports all ask `check`."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Final

from models_app.portfolio.types import ZERO
from models_app.portfolio.units import MILLIONTH, WEIGHT_PLACES
from ordergen.core.errors import InvalidInputError
from ordergen.core.ids import ANY_ID, HEX_ID

MAX_NAME_LENGTH: Final = 255
MAX_REASON_LENGTH: Final = 500
MAX_POSITIONS: Final = 100  # with a target above zero
MIN_PORTFOLIOS: Final = 1
MAX_TARGET: Final = Decimal("0.95")
MAX_TARGET_SUM: Final = Decimal("0.95")  # at least 5 % of a portfolio stays in cash
TARGET_STEP: Final = Decimal("0.005")
MAX_DRIFT: Final = Decimal(1)

WEIGHT_FIELDS: Final = ("target", "low_drift", "high_drift")  # of a position

_NOT_A_NUMBER: Final = Decimal("NaN")
_LARGEST_EXPONENT: Final = 40  # past it a number is a slip or an attack; arithmetic on it could take for ever
_Fault = tuple[str, str]


@dataclass(frozen=True)
class PositionDraft:
    """A security's place in a model as somebody wrote it. All three numbers are fractions of market value."""

    security_id: str
    target: Decimal
    low_drift: Decimal
    high_drift: Decimal


@dataclass(frozen=True)
class ModelDraft:
    name: str
    positions: tuple[PositionDraft, ...]
    portfolios: tuple[str, ...]


@dataclass(frozen=True)
class ModelTotals:
    """What the sum bar says; values that are no numbers are left out of the sums."""

    target: Decimal
    upper: Decimal
    n_positions: int

    @property
    def cash(self) -> Decimal:
        return 1 - self.target


def number(value: object) -> Decimal:
    """`value` as a Decimal; NaN, which `check` refuses by name, for whatever is not a plain finite number."""
    if isinstance(value, bool):
        return _NOT_A_NUMBER
    try:
        parsed = Decimal(str(value).strip())
    except InvalidOperation:
        return _NOT_A_NUMBER
    sane = parsed.is_finite() and (parsed.is_zero() or abs(parsed.adjusted()) <= _LARGEST_EXPONENT)
    return parsed if sane else _NOT_A_NUMBER


def totals(positions: Iterable[PositionDraft]) -> ModelTotals:
    """Sum of targets, sum of upper band edges and how many targets are above zero."""
    good = [position for position in positions if not _number_fault(position.target) and position.target > 0]
    highs = (ZERO if _number_fault(position.high_drift) else position.high_drift for position in good)
    target = sum((position.target for position in good), ZERO)
    return ModelTotals(target=target, upper=target + sum(highs, ZERO), n_positions=len(good))


def check(draft: ModelDraft) -> ModelDraft:
    """The model to save: name trimmed, positions with a zero target dropped, after the duplicate check.

    Raises InvalidInputError with every fault at its field: `name`, `positions`, `positions.3.target`
    (rows count from 0), `portfolios`.
    """
    faults: dict[str, str] = {}
    for field, message in _faults(draft):
        faults[field] = f"{faults[field]} {message}" if field in faults else message
    if faults:
        raise InvalidInputError("The model cannot be saved as written.", fields=faults)
    kept = tuple(_tidy(position) for position in draft.positions if position.target > 0)
    return replace(draft, name=draft.name.strip(), positions=kept)


def _tidy(position: PositionDraft) -> PositionDraft:
    return replace(position, low_drift=abs(position.low_drift), high_drift=abs(position.high_drift))  # no minus zero


def _faults(draft: ModelDraft) -> Iterator[_Fault]:
    yield from _name_faults(draft.name)
    for row, position in enumerate(draft.positions):
        yield from ((f"positions.{row}.{field}", message) for field, message in _position_faults(position))
    yield from _duplicate_faults(draft.positions)
    yield from _total_faults(totals(draft.positions))
    yield from _portfolio_faults(draft.portfolios)


def _name_faults(name: str) -> Iterator[_Fault]:
    if not isinstance(name, str) or not name.strip():
        yield "name", "Give the model a name."
    elif len(name) > MAX_NAME_LENGTH:
        yield "name", f"A name has at most {MAX_NAME_LENGTH} characters; this one has {len(name)}."
    elif any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        yield "name", "A name has no control characters or line breaks."


def _position_faults(position: PositionDraft) -> Iterator[_Fault]:
    if not isinstance(position.security_id, str) or not ANY_ID.fullmatch(position.security_id):
        yield "security_id", "A security's id is 24 letters or digits."
    yield from _target_faults(position.target)
    low, high = position.low_drift, position.high_drift
    yield from _drift_faults("low_drift", low)
    yield from _drift_faults("high_drift", high)
    if not _number_fault(low) and not _number_fault(high) and low > high:
        yield "low_drift", f"The low band may not be wider than the high band ({percent(high)} pp)."


def _target_faults(target: Decimal) -> Iterator[_Fault]:
    if fault := _number_fault(target):
        yield "target", fault
    elif not 0 <= target <= MAX_TARGET:
        yield "target", f"A target is between 0 and {percent(MAX_TARGET)} % ({MAX_TARGET})."
    elif target % TARGET_STEP:
        yield "target", f"Targets go in steps of {percent(TARGET_STEP)} % ({TARGET_STEP})."


def _drift_faults(field: str, drift: Decimal) -> Iterator[_Fault]:
    if fault := _number_fault(drift):
        yield field, fault
    elif not 0 <= drift <= MAX_DRIFT:
        yield field, f"A band is between 0 and {percent(MAX_DRIFT)} percentage points ({MAX_DRIFT})."
    elif drift % MILLIONTH:
        yield field, f"A band has at most {WEIGHT_PLACES} decimals (as a fraction)."


def _number_fault(value: object) -> str:
    known = isinstance(value, Decimal) and value.is_finite()
    return "" if known else "This is not a number."


def _duplicate_faults(positions: tuple[PositionDraft, ...]) -> Iterator[_Fault]:
    first: dict[str, int] = {}
    for row, position in enumerate(positions):
        if position.security_id and first.setdefault(position.security_id, row) != row:
            place = first[position.security_id] + 1
            yield f"positions.{row}.security_id", f"This security is already in row {place}; a model has it once."


def _total_faults(sums: ModelTotals) -> Iterator[_Fault]:
    if sums.n_positions > MAX_POSITIONS:
        yield "positions", f"A model has at most {MAX_POSITIONS} positions with a target; this has {sums.n_positions}."
    if sums.target > MAX_TARGET_SUM:
        most, over = percent(MAX_TARGET_SUM), percent(sums.target - MAX_TARGET_SUM)
        yield "positions", f"Targets add up to {percent(sums.target)} %, {over} pp above the {most} % allowed."


def _portfolio_faults(portfolios: tuple[str, ...]) -> Iterator[_Fault]:
    if len(portfolios) < MIN_PORTFOLIOS:
        yield "portfolios", "A model needs at least one portfolio."
    odd = [given for given in portfolios if not _is_portfolio_id(given)]
    if odd:
        yield "portfolios", f"A portfolio's id is 24 hexadecimal characters in lower case; {_some(odd)} is not."
    twice = [given for given, count in Counter(map(str, portfolios)).items() if count > 1]
    if twice:
        yield "portfolios", f"A portfolio is named once; {_some(twice)} is repeated."


def _is_portfolio_id(given: object) -> bool:
    # In one spelling, or one portfolio could follow a model twice and trade twice.
    return isinstance(given, str) and HEX_ID.fullmatch(given) is not None and given == given.lower()


def _some(given: list[str]) -> str:
    first = repr(given[0])[:40]
    return first if len(given) == 1 else f"{first} and {len(given) - 1} more"


def percent(fraction: Decimal) -> str:
    """0.125 -> "12.5": a fraction in percent, without trailing zeros."""
    return f"{(fraction * 100).normalize():f}"
