"""Several thousand seeded problems, each answer held against others that share nothing with the optimiser.

    python -m benchmarks.proof [--small 1000] [--grid 8] [--plainly 2] [--from 0]

Small problems: with every option, plain, of securities that are alike, and where cash does not reach for all; orders
and objective have to be exactly those of brute force. The grid, 5 to 500 securities: whether there is an answer is
decided again in fractions; every answer is put through the exact check; and where a plain CVXPY statement finishes in
time, it has to find the same optimum. Prints what was compared and what disagrees, and exits with 1 when anything does.
"""

import argparse
import math
import sys
from collections import Counter
from fractions import Fraction

from benchmarks.instances import alike, grid, kinds, large, short_of_cash, small
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import shares
from tests.rebalance_app.optimiser.oracle import best
from tests.rebalance_app.optimiser.statement import plainly

SMALL = {
    "every option": small,
    "plain": lambda seed: small(seed, plain=True),
    "alike": alike,
    "short of cash": short_of_cash,
}
PLAIN_SECURITIES = 20
PLAIN_SECONDS = 3.0
TOLERANCE = 0.011  # money: a cent, and what the plain statement's own solver is off by


def against_brute_force(problem):
    """(what was found, what is wrong with it or None)."""
    solution, expected = solve(problem), best(problem)
    if expected is None:
        return "infeasible", None if solution.status == "infeasible" and solution.reasons else solution
    orders = {name: change for name, change in expected[2].items() if change}
    right = solution.status == "optimal" and solution.objective == solution.lower_bound == expected[0]
    wrong = violations(problem, solution) if right and shares(solution) == orders else (solution, expected)
    return solution.method or solution.status, wrong or None


def lowest(position, value):
    """The lowest value within the band that whole trades reach; None where there is none."""
    price, held = Fraction(position.price), Fraction(position.quantity)
    low, high = (
        value * (Fraction(position.target) + drift)
        for drift in (-Fraction(position.low_drift), Fraction(position.high_drift))
    )
    if high <= 0:
        return price * (held % 1)  # what is sold out keeps its fraction
    least = price * (held + math.ceil(max(Fraction(0), low) / price - held))
    return least if least <= high else None


def possible(problem):
    """Whether any whole-share answer honours all bands and the cash floor."""
    value = Fraction(problem.cash) + sum(Fraction(p.quantity) * Fraction(p.price) for p in problem.positions)
    values = [lowest(p, value) for p in problem.positions]
    floor = value * Fraction(problem.options.min_cash_weight)
    return value >= 0 and all(x is not None for x in values) and value - sum(values) >= floor


def comparable(problem):
    """Whether the plain statement means the same: it knows no fractions, and is hopeless for many securities."""
    return len(problem.positions) <= PLAIN_SECURITIES and all(p.quantity % 1 == 0 for p in problem.positions)


def of_realistic_size(problem, *, plain):
    """(what was found, what is wrong with it or None, whether the plain statement was compared)."""
    solution = solve(problem)
    if solution.status == "infeasible":
        return "infeasible", None if not possible(problem) and solution.reasons else solution, False
    wrong = () if solution.status == "optimal" and possible(problem) else (solution,)
    wrong += violations(problem, solution)
    expected = plainly(problem, PLAIN_SECONDS) if plain and comparable(problem) else math.nan
    compared = expected is None or not math.isnan(expected)
    if compared and (expected is None or abs(float(solution.objective) - expected) > TOLERANCE):
        wrong += (solution.objective, expected)
    return solution.method or solution.status, wrong or None, compared


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=1000, help="seeds of each sort of small problem")
    parser.add_argument("--grid", type=int, default=8, help="seeds of each cell of the grid")
    parser.add_argument("--plainly", type=int, default=2, help="of these, seeds that the plain statement solves too")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    given = parser.parse_args()
    found, special, wrong = Counter(), Counter(), {}
    for sort, make in SMALL.items():
        for seed in range(given.first, given.first + given.small):
            problem = make(seed)
            outcome, fault = against_brute_force(problem)
            found[f"small, {sort}: {outcome}"] += 1
            special.update(kinds(problem))
            if fault:
                wrong[f"{sort} {seed}"] = fault
    for spec in grid():
        for seed in range(given.first, given.first + given.grid):
            problem = large(spec, seed)
            outcome, fault, compared = of_realistic_size(problem, plain=seed < given.first + given.plainly)
            found[f"grid: {outcome}"] += 1
            found["grid: equal to the plain statement"] += compared and not fault
            special.update(kinds(problem))
            if fault:
                wrong[f"{spec} {seed}"] = fault
    for title, counts in (("found", found), ("among them", special)):
        print(title, *(f"  {name:42}{count:7,}" for name, count in sorted(counts.items())), sep="\n")
    problems = len(SMALL) * given.small + given.grid * len(list(grid()))
    print(f"{problems:,} problems, {len(wrong)} disagree", *(f"{k}: {v}" for k, v in wrong.items()), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
