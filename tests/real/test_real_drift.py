"""Three years of real prices: what is imported is what the files say, and its drift is what arithmetic says."""

import csv
from collections import defaultdict
from fractions import Fraction

import pytest

from models_app.drift_index.read import rows_of
from models_app.drift_index.refresh import refresh
from models_app.exports.services import export
from models_app.files.kinds import KINDS
from models_app.imports.services import import_file
from tests.builders import live_views

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
TENTH_OF_A_BASIS_POINT = Fraction(1, 100_000)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def last_prices(real_files):
    latest = {}
    for row in read(real_files["prices"]):
        latest[row["ticker"]] = max(latest.get(row["ticker"], ("", "")), (row["date"], row["close"]))
    return {ticker: Fraction(close) for ticker, (_, close) in latest.items()}


@pytest.fixture(scope="session")
def expected(real_files, last_prices):
    """From the files alone, in fractions: {portfolio: (market value, {ticker: (weight, target, low, high)})}."""
    held = defaultdict(dict)
    for row in read(real_files["holdings"]):
        held[row["portfolio"]][row["ticker"]] = Fraction(row["quantity"])
    cash = {row["name"]: Fraction(row["cash"]) for row in read(real_files["portfolios"])}
    targets, follows = defaultdict(dict), {}
    for row in read(real_files["models"]):
        if row["portfolio"]:
            follows[row["portfolio"]] = row["model"]
        else:
            numbers = tuple(Fraction(row[name]) for name in ("target", "low_drift", "high_drift"))
            targets[row["model"]][row["ticker"]] = numbers
    answer = {}
    for name, model in follows.items():
        values = {ticker: count * last_prices[ticker] for ticker, count in held[name].items()}
        total = cash[name] + sum(values.values())
        lines = {ticker: (values.get(ticker, 0) / total, *numbers) for ticker, numbers in targets[model].items()}
        answer[name] = total, lines
    return answer


def test_every_row_of_the_real_files_is_imported(imported):
    counts = {kind: (plan.n_new, plan.n_rows) for kind, plan in imported.items()}

    assert counts["prices"] == (36_267, 36_267)
    assert counts["portfolios"] == (120, 120)
    assert counts["models"][0] == 6
    assert all(new == rows for kind, (new, rows) in counts.items() if kind != "models")


def test_what_is_exported_from_the_real_book_imports_without_a_change(imported, tmp_path):
    for kind in KINDS.keys() - {"lots"}:  # the real book has none
        path = tmp_path / f"{kind}.csv"
        path.write_text("".join(export(kind)), encoding="utf-8", newline="")

        again = import_file(kind, path, None)

        assert (again.problems.shown, again.n_writes) == ([], 0)


def test_drift_is_what_independent_arithmetic_says(imported, expected):
    views = live_views()

    assert {view.info.name for view in views} == set(expected)
    for view in views:
        total, lines = expected[view.info.name]
        assert Fraction(view.drift.market_value) == total
        assert {line.ticker for line in view.positions} == set(lines)
        for line in view.positions:
            weight, target, low, high = lines[line.ticker]
            assert abs(Fraction(line.drift.drift) - (weight - target)) < TENTH_OF_A_BASIS_POINT
            assert (line.state == "over") == (weight > target + high)
            assert (line.state == "under") == (weight < target - low)


def test_three_years_leave_most_portfolios_out_of_their_bands(imported, expected):
    breached = {
        name
        for name, (_, lines) in expected.items()
        if any(not target - low <= weight <= target + high for weight, target, low, high in lines.values())
    }

    refresh()

    assert set(rows_of().filter(state="breach").values_list("portfolio_name", flat=True)) == breached
    assert len(breached) > 100
    assert not rows_of().filter(low_cash="negative").exists()
