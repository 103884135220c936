"""Solutions as JSON: for people as `ordergen solve` writes them, with sentences; for programs, to be read back.

Numbers are decimal strings. Quantities that are whole are JSON integers, other quantities decimal strings.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from models_app.portfolio.types import Detail, Reason, RebalanceSolution, Trade

from .problem_json import plain, written
from .sentences import sentence

Object = Mapping[str, Any]
MONEY = ("market_value", "objective", "lower_bound", "gap", "cash_after", "cash_after_costs", "drift_value")


def told(reason: Reason) -> dict[str, Any]:
    """A reason as people read it."""
    return {
        "code": reason.code,
        "security_id": reason.security_id,
        "message": sentence(reason),
        "numbers": {name: plain(value) for name, value in reason.numbers.items()},
    }


def kept(reason: Reason) -> dict[str, Any]:
    """A reason without words, but with everything that they are made of."""
    return {
        "code": reason.code,
        "security_id": reason.security_id,
        "numbers": {name: str(value) for name, value in reason.numbers.items()},
        "details": {name: _detail_to_json(value) for name, value in reason.details.items()},
    }


def solution_to_json(
    solution: RebalanceSolution, reason_to_json: Callable[[Reason], dict[str, Any]] = told
) -> dict[str, Any]:
    """The JSON object of a solution; with its reasons `kept`, `solution_from_json` gives the same solution back."""
    found: dict[str, Any] = {
        "portfolio_id": solution.portfolio_id,
        "status": solution.status,
        "method": solution.method,
    }
    found |= {name: written(getattr(solution, name)) for name in MONEY}
    found |= {
        "quantities": {name: _quantity(value) for name, value in solution.quantities.items()},
        "trades": written(solution.trades),
        "reasons": [reason_to_json(reason) for reason in solution.reasons],
        "binding": list(solution.binding),
        "first": solution.first,
        "seconds": round(solution.seconds, 6),
    }
    if solution.nearest is not None:
        found["nearest"] = solution_to_json(solution.nearest, reason_to_json)
    return found


def solution_from_json(given: Object) -> RebalanceSolution:
    """A solution from its own JSON object, with its reasons `kept`; not a door for foreign input."""
    money: dict[str, Any] = {name: None if given.get(name) is None else Decimal(given[name]) for name in MONEY}
    return RebalanceSolution(
        portfolio_id=given["portfolio_id"],
        status=given["status"],
        method=given["method"],
        quantities={name: Decimal(value) for name, value in given["quantities"].items()},
        trades=tuple(Trade(**item) for item in given["trades"]),
        reasons=tuple(map(_reason_from_json, given["reasons"])),
        binding=tuple(given.get("binding", ())),
        seconds=given.get("seconds", 0.0),
        nearest=solution_from_json(given["nearest"]) if given.get("nearest") else None,
        first=given.get("first", False),
        **money,
    )


def _reason_from_json(given: Object) -> Reason:
    numbers = {name: Decimal(value) for name, value in given["numbers"].items()}
    details = {name: _detail_from_json(value) for name, value in given["details"].items()}
    return Reason(given["code"], given["security_id"], numbers, details)


def _detail_to_json(value: Detail) -> Any:
    """Text, counts and lists as they are; a decimal is marked, since JSON cannot tell it from text."""
    return {"decimal": str(value)} if isinstance(value, Decimal) else value


def _detail_from_json(value: Any) -> Detail:
    if isinstance(value, dict):
        return Decimal(value["decimal"])
    return tuple(value) if isinstance(value, list) else value


def _quantity(value: Decimal) -> int | str:
    return int(value) if value == value.to_integral_value() else plain(value)
