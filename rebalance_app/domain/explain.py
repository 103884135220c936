"""Why there is no solution, in words and numbers, each with a remedy. All arithmetic is exact."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal

from .bounds import Choice, band_interval, ceil_div, permitted_interval, smallest_trades, soft_interval
from .constraints import totals_of
from .integers import EXACT, Ledger, Line, scaled, unscaled
from .objective import band_excess
from .types import Reason

FOUR = Decimal("0.0001")


def _percent(part: int, whole: int) -> str:
    return f"{Decimal(part) * 100 / Decimal(whole):.2f} %" if whole else "0 %"


def _money(ledger: Ledger, grains: int) -> str:
    return f"{ledger.money(grains):,.2f}"


def _weight_up(part: int, whole: int) -> Decimal:
    """part/whole as a weight, rounded up to four decimals, so that a band of this width does contain it."""
    return EXACT.divide(Decimal(max(0, part)), Decimal(whole or 1)).quantize(FOUR, rounding=ROUND_CEILING)


def band_reason(ledger: Ledger, line: Line) -> Reason:
    """No whole number of lots has a value inside the band: which band, or which market value, would work."""
    least, most = band_interval(line)
    below, above = line.held + most * line.step, line.held + least * line.step
    mv, name, unit = ledger.market_value, line.position.security_id, "share" if line.lot == 1 else f"lot of {line.lot}"
    high_drift, low_drift = _weight_up(above - line.target, mv), _weight_up(line.target - below, mv)
    # MV·(t+h) must reach the next lot: MV' = value·MV/(MV·(t+h)), rounded up to the cent.
    cents = ledger.places - 2
    enough = ceil_div(above * mv, line.high * 10**cents) if line.high > 0 else 0
    numbers = {
        "share_value": ledger.money(line.step),
        "band_low": ledger.money(max(0, line.low)),
        "band_high": ledger.money(line.high),
        "value_below": ledger.money(below),
        "value_above": ledger.money(above),
        "high_drift_needed": high_drift,
        "low_drift_needed": low_drift,
        "market_value_needed": unscaled(enough, 2),
    }
    below_words = (
        f"widen the low drift to {low_drift * 100:.2f} points" if below >= 0 else "the position cannot be smaller"
    )
    message = (
        f"One {unit} of {name} is worth {_money(ledger, line.step)}, {_percent(line.step, mv)} of "
        "this portfolio. Its band is "
        f"{_money(ledger, max(0, line.low))} to {_money(ledger, line.high)}, and no whole number of "
        "them has a value in it: the nearest "
        f"are {_money(ledger, below)} and {_money(ledger, above)}. Widen the high drift to "
        f"{high_drift * 100:.2f} points, or "
        f"{below_words}, or exclude {name}, or bring the market value to at least "
        f"{numbers['market_value_needed']:,.2f}."
    )
    return Reason("BAND_TOO_NARROW", message, name, numbers)


def restriction_reason(ledger: Ledger, line: Line) -> Reason:
    """The band asks for a trade that a restriction, the mode or the minimum trade value forbids."""
    band = soft_interval(ledger, line) if ledger.soft else band_interval(line)
    least, most = permitted_interval(ledger, line, band)
    name, p = line.position.security_id, line.position
    numbers = {"steps_least": Decimal(band[0]), "steps_most": Decimal(band[1]), "value_now": ledger.money(line.held)}
    if least > most:
        side, needed = ("buying", band[0]) if band[0] > 0 else ("selling", -band[1])
        flag = "do-not-buy" if side == "buying" else "do-not-sell"
        message = (
            f"{name} is {'below' if band[0] > 0 else 'above'} its band: that takes {side} at least "
            f"{needed * line.lot} shares, "
            f"but {flag} forbids it. Lift the restriction, or widen the band to include "
            f"{_percent(line.held, ledger.market_value)}."
        )
        return Reason("RESTRICTION_CONFLICT", message, name, numbers)
    buy, sell = smallest_trades(ledger, line)
    message = (
        f"{name} needs a trade of {least * p.lot_size} to {most * p.lot_size} shares to be in its "
        "band, but the minimum trade value "
        f"allows no buy below {buy * p.lot_size} and no sale below {sell * p.lot_size} shares. Lower "
        "the minimum trade value "
        f"to {_money(ledger, max(abs(least), abs(most)) * line.step)}, or widen the band."
    )
    return Reason("MIN_TRADE_CONFLICT", message, name, numbers)


def line_reason(ledger: Ledger, line: Line) -> Reason:
    """Why one line has no whole-share trade at all."""
    least, most = band_interval(line)
    if least > most and not ledger.soft:
        return band_reason(ledger, line)
    return restriction_reason(ledger, line)


def _largest(choices: Sequence[Choice], steps: Sequence[int]) -> str:
    ranked = sorted(zip(choices, steps, strict=True), key=lambda x: -abs(x[1]) * x[0].line.step)
    return ", ".join(c.line.position.security_id for c, k in ranked[:3] if k)


def cash_reasons(ledger: Ledger, choices: Sequence[Choice]) -> tuple[Reason, ...]:
    """Cash limits that fail even with the least, or the most, that the bands allow to be bought."""
    if ledger.options.hold:
        return ()
    found = []
    least, most = [c.least for c in choices], [c.most for c in choices]
    highest_cash = ledger.cash - totals_of(ledger, least).bought
    lowest_cash = ledger.cash - totals_of(ledger, most).bought
    if highest_cash < ledger.floor:
        short = ledger.floor - highest_cash
        message = (
            f"Cash is short by {_money(ledger, short)}: with every position at the lowest whole "
            "number its band allows, "
            f"{_money(ledger, highest_cash)} is left, and the cash floor is "
            f"{_money(ledger, ledger.floor)}. The largest trades this "
            f"takes are in {_largest(choices, least) or 'no security'}. Add {_money(ledger, short)} "
            "of cash, lower the floor, or widen "
            f"low drifts."
        )
        numbers = {
            "short": ledger.money(short),
            "cash_at_most": ledger.money(highest_cash),
            "floor": ledger.money(ledger.floor),
        }
        found.append(Reason("SHORT_OF_CASH", message, None, numbers))
    if ledger.ceiling is not None and lowest_cash > ledger.ceiling:
        over = lowest_cash - ledger.ceiling
        message = (
            f"Cash stays {_money(ledger, over)} above its ceiling of {_money(ledger, ledger.ceiling)} "
            "even with every position at the "
            f"highest whole number its band allows. Raise the ceiling, widen high drifts, or raise targets."
        )
        found.append(Reason("CASH_ABOVE_CEILING", message, None, {"over": ledger.money(over)}))
    return tuple(found)


def nearest_to_zero(choice: Choice) -> int:
    """The smallest trade the line allows."""
    ends = [k for first, last in choice.segments for k in (first, last, min(max(first, 0), last))]
    return min(ends, key=lambda k: (abs(k), k))


def forced_reasons(ledger: Ledger, choices: Sequence[Choice]) -> tuple[Reason, ...]:
    """Turnover, number of orders and realised gain that bands force, where they exceed their limits."""
    forced = [nearest_to_zero(c) for c in choices]
    totals, o, found = totals_of(ledger, forced), ledger.options, []
    if ledger.trade_cap is not None and totals.traded > ledger.trade_cap:
        needed = _weight_up(totals.traded, 2 * ledger.market_value)
        message = (
            f"Bringing every position into its band takes a turnover of at least {needed * 100:.2f} "
            "%, and the limit is "
            f"{_percent(ledger.trade_cap, 2 * ledger.market_value)}. The largest forced trades are in "
            f"{_largest(choices, forced)}. "
            f"Raise the limit to {needed}, or widen bands."
        )
        found.append(Reason("TURNOVER_TOO_LOW", message, None, {"turnover_needed": needed}))
    if o.max_trades is not None and totals.orders > o.max_trades:
        message = (
            f"{totals.orders} positions are outside their bands, so at least {totals.orders} orders "
            "are needed; the limit is "
            f"{o.max_trades}. Raise the limit to {totals.orders}, or widen bands."
        )
        found.append(Reason("TOO_FEW_TRADES", message, None, {"trades_needed": Decimal(totals.orders)}))
    return tuple(found)


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


LIMIT_WORDS = {
    "turnover": "raise the turnover limit to {}",
    "max_trades": "allow {} orders",
    "gain_budget": "raise the gain budget to {}",
    "cash_ceiling": "raise the cash ceiling to {}",
    "cash_floor": "lower the cash floor to {}",
}


def conflict_reason(ledger: Ledger, broken: Sequence[str], needed: Mapping[str, Decimal]) -> Reason:
    """Limits that are possible one by one but not together; `needed` are the ones that help when relaxed alone."""
    names = ", ".join(name.replace("_", " ") for name in broken)
    numbers = dict(needed)
    if "turnover" in needed:
        numbers["turnover"] = _weight_up(scaled(needed["turnover"], ledger.places), 2 * ledger.market_value)
    changes = [LIMIT_WORDS[name].format(f"{value:,}") for name, value in numbers.items()]
    remedy = (
        f"Any one of these changes alone makes it possible: {'; '.join(changes)}."
        if changes
        else "No single limit is enough: relax at least two of them, or widen bands."
    )
    message = f"No whole-share answer honours every limit and band at once ({names} cannot be kept). {remedy}"
    return Reason("LIMITS_CONFLICT", message, None, numbers)


def time_reason(seconds: float) -> Reason:
    """Time ran out before any answer was found."""
    message = f"No answer was found within {seconds:g} s: allow more time, or ask for fewer limits at once."
    return Reason("NO_ANSWER_IN_TIME", message)
