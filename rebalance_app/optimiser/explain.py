"""Why there is no solution, in words and numbers, each with a remedy. All arithmetic is exact."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from itertools import chain

from models_app.portfolio.bands import band_interval
from models_app.portfolio.types import ZERO, Reason, RebalanceProblem
from models_app.portfolio.units import BASIS_POINT, CENT, CENT_PLACES, EXACT, ceil_div, scaled, unscaled
from rebalance_app.optimiser.problem.bounds import (
    AllowedTrades,
    allowed_trades,
    permitted_interval,
    smallest_trades,
    wide_interval,
)
from rebalance_app.optimiser.problem.coupling import totals_of
from rebalance_app.optimiser.problem.integer_problem import IntegerProblem, Security
from rebalance_app.optimiser.problem.integer_problem import integer_problem as make_ledger
from rebalance_app.optimiser.problem.objective import band_excess, breakpoints, realised_gain

MOST_ADDITIONS = 10  # of cash; each is a fraction of the one before
MOST_HALVINGS = 40


def _percent(part: int, whole: int) -> str:
    return f"{Decimal(part) * 100 / Decimal(whole):.2f} %" if whole else "0 %"


def _money(ip: IntegerProblem, grains: int, rounding: str = ROUND_HALF_EVEN) -> str:
    """To the cent; what is said to suffice is rounded to the side that does."""
    return f"{ip.money(grains).quantize(CENT, rounding=rounding, context=EXACT):,}"


def _weight_up(part: int, whole: int) -> Decimal:
    """part/whole as a weight, rounded up to four decimals, so that a band of this width does contain it."""
    return EXACT.divide(Decimal(max(0, part)), Decimal(whole or 1)).quantize(BASIS_POINT, rounding=ROUND_CEILING)


def _points(weight: Decimal) -> str:
    return f"{weight * 100:.2f} points"


def band_reason(ip: IntegerProblem, security: Security) -> Reason:
    """No whole number of lots has a value inside the band: which band, or which market value, would work."""
    least, most = band_interval(security)
    below, above = security.held + most * security.step, security.held + least * security.step
    mv, name, unit = (
        ip.market_value,
        security.position.security_id,
        "share" if security.lot == 1 else f"lot of {security.lot}",
    )
    # MV·(t+h) must reach the next lot: MV' = value·MV/(MV·(t+h)), rounded up to the cent.
    enough = ceil_div(above * mv, security.high * 10 ** (ip.places - CENT_PLACES))
    numbers = {
        "share_value": ip.money(security.step),
        "band_low": ip.money(max(0, security.low)),
        "band_high": ip.money(security.high),
        "value_below": ip.money(below),
        "value_above": ip.money(above),
        "market_value_needed": unscaled(enough, 2),
    }
    remedies = []
    if above <= mv:
        numbers["high_drift_needed"] = _weight_up(above - security.target, mv)
        remedies.append(f"widen the high drift to {_points(numbers['high_drift_needed'])}")
    if below >= 0:
        numbers["low_drift_needed"] = _weight_up(security.target - below, mv)
        remedies.append(f"widen the low drift to {_points(numbers['low_drift_needed'])}")
    remedies += [f"exclude {name}", f"bring the market value to at least {numbers['market_value_needed']:,.2f}"]
    message = (
        f"One {unit} of {name} is worth {_money(ip, security.step)}, {_percent(security.step, mv)} of this portfolio, and "
        f"its band is {_points(_weight_up(security.high - max(0, security.low), mv))} wide: "
        f"{_money(ip, max(0, security.low))} to {_money(ip, security.high)}. No whole number of them has a value in "
        f"it; the nearest are {_money(ip, below)} and {_money(ip, above)}. {_any_of(remedies)}."
    )
    return Reason("BAND_TOO_NARROW", message, name, numbers)


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _any_of(remedies: Sequence[str]) -> str:
    """The remedies as the start of a sentence."""
    text = ", or ".join(remedies)
    return text[:1].upper() + text[1:]


def _drift_needed(ip: IntegerProblem, security: Security) -> tuple[str, Decimal] | None:
    """Which drift, how wide, would let the holding stay as it is; None where no band reaches so far."""
    side, off = (
        ("low", security.target - security.held)
        if security.held < security.target
        else ("high", security.held - security.target)
    )
    return (side, _weight_up(off, ip.market_value)) if security.held >= 0 and off <= ip.market_value else None


def restriction_reason(ip: IntegerProblem, security: Security) -> Reason:
    """The band asks for a trade that a restriction, the mode or the minimum trade value forbids."""
    band = wide_interval(ip, security)
    least, most = permitted_interval(ip, security)
    name, wider, remedies = security.position.security_id, _drift_needed(ip, security), []
    numbers = {"value_now": ip.money(security.held)}
    if wider:
        numbers[f"{wider[0]}_drift_needed"] = wider[1]
        remedies.append(f"widen the {wider[0]} drift to {_points(wider[1])}")
    if least > most:
        side, needed = ("buying", band[0]) if band[0] > 0 else ("selling", -band[1])
        flag = "do-not-buy" if side == "buying" else "do-not-sell"
        numbers["shares_needed"] = Decimal(needed * security.lot)
        message = (
            f"{name} is {'below' if band[0] > 0 else 'above'} its band: that takes {side} at least "
            f"{needed * security.lot:,} shares, but {flag} forbids it. {_any_of(['lift the restriction', *remedies])}."
        )
        return Reason("RESTRICTION_CONFLICT", message, name, numbers)
    buy, sell = smallest_trades(ip, security)
    enough = max(abs(least), abs(most)) * security.step
    numbers["min_trade_needed"] = ip.money(enough)
    trade, ends, smallest = ("buy", (least, most), buy) if least > 0 else ("sale", (-most, -least), sell)
    message = (
        f"{name} needs a {trade} of {_shares(security, *ends)} to be in its band, but the minimum trade value allows none "
        f"below {smallest * security.lot:,}. "
        f"{_any_of([f'lower the minimum trade value to {_money(ip, enough, ROUND_FLOOR)}', *remedies])}."
    )
    return Reason("MIN_TRADE_CONFLICT", message, name, numbers)


def _shares(security: Security, fewest: int, most: int) -> str:
    """So many steps in words: "1 share", "2 to 5 shares"."""
    amounts = [f"{steps * security.lot:,}" for steps in sorted({fewest, most})]
    return f"{' to '.join(amounts)} {'share' if amounts == ['1'] else 'shares'}"


def line_reason(ip: IntegerProblem, security: Security) -> Reason:
    """Why one security has no whole-share trade at all."""
    least, most = band_interval(security)
    if least > most and not ip.soft:
        return band_reason(ip, security)
    return restriction_reason(ip, security)


def _largest(choices: Sequence[AllowedTrades], steps: Sequence[int]) -> str:
    ranked = sorted(zip(choices, steps, strict=True), key=lambda x: -abs(x[1]) * x[0].security.step)
    return ", ".join(c.security.position.security_id for c, k in ranked[:3] if k)


def _still_short(problem: RebalanceProblem, added: Decimal) -> Decimal | None:
    """Money short of the floor after cash is added and as little bought as is allowed; None: a security has no choice."""
    book = make_ledger(replace(problem, cash=problem.cash + added))
    choices = [allowed_trades(book, security) for security in book.securities]
    if not all(c.segments for c in choices):
        return None
    bought: int = totals_of(book, [c.least for c in choices]).bought
    return book.money(book.floor - book.cash + bought)


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


def _both(money: object, weight: object) -> str:
    """What to add where a limit stands twice: relaxing one of the two does not help."""
    return ", in money as well as in per cent" if money and weight else ""


def _lower_floor(ip: IntegerProblem, value: str) -> str:
    return f"lower the floor to {value}{_both(ip.options.min_cash, ip.options.min_cash_weight)}"


def _raise_ceiling(ip: IntegerProblem, value: str) -> str:
    o = ip.options
    return f"raise the ceiling to {value}{_both(o.max_cash is not None, o.max_cash_weight is not None)}"


def _short_of_cash(ip: IntegerProblem, least: Sequence[int], choices: Sequence[AllowedTrades]) -> Reason | None:
    """The lowest whole numbers of all bands leave less than the floor: by how much, because of what."""
    highest_cash = ip.cash - totals_of(ip, least).bought
    if highest_cash >= ip.floor:
        return None
    short = ip.floor - highest_cash
    numbers = {
        "short": ip.money(short),
        "cash_at_most": ip.money(highest_cash),
        "floor": ip.money(ip.floor),
    }
    remedies = [_lower_floor(ip, _money(ip, highest_cash, ROUND_FLOOR))]
    remedies += [] if ip.soft else ["widen low drifts"]
    needed = _cash_needed(ip)
    if needed:
        numbers["cash_needed"] = needed
        remedies.insert(0, f"add {needed:,.2f} of cash{'' if ip.soft else ', which raises the bands as well'}")
    largest = _largest(choices, least)
    message = (
        f"Cash is short by {_money(ip, short)}: with as little bought, and as much sold, as bands, restrictions "
        f"and mode allow, {_money(ip, highest_cash)} is left, and the cash floor is "
        f"{_money(ip, ip.floor)}. {f'The largest trades this takes are in {largest}. ' if largest else ''}"
        f"{_any_of(remedies)}."
    )
    return Reason("SHORT_OF_CASH", message, None, numbers)


def _above_ceiling(ip: IntegerProblem, most: Sequence[int]) -> Reason | None:
    """The highest whole numbers of all bands leave more cash than the ceiling."""
    lowest_cash = ip.cash - totals_of(ip, most).bought
    if ip.ceiling is None or lowest_cash <= ip.ceiling:
        return None
    over = lowest_cash - ip.ceiling
    message = (
        f"Cash stays {_money(ip, over)} above its ceiling of {_money(ip, ip.ceiling)} even with every "
        "position at the highest whole number its band allows. "
        f"{_any_of([_raise_ceiling(ip, _money(ip, lowest_cash, ROUND_CEILING)), 'widen high drifts'])}, or "
        "raise targets."
    )
    numbers = {"over": ip.money(over), "cash_at_least": ip.money(lowest_cash)}
    return Reason("CASH_ABOVE_CEILING", message, None, numbers)


def cash_reasons(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> tuple[Reason, ...]:
    """Cash limits that fail even with the least, or the most, that the bands allow to be bought."""
    if ip.options.hold:
        return ()
    short = _short_of_cash(ip, [c.least for c in choices], choices)
    over = _above_ceiling(ip, [c.most for c in choices])
    return tuple(reason for reason in (short, over) if reason)


def nearest_to_zero(allowed: AllowedTrades) -> int:
    """The smallest trade the security allows."""
    nearest = [min(max(first, 0), last) for first, last in allowed.segments]
    return min(nearest, key=lambda k: (abs(k), k))


def forced_reasons(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> tuple[Reason, ...]:
    """Turnover, number of orders and realised gain that bands force, where they exceed their limits."""
    forced = [nearest_to_zero(c) for c in choices]
    totals, o, found = totals_of(ip, forced), ip.options, []
    if o.hold:
        return ()
    if ip.trade_cap is not None and totals.traded > ip.trade_cap:
        needed = _weight_up(totals.traded, 2 * ip.market_value)
        message = (
            f"Bringing every position into its band takes a turnover of at least {needed * 100:.2f} "
            "%, and the limit is "
            f"{_percent(ip.trade_cap, 2 * ip.market_value)}. The largest forced trades are in "
            f"{_largest(choices, forced)}. "
            f"Raise the limit to {needed * 100:.2f} %, or widen bands."
        )
        found.append(Reason("TURNOVER_TOO_LOW", message, None, {"turnover_needed": needed}))
    if o.max_trades is not None and totals.orders > o.max_trades:
        message = (
            f"{_counted(totals.orders, 'position must', 'positions must')} be traded, so the limit of "
            f"{_counted(o.max_trades, 'order', 'orders')} is too low. Raise the limit to {totals.orders}, "
            "or widen bands."
        )
        found.append(Reason("TOO_FEW_TRADES", message, None, {"trades_needed": Decimal(totals.orders)}))
    return (*found, *_gain_reasons(ip, choices))


def _gain_reasons(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> tuple[Reason, ...]:
    """The gain that the bands force to be realised, where it exceeds the budget."""
    if ip.gain_budget is None:
        return ()
    trades = [
        min(chain(*breakpoints(ip, c.security, c.segments)), key=lambda k: realised_gain(c.security, k))
        for c in choices
    ]
    least = totals_of(ip, trades).gain
    if least <= ip.gain_budget:
        return ()
    largest = _largest(choices, trades)
    message = (
        f"Bringing every position into its band realises a gain of at least {_money(ip, least)}, highest cost "
        f"first, and the budget is {_money(ip, ip.gain_budget)}. "
        f"{f'The largest of these sales are in {largest}. ' if largest else ''}"
        f"Raise the budget to {_money(ip, least, ROUND_CEILING)}, or widen bands."
    )
    return (Reason("GAIN_BUDGET_TOO_LOW", message, None, {"gain_needed": ip.money(least)}),)


def infeasible_reasons(ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> tuple[Reason, ...]:
    """Everything that is wrong on its own: bands and restrictions first, then cash, turnover and orders."""
    securities = tuple(line_reason(ip, c.security) for c in choices if not c.segments)
    return securities or cash_reasons(ip, choices) + forced_reasons(ip, choices)


def no_value_reason(ip: IntegerProblem) -> Reason:
    """The portfolio owes more than it holds."""
    return Reason(
        "NEGATIVE_MARKET_VALUE",
        f"The market value is {_money(ip, ip.market_value)}: debts exceed holdings, so no "
        "target has a meaning. Add cash.",
        None,
        {"market_value": ip.money(ip.market_value)},
    )


def fraction_reasons(ip: IntegerProblem, trades: Sequence[int]) -> tuple[Reason, ...]:
    """Fractions of a share that stay in positions that were to be sold out: orders are whole shares."""
    found = []
    for security, k in zip(ip.securities, trades, strict=True):
        rest = security.held + k * security.step
        if security.sold_out and 0 < rest < security.step:
            name = security.position.security_id
            shares = security.position.quantity + k * security.lot
            message = f"{shares} of a share of {name}, worth {_money(ip, rest)}, stays: orders are whole shares."
            found.append(Reason("FRACTION_KEPT", message, name, {"quantity": shares, "value": ip.money(rest)}))
    return tuple(found)


def excess_reasons(ip: IntegerProblem, trades: Sequence[int]) -> tuple[Reason, ...]:
    """Positions left outside a soft band, each with its excess."""
    found = []
    for security, k in zip(ip.securities, trades, strict=True):
        value, name, excess = security.held + k * security.step, security.position.security_id, band_excess(security, k)
        if excess:
            side = "below" if value < security.low else "above"
            message = f"{name} stays {_money(ip, excess)} ({_percent(excess, ip.market_value)}) {side} its band."
            found.append(Reason("OUTSIDE_BAND", message, name, {"excess": ip.money(excess)}))
    return tuple(found)


def _change(ip: IntegerProblem, name: str, value: Decimal) -> str:
    """What to do about the limit `name`, in words."""
    return {
        "turnover": f"raise the turnover limit to {value * 100:.2f} %",
        "max_trades": f"allow {_counted(int(value), 'order', 'orders')}",
        "gain_budget": f"raise the gain budget to {value:,}",
        "cash_ceiling": _raise_ceiling(ip, f"{value:,}"),
        "cash_floor": _lower_floor(ip, f"{value:,}"),
    }[name]


def conflict_reason(ip: IntegerProblem, broken: Sequence[str], needed: Mapping[str, Decimal]) -> Reason:
    """Limits that are possible one by one but not together; `needed` are the ones that help when relaxed alone."""
    names = ", ".join(name.replace("_", " ") for name in broken)
    numbers = dict(needed)
    if "turnover" in needed:
        numbers["turnover"] = _weight_up(scaled(needed["turnover"], ip.places), 2 * ip.market_value)
    changes = [_change(ip, name, value) for name, value in numbers.items()]
    remedy = (
        f"Any one of these changes alone makes it possible: {'; '.join(changes)}."
        if changes
        else "No single limit is enough: relax at least two of them, or widen bands."
    )
    why = f"No whole-share answer honours every limit and band at once ({names} cannot be kept)"
    if ip.ceiling is not None and ip.ceiling < ip.floor:
        ends = _money(ip, ip.ceiling), _money(ip, ip.floor)
        why = f"The cash ceiling of {ends[0]} is below the cash floor of {ends[1]}"
    message = f"{why}. {remedy}"
    return Reason("LIMITS_CONFLICT", message, None, numbers)
