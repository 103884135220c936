"""What goes into a rebalance and what comes out of it.

Money, prices, weights and quantities are `Decimal`; weights are fractions of market value (0.05 is five per cent).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

ZERO = Decimal(0)
NEAR = Decimal("0.8")  # of its band used, from which on a position counts as near its edge

Mode = Literal["to_target", "within_bands", "only_breached", "invest_cash", "raise_cash"]
MODES: tuple[Mode, ...] = ("to_target", "within_bands", "only_breached", "invest_cash", "raise_cash")
Status = Literal["optimal", "time_limit", "infeasible", "error"]
Method = Literal["separable", "milp"]
Side = Literal["BUY", "SELL"]


class ProblemError(ValueError):
    """A problem that cannot be read or makes no sense; `field` is a path such as `positions[3].price`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class TaxLot:
    """Shares bought at one cost; `cost` is per share, in the portfolio's currency. Day and reference only name it."""

    quantity: Decimal
    cost: Decimal
    acquired_on: date | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """One security: what is held, what it costs, and where the model wants it.

    A security that is held but not in the model has target, low_drift and high_drift 0 and is sold out. Trades are
    multiples of `lot_size`; a position that is sold out with an odd lot leaves in full, or, where it may stay, stays.
    Of the quantity, `on_order` is bought and not there yet: it counts, and cannot be sold.
    """

    security_id: str
    quantity: Decimal
    price: Decimal | None
    target: Decimal
    low_drift: Decimal
    high_drift: Decimal
    lot_size: int = 1
    can_buy: bool = True
    can_sell: bool = True
    on_order: Decimal = ZERO
    lots: tuple[TaxLot, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What the answer must honour, and what it is measured by.

    min_cash, max_cash      cash after the trades, in money; *_weight as fractions of market value; the narrower holds
    mode                    to_target      least drift from the targets
                            within_bands   least trading that brings every position into its band
                            only_breached  positions outside their band go to target, the others are left alone
                            invest_cash    buys only; raise_cash: sells only, up to the cash floor asked for
                                           (in these two, bands are soft: what may not be traded may stay outside)
    min_trade_value         no trade below this value, except one that closes the position
    max_turnover            half the traded value over market value
    max_trades              number of orders
    cost_bps, ticket_cost   trading cost, weighed against drift in the objective
    reserve_costs           the cash floor is to be left after these costs, too
    gain_budget             realised gain over all sales with tax lots, highest cost sold first
    soft_bands              bands may be left, at 1000 times the price of drift
    hold                    nothing is traded
    nearest                 where there is no solution, also find the nearest one with bands and limits softened
    time_limit              seconds for the integer programme; `nearest` may take it twice more
    """

    min_cash: Decimal = ZERO
    max_cash: Decimal | None = None
    mode: Mode = "to_target"
    min_trade_value: Decimal = ZERO
    max_turnover: Decimal | None = None
    max_trades: int | None = None
    cost_bps: Decimal = ZERO
    time_limit: float = 30.0
    ticket_cost: Decimal = ZERO
    gain_budget: Decimal | None = None
    min_cash_weight: Decimal = ZERO
    max_cash_weight: Decimal | None = None
    soft_bands: bool = False
    hold: bool = False
    nearest: bool = False
    reserve_costs: bool = False


@dataclass(frozen=True, slots=True)
class RebalanceProblem:
    """One portfolio, priced once, with its model's targets."""

    portfolio_id: str
    cash: Decimal
    positions: tuple[Position, ...]
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class Trade:
    """One whole-share order."""

    security_id: str
    side: Side
    quantity: int


Detail = Decimal | float | str | tuple[str, ...]  # flags and counts are numbers


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is: a stable code and what its sentence is made of, but no sentence.

    numbers    what there is and what it would take, as `ordergen solve` shows them beside the sentence
    details    what else the sentence says: other amounts, ids of securities, names of limits, an exception's own words;
               `case` tells sentences of one code apart
    """

    code: str
    security_id: str | None = None
    numbers: Mapping[str, Decimal] = field(default_factory=dict)
    details: Mapping[str, Detail] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RebalanceSolution:
    """The answer for one portfolio, with its certificate.

    status     optimal     proven within a cent of the best (closed form: exactly the best), and checked in integers
               time_limit  checked, but not proven optimal in time, or in so many tries: it is off by `gap` at most
               infeasible  there is no answer; `reasons` say why, `quantities` and `trades` are empty
               error       the problem cannot be solved as given (a price is missing, ...); likewise without trades
    objective, lower_bound, gap are in money; `drift_value` is the total drift after the trades, Σ|MV·t − p·u|.
    first      whether it is known to be the first of all equally good answers: least trading, then by id
    cash_after is before trading costs, cash_after_costs what they leave of it
    seconds    what it took; of a closed form among many, from the first of them on
    binding    cash_floor, turnover, ...: coupling limits that every security's best trade alone would break, whether
               the answer uses them up or not; band:<security_id>: positions that their band keeps from their target
    """

    portfolio_id: str
    status: Status
    method: Method | None = None
    market_value: Decimal | None = None
    objective: Decimal | None = None
    lower_bound: Decimal | None = None
    gap: Decimal | None = None
    quantities: dict[str, Decimal] = field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    cash_after: Decimal | None = None
    reasons: tuple[Reason, ...] = ()
    seconds: float = 0.0
    binding: tuple[str, ...] = ()
    drift_value: Decimal | None = None
    nearest: "RebalanceSolution | None" = None
    first: bool = False
    cash_after_costs: Decimal | None = None

    @property
    def solved(self) -> bool:
        """Whether there is an answer to trade on."""
        return self.status in {"optimal", "time_limit"}
