"""What the simulated services know: generated from a seed, or read from the CSV files that ordergen exports."""

from __future__ import annotations

import csv
import hashlib
import random
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path


def id_of(what: str) -> str:
    """24 hex characters, the same for the same words."""
    return hashlib.sha256(what.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Security:
    id: str
    ticker: str
    name: str


@dataclass(frozen=True)
class Balance:
    """A holding, or cash where `security_id` is None. Short quantities are positive, as the service has them."""

    id: int
    portfolio_id: str
    security_id: str | None
    long: Decimal
    short: Decimal = Decimal(0)


@dataclass
class Book:
    """`prices` has mean and standard deviation by ticker; `portfolios` names by id; some of them have no balances."""

    securities: dict[str, Security] = field(default_factory=dict)
    prices: dict[str, tuple[float, float]] = field(default_factory=dict)
    portfolios: dict[str, str] = field(default_factory=dict)
    balances: list[Balance] = field(default_factory=list)
    by_portfolio: dict[str, list[Balance]] = field(default_factory=lambda: defaultdict(list))

    def add_balance(self, portfolio_id: str, security_id: str | None, quantity: Decimal) -> None:
        long, short = max(quantity, Decimal(0)), max(-quantity, Decimal(0))
        if security_id is None:  # an overdrawn account is a negative long quantity
            long, short = quantity, Decimal(0)
        self.balances.append(Balance(len(self.balances) + 1, portfolio_id, security_id, long, short))
        self.by_portfolio[portfolio_id].append(self.balances[-1])

    def own(self, portfolio_id: str) -> list[Balance]:
        return self.by_portfolio.get(portfolio_id, [])


def generated(*, securities: int = 505, portfolios: int = 120, positions: int = 30, seed: int = 7) -> Book:
    """Portfolios worth about a million; the last one is new and has no balances."""
    rng = random.Random(seed)
    book = Book()
    for number in range(securities):
        security = Security(id_of(f"security {number}"), f"S{number:03}", f"Simulated Company {number}")
        book.securities[security.id] = security
        mean = round(rng.lognormvariate(4, 0.6), 2)
        book.prices[security.ticker] = (mean, mean / 100)
    by_number = list(book.securities.values())
    for number in range(portfolios):
        portfolio_id = id_of(f"portfolio {number}")
        book.portfolios[portfolio_id] = f"Account {number:04}"
        if number == portfolios - 1:
            continue
        book.add_balance(portfolio_id, None, Decimal(rng.randint(20_000, 90_000)))
        for security in rng.sample(by_number[: positions + positions // 10 + 1], positions):
            worth = rng.uniform(0.6, 1.4) * 950_000 / positions
            book.add_balance(portfolio_id, security.id, Decimal(int(worth / book.prices[security.ticker][0])))
    return book


def from_csv(folder: Path) -> Book:
    """From securities.csv, prices.csv, portfolios.csv and holdings.csv; the last price of each is its mean."""
    book = Book()
    for row in _rows(folder / "securities.csv"):
        security = Security(row["security_id"], row["ticker"], row["name"] or row["ticker"])
        book.securities[security.id] = security
    for row in sorted(_rows(folder / "prices.csv"), key=lambda row: row["date"]):
        book.prices[row["ticker"]] = (float(row["close"]), float(row["close"]) / 100)
    for row in _rows(folder / "portfolios.csv"):
        book.portfolios[row["portfolio_id"]] = row["name"]
        book.add_balance(row["portfolio_id"], None, Decimal(row["cash"]))
    by_ticker = {security.ticker: security.id for security in book.securities.values()}
    by_name = {name: key for key, name in book.portfolios.items()}
    for row in _rows(folder / "holdings.csv"):
        portfolio_id = by_name.get(row["portfolio"], row["portfolio"])
        book.add_balance(portfolio_id, by_ticker[row["ticker"]], Decimal(row["quantity"]))
    return book


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))
