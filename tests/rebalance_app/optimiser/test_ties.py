"""Of equally good answers: the least trading, then the lower id. The same input has the same orders."""

import random
from dataclasses import replace
from itertools import combinations

import pytest

from benchmarks.instances import Spec, alike, large, mixed, short_of_cash, small, taxed
from rebalance_app.optimiser.canonical import branch_and_bound, candidates, dominance, indifferent, subset_sum
from rebalance_app.optimiser.canonical.branch_and_bound import BranchAndBound
from rebalance_app.optimiser.closed_form import solve_alone
from rebalance_app.optimiser.milp.highs import solve_relaxed
from rebalance_app.optimiser.milp.lagrangian import rounded
from rebalance_app.optimiser.problem.coupling import broken_rows
from rebalance_app.optimiser.problem.integer_problem import integer_problem
from rebalance_app.optimiser.problem.objective import rank, score
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D, position, problem, shares
from tests.rebalance_app.optimiser.oracle import best

REACH = 3  # steps


def test_of_two_that_are_alike_the_lower_id_is_bought():
    two = (position(name, 0, 51, "0.475", "0.475") for name in "BA")
    assert shares(solve(problem(100, *two))) == {"A": 1}


def test_of_a_share_at_a_trillionth_more_are_traded_than_64_bits_count():
    dust = position("A", 0, "0.000000000001", "0.5")
    some = (position("B", 0, "1234567.89", "0.4", "0.1"), position("C", 0, "999999.37", "0.1", "0.1"))
    solution = solve(problem(10**8, dust, *some, min_cash=D(2000003), max_trades=2))
    assert shares(solution)["A"] == 5 * 10**19
    assert (solution.status, solution.first) == ("optimal", True)


def test_of_two_that_are_alike_the_lower_id_is_sold():
    two = (position(name, 2, 51, "0.25", "0.25") for name in "BA")
    assert shares(solve(problem(0, *two, min_cash=D(50), max_trades=1))) == {"A": -1}


def coupled_as_brute_force(problems):
    """Asserts that each has exactly the orders of brute force; how many of them needed the programme."""
    coupled = 0
    for stated in problems:
        expected, solution = best(stated), solve(stated)
        assert (expected is None) == (solution.status == "infeasible")
        if expected is not None:
            assert shares(solution) == {name: change for name, change in expected[2].items() if change}
            assert solution.first
            coupled += solution.method == "milp"
    return coupled


@pytest.mark.parametrize("block", range(3))
def test_the_orders_among_securities_that_are_alike_are_those_of_brute_force(block):
    assert coupled_as_brute_force(map(alike, range(40 * block, 40 * block + 40))) > 4


@pytest.mark.parametrize("block", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])
def test_where_it_does_not_matter_whom_the_cash_leaves_out_the_orders_are_those_of_brute_force(block):
    assert coupled_as_brute_force(map(short_of_cash, range(12 * block, 12 * block + 12))) > 3


def test_the_first_of_all_is_the_same_whether_sums_or_labels_find_it(monkeypatch):
    compared = 0
    for seed in range(30):
        spec = Spec(8, 20_000, ("0.02", "0.02"), floor="0.06", turnover=(None, "0.05")[seed % 2], min_trade="150")
        stated = large(spec, seed)
        found = solve(stated)
        with monkeypatch.context() as without:
            without.setattr(branch_and_bound, "first_at_bound", lambda *_: (None, 0))
            other = solve(stated)
        if found.method == "milp" and found.first and other.first:
            assert found.trades == other.trades
            compared += 1
    assert compared > 10


LITTLE = {  # at a time: what a search may try, until it has to divide, look further, or give up
    "as it is": {},
    "few steps": {(candidates, "MOST_STEPS"): 12},
    "few labels": {(dominance, "MOST_LABELS"): 5, (dominance, "COMPARED"): 2},
    "nothing to fill with": {(indifferent, "LARGEST_FILL"): 1},
    "few sums": {
        (subset_sum, "FULLY_KNOWN"): 3,
        (subset_sum, "WINDOW"): 2,
        (subset_sum, "JUMPS"): 1,
        (subset_sum, "MOST_BITS"): 2,
        (subset_sum, "FEW"): 2,
    },
}
NARROW = (
    Spec(4, 6_000, ("0.04", "0.04"), floor="0.07", oddities=0.3, min_trade="150", turnover="0.06"),
    Spec(5, 4_000, ("0.06", "0.06"), floor="0.06", oddities=0.3, min_trade="100", turnover="0.05"),
    Spec(5, 3_000, ("0.08", "0.08"), floor="0.08", oddities=0.2, min_trade="120", turnover="0.08", prices="even"),
    Spec(4, 5_000, ("0.05", "0.02"), floor="0.03", oddities=0.2, turnover="0.04"),
)


@pytest.mark.parametrize(
    "without_sums", [pytest.param(False, id=""), pytest.param(True, id="without sums", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("little", LITTLE)
def test_however_little_is_tried_at_a_time_what_is_said_to_be_the_first_is_so(little, without_sums, monkeypatch):
    monkeypatch.setattr(branch_and_bound, "MOST_NODES", 200)
    monkeypatch.setattr(branch_and_bound, "MOST_LOOKS", 600)
    if without_sums:
        monkeypatch.setattr(branch_and_bound, "first_at_bound", lambda *_: (None, 0))
    for (module, name), value in LITTLE[little].items():
        monkeypatch.setattr(module, name, value)
    first = 0
    for seed in range(30):
        for stated in (large(NARROW[seed % 4], seed), alike(seed)):
            expected, solution = best(stated), solve(stated)
            assert (expected is None) == (solution.status == "infeasible")
            if solution.method == "milp" and solution.first:
                assert shares(solution) == {name: change for name, change in expected[2].items() if change}
                first += 1
    assert first > 10


@pytest.mark.slow
def test_when_nodes_run_out_what_is_left_proves_a_bound_that_no_answer_is_below(monkeypatch):
    monkeypatch.setattr(branch_and_bound, "first_at_bound", lambda *_: (None, 0))
    monkeypatch.setattr(candidates, "MOST_STEPS", 12)
    ended = 0
    for seed in range(60):
        stated = large(NARROW[seed % 4], seed)
        expected, book = best(stated), integer_problem(stated)
        if expected is None or solve(stated).method != "milp":
            continue
        choices, _ = solve_alone(book)
        for nodes in (0, 1, 2):
            monkeypatch.setattr(branch_and_bound, "MOST_NODES", nodes)
            relaxed = solve_relaxed(book, choices, 10)
            branching = BranchAndBound.of(relaxed, rounded(relaxed.points, relaxed.steps.tolist()))
            branching.run(10)
            if branching.lower_bound is not None:
                assert book.score_money(branching.lower_bound) <= expected[0]
                assert branching.incumbent is None or broken_rows(book, branching.incumbent) == ()
                ended += 1
    assert ended > 5


HARD = Spec(floor="0.055", band=("0.02", "0.02"), oddities=0, min_trade="1000", turnover="0.07")


@pytest.mark.parametrize(
    "stated",
    [
        *(large(HARD, seed) for seed in (13, 32, 45, 192)),
        *map(mixed, (5, 63, 79, 92, 93, 97, 105, 106, 111, 139, 169, 197, 208, 222)),
        *map(mixed, (309, 314, 385, 594, 690, 698)),
        taxed(34),
    ],
    ids=lambda stated: stated.portfolio_id,
)
def test_what_took_too_many_tries_once_is_solved_to_the_first_of_all(stated):
    """Nodes, also by number of orders; indifferent securities; a sum of two amid millions; sales for least trading.

    Trades that exhaust a gain budget or a number of orders; a second look, from an answer found otherwise; losses that
    are sold for a budget, as little as that takes.
    """
    solution = solve(stated)
    assert (solution.status, solution.gap, solution.first) == ("optimal", 0, True)
    if len(stated.positions) <= 50:
        assert improvement(stated, solution) is None


@pytest.mark.parametrize(("looks", "nodes"), [(0, 200), (5, 200), (400, 0), (400, 3)])
def test_what_was_not_looked_at_to_the_end_is_not_called_the_first(looks, nodes, monkeypatch):
    monkeypatch.setattr(branch_and_bound, "MOST_LOOKS", looks)
    monkeypatch.setattr(branch_and_bound, "MOST_NODES", nodes)
    solution = solve(mixed(309))
    assert (solution.status, solution.first) == ("optimal", False)


def test_what_floor_and_turnover_forbid_only_together_is_known_to_have_no_answer():
    some = [position(name, 40, price, "0.2", "0.2") for name, price in (("A", "10.01"), ("B", "20.03"))]
    solution = solve(problem(0, *some, min_cash=D(200), max_turnover=D("0.05")))
    assert solution.status == "infeasible"


def improvement(stated, solution):
    """An exchange of two securities, a few steps each, that brings another answer before this one; None for none."""
    book = integer_problem(stated)
    choices, _ = solve_alone(book)
    moved = shares(solution)
    trades = [moved.get(security.position.security_id, 0) // security.lot for security in book.securities]
    here = rank(book, trades)

    def near(i):
        """The trade of a security as it is, and those around it that keep its segment."""
        around = range(trades[i] - REACH, trades[i] + REACH + 1)
        return [k for k in around if any(a <= k <= b for a, b in choices[i].segments)]

    for i, j in combinations(range(len(trades)), 2):
        now = score(book, book.securities[i], trades[i]) + score(book, book.securities[j], trades[j])
        for a in near(i):
            rest = now - score(book, book.securities[i], a)
            for b in near(j):
                other = [*trades[:i], a, *trades[i + 1 : j], b, *trades[j + 1 :]]
                equal = score(book, book.securities[j], b) == rest
                if equal and not broken_rows(book, other) and rank(book, other) < here:
                    return other
    return None


@pytest.mark.parametrize("prices", ["equal", "even"])
def test_where_many_answers_are_as_good_no_exchange_of_two_comes_before_the_one_chosen(prices):
    spec, tried = Spec(20, 40_000, ("0.03", "0.03"), floor="0.07", prices=prices, min_trade="90"), 0
    for seed in range(12):
        stated = large(spec, seed)
        solution = solve(stated)
        if solution.method == "milp":
            tried += 1
            assert improvement(stated, solution) is None
    assert tried > 2


@pytest.mark.parametrize(
    "stated",
    [
        large(Spec(40, floor="0.06", min_trade="500", turnover="0.05"), 7),
        large(Spec(50, 100_000, prices="equal", floor="0.06"), 3),
        large(Spec(50, 100_000, prices="even", floor="0.06"), 2),
        large(Spec(30, floor="0.02"), 1),
        *(small(seed) for seed in range(12)),
    ],
    ids=lambda stated: stated.portfolio_id,
)
def test_the_order_of_the_input_does_not_change_the_orders(stated):
    expected = solve(stated)
    for seed in range(3):
        positions = list(stated.positions)
        random.Random(seed).shuffle(positions)
        assert solve(replace(stated, positions=tuple(positions))).trades == expected.trades
