"""Beyond the reach of brute force: the same answers as a second, plain statement of the problem in CVXPY.

It shares nothing with the product: quantities are the variables, drift is a norm, buys and sells are split by big-M.
"""

from dataclasses import replace

import pytest

from benchmarks.instances import Spec, large
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.optimiser.solve import solve
from tests.rebalance_app.optimiser.build import D
from tests.rebalance_app.optimiser.statement import plainly

CASES = [
    {},
    {"min_cash_weight": D("0.055")},
    {"min_cash_weight": D("0.055"), "min_trade_value": D(300)},
    {"max_trades": 4},
    {"max_turnover": D("0.06"), "min_trade_value": D(300)},
    {"min_cash_weight": D("0.055"), "cost_bps": D(30), "ticket_cost": D(5)},
    {"max_trades": 1, "max_turnover": D("0.01")},
]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("band", [("0.03", "0.03"), ("0.01", "0.06")])
def test_the_plain_statement_gives_the_same_optimum(case, band):
    base = large(Spec(12, 20_000, band, oddities=0), case)
    problem = replace(base, options=replace(base.options, **CASES[case]))
    expected, solution = plainly(problem), solve(problem)
    if expected is None:
        assert solution.status == "infeasible"
        return
    assert solution.status == "optimal", solution.reasons
    assert float(solution.objective) == pytest.approx(expected, abs=0.011)
    assert violations(problem, solution) == ()
