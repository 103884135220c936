"""An independent check of an answer's feasibility and arithmetic; no solver and no module of one is imported.

Quantities are held against the problem, figures against the quantities; a closed form without gates is proven optimal
again. Taken from the solution are `status`, `method` and, of a coupled answer, `lower_bound`, which is not re-proven.
Every sum and product is exact: they are made in a decimal context that raises as soon as a digit would be lost, so this
is integer arithmetic with a decimal point. An answer that it finds fault with is never shown.
"""

from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext

from models_app.portfolio.types import ZERO, Options, Position, RebalanceProblem, RebalanceSolution

# Its own, and not those of portfolio.units: what is checked and what checks it may share no mistake.
EXACT = Context(prec=300, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
CENT = Decimal("0.01")
TEN_THOUSAND = Decimal(10_000)
DRIFT_WEIGHTS = {"within_bands": Decimal("0.001")}
TRADE_WEIGHTS = {"within_bands": Decimal(1), "raise_cash": Decimal(2)}
SOFT_BAND_WEIGHT = Decimal(1000)


def _beyond_lots(p: Position) -> Decimal:
    """Shares held beyond whole lots, counted upwards also of a short."""
    return (p.quantity % p.lot_size + p.lot_size) % p.lot_size


class _Move:
    """One security before and after, as the solution has it; every figure is computed here, from the problem."""

    def __init__(self, position: Position, market_value: Decimal, after: Decimal) -> None:
        self.position = position
        self.price = position.price or ZERO
        self.after = after
        self.change = after - position.quantity
        self.traded = self.price * abs(self.change)
        value, target = self.price * after, market_value * position.target
        self.low = target - market_value * position.low_drift
        self.high = target + market_value * position.high_drift
        self.drift = abs(target - value)
        odd = self.high <= 0 and _beyond_lots(position) >= 1
        self.lot = 1 if odd else position.lot_size
        self.kept_of_odd_lot = odd and self.change < 0 and after >= 1
        outside = self.low - value if value < self.low else value - self.high
        if self.high <= 0 and after > 0:
            outside = self.price * (after // 1)  # of a position to be sold out, whole shares: a fraction cannot be sold
        self.excess = outside if outside > 0 else ZERO


def _is_soft(problem: RebalanceProblem) -> bool:
    o = problem.options
    return o.soft_bands or o.hold or o.mode in {"invest_cash", "raise_cash"}


def _orders(solution: RebalanceSolution, moves: list[_Move]) -> Iterator[str]:
    """Orders are exactly the whole-share differences between the quantities after and before."""
    signed = {t.security_id: t.quantity if t.side == "BUY" else -t.quantity for t in solution.trades}
    if len(signed) != len(solution.trades):
        yield "a security has more than one order"
    if any(t.quantity <= 0 for t in solution.trades):
        yield "an order has no positive quantity"
    changes = {m.position.security_id: m.change for m in moves if m.change}
    if signed != changes:
        yield "the orders are not the differences between quantities after and before"
    for m in moves:
        if m.change % m.lot:
            yield f"{m.position.security_id}: the trade is not a whole number of lots"


def _placement(problem: RebalanceProblem, m: _Move) -> Iterator[str]:
    """Each security's own limits: no short, band, restrictions, mode, smallest trade."""
    name, p, o = m.position.security_id, m.position, problem.options
    untouched_short = p.quantity < 0 and not m.change and (o.hold or o.mode == "raise_cash")
    if m.after < 0 and not untouched_short:
        yield f"{name}: the position is short"
    if not _is_soft(problem) and m.excess:
        yield f"{name}: outside its band"
    forbidden_buy = not p.can_buy or o.hold or o.mode == "raise_cash"
    forbidden_sell = not p.can_sell or o.hold or o.mode == "invest_cash"
    if (m.change > 0 and forbidden_buy) or (m.change < 0 and forbidden_sell):
        yield f"{name}: a forbidden trade"
    if m.change < 0 and m.after < p.on_order:
        yield f"{name}: more is sold than is there"
    if o.mode == "only_breached" and m.change and max(ZERO, m.low) <= m.price * p.quantity <= m.high:
        yield f"{name}: traded although it was inside its band"
    if m.high <= 0 and m.change > 0 and m.after >= 1:
        yield f"{name}: bought although it is to be sold out"
    if m.kept_of_odd_lot:
        yield f"{name}: an odd lot is sold in part"
    closes = m.change < 0 and m.after < 1
    if m.change and m.traded < o.min_trade_value and not closes:
        yield f"{name}: the trade is below the minimum trade value"


def realised_gain(m: _Move) -> Decimal:
    """Gain of the shares sold, the highest cost first; shares without a tax lot count 0."""
    left, gain = max(ZERO, -m.change), ZERO
    for lot in sorted(m.position.lots, key=lambda lot: lot.cost, reverse=True):
        sold = min(left, lot.quantity)
        gain += sold * (m.price - lot.cost)
        left -= sold
    return gain


def total_gain(problem: RebalanceProblem, after: Mapping[str, Decimal]) -> Decimal:
    """What all sales that lead to the quantities `after` realise."""
    with localcontext(EXACT):
        return sum((realised_gain(_Move(p, ZERO, after[p.security_id])) for p in problem.positions), ZERO)


def _costs(o: Options, moves: list[_Move]) -> Decimal:
    """What the orders cost: a part of what they trade, and a ticket for each."""
    return sum((m.traded * o.cost_bps / TEN_THOUSAND + (o.ticket_cost if m.change else 0) for m in moves), ZERO)


def total_costs(problem: RebalanceProblem, after: Mapping[str, Decimal]) -> Decimal:
    """What all orders that lead to the quantities `after` cost."""
    with localcontext(EXACT):
        return _costs(problem.options, [_Move(p, ZERO, after[p.security_id]) for p in problem.positions])


def _limits(problem: RebalanceProblem, moves: list[_Move], market_value: Decimal) -> Iterator[str]:
    """The limits that couple securities."""
    o = problem.options
    if o.hold:
        return
    cash = problem.cash - sum(m.price * m.change for m in moves)
    kept = cash - _costs(o, moves) if o.reserve_costs else cash
    by_weight = None if o.max_cash_weight is None else market_value * o.max_cash_weight
    if kept < o.min_cash or (o.min_cash_weight and kept < market_value * o.min_cash_weight):
        yield "cash after the trades is below its floor"
    if any(ceiling is not None and cash > ceiling for ceiling in (o.max_cash, by_weight)):
        yield "cash after the trades is above its ceiling"
    if o.max_turnover is not None and sum(m.traded for m in moves) > 2 * o.max_turnover * market_value:
        yield "turnover is above its limit"
    if o.max_trades is not None and sum(1 for m in moves if m.change) > o.max_trades:
        yield "there are more orders than allowed"
    if o.gain_budget is not None and sum(map(realised_gain, moves)) > o.gain_budget:
        yield "the realised gain is above its budget"


def _objective(problem: RebalanceProblem, m: _Move) -> Decimal:
    o = problem.options
    total = DRIFT_WEIGHTS.get(o.mode, Decimal(1)) * m.drift
    total += (TRADE_WEIGHTS.get(o.mode, ZERO) + o.cost_bps / TEN_THOUSAND) * m.traded
    if o.soft_bands or o.mode in {"invest_cash", "raise_cash"}:
        below = m.low - m.price * m.after
        total += SOFT_BAND_WEIGHT * (max(ZERO, below) if o.mode == "raise_cash" else m.excess)
    return total + (o.ticket_cost if m.change else 0)


def _figures(problem: RebalanceProblem, solution: RebalanceSolution, moves: list[_Move]) -> Iterator[str]:
    """What the solution says about itself is what its quantities make it."""
    objective = sum((_objective(problem, m) for m in moves), ZERO)
    bought = sum((m.price * m.change for m in moves), ZERO)
    if solution.objective != objective:
        yield f"the objective is {objective}, not {solution.objective}"
    if solution.cash_after != problem.cash - bought:
        yield f"cash after the trades is {problem.cash - bought}, not {solution.cash_after}"
    if solution.cash_after_costs != problem.cash - bought - _costs(problem.options, moves):
        yield f"cash after costs is not {solution.cash_after_costs}"
    if solution.drift_value != sum(m.drift for m in moves):
        yield "the total drift is not what the quantities make it"
    bound, gap = solution.lower_bound, solution.gap
    if bound is None or gap is None or bound > objective or gap != objective - bound:
        yield "bound and gap do not belong to the objective"
    elif solution.status == "optimal" and gap > CENT:
        yield f"called optimal with a gap of {gap}"
    elif solution.method == "separable" and gap:
        yield "called a closed form, but with a gap"


def _improvable(problem: RebalanceProblem, m: _Move, market_value: Decimal) -> bool:
    """Whether one lot more or less is allowed and better. Convexity makes "no" a proof of the closed form."""
    here = _objective(problem, m)
    for change in (m.lot, -m.lot):
        near = _Move(m.position, market_value, m.after + change)
        if _objective(problem, near) < here and not any(_placement(problem, near)):
            return True
    return False


def _proof(problem: RebalanceProblem, moves: list[_Move], market_value: Decimal) -> Iterator[str]:
    """A closed form without gates is optimal exactly when no single lot improves it.

    Where drift is all that is minimised, half a lot from target is as near as it gets, which settles most securities.
    """
    o = problem.options
    if o.ticket_cost or o.min_trade_value or o.hold:
        return
    drift_only = o.mode in {"to_target", "only_breached"} and not o.cost_bps and not o.soft_bands
    for m in moves:
        settled = drift_only and 2 * m.drift <= m.price * m.lot
        if not settled and _improvable(problem, m, market_value):
            yield f"{m.position.security_id}: one lot more or less would be better"


def violations(problem: RebalanceProblem, solution: RebalanceSolution) -> tuple[str, ...]:
    """Everything that is wrong with a solution that claims to be one; empty for a correct answer."""
    if {p.security_id for p in problem.positions} != solution.quantities.keys():
        return ("the quantities are not those of the problem's securities",)
    with localcontext(EXACT):
        market_value = problem.cash + sum((p.quantity * (p.price or 0) for p in problem.positions), ZERO)
        if solution.market_value != market_value:
            return (f"the market value is {market_value}, not {solution.market_value}",)
        moves = [_Move(p, market_value, solution.quantities[p.security_id]) for p in problem.positions]
        found = [*_orders(solution, moves), *_limits(problem, moves, market_value), *_figures(problem, solution, moves)]
        for m in moves:
            found += _placement(problem, m)
        if solution.method == "separable":
            found += _proof(problem, moves, market_value)
    return tuple(found)
