"""The optimiser against the others and against its own targets, in one run of about a minute and a half.

    make bench                    installs the peers and runs it
    python -m benchmarks.optimiser [--portfolios 40] [--sample 60] [--json]

Quality: on a sample of the grid of `instances.grid`, each method's answers are judged in exact decimals: bands left,
cash floor missed, drift above the proven optimum, answers given where there is none. Speed: CPU seconds, methods
interleaved, so that other work on the machine hits all alike; read the ratios. PyPortfolioOpt (dependency group
`peers`) is used when it is installed; its LP has no time limit of its own and is stopped after 5 s.

That the answers are right is the business of `benchmarks.proof`.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.instances import Spec, grid, large, mixed, taxed
from models_app.portfolio.batch import Batch
from models_app.portfolio.nearest import closed_form
from models_app.portfolio.types import Position, RebalanceProblem
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.solve import solve, solve_separable

BAND = ("0.02", "0.02")
CASES = {
    "cash floor": Spec(floor="0.055", band=BAND, oddities=0),
    "cash floor, just binding": Spec(floor="0.0502", band=BAND, oddities=0),
    "cash floor, minimum trade": Spec(floor="0.055", band=BAND, oddities=0, min_trade="1000"),
    "cash floor, minimum trade, turnover": Spec(
        floor="0.055", band=BAND, oddities=0, min_trade="1000", turnover="0.07"
    ),
    "the same at 10 million": Spec(100, 10_000_000, BAND, floor="0.055", oddities=0, min_trade="1000", turnover="0.07"),
    "cash floor, 500 securities": Spec(500, 1_000_000, BAND, floor="0.055", oddities=0),
}


def after_costs(seed):
    """The binding cash floor, after ten basis points of all that is traded."""
    problem = large(CASES["cash floor"], seed)
    return replace(problem, options=replace(problem.options, cost_bps=Decimal(10), reserve_costs=True))


COUPLED = {
    **{name: partial(large, spec) for name, spec in CASES.items()},
    "cash floor after costs": after_costs,
    "gain budget, often with other limits": taxed,
    "any mixture of limits": mixed,
}


CENT = Decimal("0.01")
LP_SECONDS = 5


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


def _answered(method, problem, pipe):
    resource.setrlimit(resource.RLIMIT_CPU, (LP_SECONDS, LP_SECONDS))
    started = time.process_time()
    pipe.send((method(problem), time.process_time() - started))


def stopped_in_time(method):
    """The method in a process of its own, killed after LP_SECONDS of CPU time; None then."""

    def allocate(problem):
        here, there = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_answered, args=(method, problem, there))
        child.start()
        there.close()
        try:
            return here.recv()
        except EOFError:  # its time was up
            return None, LP_SECONDS
        finally:
            child.join()

    return allocate


def timed(method):
    """The method with the CPU seconds it took."""

    def allocate(problem):
        started = time.process_time()
        quantities = method(problem)
        return quantities, time.process_time() - started

    return allocate


def methods():
    """By name, each other method; it gives whole quantities, or None, and CPU seconds."""
    found = {"rounded relaxation (the original)": timed(rounded_relaxation)}
    try:
        import pypfopt  # noqa: F401
    except ImportError:
        print("PyPortfolioOpt is not installed, so it is not compared: make bench installs it", file=sys.stderr)
    else:
        found["PyPortfolioOpt greedy"] = timed(discrete_allocation("greedy_portfolio"))
        found["PyPortfolioOpt LP"] = stopped_in_time(discrete_allocation("lp_portfolio"))
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


def judged(problem, ours, quantities):
    """(counts of what is wrong with an answer, its drift above the optimum in basis points of value or None)."""
    if quantities is None:
        return {"stopped after 5 s": 1}, None
    if not ours.solved:
        return {"answers where there is none": 1}, None
    outside, short, drift = faults(problem, quantities)
    wrong = {"outside a band": bool(outside), "below the cash floor": short}
    if outside or short:
        return wrong, None
    excess = float((drift - ours.drift_value) / market_value(problem)) * 10_000
    return {**wrong, "equal to the optimum": drift - ours.drift_value <= CENT}, excess


def quality(sample):
    """Every method on a sample of the grid; ours is also put through its independent check."""
    tally, seconds, excess = defaultdict(Counter), defaultdict(float), defaultdict(list)
    specs, others = list(grid()), methods()
    for seed, spec in enumerate(random.Random(0).sample(specs, min(sample, len(specs)))):
        problem = whole(large(spec, seed))
        ours, spent = timed(solve)(problem)
        seconds["ordergen"] += spent
        tally["ordergen"].update({ours.status: 1, "faults": bool(ours.solved and violations(problem, ours))})
        for name, method in others.items():
            quantities, spent = method(problem)
            seconds[name] += spent
            counts, above = judged(problem, ours, quantities)
            tally[name].update(counts)
            excess[name] += [] if above is None else [above]
    for name, values in excess.items():
        tally[name]["above the optimum, mean bp"] = round(statistics.mean(values), 3)
        tally[name]["above the optimum, most bp"] = round(max(values), 3)
    return {
        name: {**tally[name], "portfolios per CPU second": round(min(sample, len(specs)) / spent, 1)}
        for name, spent in seconds.items()
    }


def percentiles(values):
    ordered = sorted(values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)  # noqa: E731
    return {"solved": len(ordered), "median": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": round(ordered[-1], 1)}


def coupled(count):
    """CPU milliseconds of whole solves, CVXPY's compilation and the check included, where coupling rows bind.

    `first` counts the answers that are known to be the first of all that are equally good.
    """
    solve(COUPLED["cash floor"](10**6))  # imports CVXPY
    found = {}
    for name, make in COUPLED.items():
        times, states = [], Counter()
        for seed in range(count):
            problem = make(seed)
            started = time.process_time()
            solution = solve(problem)
            if solution.method == "milp":
                times.append((time.process_time() - started) * 1000)
                states["first"] += solution.first
            states[solution.status] += 1
        found[name] = {**percentiles(times), **states} if times else dict(states)
    return found


def arrays(portfolios=10_000, securities=100):
    """Milliseconds of the closed form of portfolios with one model."""
    rng = np.random.default_rng(0)
    prices = rng.integers(50_000, 5_000_000, securities)
    value = 10_000_000 * 10_000
    held = (value * 0.009 / prices * rng.uniform(0.5, 1.5, (portfolios, securities))).astype(np.int64)
    weights = [np.full(securities, weight) for weight in (9_000, 2_000, 2_000)]
    cash = np.full(portfolios, value // 10)
    ids, floor, ceiling = tuple(map(str, range(securities))), np.zeros_like(cash), np.full(portfolios, np.inf)
    batch = Batch(ids, prices, *weights, held, cash, floor, ceiling)
    times = []
    for _ in range(7):
        started = time.process_time()
        closed_form(batch)
        times.append((time.process_time() - started) * 1000)
    return {"median": round(statistics.median(times), 1), "best": round(min(times), 1)}


def objects(count=200):
    """CPU milliseconds per portfolio of 100 from dataclasses to checked solutions, without coupling rows."""
    problems = [whole(large(Spec(100, 10_000_000, BAND, oddities=0, floor="0.0"), seed)) for seed in range(count)]
    started = time.process_time()
    solved = solve_separable(problems)
    spent = (time.process_time() - started) * 1000
    return {"per portfolio": round(spent / count, 2), "optimal": sum(s is not None and s.solved for s in solved)}


WORKER = """
import django
django.setup()
import rebalance_app.tasks
from benchmarks.optimiser import BAND, Spec, arrays, large, solve_separable, whole
arrays()
solve_separable([whole(large(Spec(100, 10_000_000, BAND, oddities=0), seed)) for seed in range(100)])
"""


def peak_memory(pid):
    """Megabytes that a process has had at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def memory():
    """Peak megabytes of a worker with a batch of 10,000 portfolios, and of its solver child with the hard cases."""
    from rebalance_app.solving.solver_process import SolverChild

    os.environ["DJANGO_SETTINGS_MODULE"] = "ordergen.settings"  # how long a child may take stands there
    subprocess.run([sys.executable, "-c", WORKER], check=True)
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    child = SolverChild()
    try:
        for make in COUPLED.values():
            child.solve(make(0))
        return {"worker": worker, "solver child": peak_memory(child._process.pid)}
    finally:
        child.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portfolios", type=int, default=40, help="per coupled case")
    parser.add_argument("--sample", type=int, default=60, help="portfolios of the grid; 0 leaves quality out")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report = {
        "peak memory, MB": memory(),
        "arrays, 10,000 x 100, ms": arrays(),
        "objects, 100 securities, CPU ms": objects(),
        "coupled, 100 securities, CPU ms": coupled(given.portfolios),
        "quality": quality(given.sample) if given.sample else {},
    }
    if given.json:
        print(json.dumps(report, indent=2))
        return
    for title, table in report.items():
        print(f"\n{title}")
        for name, row in table.items():
            print(f"  {name:40} {row}")


if __name__ == "__main__":
    main()
