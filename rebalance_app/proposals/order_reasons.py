"""What an order is for, in one word: one definition, of a single order as of whole arrays of them."""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_app.portfolio.batch import Batch, Ints
from models_app.portfolio.batch_drift import BatchDrift
from models_app.portfolio.drift import PositionDrift
from models_app.portfolio.types import ZERO

REASONS = ("TOWARD_TARGET", "BREACH_OVER", "BREACH_UNDER", "RAISE_CASH", "INVEST_CASH", "NOT_IN_MODEL", "COVER_SHORT")


def _rules(held: Any, outside: Any, over: Any, under: Any, drift: Any, change: Any) -> dict[str, Any]:
    """Reasons with whether they hold: the first that does is told, and TOWARD_TARGET where none does.

    held, drift, change   shares and drift before the order, and shares it trades: only their signs count
    outside, over, under  whether what is held is not in the model, above its band, below its band
    """
    return {
        "COVER_SHORT": held < 0,
        "NOT_IN_MODEL": outside,
        "BREACH_OVER": over & (change < 0),
        "BREACH_UNDER": under & (change > 0),
        "RAISE_CASH": (drift < 0) & (change < 0),
        "INVEST_CASH": (drift > 0) & (change > 0),
    }


def order_reason(was: PositionDrift, change: int | Decimal) -> str:
    """What an order that trades `change` shares, signed, is for, of REASONS; `was` is the position before it."""
    outside, over, under = (was.state == state for state in ("not_in_model", "breach_over", "breach_under"))
    rules = _rules(was.quantity, outside, over, under, was.drift or ZERO, change)
    return next((name for name, holds in rules.items() if holds), REASONS[0])


def order_reasons(batch: Batch, was: BatchDrift, change: Ints) -> NDArray[Any]:
    """The same of many: (P, N) places in REASONS of orders that trade `change` (P, N) shares."""
    rules = _rules(batch.quantities, was.outside, was.over, was.under, was.drift, change)
    return np.select(list(rules.values()), [REASONS.index(name) for name in rules], default=0)
