"""What a solver hands on: whole trades that honour every limit, and what is proven about them."""

from dataclasses import dataclass
from decimal import Decimal

from models_app.portfolio.types import Method


@dataclass(frozen=True, slots=True)
class Candidate:
    """Trades in steps per security.

    bound   money: no answer scores below it, as far as is proven
    first   whether they are proven to be the first of all best answers by `rank`; `bound` is then their score
    """

    trades: tuple[int, ...]
    method: Method
    bound: Decimal
    first: bool = False
