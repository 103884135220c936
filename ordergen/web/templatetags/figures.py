"""How figures read on a page: exact decimals in, one spelling out; what is not known is an en dash, never 0.

Filters return text with thousands separators, the minus sign U+2212 and a no-break space before a unit. Filters that
start with `bare_` leave the unit to the column head. Fractions of market value come in as fractions: 0.0710 is 7.10 %.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from django import template
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ordergen.web.vocabulary import REASONS

register = template.Library()

Number = Decimal | int | float | str | None
MINUS, SPACE = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"
MILLION, BILLION = Decimal(10**6), Decimal(10**9)
MOST_PERCENT = 999


def exact(value: Number) -> Decimal | None:
    """The value as a finite Decimal, or None where there is none to show."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def rounded(number: Decimal, places: int) -> Decimal:
    """Half up, as a statement rounds; `or abs()` because a rounded −0.001 is a negative zero."""
    result = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return result or abs(result)


def spelled(number: Decimal, places: int, *, signed: bool = False) -> str:
    """Writes "−1,234.50"; with `signed` also "+1,234.50", but zero never has a sign."""
    result = rounded(number, places)
    sign = MINUS if result < 0 else "+" if signed and result else ""
    return f"{sign}{abs(result):,}"


@register.simple_tag
def unknown() -> SafeString:
    """What is not known: an en dash that is read out as "not available"."""
    return format_html('<span class="unknown" role="img" aria-label="{}">–</span>', "not available")


def _figure(value: Number, places: int, unit: str = "", *, times: int = 1, signed: bool = False) -> str:
    number = exact(value)
    return unknown() if number is None else spelled(number * times, places, signed=signed) + unit


@register.filter
def money(value: Number, places: int = 2) -> str:
    """Writes "1,234,567.89"; the currency is in the heading."""
    return _figure(value, places)


@register.filter
def signed_money(value: Number, places: int = 2) -> str:
    return _figure(value, places, signed=True)


@register.filter
def compact_money(value: Number) -> str:
    """Writes "1.23 m", "384,020" or "175.50"; the whole figure on hover and for a machine that reads the page."""
    number = exact(value)
    if number is None:
        return unknown()
    size = abs(number)
    unit, scale, places = ("", Decimal(1), 2)
    if size >= BILLION:
        unit, scale = f"{SPACE}bn", BILLION
    elif size >= MILLION:
        unit, scale = f"{SPACE}m", MILLION
    elif size >= 1000:
        places = 0
    text = spelled(number / scale, places) + unit
    return format_html('<data value="{}" title="{}">{}</data>', rounded(number, 2), spelled(number, 2), text)


@register.filter
def quantity(value: Number) -> str:
    """Whole shares with separators; a fractional holding keeps its fraction: "1,250", "12.3456"."""
    number = exact(value)
    return unknown() if number is None else spelled(number, _places(number))


@register.filter
def signed_quantity(value: Number) -> str:
    """A change of a holding: "+20", "−1,250"; zero has no sign."""
    number = exact(value)
    return unknown() if number is None else spelled(number, _places(number), signed=True)


@register.filter
def price(value: Number) -> str:
    """Two decimals, up to four where the price has them: "10.00", "0.1234"."""
    number = exact(value)
    return unknown() if number is None else spelled(number, max(2, min(4, _places(number))))


def _places(number: Decimal) -> int:
    return max(0, -int(number.normalize().as_tuple().exponent))  # exact() let no NaN or infinity through


@register.filter
def percent(value: Number, places: int = 2) -> str:
    """A fraction as "7.10 %"."""
    return _figure(value, places, f"{SPACE}%", times=100)


@register.filter
def bare_percent(value: Number, places: int = 2) -> str:
    return _figure(value, places, times=100)


@register.filter
def pp(value: Number) -> str:
    """A drift or a change of weight in percentage points: 0.021 is "+2.10 pp", and zero has no sign."""
    return _figure(value, 2, f"{SPACE}pp", times=100, signed=True)


@register.filter
def bare_pp(value: Number) -> str:
    return _figure(value, 2, times=100, signed=True)


@register.filter
def band_use(value: Number) -> str:
    """How much of its band side a drift uses, without sign: "210 %", "> 999 %"; infinite where there is no band."""
    if value is not None and str(value).lstrip("-").lower() in {"infinity", "inf"}:
        return "no band"
    number = exact(value)
    if number is None:
        return unknown()
    whole = rounded(abs(number) * 100, 0)
    return f">{SPACE}{MOST_PERCENT}{SPACE}%" if whole > MOST_PERCENT else f"{whole}{SPACE}%"


@register.filter
def duration(seconds: Number) -> str:
    """Writes "0.04 s", "12 s", "3 min 05 s", "2 h 04 min"."""
    number = exact(seconds)
    if number is None:
        return unknown()
    if number < 10:  # the fraction matters only below ten seconds
        return f"{rounded(number, 2).normalize():f}{SPACE}s"
    minutes, rest = divmod(int(rounded(number, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}{SPACE}h {minutes:02}{SPACE}min"
    return f"{minutes}{SPACE}min {rest:02}{SPACE}s" if minutes else f"{rest}{SPACE}s"


@register.filter
def moment(value: datetime | None) -> str:
    """<time>23 Nov 2026 14:32:05 UTC</time>."""
    if not value:
        return unknown()
    utc = value.astimezone(UTC)
    return format_html(
        '<time class="nowrap" datetime="{}">{} UTC</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", date_format(utc, "j M Y H:i:s")
    )


@register.filter
def clock(value: datetime) -> str:
    """<time>14:32:05 UTC</time>, with the day where it is not today's."""
    utc = value.astimezone(UTC)
    words = date_format(utc, "H:i:s" if utc.date() == datetime.now(UTC).date() else "j M Y H:i:s")
    return format_html('<time class="nowrap" datetime="{}">{} UTC</time>', f"{utc:%Y-%m-%dT%H:%M:%SZ}", words)


@register.filter
def day(value: date | None) -> str:
    """<time>23 Nov 2026</time>."""
    if not value:
        return unknown()
    return format_html('<time class="nowrap" datetime="{}">{}</time>', f"{value:%Y-%m-%d}", date_format(value, "j M Y"))


@register.filter
def reason(code: str) -> str:
    """Why an order is proposed, in words."""
    return REASONS.get(code) or code.replace("_", " ").capitalize()


def _amount_in_full(value: Number) -> str:
    number = exact(value)
    return unknown() if number is None else spelled(number, max(2, _places(number)))


def _percent_in_full(value: Number) -> str:
    number = exact(value)
    return unknown() if number is None else percent(number, max(2, _places(number * 100)))


# A limit is spelled to its last decimal: one that is rounded would be another.
LIMITS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "hold": ("on hold", lambda _: ""),
    "min_cash": ("cash at least", _amount_in_full),
    "max_cash": ("cash at most", _amount_in_full),
    "min_cash_weight": ("cash at least", _percent_in_full),
    "max_cash_weight": ("cash at most", _percent_in_full),
    "min_trade_value": ("orders of at least", _amount_in_full),
    "max_turnover": ("turnover at most", _percent_in_full),
    "max_trades": ("orders at most", quantity),
    "gain_budget": ("realised gain at most", _amount_in_full),
    "cost_bps": ("trading costs", lambda value: f"{quantity(value)} bp"),
    "ticket_cost": ("an order costs", _amount_in_full),
    "reserve_costs": ("costs above the floor", lambda value: "" if value else "not kept"),
    "time_limit": ("seconds to solve at most", quantity),
    "mode": ("mode", lambda value: str(value).replace("_", " ")),
    "soft_bands": ("bands are soft", lambda _: ""),
    "nearest": ("nearest answer where there is none", lambda _: ""),
    "lot_size": ("lots of", quantity),
    "can_buy": ("not to be bought", lambda _: ""),
    "can_sell": ("not to be sold", lambda _: ""),
}


@register.filter
def limit(name: str, value: Any) -> str:
    """A limit in words: `"min_cash"|limit:"500"` is "cash at least 500.00"."""
    words, spell = LIMITS[name]
    return f"{words} {spell(value)}".strip()
