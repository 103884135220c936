"""A problem restated in whole numbers, so that limits, scores and ranks are compared exactly.

Every value is counted in *minor units*: 1 unit of money = 10**places minor units, where `places` is chosen per problem
so that quantity × price, market value × weight and every limit are whole. Weights and prices of any finite length are
exact.
"""

from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from typing import Any

from models_app.portfolio.bands import Scale, SteppedPosition, scale_of, steps_of, total_value
from models_app.portfolio.types import Options, Position, RebalanceProblem
from models_app.portfolio.units import BASIS_POINT_PLACES, EXACT, scaled, unscaled

# The objective is a weighted sum; its weights are fixed-point numbers with the denominator ONE.
SCORE_PLACES = 9
ONE = 10**SCORE_PLACES
FLOAT_EXACT = 2**53  # up to it floats are exact
EXCESS_WEIGHT = 1000 * ONE  # a unit of money outside a soft band
# Per mode, what a unit of money of drift and of trading weighs. To bring back inside with the least trading, drift only
# chooses among near-equal trading; to raise cash, selling more than asked must never pay (drift falls by 1 per unit).
MODE_WEIGHTS = {
    "to_target": (ONE, 0),
    "within_bands": (ONE // 1000, ONE),
    "only_breached": (ONE, 0),
    "invest_cash": (ONE, 0),
    "raise_cash": (ONE, 2 * ONE),
}
SOFT_MODES = frozenset({"invest_cash", "raise_cash"})


@dataclass(frozen=True, slots=True)
class Security(SteppedPosition):
    """One security in minor units.

    closing    steps that sell all whole shares; 0 where no number of steps does
    shares     scaled shares in a step, in which `tax_lots` count: (scaled shares, gain in minor units per scaled share)
    """

    position: Position
    closing: int
    shares: int
    tax_lots: tuple[tuple[int, int], ...]

    @property
    def odd(self) -> bool:
        """Whether it is sold out with an odd lot: all at once, or not at all."""
        return self.lot != self.position.lot_size


@dataclass(frozen=True, slots=True)
class IntegerProblem:
    """A whole problem in minor units; `securities` are in order of id, so the order of input does not matter."""

    problem: RebalanceProblem
    places: int
    market_value: int
    cash: int
    floor: int
    ceiling: int | None
    trade_cap: int | None  # on buys plus sells: twice the turnover
    gain_budget: int | None
    most_orders: int | None
    min_trade: int
    cost_rate: int  # score of a unit traded: its cost
    ticket: int  # score of one order: its cost
    reserves_costs: bool  # the floor is to be left after costs
    drift_weight: int
    trade_weight: int
    soft: bool  # bands may be left at a penalty
    securities: tuple[Security, ...]

    @property
    def options(self) -> Options:
        """The options of the problem."""
        return self.problem.options

    @property
    def orders_matter(self) -> bool:
        """Whether an order counts or costs, whatever its size."""
        return bool(self.ticket) or self.most_orders is not None

    def costs(self, traded: Any, orders: Any) -> Any:  # whole numbers or arrays of them
        """What so many orders that trade so much cost, in score units."""
        return traded * self.cost_rate + orders * self.ticket

    def spent(self, net_bought: Any, traded: Any, orders: Any) -> Any:
        """Money bought less sold, with the costs that are kept above the floor; whole, since places allow for them."""
        return net_bought + self.costs(traded, orders) // ONE if self.reserves_costs else net_bought

    @property
    def grid(self) -> int:
        """The minor units of which all that is bought, and all that is traded, is a multiple."""
        return gcd(*(security.step for security in self.securities))

    def money(self, minor_units: int) -> Decimal:
        """Minor units as money, exact."""
        return unscaled(minor_units, self.places)

    def in_float(self, minor_units: int) -> float:
        """Minor units as money, rounded to the nearest float: for solvers, never for a decision."""
        return float(minor_units / 10**self.places)

    def score_money(self, score: int) -> Decimal:
        """An objective value as money, exact."""
        return unscaled(score, self.places + SCORE_PLACES)


def _security(p: Position, market_value: int, s: Scale) -> Security:
    at = steps_of(p, market_value, s)
    share = at.step // at.lot
    leaves_whole = at.lot == 1 or at.held % (share * p.lot_size) < share
    scaled_share = share // 10**s.quantity
    lots = sorted((lot for lot in p.lots if lot.quantity), key=lambda lot: lot.cost, reverse=True)
    return Security(
        step=at.step,
        held=at.held,
        target=at.target,
        low=at.low,
        high=at.high,
        lot=at.lot,
        position=p,
        closing=max(0, at.held // at.step) if leaves_whole else 0,
        shares=at.lot * 10**s.quantity,
        tax_lots=tuple(
            (scaled(x.quantity, s.quantity), scaled_share - scaled(x.cost, s.places - s.quantity)) for x in lots
        ),
    )


def _weighted(market_value: int, weight: Decimal | None, s: Scale) -> int | None:
    return None if weight is None else market_value * scaled(weight, s.weight) // 10**s.weight


def _narrower(*limits: int | None) -> int | None:
    return min((x for x in limits if x is not None), default=None)


def integer_problem(problem: RebalanceProblem) -> IntegerProblem:
    """The problem in minor units. Every position must have a positive price (checked before, in `validate`)."""
    o = problem.options
    amounts = [problem.cash, o.min_cash, o.max_cash, o.min_trade_value, o.ticket_cost, o.gain_budget]
    rate = EXACT.scaleb(o.cost_bps, -BASIS_POINT_PLACES)
    weights = [o.min_cash_weight, o.max_cash_weight, o.max_turnover, *([rate] if o.reserve_costs else [])]
    s = scale_of(problem.positions, amounts, weights)

    def money(value: Decimal | None) -> int | None:
        return None if value is None else scaled(value, s.places)

    cash = scaled(problem.cash, s.places)
    market_value = total_value(problem.positions, problem.cash, s)
    (drift_weight, trade_weight), cost_rate = MODE_WEIGHTS[o.mode], scaled(rate, SCORE_PLACES)
    turnover = _weighted(market_value, o.max_turnover, s)
    weighted = [market_value * scaled(o.min_cash_weight, s.weight) // 10**s.weight] if o.min_cash_weight else []
    return IntegerProblem(
        problem=problem,
        places=s.places,
        market_value=market_value,
        cash=cash,
        floor=max([scaled(o.min_cash, s.places), *weighted]),
        ceiling=_narrower(money(o.max_cash), _weighted(market_value, o.max_cash_weight, s)),
        trade_cap=None if turnover is None else 2 * turnover,
        gain_budget=money(o.gain_budget),
        most_orders=o.max_trades,
        min_trade=scaled(o.min_trade_value, s.places),
        cost_rate=cost_rate,
        ticket=scaled(o.ticket_cost, s.places) * ONE,
        reserves_costs=o.reserve_costs and bool(o.cost_bps or o.ticket_cost),
        drift_weight=drift_weight,
        trade_weight=trade_weight + cost_rate,
        soft=o.soft_bands or o.mode in SOFT_MODES,
        securities=tuple(
            sorted((_security(p, market_value, s) for p in problem.positions), key=lambda x: x.position.security_id)
        ),
    )
