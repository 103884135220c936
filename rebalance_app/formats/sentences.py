"""The sentence of every reason, with its remedy: the one place where codes and numbers become words.

A sentence is made of nothing but its reason, whose `numbers` and `details` go by these names.

BAND_TOO_NARROW        share_value (of one lot), band_low, band_high, value_below, value_above, market_value_needed,
                       high_drift_needed?, low_drift_needed?; lot, band_width, market_value
RESTRICTION_CONFLICT   value_now, shares_needed, low_drift_needed? or high_drift_needed?; side
MIN_TRADE_CONFLICT     value_now, min_trade_needed, the same drifts; side, fewest and most (shares it takes), smallest
SHORT_OF_CASH          short, cash_at_most, floor, cash_needed?; is_soft, after_costs, largest, floor_twice
CASH_ABOVE_CEILING     over, cash_at_least; ceiling, ceiling_twice
TURNOVER_TOO_LOW       turnover_needed; limit (of buys and sells, in money), market_value, largest
TOO_FEW_TRADES         trades_needed; limit
GAIN_BUDGET_TOO_LOW    gain_needed; limit, largest
LIMITS_CONFLICT        by name, each limit that alone helps, as it would have to be; broken, floor_twice, ceiling_twice,
                       floor and ceiling where they cross
LIMIT_RELAXED          option, value
NEGATIVE_MARKET_VALUE  market_value
FRACTION_KEPT          quantity, value
OUTSIDE_BAND           excess; side, market_value
INVALID_PRICE          price
INVALID_PROBLEM        of its case: times, lot_size, option and value, said
UNKNOWN_GAIN           none, or in_lots and held; more (securities)
STALE_PRICE            day, newest
TOO_LARGE              value
OPEN_ORDER             quantity; side, run, more (orders)
PRICE_MOVED            price, price_then
PRICE_OLD              none; day, weekdays, weekdays_then (its age at the launch)
PROPOSAL_OLD           none; weekdays, most (from which on it is outdated)
MODEL_CHANGED          of its case: the line's target, low_drift, high_drift, and each as it was, ..._then;
                       model, version, version_then, portfolio
RESTRICTED             of its case: quantity, lot_size; portfolio
OPPOSITE_OPEN          quantity; side, run, portfolio, more (orders)
CASH_BELOW_FLOOR       cash_after, floor; moment (now, or then: when the proposal was computed), sales_left
APPROVED_BELOW_FLOOR   cash_after, floor
CASH_OVER_CEILING      cash_after, ceiling; moment, buys_left
GAIN_OVER_BUDGET       gain, budget; moment
TURNOVER_OVER_LIMIT    traded (half of buys and sells), market_value, limit
FUNDING_WITHDRAWN      cash_after, floor; moment, largest
failures               said (an exception's own words), fault (the check's), seconds, attempts

Numbers stand before the semicolon, details behind it; a question mark: only where it helps. Money and shares are
decimals, weights and drifts fractions of market value, `largest` ids of the securities with the largest trades,
`..._twice` whether a limit stands both in money and in per cent.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

from models_app.portfolio.types import Reason
from models_app.portfolio.units import CENT, EXACT

Name = Callable[[str], str]  # of a security, by its id
Said = Mapping[str, Any]  # a reason's numbers and details, and `name`, that of its security

OPTIONS = {  # as a sentence calls what may be relaxed
    "min_cash": "cash floor",
    "max_cash": "cash ceiling",
    "min_trade_value": "smallest order",
    "max_turnover": "turnover limit",
    "max_trades": "number of orders allowed",
    "gain_budget": "gain budget",
}


def sentence(reason: Reason, name: Name = str) -> str:
    """The reason in words; `name` gives what a security, of that id, is called. Raises KeyError for an unknown code."""
    case = reason.details.get("case")
    told = SENTENCES[f"{reason.code} {case}" if case else reason.code]
    details = {key: _named(key, value, name) for key, value in reason.details.items()}
    said = {**reason.numbers, **details, "name": name(reason.security_id or "")}
    return told.format_map(said) if isinstance(told, str) else told(said)


def _named(key: str, value: Any, name: Name) -> Any:
    """A detail, with names where it holds ids; a fault, in the check's words, may begin with one."""
    if key == "largest":
        return ", ".join(map(name, value))
    if key == "fault":
        security_id, colon, words = value.rpartition(": ")
        return f"{name(security_id)}{colon}{words}"
    return value


def _money(amount: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """To the cent; what is said to suffice is rounded to the side that does."""
    return f"{amount.quantize(CENT, rounding=rounding, context=EXACT):,}"


def _below(cash: Decimal, floor: Decimal) -> str:
    """Each rounded away from the other, so that what is below the floor is never said to be at it."""
    left = _money(cash, ROUND_FLOOR).replace("-", "\N{MINUS SIGN}")
    return f"leave {left} in cash, below the floor of {_money(floor, ROUND_CEILING)}"


def _price(price: Decimal) -> str:
    """To the cent, or as far beyond as it takes."""
    return f"{price.normalize(EXACT):,f}" if price.quantize(CENT, context=EXACT) != price else _money(price)


def _percent(part: Decimal, whole: Decimal) -> str:
    return f"{part * 100 / whole:.2f} %" if whole else "0 %"


def _points(weight: Decimal) -> str:
    return f"{weight * 100:.2f} points"


def _counted(number: Decimal | int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _any_of(remedies: Iterable[str]) -> str:
    """The remedies as the start of a sentence."""
    text = ", or ".join(remedies)
    return text[:1].upper() + text[1:]


def _wider(said: Said) -> list[str]:
    """Which drift to widen, and to what."""
    found = ((side, said.get(f"{side}_drift_needed")) for side in ("high", "low"))
    return [f"widen the {side} drift to {_points(needed)}" for side, needed in found if needed is not None]


def _largest(said: Said, of_what: str) -> str:
    return f"The largest {of_what} are in {said['largest']}. " if said["largest"] else ""


def _lower_floor(said: Said, value: str) -> str:
    return f"lower the floor to {value}{_both(said['floor_twice'])}"


def _raise_ceiling(said: Said, value: str) -> str:
    return f"raise the ceiling to {value}{_both(said['ceiling_twice'])}"


def _both(twice: bool) -> str:
    """What to add where a limit stands twice: relaxing one of the two does not help."""
    return ", in money as well as in per cent" if twice else ""


def _band_too_narrow(said: Said) -> str:
    unit = "share" if said["lot"] == 1 else f"lot of {said['lot']}"
    remedies = [
        *_wider(said),
        f"exclude {said['name']}",
        f"bring the market value to at least {said['market_value_needed']:,.2f}",
    ]
    return (
        f"One {unit} of {said['name']} is worth {_money(said['share_value'])}, "
        f"{_percent(said['share_value'], said['market_value'])} of this portfolio, and its band is "
        f"{_points(said['band_width'])} wide: {_money(said['band_low'])} to {_money(said['band_high'])}. No whole "
        f"number of them has a value in it; the nearest are {_money(said['value_below'])} and "
        f"{_money(said['value_above'])}. {_any_of(remedies)}."
    )


def _restriction_conflict(said: Said) -> str:
    where, doing, flag = ("below", "buying", "buy") if said["side"] == "BUY" else ("above", "selling", "sell")
    return (
        f"{said['name']} is {where} its band: that takes {doing} at least {said['shares_needed']:,} shares, but "
        f"do-not-{flag} forbids it. {_any_of(['lift the restriction', *_wider(said)])}."
    )


def _min_trade_conflict(said: Said) -> str:
    amounts = [f"{shares:,}" for shares in sorted({said["fewest"], said["most"]})]
    shares = f"{' to '.join(amounts)} {'share' if amounts == ['1'] else 'shares'}"
    lower = f"lower the minimum trade value to {_money(said['min_trade_needed'], ROUND_FLOOR)}"
    return (
        f"{said['name']} needs a {'buy' if said['side'] == 'BUY' else 'sale'} of {shares} to be in its band, but the "
        f"minimum trade value allows none below {said['smallest']:,}. {_any_of([lower, *_wider(said)])}."
    )


def _short_of_cash(said: Said) -> str:
    remedies = [_lower_floor(said, _money(said["cash_at_most"], ROUND_FLOOR))]
    if not said["is_soft"]:
        remedies.append("widen low drifts")
    if "cash_needed" in said:
        raised = "" if said["is_soft"] else ", which raises the bands as well"
        remedies.insert(0, f"add {said['cash_needed']:,.2f} of cash{raised}")
    after_costs = " after costs" if said.get("after_costs") else ""
    return (
        f"Cash is short by {_money(said['short'])}: with as little bought, and as much sold, as bands, restrictions "
        f"and mode allow, {_money(said['cash_at_most'])} is left{after_costs}, and the cash floor is "
        f"{_money(said['floor'])}. "
        f"{_largest(said, 'trades this takes')}{_any_of(remedies)}."
    )


def _cash_above_ceiling(said: Said) -> str:
    remedies = [
        _raise_ceiling(said, _money(said["cash_at_least"], ROUND_CEILING)),
        "widen high drifts",
        "raise targets",
    ]
    return (
        f"Cash stays {_money(said['over'])} above its ceiling of {_money(said['ceiling'])} even with every position at "
        f"the highest whole number its band allows. {_any_of(remedies)}."
    )


def _turnover_too_low(said: Said) -> str:
    needed = f"{said['turnover_needed'] * 100:.2f} %"
    return (
        f"Bringing every position into its band takes a turnover of at least {needed}, and the limit is "
        f"{_percent(said['limit'], 2 * said['market_value'])}. {_largest(said, 'forced trades')}"
        f"Raise the limit to {needed}, or widen bands."
    )


def _too_few_trades(said: Said) -> str:
    needed = said["trades_needed"]
    return (
        f"{_counted(needed, 'position must', 'positions must')} be traded, so the limit of "
        f"{_counted(said['limit'], 'order', 'orders')} is too low. Raise the limit to {needed}, or widen bands."
    )


def _gain_budget_too_low(said: Said) -> str:
    needed = said["gain_needed"]
    return (
        f"Bringing every position into its band realises a gain of at least {_money(needed)}, highest cost first, and "
        f"the budget is {_money(said['limit'])}. {_largest(said, 'of these sales')}"
        f"Raise the budget to {_money(needed, ROUND_CEILING)}, or widen bands."
    )


CHANGES: dict[str, Callable[[Said], str]] = {  # what to do about one of several limits
    "turnover": lambda said: f"raise the turnover limit to {said['turnover'] * 100:.2f} %",
    "max_trades": lambda said: f"allow {_counted(said['max_trades'], 'order', 'orders')}",
    "gain_budget": lambda said: f"raise the gain budget to {said['gain_budget']:,}",
    "cash_ceiling": lambda said: _raise_ceiling(said, f"{said['cash_ceiling']:,}"),
    "cash_floor": lambda said: _lower_floor(said, f"{said['cash_floor']:,}"),
}


def _limits_conflict(said: Said) -> str:
    if "ceiling" in said:
        why = f"The cash ceiling of {_money(said['ceiling'])} is below the cash floor of {_money(said['floor'])}"
    else:
        limits = ", ".join(limit.replace("_", " ") for limit in said["broken"])
        why = f"No whole-share answer honours every limit and band at once ({limits} cannot be kept)"
    changes = "; ".join(CHANGES[limit](said) for limit in said if limit in CHANGES)
    if changes:
        return f"{why}. Any one of these changes alone makes it possible: {changes}."
    return f"{why}. No single limit is enough: relax at least two of them, or widen bands."


def _limit_relaxed(said: Said) -> str:
    value = f"{said['value'] * 100:,.2f} %" if said["option"] == "max_turnover" else f"{said['value']:,}"
    return f"The {OPTIONS[said['option']]} is taken as {value}."


def _lots_differ(said: Said) -> str:
    in_lots, held = (f"{said[which].normalize():,f}" for which in ("in_lots", "held"))
    more = f" (and so for {said['more']} more)" if said["more"] else ""
    return (
        f"The tax lots of {said['name']} do not add up to its holding: {in_lots} in lots, {held} held{more}. What a "
        "sale gains is unknown, so the gain budget cannot be kept: import lots that add up, or run without a gain "
        "budget."
    )


def _outside_band(said: Said) -> str:
    part = _percent(said["excess"], said["market_value"])
    return f"{said['name']} stays {_money(said['excess'])} ({part}) {said['side']} its band."


def _price_moved(said: Said) -> str:
    now, then = said["price"], said["price_then"]
    less_or_more = "more" if now > then else "less"
    return (
        f"{said['name']} costs {_price(now)} now and {_price(then)} when this was proposed, "
        f"{_percent(abs(now - then), then)} {less_or_more}"
    )


def _weekdays(number: float) -> str:
    return _counted(int(number), "weekday", "weekdays")


def _price_old(said: Said) -> str:
    return (
        f"The newest price of {said['name']} is of {said['day']}, {_weekdays(said['weekdays'])} ago; when this was "
        f"proposed, its price was {_weekdays(said['weekdays_then'])} old"
    )


def _proposed_ago(said: Said) -> str:
    return f"This was proposed {_weekdays(said['weekdays'])} ago"


def _band(said: Said, when: str = "") -> str:
    low, high = (_points(said[f"{side}_drift{when}"]) for side in ("low", "high"))
    return f"{said[f'target{when}'] * 100:.2f} % (\N{MINUS SIGN}{low}, +{high})"


def _line_changed(said: Said) -> str:
    return (
        f"{said['model']} wants {_band(said)} of {said['name']} by version {said['version']:.0f}, and wanted "
        f"{_band(said, '_then')} by version {said['version_then']:.0f}, from which this was proposed: rebalance again."
    )


def _version_changed(said: Said) -> str:
    return (
        f"{said['model']} is at version {said['version']:.0f}, and this was proposed from version "
        f"{said['version_then']:.0f}. Targets and bands of what is traded here are the same: say why it is approved "
        "all the same, or rebalance again."
    )


def _other_lots(said: Said) -> str:
    return (
        f"{said['name']} is traded in lots of {said['lot_size']:,} by now, and this order is of "
        f"{said['quantity']:,}: rebalance again."
    )


def _opposite_open(said: Said) -> str:
    more = int(said["more"])
    others = f", and {_counted(more, 'more is', 'more are')} too" if more else ""
    return (
        f"{said['side']} {said['quantity']:,} {said['name']} of run #{said['run']:.0f} for {said['portfolio']} is open"
        f"{others}: the opposite of this order. Say why both are right, or wait until it is closed."
    )


def _open_order(said: Said) -> str:
    more = int(said["more"])
    others = "" if not more else " and 1 more order" if more == 1 else f" and {more} more orders"
    verb = "are" if more else "is"
    return f"{said['side']} {said['quantity']:,} {said['name']} of run #{said['run']:.0f}{others} {verb}"


MOMENTS = {"now": "", "then": "at the cash and prices of the proposal "}


def _cash_below_floor(said: Said) -> str:
    remedy = "approve the sales with them, or rebalance again" if said["sales_left"] else "rebalance again"
    return f"These buys {MOMENTS[said['moment']]}would {_below(said['cash_after'], said['floor'])}: {remedy}."


def _cash_over_ceiling(said: Said) -> str:
    after, ceiling = _money(said["cash_after"], ROUND_CEILING), _money(said["ceiling"], ROUND_FLOOR)
    remedy = "approve the buys with them, or rebalance again" if said["buys_left"] else "rebalance again"
    return (
        f"These sales {MOMENTS[said['moment']]}would leave {after} in cash, above the ceiling of {ceiling}: {remedy}."
    )


def _gain_over_budget(said: Said) -> str:
    gain, budget = _money(said["gain"], ROUND_CEILING), _money(said["budget"], ROUND_FLOOR)
    at = "at the prices of the proposal " if said["moment"] == "then" else ""
    return (
        f"These sales {at}would realise a gain of {gain}, above the budget of {budget}: approve fewer of them, or "
        "those at a loss with them, or rebalance again."
    )


def _turnover_over_limit(said: Said) -> str:
    return (
        f"With these orders a turnover of {_percent(said['traded'], said['market_value'])} is reached at today's "
        f"prices, above the limit of {said['limit'] * 100:.2f} %: approve fewer, or rebalance again."
    )


def _funding_withdrawn(said: Said) -> str:
    return (
        f"Without these sales the buys approved before (of {said['largest']}) {MOMENTS[said['moment']]}would "
        f"{_below(said['cash_after'], said['floor'])}: reject the buys first."
    )


SENTENCES: dict[str, str | Callable[[Said], str]] = {  # by code, and case where a code has several
    "BAND_TOO_NARROW": _band_too_narrow,
    "RESTRICTION_CONFLICT": _restriction_conflict,
    "MIN_TRADE_CONFLICT": _min_trade_conflict,
    "SHORT_OF_CASH": _short_of_cash,
    "CASH_ABOVE_CEILING": _cash_above_ceiling,
    "TURNOVER_TOO_LOW": _turnover_too_low,
    "TOO_FEW_TRADES": _too_few_trades,
    "GAIN_BUDGET_TOO_LOW": _gain_budget_too_low,
    "LIMITS_CONFLICT": _limits_conflict,
    "LIMIT_RELAXED": _limit_relaxed,
    "OUTSIDE_BAND": _outside_band,
    "FRACTION_KEPT": "{quantity} of a share of {name}, worth {value:,.2f}, stays: orders are whole shares.",
    "NEGATIVE_MARKET_VALUE": "The market value is {market_value:,.2f}: debts exceed holdings, so no target has a "
    "meaning. Add cash.",
    "MISSING_PRICE": "{name} has no price: load one, or take the security out of the model.",
    "INVALID_PRICE": "The price of {name} is {price}: a price must be above 0.",
    "ZERO_PRICE": "The price of {name} is 0, so nothing can be sized by it: correct the price.",
    "STALE_PRICE": "The last price of {name} is of {day}, while others are of {newest}: import a newer one.",
    "INVALID_PROBLEM unreadable": "{said}",
    "INVALID_PROBLEM below_zero": "options.{option}: {value} is below 0",
    "INVALID_PROBLEM infinite_cash": "cash: cash and cash floor must be finite numbers",
    "INVALID_PROBLEM listed_twice": "positions: {name} is listed {times} times",
    "INVALID_PROBLEM out_of_range": "positions: {name} has a quantity or weight outside its range",
    "INVALID_PROBLEM lot_size": "lot_size: {name} has lot size {lot_size}, below 1",
    "INVALID_PROBLEM lots_differ": "lots: the tax lots of {name} do not add up to its quantity",
    "INVALID_PROBLEM negative_lot": "lots: a tax lot of {name} has a negative quantity or cost",
    "UNKNOWN_GAIN": "{name} is held without tax lots. What a sale gains is unknown, so the gain budget cannot be kept: "
    "give its lots, or solve without a gain budget.",
    "UNKNOWN_GAIN lots_differ": _lots_differ,
    "PRICE_MOVED hard": lambda said: f"{_price_moved(said)}: rebalance again.",
    "PRICE_MOVED soft": lambda said: f"{_price_moved(said)}: say why it is approved all the same, or rebalance again.",
    "PRICE_OLD hard": lambda said: f"{_price_old(said)}: import newer prices, or rebalance again.",
    "PRICE_OLD soft": lambda said: f"{_price_old(said)}: say why it is approved all the same, or import newer prices.",
    "PROPOSAL_OLD hard": lambda said: (
        f"{_proposed_ago(said)}, and after {_weekdays(said['most'])} a proposal is outdated: rebalance again."
    ),
    "PROPOSAL_OLD soft": lambda said: (
        f"{_proposed_ago(said)}: say why it is approved all the same, or rebalance again."
    ),
    "MODEL_CHANGED deleted": "{model} was deleted since this was proposed: rebalance by another model.",
    "MODEL_CHANGED left": "{portfolio} no longer follows {model}: rebalance by the model that it follows now.",
    "MODEL_CHANGED line": _line_changed,
    "MODEL_CHANGED version": _version_changed,
    "RESTRICTED buy": "{name} may not be bought any more: lift the restriction, or rebalance again.",
    "RESTRICTED sell": "{name} may not be sold any more: lift the restriction, or rebalance again.",
    "RESTRICTED lots": _other_lots,
    "RESTRICTED hold": "{portfolio} was put on hold since this was proposed: lift the hold first.",
    "OPPOSITE_OPEN": _opposite_open,
    "CASH_BELOW_FLOOR": _cash_below_floor,
    "APPROVED_BELOW_FLOOR": lambda said: (
        f"What is approved would {_below(said['cash_after'], said['floor'])}: reject buys, or bring in cash."
    ),
    "CASH_OVER_CEILING": _cash_over_ceiling,
    "GAIN_OVER_BUDGET": _gain_over_budget,
    "TURNOVER_OVER_LIMIT": _turnover_over_limit,
    "FUNDING_WITHDRAWN": _funding_withdrawn,
    "OPEN_ORDER left_out": lambda said: f"{_open_order(said)} on its way, and this run leaves such portfolios out.",
    "OPEN_ORDER unclear": lambda said: (
        f"{_open_order(said)} open, and the holdings were stated anew since: say first what became of it."
    ),
    "OPEN_ORDER missing": lambda said: (
        f"{_open_order(said)} done, and holdings stated since do not show it: state holdings and cash that do."
    ),
    "OPEN_ORDER half_stated": lambda said: (
        f"{_open_order(said)} done, and of holdings and cash only one was stated since: state the other too."
    ),
    "OPEN_ORDER lots": lambda said: (
        f"{_open_order(said)} on its way. Which tax lots it takes is not known, so no gain budget can be kept: "
        "wait until it is done, or solve without a gain budget."
    ),
    "UNKNOWN_PORTFOLIO": "The book has no such portfolio any more.",
    "TOO_LARGE": "Trading {name} for {value:,.2f} is more than can be kept: correct the book or the price.",
    "SOLVER_FAILED": "The solver gave up: {said}",
    "NO_ANSWER_IN_TIME": "No answer was found within {seconds:g} s: allow more time, or ask for fewer limits at once.",
    "VERIFY_FAILED": "The answer failed its independent check: {fault}.",
    "SOLVER_KILLED": "No answer within {seconds:g} seconds: {said}. Raise the limit or relax the bands.",
    "SOLVER_MEMORY": "The solver would need more than the {megabytes:,} MB it may have: ask for fewer limits at once, "
    "or let an administrator raise ORDERGEN_SOLVER_MEMORY_MB.",
    "NOT_VERIFIED": "The answer broke a rule and was thrown away: {fault}",
    "SOLVER_CRASHED": "The solver was lost: {said}. Asking again may help.",
    "POISON": "Solving this portfolio failed {attempts} times: {said}.",
    "POISON worker_died": "Tried {attempts} times, and the last time its worker died. Rebalance it alone and look at "
    "the worker's log.",
    "SOLVER_BUSY": "Others are being solved at this moment: ask again soon.",
    "INTERNAL_ERROR": "The program failed with {said}. The worker's log tells where.",
}
