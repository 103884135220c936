"""What a user gets from one solve, on problems small enough to check by hand."""

import subprocess
import sys
from decimal import Decimal

import pytest

from rebalance_app.formats.sentences import sentence
from rebalance_app.optimiser.solve import solve, solve_many, solve_separable
from tests.rebalance_app.optimiser.build import D, codes, position, problem, shares


def test_check_value_a_with_its_tie_broken_towards_the_smaller_trade():
    solution = solve(
        problem(
            10_000,
            position("X", 10, 100),
            position("A", 0, 10, "0.30", "0.005"),
            position("B", 0, 20, "0.25", "0.005"),
            position("C", 0, "62.85", "0.02", "0.005"),
        )
    )
    assert shares(solution) == {"X": -10, "A": 330, "B": 137, "C": 4}
    assert (solution.market_value, solution.cash_after) == (D(11_000), D("4708.60"))
    assert (solution.status, solution.method, solution.gap) == ("optimal", "separable", 0)


def test_check_value_b_is_220_shares():
    solution = solve(problem(692_761, position("A", 0, "62.85", "0.02", "0.005")))
    assert shares(solution) == {"A": 220}


def test_check_value_c_is_infeasible_and_the_remedies_do_work():
    solution = solve(problem(1003, position("X", 10, 10), position("A", 0, 250, "0.10")))
    assert (solution.status, solution.trades, solution.quantities) == ("infeasible", (), {})
    reason = solution.reasons[0]
    assert (reason.code, reason.security_id) == ("BAND_TOO_NARROW", "A")
    wider = ("0", reason.numbers["high_drift_needed"])
    assert solve(problem(1003, position("X", 10, 10), position("A", 0, 250, "0.10", wider))).status == "optimal"
    richer = reason.numbers["market_value_needed"] - 100
    assert solve(problem(richer, position("X", 10, 10), position("A", 0, 250, "0.10"))).status == "optimal"
    assert "22.67 % of this portfolio" in sentence(reason)


@pytest.mark.parametrize(("held", "after"), [(9, 9), (10, 10), (0, 9), (50, 10)])
def test_of_two_numbers_equally_near_the_one_nearer_to_the_holding_wins(held, after):
    cash = 1000 - 10 * held
    solution = solve(problem(cash, position("A", held, 10, "0.095", "0.05")))
    assert solution.quantities["A"] == after


@pytest.mark.parametrize(("price", "feasible"), [("10.00", True), ("10.01", False), ("9.99", False)])
def test_a_value_exactly_on_the_edge_of_its_band_is_inside(price, feasible):
    cash = D(1000) - 7 * D(price)
    solution = solve(problem(cash, position("A", 7, price, "0.07")))
    assert solution.solved is feasible


def test_a_short_is_bought_back():
    assert shares(solve(problem(1000, position("A", -3, 10)))) == {"A": 3}
    assert shares(solve(problem(1000, position("A", -3, 10, "0.10", "0.02")))) == {"A": 13}


def test_an_overdrawn_account_is_brought_back_to_its_floor():
    solution = solve(problem(-100, position("A", 110, 10, "0.95", ("0.2", "0.1"))))
    assert shares(solution) == {"A": -15}
    assert solution.cash_after == 50


def test_the_fraction_of_a_sold_out_position_is_kept_and_reported():
    solution = solve(problem(100, position("A", "10.5", 4)))
    assert (shares(solution), solution.quantities) == ({"A": -10}, {"A": D("0.5")})
    assert codes(solution) == ["FRACTION_KEPT"]


def test_a_fractional_holding_in_the_model_trades_whole_shares():
    solution = solve(problem("954.00", position("A", "10.5", 4, "0.10", "0.01")))
    assert shares(solution) == {"A": 14}
    assert solution.quantities["A"] == D("24.5")


def test_an_empty_new_portfolio_is_optimal_without_trades():
    solution = solve(problem(0, position("A", 0, 10, "0.5", "0.01")))
    assert (solution.status, solution.trades, solution.market_value) == ("optimal", (), 0)


def test_a_portfolio_that_owes_more_than_it_holds_is_refused_with_its_value():
    solution = solve(problem(-100, position("A", 5, 10, "0.5", "0.01")))
    assert (solution.status, codes(solution)) == ("infeasible", ["NEGATIVE_MARKET_VALUE"])
    assert solution.market_value == -50


@pytest.mark.parametrize(
    ("price", "code"),
    [(None, "MISSING_PRICE"), ("0", "ZERO_PRICE"), ("-1", "INVALID_PRICE"), ("NaN", "INVALID_PRICE")],
)
def test_a_portfolio_without_a_valid_price_is_refused_by_name_and_nothing_is_sold(price, code):
    solution = solve(problem(1000, position("A", 10, price, "0.5", "0.1"), position("B", 10, 10)))
    assert (solution.status, solution.trades, solution.quantities) == ("error", (), {})
    assert [(r.code, r.security_id) for r in solution.reasons] == [(code, "A")]


def test_cash_is_never_overspent_even_where_rounding_up_would():
    wide = position("A", 0, 51, "0.475", ("0.475", "0.4")), position("B", 0, 51, "0.475", ("0.475", "0.4"))
    solution = solve(problem(100, *wide))
    assert (solution.status, solution.method, solution.binding) == ("optimal", "milp", ("cash_floor",))
    assert (len(solution.trades), solution.cash_after, solution.objective) == (1, 49, 51)


def test_short_of_cash_says_by_how_much_and_that_much_helps():
    narrow = position("A", 0, 51, "0.475", "0.1"), position("B", 0, 51, "0.475", "0.1")
    solution = solve(problem(100, *narrow))
    assert codes(solution) == ["SHORT_OF_CASH"]
    assert solution.reasons[0].numbers["short"] == 2
    assert solve(problem(102, *narrow)).solved


def test_a_restriction_that_contradicts_its_band_is_named():
    forbidden = solve(problem(1000, position("A", 0, 10, "0.5", "0.1", can_buy=False)))
    assert [(r.code, r.security_id) for r in forbidden.reasons] == [("RESTRICTION_CONFLICT", "A")]
    kept = solve(problem(0, position("A", 100, 10, can_sell=False)))
    assert "do-not-sell" in sentence(kept.reasons[0])


def test_do_not_buy_holds_a_position_below_its_target():
    solution = solve(problem(930, position("A", 7, 10, "0.10", "0.05", can_buy=False)))
    assert solution.trades == ()


def test_trades_are_whole_lots_but_a_sold_out_position_leaves_in_full():
    solution = solve(problem(0, position("A", 105, 10, lot_size=100), position("B", 5, 10, "0.5", "0.5", lot_size=20)))
    assert shares(solution) == {"A": -105, "B": 60} or shares(solution) == {"A": -105, "B": 40}
    assert solution.status == "optimal"


def test_the_order_of_positions_does_not_change_the_answer():
    positions = [position(f"S{i}", i, 20, "0.2", "0.2") for i in range(4)]
    forward = solve(problem(60, *positions, min_cash=D(45)))
    backward = solve(problem(60, *reversed(positions), min_cash=D(45)))
    assert forward.method == "milp"
    assert shares(forward) == shares(backward)


def test_a_portfolio_beyond_64_bits_is_solved_exactly():
    huge = D("9000000000000.000001")
    solution = solve(problem(huge, position("A", 0, "0.000001", "0.333333", "0.000001"), position("B", 10**14, "0.01")))
    assert solution.status == "optimal"
    assert abs(solution.quantities["A"] * D("0.000001") - solution.market_value * D("0.333333")) <= D("0.0000005")


def test_many_portfolios_keep_their_order_and_only_coupled_ones_are_left_to_the_solver():
    plain = problem(1000, position("A", 0, 10, "0.5", "0.1"))
    coupled = problem(100, *(position(n, 0, 51, "0.475", ("0.475", "0.4")) for n in "AB"))
    unpriced = problem(1000, position("A", 0, None, "0.5", "0.1"))
    infeasible = problem(1000, position("A", 0, 999, "0.5", "0.1"))
    quick = solve_separable([coupled, plain, unpriced, infeasible])
    assert quick[0] is None
    assert [s.status for s in quick[1:]] == ["optimal", "error", "infeasible"]
    assert [s.status for s in solve_many([coupled, plain, unpriced])] == ["optimal", "optimal", "error"]


def test_the_same_portfolio_alone_and_among_others_has_the_same_answer():
    problems = [problem(1000 + i, position("A", i, 10, "0.5", "0.1"), position(f"B{i}", 3, 7)) for i in range(9)]
    together = [s.trades for s in solve_many(problems)]
    assert together == [solve(p).trades for p in problems]


def test_market_value_is_not_changed_by_trading():
    solution = solve(problem("123.45", position("A", 7, "3.21", "0.4", "0.1"), position("B", 2, "9.99", "0.2", "0.1")))
    held = solution.quantities["A"] * D("3.21") + solution.quantities["B"] * D("9.99")
    assert held + solution.cash_after == solution.market_value


def test_importing_and_solving_the_closed_form_does_not_load_cvxpy():
    code = (
        "import sys; from decimal import Decimal as D; from models_app.portfolio.types import *; "
        "from rebalance_app.optimiser import solve; from rebalance_app.what_if import scenario_json; "
        "from models_app.portfolio import drift; "
        "p = Position('A', D(1), D(10), D('0.5'), D('0.1'), D('0.1')); "
        "assert solve.solve(RebalanceProblem('P', D(90), (p,))).solved; "
        "assert not {'cvxpy', 'highspy', 'scipy', 'pandas', 'django'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_but_the_answer_is_written_anywhere():
    code = (
        "from decimal import Decimal as D; from models_app.portfolio.types import *; "
        "from rebalance_app.optimiser.solve import solve; "
        "ps = tuple(Position(n, D(0), D(51), D('0.475'), D('0.475'), D('0.4')) for n in 'AB'); "
        "assert solve(RebalanceProblem('P', D(100), ps)).method == 'milp'"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_quantities_are_decimals_and_orders_integers():
    solution = solve(problem(1000, position("A", 0, 10, "0.5", "0.1")))
    assert isinstance(solution.quantities["A"], Decimal)
    assert type(solution.trades[0].quantity) is int
