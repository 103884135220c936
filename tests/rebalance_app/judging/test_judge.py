"""The rules of an approval by themselves: ages in weekdays, model lines, restrictions, and parts of a proposal."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_app.portfolio.types import Options, TaxLot
from models_app.sources.book_source import Balances
from rebalance_app.judging.funds import Funds, Proposed
from rebalance_app.judging.judge import (
    ModelNow,
    age_objection,
    model_objection,
    price_age_objection,
    restriction_objection,
    weekdays_between,
)
from rebalance_app.judging.lines import OrderLine

FRIDAY = date(2026, 11, 20)
BAND = (Decimal("0.3"), Decimal("0.02"), Decimal("0.03"))
D = Decimal


def line(side="BUY", quantity=10, security="s", before="0", price="10"):
    return OrderLine("o", "r", "p", "f", "Fell", security, "KELP", side, quantity, D(before), D(price), "proposed")


@pytest.mark.parametrize(("days", "weekdays"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (7, 5), (10, 6), (-3, 0)])
def test_a_weekend_makes_nothing_older(days, weekdays):
    assert weekdays_between(FRIDAY, FRIDAY + timedelta(days)) == weekdays


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.integers(0, 60))
def test_weekdays_are_those_that_a_calendar_counts(day, days):
    counted = sum((day + timedelta(n)).weekday() < 5 for n in range(1, days + 1))
    assert weekdays_between(day, day + timedelta(days)) == counted


@pytest.mark.parametrize(("days", "weight"), [(0, None), (3, None), (4, "soft"), (7, "soft"), (10, "final")])
def test_a_proposal_of_a_friday_is_unquestioned_on_monday_and_outdated_after_a_week(days, weight):
    found = age_objection(FRIDAY, FRIDAY + timedelta(days), soft=1, hard=5)
    assert (found.weight if found else None) == weight


@pytest.mark.parametrize(
    ("priced_on", "launched_on", "today", "weight"),
    [
        (20, 20, 23, None),  # Friday's close on Monday, launched on Friday evening
        (20, 20, 24, None),  # and on Tuesday
        (20, 23, 25, "hard"),  # on Wednesday: it was one weekday old at the launch, and is three now
        (19, 25, 25, "soft"),  # as old as whoever launched saw it to be
        (19, 25, 26, "hard"),  # and a day older
        (25, 23, 25, None),  # newer than the launch
    ],
)
def test_a_price_may_be_no_older_than_it_was_at_the_launch_but_for_two_weekdays(priced_on, launched_on, today, weight):
    def of(day):
        return date(2026, 11, day)

    found = price_age_objection(
        "s",
        priced_on=of(priced_on),
        priced_then=of(min(priced_on, launched_on)),
        launched_on=of(launched_on),
        today=of(today),
        soft=2,
    )
    assert (found.weight if found else None) == weight


@pytest.mark.parametrize(
    ("model", "case", "weight"),
    [
        (ModelNow("Core", 1), "deleted", "final"),
        (ModelNow("Core", 1, 2, {"s": BAND}, frozenset()), "left", "final"),
        (ModelNow("Core", 1, 2, {"s": BAND, "t": BAND}, frozenset({"f"})), "version", "soft"),
        (ModelNow("Core", 1, 2, {}, frozenset({"f"})), "line", "final"),
        (ModelNow("Core", 1, 2, {"s": (*BAND[:2], D("0.04"))}, frozenset({"f"})), "line", "final"),
        (ModelNow("Core", 1, 2, {"s": (D("0.300"), D("0.0200"), D("0.03"))}, frozenset({"f"})), "version", "soft"),
    ],
)
def test_a_newer_model_refuses_only_where_it_wants_something_else_of_what_is_traded(model, case, weight):
    found = model_objection(model, "f", "Fell", {"s"}, {"s": BAND, "u": BAND})
    assert (found.reason.details["case"], found.weight) == (case, weight)


def test_what_is_sold_because_the_model_lacks_it_stays_unless_the_model_takes_it_up():
    now = ModelNow("Core", 1, 2, {"x": BAND}, frozenset({"f"}))
    assert model_objection(now, "f", "Fell", {"x"}, {}).weight == "final"
    assert model_objection(now, "f", "Fell", {"y"}, {}).weight == "soft"


@pytest.mark.parametrize(
    ("order", "then", "now", "case"),
    [
        (line(), {}, {"can_buy": False}, "buy"),
        (line("SELL"), {}, {"can_buy": False}, None),
        (line("SELL"), {}, {"can_sell": False}, "sell"),
        (line(quantity=10), {}, {"lot_size": 5}, None),
        (line(quantity=12), {}, {"lot_size": 5}, "lots"),
        (line(quantity=12), {"lot_size": 5}, {"lot_size": 5}, None),  # closed an odd lot, as the run was allowed to
        (line("SELL", 12, before="12.5"), {}, {"lot_size": 5}, None),  # leaves in full
        (line("SELL", 12, before="13"), {}, {"lot_size": 5}, "lots"),
        (line(), {"can_buy": False}, {}, None),
    ],
)
def test_a_restriction_that_came_later_forbids_what_it_forbids(order, then, now, case):
    found = restriction_objection(order, then, now)
    assert (found.reason.details["case"] if found else None) == case


def funds(options, cash="0", held="100", cash_after="0", **proposed):
    """100 at 10 before, and nothing else but cash."""
    stored = Proposed(D(cash), D(cash) + D(held) * 10, D(cash_after), **proposed)
    return Funds(options, stored, Balances(D(cash), {"s": D(held)}), {"s": D("10"), "t": D("10")})


def broken(of, *chosen):
    return [(breach.reason.code, set(breach.sides)) for breach in of.breaches([], chosen, ())]


def test_sales_alone_must_not_leave_more_cash_than_the_ceiling():
    of = funds(Options(max_cash=D("50")))
    sale, buy = line("SELL", 40, "s"), line("BUY", 40, "t")
    assert broken(of, sale, buy) == []
    assert broken(of, sale) == [("CASH_OVER_CEILING", {"SELL"})] * 2
    assert broken(of, line("SELL", 5, "s")) == []


def test_where_the_whole_leaves_more_than_the_ceiling_a_part_may_too_then_but_not_now():
    of = funds(Options(max_cash=D("50")), cash_after="400")
    (found,) = of.breaches([], [line("SELL", 40, "s")], ())
    assert found.reason.details["moment"] == "now"


def test_a_ceiling_in_per_cent_is_of_the_value_of_the_portfolio():
    of = funds(Options(max_cash_weight=D("0.1")))
    assert broken(of, line("SELL", 10, "s")) == []
    assert broken(of, line("SELL", 11, "s"))[0] == ("CASH_OVER_CEILING", {"SELL"})


def test_sales_at_a_gain_need_those_at_a_loss_that_the_budget_counts_on():
    lots = {"s": [TaxLot(D(100), D(4))], "t": [TaxLot(D(100), D(16))]}
    of = funds(Options(gain_budget=D(0), max_cash=None), gain=D(0), lots=lots)
    up, down = line("SELL", 10, "s"), line("SELL", 10, "t")
    assert broken(of, up, down) == []
    assert broken(of, down) == []
    assert broken(of, up) == [("GAIN_OVER_BUDGET", {"SELL"})] * 2


def test_turnover_is_at_the_prices_of_today():
    of = funds(Options(max_turnover=D("0.2")), cash="1000")
    assert broken(of, line("SELL", 40, "s"), line("BUY", 40, "t")) == []
    dearer = Funds(of.options, of.proposed, of.balances, {"s": D("10"), "t": D("11")})
    assert broken(dearer, line("SELL", 40, "s"), line("BUY", 40, "t")) == [("TURNOVER_OVER_LIMIT", {"BUY", "SELL"})]


def test_a_holding_without_a_price_leaves_limits_in_per_cent_unknown():
    of = funds(Options(max_turnover=D("0.2")))
    blind = Funds(of.options, of.proposed, of.balances, {})
    assert broken(blind, line("SELL", 1, "s"))[0] == ("MISSING_PRICE", {"BUY", "SELL"})
