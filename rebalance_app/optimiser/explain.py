"""Why there is no solution, in words and numbers, each with a remedy. All arithmetic is exact."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from itertools import chain

from models_app.portfolio.types import ZERO, Reason, RebalanceProblem
from models_app.portfolio.units import BASIS_POINT, CENT, CENT_PLACES, EXACT
from rebalance_app.optimiser.problem.bounds import (
    Choice,
    band_interval,
    choice,
    permitted_interval,
    smallest_trades,
    wide_interval,
)
from rebalance_app.optimiser.problem.constraints import ceil_div
from rebalance_app.optimiser.problem.coupling import totals_of
from rebalance_app.optimiser.problem.integer_problem import Ledger, Line, scaled, unscaled
from rebalance_app.optimiser.problem.integer_problem import ledger as make_ledger
from rebalance_app.optimiser.problem.objective import band_excess, breakpoints, realised_gain

MOST_ADDITIONS = 10  # of cash; each is a fraction of the one before
MOST_HALVINGS = 40


def _percent(part: int, whole: int) -> str:
    return f"{Decimal(part) * 100 / Decimal(whole):.2f} %" if whole else "0 %"


def _money(ledger: Ledger, grains: int, rounding: str = ROUND_HALF_EVEN) -> str:
    """To the cent; what is said to suffice is rounded to the side that does."""
    return f"{ledger.money(grains).quantize(CENT, rounding=rounding, context=EXACT):,}"


def _weight_up(part: int, whole: int) -> Decimal:
    """part/whole as a weight, rounded up to four decimals, so that a band of this width does contain it."""
    return EXACT.divide(Decimal(max(0, part)), Decimal(whole or 1)).quantize(BASIS_POINT, rounding=ROUND_CEILING)


def _points(weight: Decimal) -> str:
    return f"{weight * 100:.2f} points"


def band_reason(ledger: Ledger, line: Line) -> Reason:
    """No whole number of lots has a value inside the band: which band, or which market value, would work."""
    least, most = band_interval(line)
    below, above = line.held + most * line.step, line.held + least * line.step
    mv, name, unit = ledger.market_value, line.position.security_id, "share" if line.lot == 1 else f"lot of {line.lot}"
    # MV·(t+h) must reach the next lot: MV' = value·MV/(MV·(t+h)), rounded up to the cent.
    enough = ceil_div(above * mv, line.high * 10 ** (ledger.places - CENT_PLACES))
    numbers = {
        "share_value": ledger.money(line.step),
        "band_low": ledger.money(max(0, line.low)),
        "band_high": ledger.money(line.high),
        "value_below": ledger.money(below),
        "value_above": ledger.money(above),
        "market_value_needed": unscaled(enough, 2),
    }
    remedies = []
    if above <= mv:
        numbers["high_drift_needed"] = _weight_up(above - line.target, mv)
        remedies.append(f"widen the high drift to {_points(numbers['high_drift_needed'])}")
    if below >= 0:
        numbers["low_drift_needed"] = _weight_up(line.target - below, mv)
        remedies.append(f"widen the low drift to {_points(numbers['low_drift_needed'])}")
    remedies += [f"exclude {name}", f"bring the market value to at least {numbers['market_value_needed']:,.2f}"]
    message = (
        f"One {unit} of {name} is worth {_money(ledger, line.step)}, {_percent(line.step, mv)} of this portfolio, and "
        f"its band is {_points(_weight_up(line.high - max(0, line.low), mv))} wide: "
        f"{_money(ledger, max(0, line.low))} to {_money(ledger, line.high)}. No whole number of them has a value in "
        f"it; the nearest are {_money(ledger, below)} and {_money(ledger, above)}. {_any_of(remedies)}."
    )
    return Reason("BAND_TOO_NARROW", message, name, numbers)


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _any_of(remedies: Sequence[str]) -> str:
    """The remedies as the start of a sentence."""
    text = ", or ".join(remedies)
    return text[:1].upper() + text[1:]


def _drift_needed(ledger: Ledger, line: Line) -> tuple[str, Decimal] | None:
    """Which drift, how wide, would let the holding stay as it is; None where no band reaches so far."""
    side, off = ("low", line.target - line.held) if line.held < line.target else ("high", line.held - line.target)
    return (side, _weight_up(off, ledger.market_value)) if line.held >= 0 and off <= ledger.market_value else None


def restriction_reason(ledger: Ledger, line: Line) -> Reason:
    """The band asks for a trade that a restriction, the mode or the minimum trade value forbids."""
    band = wide_interval(ledger, line)
    least, most = permitted_interval(ledger, line)
    name, wider, remedies = line.position.security_id, _drift_needed(ledger, line), []
    numbers = {"value_now": ledger.money(line.held)}
    if wider:
        numbers[f"{wider[0]}_drift_needed"] = wider[1]
        remedies.append(f"widen the {wider[0]} drift to {_points(wider[1])}")
    if least > most:
        side, needed = ("buying", band[0]) if band[0] > 0 else ("selling", -band[1])
        flag = "do-not-buy" if side == "buying" else "do-not-sell"
        numbers["shares_needed"] = Decimal(needed * line.lot)
        message = (
            f"{name} is {'below' if band[0] > 0 else 'above'} its band: that takes {side} at least "
            f"{needed * line.lot:,} shares, but {flag} forbids it. {_any_of(['lift the restriction', *remedies])}."
        )
        return Reason("RESTRICTION_CONFLICT", message, name, numbers)
    buy, sell = smallest_trades(ledger, line)
    enough = max(abs(least), abs(most)) * line.step
    numbers["min_trade_needed"] = ledger.money(enough)
    trade, ends, smallest = ("buy", (least, most), buy) if least > 0 else ("sale", (-most, -least), sell)
    message = (
        f"{name} needs a {trade} of {_shares(line, *ends)} to be in its band, but the minimum trade value allows none "
        f"below {smallest * line.lot:,}. "
        f"{_any_of([f'lower the minimum trade value to {_money(ledger, enough, ROUND_FLOOR)}', *remedies])}."
    )
    return Reason("MIN_TRADE_CONFLICT", message, name, numbers)


def _shares(line: Line, fewest: int, most: int) -> str:
    """So many steps in words: "1 share", "2 to 5 shares"."""
    amounts = [f"{steps * line.lot:,}" for steps in sorted({fewest, most})]
    return f"{' to '.join(amounts)} {'share' if amounts == ['1'] else 'shares'}"


def line_reason(ledger: Ledger, line: Line) -> Reason:
    """Why one line has no whole-share trade at all."""
    least, most = band_interval(line)
    if least > most and not ledger.soft:
        return band_reason(ledger, line)
    return restriction_reason(ledger, line)


def _largest(choices: Sequence[Choice], steps: Sequence[int]) -> str:
    ranked = sorted(zip(choices, steps, strict=True), key=lambda x: -abs(x[1]) * x[0].line.step)
    return ", ".join(c.line.position.security_id for c, k in ranked[:3] if k)


def _still_short(problem: RebalanceProblem, added: Decimal) -> Decimal | None:
    """Money short of the floor after cash is added and as little bought as is allowed; None: a line has no choice."""
    book = make_ledger(replace(problem, cash=problem.cash + added))
    choices = [choice(book, line) for line in book.lines]
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


def _cash_needed(ledger: Ledger) -> Decimal | None:
    """Cash to add so that as little bought as is allowed leaves the floor; None where no amount is known to do.

    More cash also raises hard bands: of each unit, only what their lower ends and the floor leave of it helps. Whole
    shares make that an estimate, so what is missing afterwards is added again, and what is too much taken off.
    """
    problem, added = ledger.problem, ZERO
    by_weight = EXACT.multiply(problem.options.min_cash_weight, Decimal(ledger.market_value))
    helping = ledger.market_value - int(by_weight) - sum(max(0, line.low) for line in ledger.lines)
    if helping <= 0:
        return None
    for _ in range(MOST_ADDITIONS):
        short = _still_short(problem, added)
        if short is None:
            return None
        if short <= 0:
            return _least_cash(problem, added)
        more = EXACT.divide(EXACT.multiply(short, Decimal(ledger.market_value)), Decimal(helping))
        added += more.quantize(CENT, rounding=ROUND_CEILING, context=EXACT)
    return None


def _both(money: object, weight: object) -> str:
    """What to add where a limit stands twice: relaxing one of the two does not help."""
    return ", in money as well as in per cent" if money and weight else ""


def _lower_floor(ledger: Ledger, value: str) -> str:
    return f"lower the floor to {value}{_both(ledger.options.min_cash, ledger.options.min_cash_weight)}"


def _raise_ceiling(ledger: Ledger, value: str) -> str:
    o = ledger.options
    return f"raise the ceiling to {value}{_both(o.max_cash is not None, o.max_cash_weight is not None)}"


def _short_of_cash(ledger: Ledger, least: Sequence[int], choices: Sequence[Choice]) -> Reason | None:
    """The lowest whole numbers of all bands leave less than the floor: by how much, because of what."""
    highest_cash = ledger.cash - totals_of(ledger, least).bought
    if highest_cash >= ledger.floor:
        return None
    short = ledger.floor - highest_cash
    numbers = {
        "short": ledger.money(short),
        "cash_at_most": ledger.money(highest_cash),
        "floor": ledger.money(ledger.floor),
    }
    remedies = [_lower_floor(ledger, _money(ledger, highest_cash, ROUND_FLOOR))]
    remedies += [] if ledger.soft else ["widen low drifts"]
    needed = _cash_needed(ledger)
    if needed:
        numbers["cash_needed"] = needed
        remedies.insert(0, f"add {needed:,.2f} of cash{'' if ledger.soft else ', which raises the bands as well'}")
    largest = _largest(choices, least)
    message = (
        f"Cash is short by {_money(ledger, short)}: with as little bought, and as much sold, as bands, restrictions "
        f"and mode allow, {_money(ledger, highest_cash)} is left, and the cash floor is "
        f"{_money(ledger, ledger.floor)}. {f'The largest trades this takes are in {largest}. ' if largest else ''}"
        f"{_any_of(remedies)}."
    )
    return Reason("SHORT_OF_CASH", message, None, numbers)


def _above_ceiling(ledger: Ledger, most: Sequence[int]) -> Reason | None:
    """The highest whole numbers of all bands leave more cash than the ceiling."""
    lowest_cash = ledger.cash - totals_of(ledger, most).bought
    if ledger.ceiling is None or lowest_cash <= ledger.ceiling:
        return None
    over = lowest_cash - ledger.ceiling
    message = (
        f"Cash stays {_money(ledger, over)} above its ceiling of {_money(ledger, ledger.ceiling)} even with every "
        "position at the highest whole number its band allows. "
        f"{_any_of([_raise_ceiling(ledger, _money(ledger, lowest_cash, ROUND_CEILING)), 'widen high drifts'])}, or "
        "raise targets."
    )
    numbers = {"over": ledger.money(over), "cash_at_least": ledger.money(lowest_cash)}
    return Reason("CASH_ABOVE_CEILING", message, None, numbers)


def cash_reasons(ledger: Ledger, choices: Sequence[Choice]) -> tuple[Reason, ...]:
    """Cash limits that fail even with the least, or the most, that the bands allow to be bought."""
    if ledger.options.hold:
        return ()
    short = _short_of_cash(ledger, [c.least for c in choices], choices)
    over = _above_ceiling(ledger, [c.most for c in choices])
    return tuple(reason for reason in (short, over) if reason)


def nearest_to_zero(choice: Choice) -> int:
    """The smallest trade the line allows."""
    nearest = [min(max(first, 0), last) for first, last in choice.segments]
    return min(nearest, key=lambda k: (abs(k), k))


def forced_reasons(ledger: Ledger, choices: Sequence[Choice]) -> tuple[Reason, ...]:
    """Turnover, number of orders and realised gain that bands force, where they exceed their limits."""
    forced = [nearest_to_zero(c) for c in choices]
    totals, o, found = totals_of(ledger, forced), ledger.options, []
    if o.hold:
        return ()
    if ledger.trade_cap is not None and totals.traded > ledger.trade_cap:
        needed = _weight_up(totals.traded, 2 * ledger.market_value)
        message = (
            f"Bringing every position into its band takes a turnover of at least {needed * 100:.2f} "
            "%, and the limit is "
            f"{_percent(ledger.trade_cap, 2 * ledger.market_value)}. The largest forced trades are in "
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
    return (*found, *_gain_reasons(ledger, choices))


def _gain_reasons(ledger: Ledger, choices: Sequence[Choice]) -> tuple[Reason, ...]:
    """The gain that the bands force to be realised, where it exceeds the budget."""
    if ledger.gain_budget is None:
        return ()
    trades = [
        min(chain(*breakpoints(ledger, c.line, c.segments)), key=lambda k: realised_gain(c.line, k)) for c in choices
    ]
    least = totals_of(ledger, trades).gain
    if least <= ledger.gain_budget:
        return ()
    largest = _largest(choices, trades)
    message = (
        f"Bringing every position into its band realises a gain of at least {_money(ledger, least)}, highest cost "
        f"first, and the budget is {_money(ledger, ledger.gain_budget)}. "
        f"{f'The largest of these sales are in {largest}. ' if largest else ''}"
        f"Raise the budget to {_money(ledger, least, ROUND_CEILING)}, or widen bands."
    )
    return (Reason("GAIN_BUDGET_TOO_LOW", message, None, {"gain_needed": ledger.money(least)}),)


def infeasible_reasons(ledger: Ledger, choices: Sequence[Choice]) -> tuple[Reason, ...]:
    """Everything that is wrong on its own: bands and restrictions first, then cash, turnover and orders."""
    lines = tuple(line_reason(ledger, c.line) for c in choices if not c.segments)
    return lines or cash_reasons(ledger, choices) + forced_reasons(ledger, choices)


def no_value_reason(ledger: Ledger) -> Reason:
    """The portfolio owes more than it holds."""
    return Reason(
        "NEGATIVE_MARKET_VALUE",
        f"The market value is {_money(ledger, ledger.market_value)}: debts exceed holdings, so no "
        "target has a meaning. Add cash.",
        None,
        {"market_value": ledger.money(ledger.market_value)},
    )


def fraction_reasons(ledger: Ledger, trades: Sequence[int]) -> tuple[Reason, ...]:
    """Fractions of a share that stay in positions that were to be sold out: orders are whole shares."""
    found = []
    for line, k in zip(ledger.lines, trades, strict=True):
        rest = line.held + k * line.step
        if line.sold_out and 0 < rest < line.step:
            name = line.position.security_id
            shares = line.position.quantity + k * line.lot
            message = f"{shares} of a share of {name}, worth {_money(ledger, rest)}, stays: orders are whole shares."
            found.append(Reason("FRACTION_KEPT", message, name, {"quantity": shares, "value": ledger.money(rest)}))
    return tuple(found)


def excess_reasons(ledger: Ledger, trades: Sequence[int]) -> tuple[Reason, ...]:
    """Positions left outside a soft band, each with its excess."""
    found = []
    for line, k in zip(ledger.lines, trades, strict=True):
        value, name, excess = line.held + k * line.step, line.position.security_id, band_excess(line, k)
        if excess:
            side = "below" if value < line.low else "above"
            message = (
                f"{name} stays {_money(ledger, excess)} ({_percent(excess, ledger.market_value)}) {side} its band."
            )
            found.append(Reason("OUTSIDE_BAND", message, name, {"excess": ledger.money(excess)}))
    return tuple(found)


def _change(ledger: Ledger, name: str, value: Decimal) -> str:
    """What to do about the limit `name`, in words."""
    return {
        "turnover": f"raise the turnover limit to {value * 100:.2f} %",
        "max_trades": f"allow {_counted(int(value), 'order', 'orders')}",
        "gain_budget": f"raise the gain budget to {value:,}",
        "cash_ceiling": _raise_ceiling(ledger, f"{value:,}"),
        "cash_floor": _lower_floor(ledger, f"{value:,}"),
    }[name]


def conflict_reason(ledger: Ledger, broken: Sequence[str], needed: Mapping[str, Decimal]) -> Reason:
    """Limits that are possible one by one but not together; `needed` are the ones that help when relaxed alone."""
    names = ", ".join(name.replace("_", " ") for name in broken)
    numbers = dict(needed)
    if "turnover" in needed:
        numbers["turnover"] = _weight_up(scaled(needed["turnover"], ledger.places), 2 * ledger.market_value)
    changes = [_change(ledger, name, value) for name, value in numbers.items()]
    remedy = (
        f"Any one of these changes alone makes it possible: {'; '.join(changes)}."
        if changes
        else "No single limit is enough: relax at least two of them, or widen bands."
    )
    why = f"No whole-share answer honours every limit and band at once ({names} cannot be kept)"
    if ledger.ceiling is not None and ledger.ceiling < ledger.floor:
        ends = _money(ledger, ledger.ceiling), _money(ledger, ledger.floor)
        why = f"The cash ceiling of {ends[0]} is below the cash floor of {ends[1]}"
    message = f"{why}. {remedy}"
    return Reason("LIMITS_CONFLICT", message, None, numbers)
