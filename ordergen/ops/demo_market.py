"""The demo's book: an invented market of two years, eight models and 120 portfolios that have drifted from them.

    prices from a seeded factor model ─> models ─> portfolios bought at their targets one day and then left alone
                                                   ─> some of them disturbed, each in a way that rebalancing must handle
                                                   ─> tax lots of what they hold, bought in weeks before

The same seed gives the same book; dates are counted back from the last weekday, so that nothing in it is stale.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from models_app.drift_index.changed import book_changed
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import Holding, Portfolio, Price, Security, TaxLot
from ordergen.accounts.models import User
from ordergen.audit.services import record
from ordergen.core.db import atomic, bulk_insert
from ordergen.core.errors import ConflictError
from ordergen.core.models import Setting
from ordergen.ops.demo_names import FAMILIES, HOLDERS, PRICEY, SECURITIES, UNPRICED

LABEL = "Synthetic market"
WEEKS = 105
SMALLEST, LARGEST = 10_000, 50_000_000  # market value of a portfolio
SMALL = np.arange(SMALLEST, 6 * SMALLEST, 7, dtype=np.float64)
MOST_LOTS = 3
LOT_FIELDS = ("id", "portfolio_id", "security_id", "reference", "acquired_on", "quantity", "cost")
_FRIDAY = 5  # of the week, the last weekday
_WEEK_OF_A_YEAR = 1 / 52
_TARGET_STEP, _BAND_STEP, _LEAST_BAND = 0.005, 0.0005, 0.001
_RECENT_WEEKS, _SHARE_RECENT = 6, 0.7  # most portfolios were brought to target not long ago
_PRICEY_PRICE, _PRICEY_TARGET = 1_900.0, 0.10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DemoSummary:
    """What was made. `scenarios` names the portfolios by what was done to them."""

    as_of: date
    n_securities: int
    n_prices: int
    n_holdings: int
    models: tuple[str, ...]
    scenarios: dict[str, tuple[str, ...]]

    @property
    def n_portfolios(self) -> int:
        return sum(len(names) for names in self.scenarios.values())


@dataclass(frozen=True)
class Market:
    """`cents[week, security]`: closing prices, the last week's being today's."""

    days: tuple[date, ...]
    cents: Ints


@dataclass(frozen=True)
class Mix:
    """One model: which securities (columns of Market.cents), at what weights, with what bands."""

    name: str
    columns: Ints
    targets: Floats
    low: Floats
    high: Floats

    def shares(self, value: float | Floats, cents: Ints) -> tuple[Ints, Any]:
        """Shares nearest to the targets of portfolios of these values, and whether whole shares fit every band."""
        prices, values = cents[self.columns] / 100, np.asarray(value)[..., np.newaxis]
        least = np.ceil(values * (self.targets - self.low) / prices - 1e-9)
        most = np.floor(values * (self.targets + self.high) / prices + 1e-9)
        nearest = np.clip(np.rint(values * self.targets / prices), least, most)
        return nearest.astype(np.int64), (least <= most).all(axis=-1)

    def is_roomy(self, value: float, cents: Ints) -> bool:
        """Whether every band is wider than a share, and still is after a sixth of the money is withdrawn."""
        return bool((cents[self.columns] / 100 <= value * (5 / 6) * (self.low + self.high)).all())


@dataclass
class Account:
    """A portfolio in the making. Quantities are of securities by column; cash is in units of money."""

    name: str
    mix: Mix
    cash: Decimal = Decimal(0)
    quantities: dict[int, Decimal] = field(default_factory=dict)


# name, positions, sum of targets, band below and above as a share of the target
class _Recipe(NamedTuple):
    """A model to be drawn: `n` securities whose targets sum to `total`, with bands as fractions of each target."""

    name: str
    n: int
    total: float
    low: float
    high: float


_MODELS = (
    _Recipe("Compact 8", 8, 0.95, 0.50, 0.50),
    _Recipe("Dividend 12", 12, 0.95, 0.25, 0.25),
    _Recipe("Growth 16", 16, 0.90, 0.20, 0.50),
    _Recipe("Balanced 20", 20, 0.95, 0.50, 0.50),
    _Recipe("Low Volatility 24", 24, 0.925, 0.25, 0.50),
    _Recipe("Core 30", 30, 0.95, 0.35, 0.35),
    _Recipe("Quality 36", 36, 0.94, 0.30, 0.40),
    _Recipe("Broad 40", 40, 0.95, 0.15, 0.15),
)
_USUAL = ("alone",) * 9 + ("deposit", "deposit", "withdrawal", "withdrawal", "fresh cash", "fractional")
_SCENARIOS: dict[str, tuple[str, ...]] = {
    "Compact 8": (*("cash floor",) * 4, *_USUAL[:10], "unfunded"),
    "Growth 16": (*_USUAL[1:], "outside"),
    "Balanced 20": (
        *("cash floor", "cash floor", "infeasible", "unpriced", "outside", "overdrawn", "short", "fractional"),
        *("fresh cash", "deposit", "withdrawal", "alone", "alone", "alone", "alone"),
    ),
    "Quality 36": (*_USUAL[1:], "outside"),
    "Broad 40": (*("infeasible",) * 3, *_USUAL[3:]),
}


def build_demo(by: User, seed: int = 2026) -> DemoSummary:
    """Fills an empty book. `by` saves the models, so needs the role of portfolio manager.

    Raises NotAllowedError, or ConflictError where there is a book already.
    """
    by.must("model.edit")
    if Security.objects.exists() or Portfolio.objects.exists():
        raise ConflictError("There is a book already; the demo only fills an empty one.")
    rng = np.random.default_rng(seed)
    market = _market(rng, timezone.now().date())
    mixes = [_fitting_mix(rng, market, recipe) for recipe in _MODELS]
    planned = list(_accounts(rng, market, mixes))
    with atomic():
        _write_book(market, [account for _, account in planned])
        for mix in mixes:
            model_create(draft=_draft(mix, planned), by=by, reason="Demo")
        summary = _summary(market, mixes, planned)
        label, _ = Setting.objects.update_or_create(name="data_label", defaults={"value": LABEL})
        text = f"Made a synthetic book of {summary.n_portfolios} portfolios"
        record("book.demo", label, text, by=by, detail={"seed": seed})
    return summary


def demo_id(word: str) -> str:
    """The id of the demo's security or portfolio of that ticker or name: the same in every demo."""
    return hashlib.sha256(f"ordergen demo {word}".encode()).hexdigest()[:24]


def _market(rng: np.random.Generator, today: date) -> Market:
    """Weekly log returns = market + sector + own noise, then scaled so that the last prices are the drawn ones."""
    newest = today - timedelta(max(today.isoweekday() - _FRIDAY, 0))
    days = tuple(newest - timedelta(weeks=back) for back in reversed(range(WEEKS)))
    sectors = sorted({sector for _, _, sector in SECURITIES})
    column = np.array([sectors.index(sector) for _, _, sector in SECURITIES])
    n, root = len(SECURITIES), _WEEK_OF_A_YEAR**0.5
    whole = rng.normal(0.07 * _WEEK_OF_A_YEAR, 0.15 * root, (WEEKS, 1))
    sector = rng.normal(0, 0.10 * root, (WEEKS, len(sectors)))[:, column]
    own = rng.normal(0, rng.uniform(0.15, 0.40, n) * root, (WEEKS, n))
    path = np.cumsum(rng.uniform(0.6, 1.4, n) * whole + sector + own, axis=0)
    last = np.clip(rng.lognormal(4.2, 1.0, n), 4, 600)
    last[_column(PRICEY)] = _PRICEY_PRICE
    return Market(days, np.maximum(np.rint(100 * last * np.exp(path - path[-1])), 1).astype(np.int64))


def _column(ticker: str) -> int:
    return next(column for column, (known, _, _) in enumerate(SECURITIES) if known == ticker)


def _fitting_mix(rng: np.random.Generator, market: Market, recipe: _Recipe) -> Mix:
    """Draws again, where the model is to have portfolios on their cash floor and no small one would be."""
    while True:
        mix = _mix(rng, market, recipe)
        if "cash floor" not in _SCENARIOS.get(recipe.name, ()) or _tight_values(market, mix).size:
            return mix


def _mix(rng: np.random.Generator, market: Market, recipe: _Recipe) -> Mix:
    """Draws a model's securities and weights: every target a step or more, in whole steps, adding up to the total."""
    name, n, total, low, high = recipe
    by_price = [int(column) for column in np.argsort(market.cents[-1]) if column != _column(PRICEY)]
    if name == "Compact 8":  # dear shares in small portfolios: rounding moves more than the cash there is
        columns = by_price[-n:]
    else:
        columns = sorted(int(column) for column in rng.choice(by_price[:-8], n, replace=False))
    steps = round(total / _TARGET_STEP)
    units = 1 + rng.multinomial(steps - n, rng.dirichlet(np.full(n, 6.0)))
    if name == "Balanced 20":
        columns[0] = _column(PRICEY)
        units = _with_first(rng, steps, n, round(_PRICEY_TARGET / _TARGET_STEP))
    targets = np.asarray(units * _TARGET_STEP, dtype=np.float64)
    return Mix(name, np.array(columns), targets, _band(targets, low), _band(targets, high))


def _band(targets: Floats, share: float) -> Floats:
    return np.asarray(np.maximum(np.rint(targets * share / _BAND_STEP) * _BAND_STEP, _LEAST_BAND), dtype=np.float64)


def _with_first(rng: np.random.Generator, steps: int, n: int, first: int) -> Ints:
    rest = 1 + rng.multinomial(steps - first - (n - 1), rng.dirichlet(np.full(n - 1, 6.0)))
    return np.array([first, *rest], dtype=np.int64)


def _accounts(rng: np.random.Generator, market: Market, mixes: list[Mix]) -> Iterator[tuple[str, Account]]:
    """(scenario, portfolio) for every portfolio, model after model."""
    names = iter(f"{family} {holder}" for holder in HOLDERS for family in FAMILIES)
    for mix in mixes:
        for scenario in _SCENARIOS.get(mix.name, _USUAL):
            account = Account(next(names), mix)
            _DISTURB[scenario](rng, market, account)
            yield scenario, account


def _buy(rng: np.random.Generator, market: Market, account: Account) -> float:
    """Buys the model's targets in some week in whole shares and leaves them alone; returns today's market value."""
    value = float(np.exp(rng.uniform(np.log(SMALLEST * 1.5), np.log(LARGEST * 0.8))))
    weeks_ago = int(rng.integers(1, _RECENT_WEEKS if rng.random() < _SHARE_RECENT else WEEKS))
    week = WEEKS - 1 - weeks_ago
    while True:
        shares, _ = account.mix.shares(value, market.cents[week])
        worth = float(shares @ market.cents[-1][account.mix.columns]) / 100
        cash = value - float(shares @ market.cents[week][account.mix.columns]) / 100
        if account.mix.is_roomy(worth + cash, market.cents[-1]):
            break
        value *= 1.5  # too small for whole shares to fit the bands; that is a scenario of its own
    account.quantities = _held(account.mix, shares)
    account.cash = _money(cash)
    return worth + cash


def _held(mix: Mix, shares: Ints) -> dict[int, Decimal]:
    return {int(column): Decimal(int(count)) for column, count in zip(mix.columns, shares, strict=True) if count}


def _money(value: float) -> Decimal:
    return Decimal(round(value * 100)) / 100


def _deposit(rng: np.random.Generator, market: Market, account: Account) -> None:
    account.cash += _money(_buy(rng, market, account) * rng.uniform(0.03, 0.20))


def _withdrawal(rng: np.random.Generator, market: Market, account: Account) -> None:
    _buy(rng, market, account)
    account.cash -= _money(float(account.cash) * rng.uniform(0.6, 1.0))


def _overdrawn(rng: np.random.Generator, market: Market, account: Account) -> None:
    account.cash = -_money(_buy(rng, market, account) * 0.03)


def _fresh_cash(rng: np.random.Generator, market: Market, account: Account) -> None:
    account.cash = _money(_buy(rng, market, account))
    account.quantities = {}


def _unfunded(_rng: np.random.Generator, _market: Market, _account: Account) -> None:
    """Opened, and nothing paid in yet."""


def _fractional(rng: np.random.Generator, market: Market, account: Account) -> None:
    """Dividends reinvested: fractions of shares to four places."""
    _buy(rng, market, account)
    for column in account.quantities:
        account.quantities[column] += Decimal(int(rng.integers(1, 10_000))) / 10_000


def _short(rng: np.random.Generator, market: Market, account: Account) -> None:
    """One security was sold twice."""
    _buy(rng, market, account)
    column = next(iter(account.quantities))
    account.quantities[column] = -(account.quantities[column] // 10 + 1)


def _unpriced(rng: np.random.Generator, market: Market, account: Account) -> None:
    """Holds what nobody quotes."""
    _buy(rng, market, account)
    account.quantities[len(SECURITIES)] = Decimal(400)


def _outside(rng: np.random.Generator, market: Market, account: Account) -> None:
    """Holds, for about 4 % of its value, something that its model does not."""
    value = _buy(rng, market, account)
    others = sorted(set(range(len(SECURITIES))) - set(account.quantities) - {_column(PRICEY)})
    column = int(rng.choice(others))
    account.quantities[column] = Decimal(max(1, round(value * 0.04 * 100 / int(market.cents[-1][column]))))


def _cash_floor(rng: np.random.Generator, market: Market, account: Account) -> None:
    """Small, with shares so dear that buying the nearest whole numbers would cost more than there is."""
    _small(rng, market, account, _tight_values(market, account.mix))


def _tight_values(market: Market, mix: Mix) -> Floats:
    shares, fits = mix.shares(SMALL, market.cents[-1])
    tight: Floats = SMALL[fits & (shares @ market.cents[-1][mix.columns] / 100 > SMALL)]
    return tight


def _infeasible(rng: np.random.Generator, market: Market, account: Account) -> None:
    """So small that for some security no whole number of shares lies within its band."""
    _, fits = account.mix.shares(SMALL, market.cents[-1])
    _small(rng, market, account, SMALL[~fits])


def _small(rng: np.random.Generator, market: Market, account: Account, values: Floats) -> None:
    """Makes the market value one of `values`, mostly invested."""
    value = int(rng.choice(values[:200])) if values.size else SMALLEST
    prices = market.cents[-1][account.mix.columns] / 100
    invested = rng.uniform(0.6, 1.0, len(prices)) * account.mix.targets * value
    shares = np.floor(invested / prices).astype(np.int64)
    account.quantities = _held(account.mix, shares)
    account.cash = Decimal(value) - _money(float(shares @ prices))


def _alone(rng: np.random.Generator, market: Market, account: Account) -> None:
    _buy(rng, market, account)


_DISTURB: dict[str, Callable[[np.random.Generator, Market, Account], None]] = {
    "alone": _alone,
    "deposit": _deposit,
    "withdrawal": _withdrawal,
    "overdrawn": _overdrawn,
    "fresh cash": _fresh_cash,
    "unfunded": _unfunded,
    "fractional": _fractional,
    "short": _short,
    "unpriced": _unpriced,
    "outside": _outside,
    "cash floor": _cash_floor,
    "infeasible": _infeasible,
}


def _security_ids() -> list[str]:
    return [demo_id(ticker) for ticker in (*(ticker for ticker, _, _ in SECURITIES), UNPRICED[0])]


def _write_book(market: Market, accounts: list[Account]) -> None:
    ids = _security_ids()
    named = [*((ticker, name) for ticker, name, _ in SECURITIES), UNPRICED]
    bulk_insert(Security, ("id", "ticker", "name"), [(demo_id(ticker), ticker, name) for ticker, name in named])
    prices = (
        (demo_id(f"{ids[column]} {day}"), ids[column], day, Decimal(int(cents)) / 100)
        for day, week in zip(market.days, market.cents, strict=True)
        for column, cents in enumerate(week)
    )
    bulk_insert(Price, ("id", "security_id", "date", "close"), prices)
    bulk_insert(Portfolio, ("id", "name", "cash"), [(demo_id(a.name), a.name, a.cash) for a in accounts])
    holdings = (
        (demo_id(f"{account.name} {ids[column]}"), demo_id(account.name), ids[column], quantity)
        for account in accounts
        for column, quantity in account.quantities.items()
    )
    bulk_insert(Holding, ("id", "portfolio_id", "security_id", "quantity"), holdings)
    bulk_insert(TaxLot, LOT_FIELDS, _lots(market, accounts, ids))
    book_changed()


def _lots(market: Market, accounts: list[Account], ids: list[str]) -> Iterator[tuple[Any, ...]]:
    """Every holding in one to three purchases at the prices of their day; what was never quoted has no lots."""
    rng = np.random.default_rng(len(accounts))  # of its own, so that the book is what it was before there were lots
    for account in accounts:
        for column, quantity in account.quantities.items():
            if quantity <= 0 or column >= len(SECURITIES):
                continue
            weeks = sorted(
                int(week) for week in rng.choice(WEEKS - 1, int(rng.integers(1, 1 + MOST_LOTS)), replace=False)
            )
            for number, (week, shares) in enumerate(zip(weeks, _split(quantity, len(weeks)), strict=False), 1):
                key, cost = f"{account.name} {ids[column]} L{number}", Decimal(int(market.cents[week, column])) / 100
                yield (demo_id(key), demo_id(account.name), ids[column], f"L{number}", market.days[week], shares, cost)


def _split(quantity: Decimal, n: int) -> list[Decimal]:
    """`quantity` in up to `n` parts of whole shares, what remains in the first."""
    share = quantity // n
    return [quantity - share * (n - 1), *[share] * (n - 1)] if share else [quantity]


def _draft(mix: Mix, planned: list[tuple[str, Account]]) -> ModelDraft:
    ids = _security_ids()
    numbers = zip(mix.columns, mix.targets, mix.low, mix.high, strict=True)
    positions = tuple(
        PositionDraft(ids[column], *(Decimal(f"{number:.4f}") for number in row)) for column, *row in numbers
    )
    portfolios = tuple(demo_id(account.name) for _, account in planned if account.mix is mix)
    return ModelDraft(mix.name, positions, portfolios)


def _summary(market: Market, mixes: list[Mix], planned: list[tuple[str, Account]]) -> DemoSummary:
    scenarios = {
        scenario: tuple(account.name for done, account in planned if done == scenario)
        for scenario in Counter(scenario for scenario, _ in planned)
    }
    return DemoSummary(
        as_of=market.days[-1],
        n_securities=len(SECURITIES) + 1,
        n_prices=market.cents.size,
        n_holdings=sum(len(account.quantities) for _, account in planned),
        models=tuple(mix.name for mix in mixes),
        scenarios=scenarios,
    )
