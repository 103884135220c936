"""What a solver hands on: whole trades that honour every limit, and what is proven about them."""

from dataclasses import dataclass
from decimal import Decimal

from models_app.portfolio.types import Method


@dataclass(frozen=True, slots=True)
class Candidate:
    """Trades in steps per security, `bound` in money: proven to be below no answer; None for the first of the best."""

    trades: tuple[int, ...]
    method: Method = "separable"
    bound: Decimal | None = None
