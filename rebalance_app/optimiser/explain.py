"""Why there is no solution, and what would help, in numbers. All arithmetic is exact."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import partial
from itertools import chain

from models_app.portfolio.bands import band_interval
from models_app.portfolio.types import ZERO, Detail, Reason, RebalanceProblem
from models_app.portfolio.units import BASIS_POINT, CENT, CENT_PLACES, EXACT, ceil_div, scaled, unscaled

from .problem.bounds import AllowedTrades, allowed_trades, permitted_interval, smallest_trades, wide_interval
from .problem.coupling import totals_of
from .problem.integer_problem import IntegerProblem, Security, integer_problem
from .problem.objective import band_excess, breakpoints, realised_gain

MOST_ADDITIONS = 10  # of cash; each is a fraction of the one before
MOST_HALVINGS = 40


def _weight_up(part: int, whole: int) -> Decimal:
    """part/whole as a weight, rounded up to four decimals, so that a band of this width does contain it."""
    return EXACT.divide(Decimal(max(0, part)), Decimal(whole or 1)).quantize(BASIS_POINT, rounding=ROUND_CEILING)


def _band_reason(ip: IntegerProblem, security: Security) -> Reason:
    """No whole number of lots has a value inside the band: which band, or which market value, would work."""
    least, most = band_interval(security)
    below, above = security.held + most * security.step, security.held + least * security.step
    low, mv = max(0, security.low), ip.market_value
    # MV·(t+h) must reach the next lot: MV' = value·MV/(MV·(t+h)), rounded up to the cent.
    enough = ceil_div(above * mv, security.high * 10 ** (ip.places - CENT_PLACES))
    numbers = {
        "share_value": ip.money(security.step),
        "band_low": ip.money(low),
        "band_high": ip.money(security.high),
        "value_below": ip.money(below),
        "value_above": ip.money(above),
        "market_value_needed": unscaled(enough, CENT_PLACES),
    }
    if above <= mv:
        numbers["high_drift_needed"] = _weight_up(above - security.target, mv)
    if below >= 0:
        numbers["low_drift_needed"] = _weight_up(security.target - below, mv)
    width = _weight_up(security.high - low, mv)
    details: dict[str, Detail] = {"lot": security.lot, "band_width": width, "market_value": ip.money(mv)}
    return Reason("BAND_TOO_NARROW", security.position.security_id, numbers, details)


def _drift_needed(ip: IntegerProblem, security: Security) -> dict[str, Decimal]:
    """Which drift, how wide, would let the holding stay as it is; empty where no band reaches so far."""
    off = security.target - security.held
    if security.held < 0 or abs(off) > ip.market_value:
        return {}
    return {f"{'low' if off > 0 else 'high'}_drift_needed": _weight_up(abs(off), ip.market_value)}


def _restriction_reason(ip: IntegerProblem, security: Security) -> Reason:
    """The band asks for a trade that a restriction, the mode or the minimum trade value forbids."""
    name, (least, most) = security.position.security_id, permitted_interval(ip, security)
    numbers = {"value_now": ip.money(security.held), **_drift_needed(ip, security)}
    if least > most:
        first, last = wide_interval(ip, security)
        side, steps = ("BUY", first) if first > 0 else ("SELL", -last)
        numbers["shares_needed"] = Decimal(steps * security.lot)
        return Reason("RESTRICTION_CONFLICT", name, numbers, {"side": side})
    buy, sell = smallest_trades(ip, security)
    side, smallest = ("BUY", buy) if least > 0 else ("SELL", sell)
    fewest, most = sorted((abs(least), abs(most)))
    numbers["min_trade_needed"] = ip.money(most * security.step)
    shares = {"fewest": fewest * security.lot, "most": most * security.lot, "smallest": smallest * security.lot}
    return Reason("MIN_TRADE_CONFLICT", name, numbers, {"side": side, **shares})


def _security_reason(ip: IntegerProblem, security: Security) -> Reason:
    """Why one security has no whole-share trade at all."""
    least, most = band_interval(security)
    if least > most and not ip.soft:
        return _band_reason(ip, security)
    return _restriction_reason(ip, security)


def _largest(choices: Sequence[AllowedTrades], steps: Sequence[int]) -> tuple[str, ...]:
    """The securities with the three largest trades."""
    ranked = sorted(zip(choices, steps, strict=True), key=lambda x: -abs(x[1]) * x[0].security.step)
    return tuple(c.security.position.security_id for c, k in ranked[:3] if k)


def _least_spent(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> list[int]:
    """The trade of each security that leaves most above the floor: where costs count, a sale may leave nothing."""
    if not ip.reserves_costs:
        return [c.least for c in choices]

    def spent(security: Security, k: int) -> int:
        net = k * security.step
        return int(ip.spent(net, abs(net), int(k != 0)))

    return [min(chain(*breakpoints(ip, c.security, c.segments)), key=partial(spent, c.security)) for c in choices]


def _still_short(problem: RebalanceProblem, added: Decimal) -> Decimal | None:
    """Money short of the floor after cash is added and as little bought as may be; None: a security has no choice."""
    ip = integer_problem(replace(problem, cash=problem.cash + added))
    choices = [allowed_trades(ip, security) for security in ip.securities]
    if not all(c.segments for c in choices):
        return None
    return ip.money(ip.floor - ip.cash + totals_of(ip, _least_spent(ip, choices)).spent)


def _least_cash(problem: RebalanceProblem, enough: Decimal) -> Decimal:
    """Of the cash to add that is enough, no more than is needed, to the cent; more where that is not found soon."""
    too_little = ZERO
    for _ in range(MOST_HALVINGS):
        half = ((too_little + enough) / 2).quantize(CENT, rounding=ROUND_FLOOR, context=EXACT)
        if half == too_little:
            break
        short = _still_short(problem, half)
        too_little, enough = (too_little, half) if short is not None and short <= 0 else (half, enough)
    return enough


def _cash_needed(ip: IntegerProblem) -> Decimal | None:
    """Cash to add so that as little bought as is allowed leaves the floor; None where no amount is known to do.

    More cash also raises hard bands: of each unit, only what their lower ends and the floor leave of it helps. Whole
    shares make that an estimate, so what is missing afterwards is added again, and what is too much taken off.
    """
    problem, added = ip.problem, ZERO
    by_weight = EXACT.multiply(problem.options.min_cash_weight, Decimal(ip.market_value))
    helping = ip.market_value - int(by_weight) - sum(max(0, security.low) for security in ip.securities)
    if helping <= 0:
        return None
    for _ in range(MOST_ADDITIONS):
        short = _still_short(problem, added)
        if short is None:
            return None
        if short <= 0:
            return _least_cash(problem, added)
        more = EXACT.divide(EXACT.multiply(short, Decimal(ip.market_value)), Decimal(helping))
        added += more.quantize(CENT, rounding=ROUND_CEILING, context=EXACT)
    return None


def _floor_twice(ip: IntegerProblem) -> bool:
    """Whether it stands in money and in per cent: relaxing one of the two does not help."""
    return bool(ip.options.min_cash and ip.options.min_cash_weight)


def _ceiling_twice(ip: IntegerProblem) -> bool:
    return ip.options.max_cash is not None and ip.options.max_cash_weight is not None


def _short_of_cash(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> Reason | None:
    """The lowest whole numbers of all bands leave less than the floor: by how much, because of what."""
    least = _least_spent(ip, choices)
    highest_cash = ip.cash - totals_of(ip, least).spent
    if highest_cash >= ip.floor:
        return None
    numbers = {
        "short": ip.money(ip.floor - highest_cash),
        "cash_at_most": ip.money(highest_cash),
        "floor": ip.money(ip.floor),
    }
    if needed := _cash_needed(ip):
        numbers["cash_needed"] = needed
    largest = _largest(choices, least)
    details: dict[str, Detail] = {"is_soft": ip.soft, "largest": largest, "floor_twice": _floor_twice(ip)}
    details |= {"after_costs": True} if ip.reserves_costs else {}
    return Reason("SHORT_OF_CASH", None, numbers, details)


def _above_ceiling(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> Reason | None:
    """The highest whole numbers of all bands leave more cash than the ceiling."""
    if ip.ceiling is None:
        return None
    lowest_cash = ip.cash - totals_of(ip, [c.most for c in choices]).net_bought
    if lowest_cash <= ip.ceiling:
        return None
    numbers = {"over": ip.money(lowest_cash - ip.ceiling), "cash_at_least": ip.money(lowest_cash)}
    details: dict[str, Detail] = {"ceiling": ip.money(ip.ceiling), "ceiling_twice": _ceiling_twice(ip)}
    return Reason("CASH_ABOVE_CEILING", None, numbers, details)


def _forced(choices: Sequence[AllowedTrades]) -> list[int]:
    """The smallest trade that each security allows."""
    return [min((min(max(first, 0), last) for first, last in c.segments), key=lambda k: (abs(k), k)) for c in choices]


def _forced_turnover(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> Reason | None:
    """The bands force more trading than the turnover limit allows."""
    if ip.trade_cap is None:
        return None
    forced = _forced(choices)
    traded = totals_of(ip, forced).traded
    if traded <= ip.trade_cap:
        return None
    details: dict[str, Detail] = {"limit": ip.money(ip.trade_cap), "market_value": ip.money(ip.market_value)}
    details["largest"] = _largest(choices, forced)
    return Reason("TURNOVER_TOO_LOW", None, {"turnover_needed": _weight_up(traded, 2 * ip.market_value)}, details)


def _forced_orders(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> Reason | None:
    """The bands force more orders than are allowed."""
    if ip.options.max_trades is None:
        return None
    orders = totals_of(ip, _forced(choices)).orders
    if orders <= ip.options.max_trades:
        return None
    return Reason("TOO_FEW_TRADES", None, {"trades_needed": Decimal(orders)}, {"limit": ip.options.max_trades})


def _forced_gain(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> Reason | None:
    """The gain that the bands force to be realised, where it exceeds the budget."""
    if ip.gain_budget is None:
        return None
    trades = [
        min(chain(*breakpoints(ip, c.security, c.segments)), key=lambda k: realised_gain(c.security, k))
        for c in choices
    ]
    least = totals_of(ip, trades).gain
    if least <= ip.gain_budget:
        return None
    details: dict[str, Detail] = {"limit": ip.money(ip.gain_budget), "largest": _largest(choices, trades)}
    return Reason("GAIN_BUDGET_TOO_LOW", None, {"gain_needed": ip.money(least)}, details)


LIMITS = (_short_of_cash, _above_ceiling, _forced_turnover, _forced_orders, _forced_gain)


def infeasible_reasons(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> tuple[Reason, ...]:
    """Everything that is wrong on its own: bands and restrictions first, then cash, turnover, orders and gain."""
    securities = tuple(_security_reason(ip, c.security) for c in choices if not c.segments)
    if securities or ip.options.hold:
        return securities
    return tuple(reason for limit in LIMITS if (reason := limit(ip, choices)))


def fraction_reasons(ip: IntegerProblem, trades: Sequence[int]) -> tuple[Reason, ...]:
    """Fractions of a share that stay in positions that were to be sold out: orders are whole shares."""
    found = []
    for security, k in zip(ip.securities, trades, strict=True):
        rest = security.held + k * security.step
        if security.sold_out and 0 < rest < security.step:
            shares = security.position.quantity + k * security.lot
            numbers = {"quantity": shares, "value": ip.money(rest)}
            found.append(Reason("FRACTION_KEPT", security.position.security_id, numbers))
    return tuple(found)


def excess_reasons(ip: IntegerProblem, trades: Sequence[int]) -> tuple[Reason, ...]:
    """Positions left outside a soft band, each with its excess."""
    found = []
    for security, k in zip(ip.securities, trades, strict=True):
        if excess := band_excess(security, k):
            is_below = security.held + k * security.step < security.low
            details = {"side": "below" if is_below else "above", "market_value": ip.money(ip.market_value)}
            found.append(Reason("OUTSIDE_BAND", security.position.security_id, {"excess": ip.money(excess)}, details))
    return tuple(found)


def conflict_reason(ip: IntegerProblem, broken: Sequence[str], needed: Mapping[str, Decimal]) -> Reason:
    """Limits that are possible one by one but not together; `needed` are the ones that help when relaxed alone."""
    numbers = dict(needed)
    if "turnover" in needed:
        numbers["turnover"] = _weight_up(scaled(needed["turnover"], ip.places), 2 * ip.market_value)
    details: dict[str, Detail] = {
        "broken": tuple(broken),
        "floor_twice": _floor_twice(ip),
        "ceiling_twice": _ceiling_twice(ip),
    }
    if ip.ceiling is not None and ip.ceiling < ip.floor:
        details |= {"floor": ip.money(ip.floor), "ceiling": ip.money(ip.ceiling)}
    return Reason("LIMITS_CONFLICT", None, numbers, details)
