"""Limits are set on the run, on the portfolio and on its model at once; of two on the same thing the narrower holds."""

from collections.abc import Callable, Mapping
from typing import Any

from models_app.portfolio.types import Options
from rebalance_app.formats.problem_json import options_from_json

LEVELS = ("run", "portfolio", "model")  # of what cannot be compared, the first level that says anything decides
NARROWER: dict[str, Callable[..., Any]] = {
    "min_cash": max,
    "min_cash_weight": max,
    "max_cash": min,
    "max_cash_weight": min,
    "min_trade_value": max,
    "max_turnover": min,
    "max_trades": min,
    "gain_budget": min,
    "time_limit": min,
    "hold": max,
}


def merged(levels: Mapping[str, Mapping[str, Any]]) -> tuple[Options, dict[str, str]]:
    """The options that hold, and for each option that any level gives, the level it comes from.

    `levels` maps names of LEVELS to options as JSON has them; raises ProblemError for what is no option.
    """
    parsed = {level: options_from_json(levels.get(level, {}), where="") for level in LEVELS}
    given = {name for level in LEVELS for name, value in levels.get(level, {}).items() if value is not None}
    source = {name: _decides(name, levels, parsed) for name in sorted(given)}
    return Options(**{name: getattr(parsed[level], name) for name, level in source.items()}), source


def _decides(name: str, levels: Mapping[str, Mapping[str, Any]], parsed: Mapping[str, Options]) -> str:
    """The level whose value of this option holds; of equal ones the first."""
    saying = [level for level in LEVELS if levels.get(level, {}).get(name) is not None]
    if name not in NARROWER:
        return saying[0]
    narrowest = NARROWER[name](getattr(parsed[level], name) for level in saying)
    return next(level for level in saying if getattr(parsed[level], name) == narrowest)
