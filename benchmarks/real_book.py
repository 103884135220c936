"""A book from real prices: portfolios bought at their models' targets on the first day and left alone until the last.

    python -m benchmarks.real_book [PORTFOLIOS]     imports the book into an empty place and times every step

The prices are files beside the repository (`../shared/data`, closing prices of 471 companies on 77 days); they are read
as a user's files would be and never copied into the project. What is drawn (models, sizes) is drawn by a fixed seed.
"""

import csv
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEED = 2013
KINDS = ("securities", "prices", "portfolios", "holdings", "models")  # the order in which an empty book takes them
# name, positions, sum of targets, band below and above as a share of the target
MODELS = (
    ("Concentrated 10", 10, "0.95", "0.10", "0.10"),
    ("Growth 20", 20, "0.90", "0.20", "0.40"),
    ("Core 40", 40, "0.95", "0.25", "0.25"),
    ("Diversified 60", 60, "0.95", "0.20", "0.20"),
    ("Broad 80", 80, "0.92", "0.50", "0.50"),
    ("Index 100", 100, "0.95", "0.50", "0.50"),
)
STEP, BAND_STEP = Decimal("0.005"), Decimal("0.0005")


@dataclass(frozen=True)
class Bought:
    """One portfolio as it was bought: what the import's holdings file says of it."""

    name: str
    model: str
    cash: Decimal
    shares: dict[str, int]


def missing():
    """Why the real book cannot be built here; empty when it can."""
    return "" if (DATA / "prices.csv.gz").exists() else f"the real prices are not here ({DATA})"


def read_prices():
    """Closing prices as they are written: index the days, one column of Decimals per ticker, no gaps."""
    rows = pd.read_csv(DATA / "prices.csv.gz", dtype=str, keep_default_na=False)  # NA is a ticker's right
    table = rows.pivot(index="date", columns="ticker", values="close")  # noqa: PD010  refuses a price that stands twice
    return table.map(Decimal)


def draw_models(tickers):
    """Model name -> {ticker: (target, low, high)}: whole steps, adding up to what MODELS says."""
    rng = np.random.default_rng(SEED)
    return {name: _draw(rng, tickers, n, *map(Decimal, numbers)) for name, n, *numbers in MODELS}


def _draw(rng, tickers, n, total, low, high):
    chosen = sorted(rng.choice(tickers, n, replace=False))
    steps = 1 + rng.multinomial(int(total / STEP) - n, rng.dirichlet(np.full(n, 4.0)))
    return {
        str(ticker): (int(count) * STEP, _band(int(count) * STEP * low), _band(int(count) * STEP * high))
        for ticker, count in zip(chosen, steps, strict=True)
    }


def _band(width):
    return max(round(width / BAND_STEP), 1) * BAND_STEP


def buy(models, first_prices, n_portfolios):
    """Portfolios of 50,000 to 50 million, bought at their targets in whole shares, rounded down."""
    rng = np.random.default_rng(SEED + 1)
    names = list(models)
    for number in range(n_portfolios):
        model = names[number % len(names)]
        value = Decimal(int(np.exp(rng.uniform(np.log(50_000), np.log(50_000_000)))))
        shares = {
            ticker: int(value * target / first_prices[ticker]) for ticker, (target, _, _) in models[model].items()
        }
        spent = sum(count * first_prices[ticker] for ticker, count in shares.items())
        held = {ticker: count for ticker, count in shares.items() if count}
        yield Bought(f"Mandate {number + 1:04}", model, value - spent, held)


def real_book(directory, n_portfolios=120):
    """Writes the five files an import takes into `directory`; returns {kind: path}."""
    prices = read_prices()
    models = draw_models(list(prices.columns))
    bought = list(buy(models, prices.iloc[0], n_portfolios))
    names = _names(prices.columns)
    rows = {
        "securities": (["ticker", "name"], names.items()),
        "prices": (["date", "ticker", "close"], _price_rows(prices)),
        "portfolios": (["name", "cash"], [(portfolio.name, portfolio.cash) for portfolio in bought]),
        "holdings": (
            ["portfolio", "ticker", "quantity"],
            [(portfolio.name, ticker, count) for portfolio in bought for ticker, count in portfolio.shares.items()],
        ),
        "models": (
            ["model", "ticker", "target", "low_drift", "high_drift", "portfolio"],
            list(_model_rows(models, bought)),
        ),
    }
    return {kind: _write(Path(directory) / f"{kind}.csv", *rows[kind]) for kind in KINDS}


def _names(tickers):
    """The names that are known, and an empty one for each ticker that has prices and no name."""
    with (DATA / "securities.csv").open(encoding="utf-8", newline="") as file:
        known = {row["ticker"]: row["description"] for row in csv.DictReader(file)}
    return dict.fromkeys(tickers, "") | known


def _price_rows(prices):
    return ((day, ticker, close) for day, row in prices.iterrows() for ticker, close in row.items())


def _model_rows(models, bought):
    for name, positions in models.items():
        yield from ((name, ticker, *numbers, "") for ticker, numbers in positions.items())
        yield from ((name, "", "", "", "", portfolio.name) for portfolio in bought if portfolio.model == name)


def _write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def _timed(label, work):
    started = time.perf_counter()
    result = work()
    print(f"{label:44} {time.perf_counter() - started:7.2f} s")
    return result


def main(n_portfolios):
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"ORDERGEN_HOME": home, "DJANGO_SETTINGS_MODULE": "ordergen.settings"}
        os.environ.pop("DATABASE_URL", None)
        import django

        django.setup()
        from django.core.management import call_command

        from models_app.drift_index.read import counts, rows_of
        from models_app.drift_index.refresh import refresh
        from models_app.imports.services import import_file

        call_command("migrate", verbosity=0)
        files = _timed(f"write the files, {n_portfolios} portfolios", lambda: real_book(home, n_portfolios))
        for kind, path in files.items():
            plan = _timed(f"import {kind}", lambda kind=kind, path=path: import_file(kind, path, None))
            print(f"    {plan.summary}")
        _timed("drift of every portfolio", refresh)
        found = counts(rows_of())
        print(f"    {found.of('breach')} of {found.total} portfolios are out of their bands")


if __name__ == "__main__":
    if missing():
        sys.exit(missing())
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 120)
