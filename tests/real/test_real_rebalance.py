"""Real prices, end to end: three years of moves make the drift, a real worker proposes, plain arithmetic checks."""

import csv
from collections import defaultdict
from fractions import Fraction

import pytest

from benchmarks import real_book
from tests.site import Site, eventually

pytestmark = pytest.mark.slow

LAUNCH = """
from models_app.models import InvestmentModel
from ordergen.accounts.models import User
from rebalance_app.runs.launch import run_launch
maya = User.objects.get(username='maya')
answer = [run_launch(by=maya, model_id=m.pk).pk for m in InvestmentModel.objects.all()]
"""
ENDED = """
from rebalance_app.models import Rebalance
answer = not Rebalance.objects.filter(state__in=('queued', 'running')).exists()
"""
RESULTS = """
from rebalance_app.models import Order, PortfolioRebalance
answer = {
    'rows': list(PortfolioRebalance.objects.values_list('portfolio_name', 'state', 'reason_code')),
    'cash': {n: str(c) for n, c in
             PortfolioRebalance.objects.values_list('portfolio_name', 'cash_after') if c is not None},
    'orders': [[n, t, s, q, str(p), str(v)] for n, t, s, q, p, v in
               Order.objects.values_list('portfolio_name', 'ticker', 'side', 'quantity', 'price', 'value')],
}
"""


def _read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rebalanced(tmp_path_factory):
    """The files of the book, and what a real worker made of it."""
    if why := real_book.missing():
        pytest.skip(why)
    files = real_book.real_book(tmp_path_factory.mktemp("files"), n_portfolios=60)
    site = Site(tmp_path_factory.mktemp("real"), OPTIMIZATION_TIMEOUT="10")
    try:
        assert site.run("migrate").returncode == 0
        made = site.run("create-user", "maya", "--role", "manager", stdin="a-long-enough-word\n")
        assert made.returncode == 0, made.stderr
        for kind in real_book.KINDS:
            imported = site.run("import", kind, str(files[kind]))
            assert imported.returncode == 0, imported.stderr
        site.start("worker")
        site.ask(LAUNCH)
        eventually(lambda: site.ask(ENDED), 180, every=2)
        verified = site.run("verify")
        assert verified.returncode == 0, verified.stdout
        yield files, site.ask(RESULTS)
    finally:
        site.stop()


@pytest.fixture(scope="module")
def book(rebalanced):
    """The same book read from the files again, in fractions: nothing of ordergen is asked."""
    files, _ = rebalanced
    prices = {}
    for row in _read(files["prices"]):  # by date ascending: the last one stays
        prices[row["ticker"]] = Fraction(row["close"])
    held, targets, follows = defaultdict(dict), defaultdict(dict), {}
    for row in _read(files["holdings"]):
        held[row["portfolio"]][row["ticker"]] = int(row["quantity"])
    for row in _read(files["models"]):
        if row["ticker"]:
            band = tuple(Fraction(row[name]) for name in ("target", "low_drift", "high_drift"))
            targets[row["model"]][row["ticker"]] = band
        else:
            follows[row["portfolio"]] = row["model"]
    cash = {row["name"]: Fraction(row["cash"]) for row in _read(files["portfolios"])}
    return prices, held, targets, follows, cash


def _value(name, book):
    prices, held, _, _, cash = book
    return cash[name] + sum(count * prices[ticker] for ticker, count in held[name].items())


def test_most_portfolios_are_solved_and_each_other_one_says_why(rebalanced):
    _, results = rebalanced
    states = [state for _, state, _ in results["rows"]]

    assert len(states) == 60
    assert states.count("solved") >= 45
    assert all(code for _, state, code in results["rows"] if state not in {"solved", "no_trades"})
    assert len(results["orders"]) > 1_000


def test_every_order_is_whole_priced_right_and_worth_what_it_says(rebalanced, book):
    prices, *_ = book
    for name, ticker, side, quantity, price, value in rebalanced[1]["orders"]:
        assert isinstance(quantity, int), (name, ticker)
        assert quantity > 0
        assert side in {"BUY", "SELL"}
        assert Fraction(price) == prices[ticker]
        assert Fraction(value) == quantity * prices[ticker]


def test_after_the_orders_every_band_holds_and_cash_is_conserved_to_the_cent(rebalanced, book):
    prices, held, targets, follows, cash = book
    after, spent = {name: dict(shares) for name, shares in held.items()}, defaultdict(Fraction)
    for name, ticker, side, quantity, _, _ in rebalanced[1]["orders"]:
        change = quantity if side == "BUY" else -quantity
        after[name][ticker] = after[name].get(ticker, 0) + change
        spent[name] += change * prices[ticker]
    for name, left in rebalanced[1]["cash"].items():
        value, positions = _value(name, book), targets[follows[name]]
        assert Fraction(left) == cash[name] - spent[name]
        assert Fraction(left) >= 0, f"{name} bought without cash"
        for ticker in positions.keys() | after[name].keys():
            target, low, high = positions.get(ticker, (0, 0, 0))
            worth = after[name].get(ticker, 0) * prices[ticker]
            assert after[name].get(ticker, 0) >= 0
            assert value * (target - low) <= worth <= value * (target + high), (name, ticker)


def test_what_is_called_infeasible_has_a_band_that_no_whole_number_meets(rebalanced, book):
    prices, _, targets, follows, _ = book
    for name, state, code in rebalanced[1]["rows"]:
        if state == "infeasible" and code.startswith("BAND"):
            value = _value(name, book)
            assert any(
                (value * (t + h) / prices[ticker]).__floor__() < (value * max(t - low, 0) / prices[ticker]).__ceil__()
                for ticker, (t, low, h) in targets[follows[name]].items()
            ), name


def test_no_whole_share_more_or_less_would_be_nearer_to_target_where_cash_did_not_bind(rebalanced, book):
    """One share either way inside the band is never better: the plainest form of the optimum."""
    prices, held, targets, follows, _ = book
    after = {name: dict(shares) for name, shares in held.items()}
    for name, ticker, side, quantity, _, _ in rebalanced[1]["orders"]:
        after[name][ticker] = after[name].get(ticker, 0) + (quantity if side == "BUY" else -quantity)
    for name, left in rebalanced[1]["cash"].items():
        value = _value(name, book)
        for ticker, (target, low, high) in targets[follows[name]].items():
            now = abs(value * target - after[name].get(ticker, 0) * prices[ticker])
            fewer, more = after[name].get(ticker, 0) - 1, after[name].get(ticker, 0) + 1
            if fewer * prices[ticker] >= value * (target - low) and fewer >= 0:
                assert abs(value * target - fewer * prices[ticker]) >= now, (name, ticker)
            if more * prices[ticker] <= value * (target + high) and Fraction(left) >= prices[ticker]:
                assert abs(value * target - more * prices[ticker]) >= now, (name, ticker)
