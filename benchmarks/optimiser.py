"""The optimiser against the others and against its own targets, in one run.

    python -m benchmarks.optimiser [--portfolios 40] [--grid 2] [--json]
    python -m benchmarks.optimiser --sweep 5000 [--from 0]

Quality: over the grid of `instances.grid`, each method's answers are judged in exact integers: bands left, cash floor
missed, drift above the proven optimum, answers given where there is none. Speed: CPU seconds, methods interleaved, so
that other work on the machine hits all alike; read the ratios. PyPortfolioOpt is used when it is installed.

Sweep: that many small problems with every option, each compared with the best of all whole-share answers and put
through the independent check. It prints what disagrees, and exits with 1 when anything does.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from collections import Counter, defaultdict
from decimal import Decimal

import numpy as np

from benchmarks.instances import Spec, grid, large, small
from rebalance_app.domain.separable import Book, closed_form
from rebalance_app.domain.solve import solve, solve_separable
from rebalance_app.domain.types import Position, RebalanceProblem
from rebalance_app.domain.verify import violations

BAND = ("0.02", "0.02")
COUPLED = {
    "cash floor": Spec(floor="0.055", band=BAND, oddities=0),
    "cash floor, just binding": Spec(floor="0.0502", band=BAND, oddities=0),
    "cash floor, minimum trade": Spec(floor="0.055", band=BAND, oddities=0, min_trade="1000"),
    "cash floor, minimum trade, turnover": Spec(
        floor="0.055", band=BAND, oddities=0, min_trade="1000", turnover="0.07"
    ),
    "the same at 10 million": Spec(100, 10_000_000, BAND, floor="0.055", oddities=0, min_trade="1000", turnover="0.07"),
    "cash floor, 500 securities": Spec(500, 1_000_000, BAND, floor="0.055", oddities=0),
}


def market_value(problem):
    return problem.cash + sum(p.quantity * p.price for p in problem.positions)


def rounded_relaxation(problem):
    """The original's method: a continuous problem within the bands, then every quantity rounded."""
    import cvxpy as cp

    value = float(market_value(problem))
    price, target, low, high = (
        np.array([float(getattr(p, name)) for p in problem.positions])
        for name in ("price", "target", "low_drift", "high_drift")
    )
    shares = cp.Variable(len(price), nonneg=True)
    worth = cp.multiply(price, shares)
    bands = [worth >= value * (target - low), worth <= value * (target + high)]
    cp.Problem(cp.Minimize(cp.norm1(value * target - worth)), bands).solve()
    return {p.security_id: round(float(x)) for p, x in zip(problem.positions, shares.value, strict=True)}


def discrete_allocation(method):
    """PyPortfolioOpt's allocation of the market value to the targets; it knows no bands and no holdings."""
    import pandas as pd
    from pypfopt.discrete_allocation import DiscreteAllocation

    def allocate(problem):
        weights = {p.security_id: float(p.target) for p in problem.positions if p.target}
        total = sum(weights.values())
        prices = pd.Series({p.security_id: float(p.price) for p in problem.positions if p.target})
        shares = {name: weight / total for name, weight in weights.items()}
        allocation = DiscreteAllocation(shares, prices, total_portfolio_value=float(market_value(problem)) * total)
        found, _ = getattr(allocation, method)()
        return {p.security_id: int(found.get(p.security_id, 0)) for p in problem.positions}

    return allocate


def methods():
    found = {"rounded relaxation (the original)": rounded_relaxation}
    try:
        import pypfopt  # noqa: F401
    except ImportError:
        print("PyPortfolioOpt is not installed: left out", file=sys.stderr)
    else:
        found["PyPortfolioOpt greedy"] = discrete_allocation("greedy_portfolio")
        found["PyPortfolioOpt LP"] = discrete_allocation("lp_portfolio")
    return found


def faults(problem, quantities):
    """(bands left, cash floor missed, total drift) of whole quantities, in exact decimals."""
    value, drift, outside = market_value(problem), Decimal(0), 0
    for p in problem.positions:
        worth = p.price * quantities[p.security_id]
        drift += abs(value * p.target - worth)
        outside += not value * (p.target - p.low_drift) <= worth <= value * (p.target + p.high_drift)
    cash = value - sum(p.price * quantities[p.security_id] for p in problem.positions)
    return outside, cash < value * problem.options.min_cash_weight, drift


def whole(problem):
    """The problem with fractions of shares cut off: the other methods do not know them."""
    positions = tuple(
        Position(p.security_id, Decimal(int(p.quantity)), p.price, p.target, p.low_drift, p.high_drift)
        for p in problem.positions
    )
    return RebalanceProblem(problem.portfolio_id, problem.cash, positions, problem.options)


def quality(per_spec):
    """Every method over the grid; ours is also put through its independent check."""
    tally, seconds, excess = defaultdict(Counter), defaultdict(float), defaultdict(list)
    others = methods()
    for spec in grid():
        for seed in range(per_spec):
            problem = whole(large(spec, seed))
            started = time.process_time()
            ours = solve(problem)
            seconds["ordergen"] += time.process_time() - started
            tally["ordergen"][ours.status] += 1
            tally["ordergen"]["faults"] += bool(ours.solved and violations(problem, ours))
            for name, method in others.items():
                started = time.process_time()
                quantities = method(problem)
                seconds[name] += time.process_time() - started
                outside, short, drift = faults(problem, quantities)
                tally[name]["answers"] += 1
                tally[name]["where there is none"] += ours.status == "infeasible"
                tally[name]["bands left"] += ours.solved and bool(outside)
                tally[name]["cash floor missed"] += ours.solved and short
                if ours.solved and not outside and not short:
                    excess[name].append(float(drift - ours.drift_value))
    for name, values in excess.items():
        tally[name]["drift above optimum, mean"] = round(statistics.mean(values), 2)
        tally[name]["equal to optimum"] = sum(v < 0.005 for v in values)
    count = sum(tally["ordergen"][s] for s in ("optimal", "time_limit", "infeasible", "error"))
    return {name: {**tally[name], "portfolios per CPU second": round(count / seconds[name], 1)} for name in seconds}


def percentiles(values):
    ordered = sorted(values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)  # noqa: E731
    return {"solved": len(ordered), "median": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": round(ordered[-1], 1)}


def coupled(count):
    """CPU milliseconds of whole solves, CVXPY's compilation and the check included, where coupling rows bind."""
    solve(large(COUPLED["cash floor"], 10**6))  # imports CVXPY
    found = {}
    for name, spec in COUPLED.items():
        times, states = [], Counter()
        for seed in range(count):
            problem = large(spec, seed)
            started = time.process_time()
            solution = solve(problem)
            if solution.method == "milp":
                times.append((time.process_time() - started) * 1000)
            states[solution.status] += 1
        found[name] = {**percentiles(times), **states} if times else dict(states)
    return found


def arrays(portfolios=10_000, securities=100):
    """Milliseconds of the vectorised closed form: one model for all portfolios, and everything given per cell."""
    rng = np.random.default_rng(0)
    prices = rng.integers(50_000, 5_000_000, securities)
    value = 10_000_000 * 10_000
    held = (value * 0.009 / prices * rng.uniform(0.5, 1.5, (portfolios, securities))).astype(np.int64)
    model = [np.full(securities, weight) for weight in (9, 2, 2)]
    cash = np.full(portfolios, value // 10)
    cells = [np.ascontiguousarray(np.broadcast_to(x, held.shape)) for x in (prices, *model)]
    books = {
        "one model": Book(prices, held, *model, cash, 1000),
        "everything per cell": Book(cells[0], held, *cells[1:], cash, 1000),
    }
    found = {}
    for name, book in books.items():
        times = []
        for _ in range(7):
            started = time.process_time()
            closed_form(book)
            times.append((time.process_time() - started) * 1000)
        found[name] = {"median": round(statistics.median(times), 1), "best": round(min(times), 1)}
    return found


def objects(count=200):
    """CPU milliseconds per portfolio of 100 from dataclasses to checked solutions, without coupling rows."""
    problems = [whole(large(Spec(100, 10_000_000, BAND, oddities=0, floor="0.0"), seed)) for seed in range(count)]
    started = time.process_time()
    solved = solve_separable(problems)
    spent = (time.process_time() - started) * 1000
    return {"per portfolio": round(spent / count, 2), "optimal": sum(s is not None and s.solved for s in solved)}


def disagreement(problem):
    """What is wrong with the answer to a small problem, by brute force; None when nothing is."""
    from tests.domain.oracle import best

    solution, expected = solve(problem), best(problem)
    if solution.status != ("infeasible" if expected is None else "optimal"):
        return f"{solution.status} {solution.reasons}, best {expected}"
    if expected is None:
        return None if solution.reasons else "infeasible without a reason"
    if not solution.lower_bound <= expected[0] <= solution.objective <= expected[0] + Decimal("0.01"):
        return f"objective {solution.objective}, bound {solution.lower_bound}, best {expected[0]}"
    return violations(problem, solution) or None


def sweep(count, first):
    """Seeds of `small`, plain and with every option, whose answers disagree with brute force."""
    found = {}
    for seed in range(first, first + count):
        for plain in (False, True):
            wrong = disagreement(small(seed, plain=plain))
            if wrong:
                found[f"seed {seed}{', plain' if plain else ''}"] = wrong
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portfolios", type=int, default=40, help="per coupled case")
    parser.add_argument("--grid", type=int, default=2, help="portfolios per cell of the grid; 0 leaves quality out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sweep", type=int, default=0, metavar="N", help="compare N small seeds with brute force")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the sweep's first seed")
    given = parser.parse_args()
    if given.sweep:
        wrong = sweep(given.sweep, given.first)
        print(f"{2 * given.sweep} problems, {len(wrong)} disagree", *(f"{k}: {v}" for k, v in wrong.items()), sep="\n")
        sys.exit(bool(wrong))
    report = {
        "arrays, 10,000 x 100, ms": arrays(),
        "objects, 100 securities, CPU ms": objects(),
        "coupled, 100 securities, CPU ms": coupled(given.portfolios),
        "quality": quality(given.grid) if given.grid else None,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for title, table in report.items():
        print(f"\n{title}")
        for name, row in table.items() if isinstance(table, dict) else (("", table),):
            print(f"  {name:40} {row}")


if __name__ == "__main__":
    main()
