"""Problems as JSON: the format of `ordergen solve`. Strict: what is not understood is refused by name.

Numbers are decimal strings; JSON numbers are accepted where they are finite.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from models_app.portfolio.types import (
    MODES,
    Options,
    Position,
    ProblemError,
    RebalanceProblem,
    TaxLot,
)

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
LARGEST = Decimal(10) ** 15
MOST_DECIMALS = 12
COST_DECIMALS = 5
LONGEST_ID = 255
OUT_OF_RANGE = f"out of range: below 10^15, at most {MOST_DECIMALS} decimals"
LONGEST_NUMBER = 100  # characters; Python itself reads whole numbers of no more than 4,300
Object = Mapping[str, Any]


def _refuse_constant(name: str) -> NoReturn:
    raise ProblemError("", f"{name} is not a JSON number")


def _short_enough(text: str) -> str:
    if len(text) > LONGEST_NUMBER:
        raise ProblemError("", f"a number of {len(text):,} digits is {OUT_OF_RANGE}")
    return text


def _integer(text: str) -> int:
    return int(_short_enough(text))


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(_short_enough(text))
    except InvalidOperation as error:  # an exponent of nineteen digits or more
        raise ProblemError("", f"{text} is {OUT_OF_RANGE}") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ProblemError("", f"duplicate key {next(n for n in names if names.count(n) > 1)!r}")
    return found


def loads(text: str | bytes) -> Any:  # any JSON document
    """Parse JSON exactly: decimals stay decimals; NaN, Infinity and duplicate keys raise ProblemError."""
    try:
        return json.loads(
            text,
            parse_float=_fraction,
            parse_int=_integer,
            parse_constant=_refuse_constant,
            object_pairs_hook=_no_duplicates,
        )
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError("", f"not valid JSON: {error}") from error


def _object(value: Any, where: str, known: set[str], required: set[str]) -> Object:
    if not isinstance(value, Mapping):
        raise ProblemError(where, "must be an object")
    unknown = sorted(str(key) for key in value.keys() - known)
    if unknown:
        raise ProblemError(f"{where}.{unknown[0]}".lstrip("."), "is not known")
    missing = sorted(required - value.keys())
    if missing:
        raise ProblemError(f"{where}.{missing[0]}".lstrip("."), "is required")
    return value


def _decimal(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ProblemError(where, "must be a decimal string")
    text = repr(value) if isinstance(value, float) else str(value)
    if not (value.is_finite() if isinstance(value, Decimal) else NUMBER.fullmatch(text)):
        raise ProblemError(where, f"{text[:40]!r} is not a finite decimal number")
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if number.copy_abs() >= LARGEST or not isinstance(exponent, int) or -exponent > MOST_DECIMALS:
        raise ProblemError(where, f"{text[:40]} is {OUT_OF_RANGE}")
    return number


def _at_least_zero(value: Any, where: str) -> Decimal:
    number = _decimal(value, where)
    if number < 0:
        raise ProblemError(where, "must not be below 0")
    return number


def _weight(value: Any, where: str) -> Decimal:
    number = _at_least_zero(value, where)
    if number > 1:
        raise ProblemError(where, "must be a fraction between 0 and 1; 1 is 100 %")
    return number


def _cost(value: Any, where: str) -> Decimal:
    number = _at_least_zero(value, where)
    if -int(number.as_tuple().exponent) > COST_DECIMALS:
        raise ProblemError(where, f"may have at most {COST_DECIMALS} decimals")
    return number


def _price(value: Any, where: str) -> Decimal | None:
    return None if value is None else _decimal(value, where)


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise ProblemError(where, "must be true or false")
    return value


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProblemError(where, "must be a whole number")
    if not 0 <= value < LARGEST:
        raise ProblemError(where, "is out of range")
    return value


def _lot_size(value: Any, where: str) -> int:
    number = _whole(value, where)
    if number < 1:
        raise ProblemError(where, "must be at least 1")
    return number


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_ID:
        raise ProblemError(where, f"must be a text of 1 to {LONGEST_ID} characters")
    return value


def _name(value: Any, where: str) -> str:
    return "" if value == "" else _text(value, where)


def _day(value: Any, where: str) -> date | None:
    if value is None:
        return None
    if not isinstance(value, str) or not DAY.fullmatch(value):
        raise ProblemError(where, "must be a day such as 2026-11-20")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ProblemError(where, f"{value} is not in the calendar") from error


def _mode(value: Any, where: str) -> str:
    if value not in MODES:
        raise ProblemError(where, "must be one of " + ", ".join(MODES))
    return str(value)


def _seconds(value: Any, where: str) -> float:
    number = _decimal(value, where)
    if not 0 < number <= 86_400:  # a day
        raise ProblemError(where, "must be above 0 seconds and at most a day")
    return float(number)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ProblemError(where, "must be a list")
    return list(value)


def _tax_lots(value: Any, where: str) -> tuple[TaxLot, ...]:
    readers = {"quantity": _at_least_zero, "cost": _at_least_zero, "acquired_on": _day, "reference": _name}
    return tuple(TaxLot(**_read(item, f"{where}[{i}]", readers, TaxLot)) for i, item in enumerate(_list(value, where)))


POSITION = {
    "security_id": _text,
    "quantity": _decimal,
    "price": _price,
    "target": _weight,
    "low_drift": _weight,
    "high_drift": _weight,
    "lot_size": _lot_size,
    "can_buy": _boolean,
    "can_sell": _boolean,
    "on_order": _at_least_zero,
    "lots": _tax_lots,
}
OPTIONS = {
    "min_cash": _decimal,
    "max_cash": _decimal,
    "mode": _mode,
    "min_trade_value": _at_least_zero,
    "max_turnover": _weight,  # to sell everything and buy something else is 1; more is a per cent figure meant as one
    "max_trades": _whole,
    "cost_bps": _cost,
    "time_limit": _seconds,
    "ticket_cost": _at_least_zero,
    "gain_budget": _decimal,
    "min_cash_weight": _weight,
    "max_cash_weight": _weight,
    "soft_bands": _boolean,
    "hold": _boolean,
    "nearest": _boolean,
    "reserve_costs": _boolean,
}
NULLABLE = {"max_cash", "max_turnover", "max_trades", "gain_budget", "max_cash_weight"}


def _read(value: Any, where: str, readers: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """The arguments of `cls` from a JSON object; an option that is null, where that means "none", keeps its default."""
    required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    given = _object(value, where, set(readers), required)
    prefix = f"{where}." if where else ""
    present = {name: item for name, item in given.items() if not (item is None and name in NULLABLE)}
    return {name: readers[name](item, prefix + name) for name, item in present.items()}


def options_from_json(value: Any, where: str = "options") -> Options:
    """Options from a JSON object with any of their names; raises ProblemError."""
    return Options(**_read(value, where, OPTIONS, Options))


def problem_from_json(value: Any) -> RebalanceProblem:
    """A problem from a parsed JSON object. Raises ProblemError(field, message) at the first thing that is not right.

    A price of null, 0 or below is read: the solve answers it with a reason that names the security.
    """
    given = _object(value, "", {"portfolio_id", "cash", "positions", "options"}, {"portfolio_id", "cash", "positions"})
    positions, seen = [], set()
    for i, item in enumerate(_list(given["positions"], "positions")):
        position = Position(**_read(item, f"positions[{i}]", POSITION, Position))
        if position.security_id in seen:
            raise ProblemError(f"positions[{i}].security_id", f"{position.security_id} is listed twice")
        seen.add(position.security_id)
        positions.append(position)
    return RebalanceProblem(
        portfolio_id=_text(given["portfolio_id"], "portfolio_id"),
        cash=_decimal(given["cash"], "cash"),
        positions=tuple(positions),
        options=options_from_json(given.get("options", {})),
    )


def plain(value: Decimal) -> str:
    """Without an exponent."""
    return format(value, "f")


def written(value: Any) -> Any:
    """A field as JSON: decimals and days as strings, everything else as it is."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [{f.name: written(getattr(item, f.name)) for f in fields(item)} for item in value]
    return value


def problem_to_json(problem: RebalanceProblem) -> dict[str, Any]:
    """The JSON object of a problem; `problem_from_json` gives the same problem back."""

    def record(item: Position | Options) -> dict[str, Any]:
        return {f.name: written(getattr(item, f.name)) for f in fields(item)}

    return {
        "portfolio_id": problem.portfolio_id,
        "cash": plain(problem.cash),
        "positions": [record(p) for p in problem.positions],
        "options": record(problem.options),
    }
