"""Infeasible is an answer: with numbers, and with a remedy that works when it is followed."""

import re
from dataclasses import replace

import pytest

from models_app.portfolio.types import Options, TaxLot
from rebalance_app.formats.sentences import sentence
from rebalance_app.optimiser.solve import nearest, solve
from rebalance_app.what_if.scenarios import what_if
from tests.rebalance_app.optimiser.build import D, codes, position, problem


def three(**options):
    """Three positions, each a whole band away from where it must be: 60 to sell and 60 to buy at least."""
    return problem(
        100,
        position("A", 40, 10, "0.3", "0.02"),
        position("B", 20, 10, "0.3", "0.02"),
        position("C", 30, 10, "0.3", "0.02"),
        **options,
    )


def test_forced_turnover_above_the_cap_is_named_with_the_turnover_it_takes():
    solution = solve(three(max_turnover=D("0.05")))
    assert codes(solution) == ["TURNOVER_TOO_LOW"]
    needed = solution.reasons[0].numbers["turnover_needed"]
    assert solve(three(max_turnover=needed)).solved
    assert not solve(three(max_turnover=needed - D("0.005"))).solved


def test_too_few_orders_are_named_with_the_number_it_takes():
    solution = solve(three(max_trades=1))
    assert codes(solution) == ["TOO_FEW_TRADES"]
    assert solution.reasons[0].numbers["trades_needed"] == 2


def test_limits_that_conflict_only_together_name_the_ones_to_relax_and_to_what():
    both = {"max_turnover": D("0.09"), "min_cash": D(150)}
    assert solve(three(max_turnover=D("0.09"))).solved
    assert solve(three(min_cash=D(150))).solved
    solution = solve(three(**both))
    assert codes(solution) == ["LIMITS_CONFLICT"]
    numbers = solution.reasons[0].numbers
    assert set(numbers) == {"turnover", "cash_floor"}
    assert solve(three(**both | {"max_turnover": numbers["turnover"]})).solved
    assert solve(three(**both | {"min_cash": numbers["cash_floor"]})).solved
    assert "Any one of these changes" in sentence(solution.reasons[0])


def test_a_minimum_trade_that_keeps_a_position_out_of_its_band_is_named():
    solution = solve(problem(905, position("A", 9, 10, "0.10", ("0.0", "0.01")), min_trade_value=D(50)))
    assert [(r.code, r.security_id) for r in solution.reasons] == [("MIN_TRADE_CONFLICT", "A")]
    start, _, remedy = sentence(solution.reasons[0]).partition(". ")
    assert start == "A needs a buy of 1 share to be in its band, but the minimum trade value allows none below 5"
    assert remedy.startswith("Lower the minimum trade value to 10.00")


def test_what_is_above_its_band_by_less_than_the_smallest_order_needs_a_sale():
    solution = solve(problem(800, position("A", 20, 10, "0.15", ("0.01", "0.02")), min_trade_value=D(90)))
    assert "A needs a sale of 3 to 6 shares" in sentence(solution.reasons[0])
    assert "allows none below 9." in sentence(solution.reasons[0])


def test_cash_above_its_ceiling_says_by_how_much():
    solution = solve(problem(1000, position("A", 0, 10, "0.5", "0.1"), max_cash=D(300)))
    assert codes(solution) == ["CASH_ABOVE_CEILING"]
    assert solution.reasons[0].numbers["over"] == 100


def test_every_narrow_band_is_listed_not_only_the_first():
    solution = solve(problem(1000, position("A", 0, 300, "0.1", "0.01"), position("B", 0, 400, "0.1", "0.01")))
    assert [r.security_id for r in solution.reasons] == ["A", "B"]


def test_the_nearest_answer_shows_each_excess():
    narrow = problem(1000, position("A", 0, 250, "0.30", "0.02"), position("B", 0, 10, "0.30", "0.02"), nearest=True)
    solution = solve(narrow)
    assert solution.status == "infeasible"
    assert solution.nearest is not None
    assert solution.nearest.solved
    excess = [(r.code, r.security_id, r.numbers["excess"]) for r in solution.nearest.reasons]
    assert excess == [("OUTSIDE_BAND", "A", 30)]


def test_the_nearest_answer_names_the_limit_it_had_to_relax():
    short = problem(100, position("A", 10, 10, can_sell=False), min_cash=D(150))
    found = nearest(short)
    assert found.solved
    assert codes(found)[0] == "LIMIT_RELAXED"
    assert found.cash_after == 100


def test_nearest_is_not_computed_unless_asked_for():
    assert solve(problem(1000, position("A", 0, 300, "0.1", "0.01"))).nearest is None


def test_soft_bands_are_left_only_where_they_must_be():
    wide = three()
    soft = replace(wide, options=Options(soft_bands=True))
    assert solve(soft).trades == solve(wide).trades


def test_what_if_puts_several_options_side_by_side_on_one_problem():
    base, capped, impossible = what_if(
        three(cost_bps=D(10)),
        [Options(cost_bps=D(10), ticket_cost=D(1)), Options(max_turnover=D("0.08")), Options(min_cash=D(5000))],
    )
    assert (base.orders, base.traded, base.turnover) == (2, 200, D("0.1"))
    assert base.cost == D("2.2")
    assert capped.turnover <= D("0.08")
    assert (base.breaches_left, capped.breaches_left) == (0, 0)
    assert capped.drift_value > base.drift_value
    assert impossible.orders is None
    assert impossible.solution.status == "infeasible"


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("min_cash", "120", "lower the floor to"),
        ("max_cash", "20", "Raise the ceiling to"),
        ("gain_budget", "1", "Raise the budget to"),
        ("min_trade_value", "70", "minimum trade value to"),
    ],
)
@pytest.mark.parametrize("part", ["0.0014", "0.0066"])
def test_what_the_words_say_suffices_does_although_they_end_at_the_cent(option, value, words, part):
    """Half of all amounts beyond the cent round to the side that does not help."""
    price = 10 + D(part)
    lots = {"lots": (TaxLot(D(14), D(1)),)} if option == "gain_budget" else {}
    held = 10 if option in {"min_cash", "max_cash"} else 14
    asked = problem(100 + D(part), position("A", held, price, "0.5", "0.05", **lots), **{option: D(value)})
    (reason,) = solve(asked).reasons
    said = re.search(rf"{words} ([\d,.]*\d)", sentence(reason))
    assert solve(replace(asked, options=replace(asked.options, **{option: D(said[1])}))).solved


def least_cash(stated, reason):
    """Whether the cash that is advised is enough, and a cent less is not."""
    added = reason.numbers["cash_needed"]
    enough, less = (solve(replace(stated, cash=stated.cash + x)) for x in (added, added - D("0.01")))
    return "SHORT_OF_CASH" not in codes(enough) and "SHORT_OF_CASH" in codes(less)


@pytest.mark.parametrize("mode", ["to_target", "within_bands", "only_breached", "invest_cash", "raise_cash"])
def test_the_cash_to_add_is_the_least_that_helps_in_every_mode(mode):
    stated = three(mode=mode, min_cash=D(1500))
    reason = next(r for r in solve(stated).reasons if r.code == "SHORT_OF_CASH")
    assert least_cash(stated, reason)
    assert ("raises the bands" in sentence(reason)) == (mode not in {"invest_cash", "raise_cash"})


def test_of_two_floors_both_are_said_to_be_in_the_way():
    reason = solve(three(min_cash=D(600), min_cash_weight=D("0.55"))).reasons[0]
    assert "in money as well as in per cent" in sentence(reason)
    assert "as well as" not in sentence(solve(three(min_cash=D(600))).reasons[0])


def test_a_ceiling_below_the_floor_is_named_as_such():
    stated = problem(500, position("A", 50, 10, "0.5", "0.5"), min_cash=D(300), max_cash=D(200))
    solution = solve(stated)
    assert codes(solution) == ["LIMITS_CONFLICT"]
    assert "The cash ceiling of 200.00 is below the cash floor of 300.00" in sentence(solution.reasons[0])
    assert set(solution.reasons[0].numbers) <= {"cash_floor", "cash_ceiling"}


def test_the_nearest_answer_tells_in_words_which_limit_it_relaxes():
    found = nearest(three(min_cash=D(200), max_cash=D(100), max_cash_weight=D("0.05")))
    told = [sentence(r) for r in found.reasons if r.code == "LIMIT_RELAXED"]
    assert len(told) == 1
    assert re.fullmatch(r"The cash (ceiling|floor) is taken as [\d,]+\.\d\d\.", told[0])
