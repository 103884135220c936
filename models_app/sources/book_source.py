"""What ordergen needs to know about the book, wherever the book is kept.

Every read is bulk: a caller asks once for all the ids it needs. What the source does not know is absent from the
answer, never guessed: a security without a price has no entry in `latest_prices`; the caller decides what that means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from models_app.portfolio.types import TaxLot

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class SecurityInfo:
    id: str
    ticker: str
    name: str


@dataclass(frozen=True, slots=True)
class PriceInfo:
    """A closing price and the day it is from."""

    price: Decimal
    date: date


@dataclass(frozen=True, slots=True)
class PortfolioInfo:
    id: str
    name: str


Lots = Mapping[str, Sequence[TaxLot]]  # of one portfolio, by security id


@dataclass(frozen=True, slots=True)
class Balances:
    """What a portfolio owns: cash, and quantities by security id, none of them zero. Both may be negative.

    `lots` is None where nobody asked for them: only a gain budget needs them, so only then are they read.
    `stated_at` is when it was last said or read to be so, and `stated_whole_at` since when that is so of holdings and
    of cash; None where it never was. Of the quantities, `on_order` are
    bought and not there yet, which only a portfolio has that is looked at as it will be.
    """

    cash: Decimal
    quantities: Mapping[str, Decimal]
    lots: Lots | None = None
    stated_at: datetime | None = field(default=None, compare=False)  # two readings of the same are the same
    stated_whole_at: datetime | None = field(default=None, compare=False)
    on_order: Mapping[str, Decimal] = field(default_factory=dict)


class BookSource(Protocol):
    """Where securities, prices and portfolios come from."""

    name: str
    is_remote: bool  # whether a read may take seconds, or fail: such a book is never read inside a transaction
    has_tax_lots: bool  # whether it keeps what shares were bought at; else no gain is ever known

    def securities(self, ids: Iterable[str] | None = None) -> dict[str, SecurityInfo]:
        """The securities with these ids, or all of them, by id in the order of their tickers."""
        ...

    def latest_prices(self, ids: Iterable[str]) -> dict[str, PriceInfo]:
        """The latest price by date of each security that has one."""
        ...

    def portfolios(self, ids: Iterable[str] | None = None) -> dict[str, PortfolioInfo]:
        """The portfolios with these ids, or all of them, by id in the order of their names."""
        ...

    def balances(self, portfolio_ids: Iterable[str]) -> dict[str, Balances]:
        """Cash and holdings of each portfolio that the source knows."""
        ...

    def stated_at(self, portfolio_ids: Iterable[str]) -> dict[str, datetime | None]:
        """When it was last said or read what each portfolio owns, as in `Balances`; no holding is read for it."""
        ...

    def tax_lots(self, portfolio_ids: Iterable[str]) -> dict[str, Lots]:
        """The lots of each portfolio that has any, the one acquired first coming first."""
        ...

    def price_history(self, ids: Iterable[str], since: date | None = None) -> pd.DataFrame:
        """Closing prices from `since` on: index the dates ascending, one column of Decimals per priced security id.

        NaN where a security had no price on a day. Charts turn it into floats; money does not.
        """
        ...

    def find_securities(self, text: str, limit: int = 20) -> list[SecurityInfo]:
        """Securities whose ticker begins with `text`, then those whose name or ticker contains it."""
        ...

    def find_portfolios(self, text: str, limit: int = 20) -> list[PortfolioInfo]:
        """Portfolios whose name begins with `text`, then those whose name contains it."""
        ...

    def data_version(self) -> str:
        """A word that changes whenever the book does; a book that changes without telling always has the same.

        Costs no call to another service.
        """
        ...

    def faults(self) -> dict[str, str]:
        """By the name of each service that does not answer now, what is wrong with it."""
        ...
