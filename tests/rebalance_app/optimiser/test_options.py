"""Each option and each mode by itself, on problems small enough to check by hand."""

from dataclasses import replace

from models_app.portfolio.types import TaxLot
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, codes, position, problem, shares


def drifted(**options):
    """A is 10 points over, B 10 points under a target of 30 %; A's band is broken, B's is not."""
    return problem(400, position("A", 40, 10, "0.3", "0.05"), position("B", 20, 10, "0.3", ("0.15", "0.05")), **options)


def test_to_target_trades_everything_to_target():
    assert shares(solve(drifted())) == {"A": -10, "B": 10}


def test_within_bands_does_the_least_trading_that_repairs_the_breach():
    assert shares(solve(drifted(mode="within_bands"))) == {"A": -5}


def test_only_breached_leaves_positions_inside_their_band_alone():
    assert shares(solve(drifted(mode="only_breached"))) == {"A": -10}


def test_invest_cash_sells_nothing_and_reports_what_stays_outside():
    solution = solve(drifted(mode="invest_cash"))
    assert shares(solution) == {"B": 10}
    assert [(r.code, r.security_id) for r in solution.reasons] == [("OUTSIDE_BAND", "A")]


def test_invest_cash_keeps_the_floor():
    assert shares(solve(drifted(mode="invest_cash", min_cash=D(370)))) == {"B": 3}


def test_raise_cash_sells_no_more_than_asked_and_what_is_over_target_first():
    assert shares(solve(drifted(mode="raise_cash", min_cash=D(450)))) == {"A": -5}
    assert shares(solve(drifted(mode="raise_cash", min_cash=D(300)))) == {}


def test_raise_cash_to_a_part_of_market_value():
    solution = solve(drifted(mode="raise_cash", min_cash_weight=D("0.6")))
    assert solution.cash_after == 600
    assert all(t.side == "SELL" for t in solution.trades)


def test_hold_trades_nothing_and_still_reports():
    solution = solve(drifted(hold=True))
    assert (solution.status, solution.trades, solution.drift_value) == ("optimal", (), 200)
    assert codes(solution) == ["OUTSIDE_BAND"]


def test_no_trade_is_smaller_than_the_minimum_except_one_that_closes():
    few = problem(840, position("A", 11, 10, "0.1", "0.05"), position("B", 5, 10), min_trade_value=D(60))
    assert shares(solve(few)) == {"B": -5}


def test_a_ticket_that_costs_more_than_the_drift_it_saves_is_not_bought():
    assert shares(solve(drifted(ticket_cost=D(99)))) == {"A": -10, "B": 10}
    assert shares(solve(drifted(ticket_cost=D(101), mode="to_target"))) == {"A": -10}


def test_cost_in_basis_points_is_weighed_against_drift():
    assert shares(solve(drifted(cost_bps=D(9_000)))) == {"A": -10, "B": 10}
    assert shares(solve(drifted(cost_bps=D(11_000)))) == {"A": -5}


def test_turnover_is_half_of_what_is_traded():
    solution = solve(drifted(max_turnover=D("0.08")))
    traded = sum(t.quantity * 10 for t in solution.trades)
    assert traded <= 160
    assert solution.objective == 40
    assert "turnover" in solution.binding


def test_the_number_of_orders_is_limited():
    assert shares(solve(drifted(max_trades=1))) == {"A": -10}


def test_cash_floor_and_ceiling_in_parts_of_market_value():
    assert solve(drifted(min_cash_weight=D("0.45"))).cash_after >= 450
    assert solve(drifted(max_cash_weight=D("0.35"))).cash_after <= 350


def lots(budget):
    """40 shares at 10, to be halved: 10 bought at 12, 10 at 9, 20 at 2."""
    tax_lots = TaxLot(D(20), D(2)), TaxLot(D(10), D(12)), TaxLot(D(10), D(9))
    held = position("A", 40, 10, "0.2", ("0.01", "0.3"), lots=tax_lots)
    return solve(problem(600, held, gain_budget=D(budget)))


def test_the_gain_budget_sells_the_highest_cost_first():
    assert shares(lots(100)) == {"A": -20}
    assert shares(lots(-15)) == {"A": -15}


def test_a_gain_budget_that_cannot_be_met_forbids_the_sale():
    assert shares(lots(-20)) == {"A": -10}


def test_a_loss_is_not_harvested_by_selling_and_buying_back():
    harvest = position("A", 10, 10, "0.5", "0.1", lots=(TaxLot(D(10), D(30)),))
    gain = position("B", 50, 10, lots=(TaxLot(D(50), D(9)),))
    solution = solve(problem(0, harvest, gain, gain_budget=D(0)))
    assert solution.status == "infeasible"


def leaving(quantity, cash="0", **options):
    """A position that leaves the model, in lots of three."""
    held = position("A", quantity, 10, lot_size=3)
    return solve(problem(cash, held, position("B", 10, 10, "0.5", "0.5", can_sell=False), **options))


def test_what_leaves_the_model_in_whole_lots_is_sold_in_whole_lots():
    assert shares(leaving(6, mode="raise_cash", min_cash=D(20))) == {"A": -3}
    assert shares(leaving("6.5", mode="raise_cash", min_cash=D(40))) == {"A": -6}


def test_what_leaves_the_model_with_an_odd_lot_is_sold_in_full_or_not_at_all():
    assert shares(leaving(7, mode="raise_cash", min_cash=D(20))) == {"A": -7}
    assert shares(leaving(7)) == {"A": -7}


def test_what_leaves_the_model_is_not_bought_to_bring_cash_below_its_ceiling():
    solution = solve(problem(50, position("A", 1, 10), soft_bands=True, max_cash=D(10)))
    assert codes(solution) == ["CASH_ABOVE_CEILING"]


def test_a_sale_that_leaves_an_odd_lot_closes_nothing_and_is_no_exception_to_the_smallest_order():
    solution = solve(problem(100, position("A", 5, 7, "0.1", "0.05", lot_size=3), min_trade_value=D(30)))
    assert codes(solution) == ["MIN_TRADE_CONFLICT"]


def test_no_gain_is_guessed_where_there_are_no_lots():
    solution = solve(problem(600, position("A", 40, 10, "0.2", "0.3"), gain_budget=D(5)))
    assert (solution.status, codes(solution)) == ("error", ["UNKNOWN_GAIN"])
    bought = solve(problem(600, position("A", 0, 10, "0.2", "0.3"), gain_budget=D(5)))
    assert bought.solved


def test_that_hold_and_a_smallest_order_shaped_the_answer_is_told():
    apart = position("A", 10, 10, "0.52", "0.4")
    assert solve(problem(100, apart, hold=True, min_cash=D(5000))).binding == ("hold",)
    assert solve(problem(100, apart)).binding == ()
    assert solve(problem(1000, position("A", 50, 10, "0.34", "0.4"), min_trade_value=D(50))).binding == ("min_trade",)


def test_costs_are_kept_above_the_floor_where_that_is_asked_for():
    """The account of 10,000 that would be at -15 with its fees: 10 bp of what is bought, and a ticket of 5."""
    fees = {"cost_bps": D(10), "ticket_cost": D(5)}
    stated = problem(10_000, position("A", 0, 10, "1", ("0.01", "0")), **fees)
    kept = replace(stated, options=replace(stated.options, reserve_costs=True))

    assert (shares(solve(stated)), solve(stated).cash_after_costs) == ({"A": 1000}, D("-15.00"))
    assert (shares(solve(kept)), solve(kept).cash_after, solve(kept).cash_after_costs) == ({"A": 998}, D(20), D("5.02"))
    assert solve(kept).first


def test_a_sale_that_costs_more_than_it_brings_does_not_mend_the_floor():
    held = position("A", 3, 1, "0.03", "0.03")
    answer = solve(problem(97, held, min_cash=D(98), ticket_cost=D(5), reserve_costs=True))
    assert (answer.status, answer.reasons[0].numbers["cash_at_most"]) == ("infeasible", D(97))
