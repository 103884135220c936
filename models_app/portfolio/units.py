"""The scales that money and weights are counted on, and the contexts that decimals are computed in: each fact once.

A ten-thousandth is a tick where it is money and a basis point where it is a part of something: two facts that happen to
be equal. The independent checks (`optimiser.check`) keep numbers of their own: they share nothing with what they check.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from .types import ProblemError

COLUMN_DIGITS: Final = 15  # digits of every column of money, shares, weights or band use, before and after its point
MONEY_PLACES: Final = 4  # decimals of money, prices and shares
CENT_PLACES: Final = 2  # decimals that money is written with at least
WEIGHT_PLACES: Final = 6  # decimals of weights, bands and band use
BASIS_POINT_PLACES: Final = 4  # decimals of a basis point

TICK: Final = Decimal("0.0001")  # money, a price or shares: the least that a column holds
CENT: Final = Decimal("0.01")  # money
MILLIONTH: Final = Decimal("0.000001")  # a weight or a band use: the least that a column holds
BASIS_POINT: Final = Decimal("0.0001")  # a weight, or a part of a value

MONEY_SCALE: Final = 10**MONEY_PLACES  # ticks in a unit of money, where it is counted in whole numbers
WEIGHT_SCALE: Final = 10**WEIGHT_PLACES  # millionths in a weight of 1, where it is counted in whole numbers
BASIS_POINTS: Final = 10**BASIS_POINT_PLACES  # basis points in a whole

MONEY_LIMIT: Final = TICK.scaleb(COLUMN_DIGITS)  # money; columns hold what is less

EXACT: Final = Context(prec=400)  # for sums and products of a problem's numbers: no digit is lost
WIDE: Final = Context(prec=200)  # for sums and products of stored numbers: no digit is lost
DIVIDE: Final = Context(prec=28, rounding=ROUND_HALF_EVEN)  # for quotients, which have no end


def decimals(value: Decimal | None) -> int:
    """The number of decimal places `value` is written with; 0 for None. Raises ProblemError for what is not finite."""
    if value is None:
        return 0
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ProblemError("", f"{value} is not a finite number")
    return max(0, -exponent)


def most_decimals(values: Iterable[Decimal | None]) -> int:
    """The largest number of decimals among `values`; 0 for none."""
    return max(map(decimals, values), default=0)


def scaled(value: Decimal, places: int) -> int:
    """`value` × 10**places; exact when `value` has at most that many decimals."""
    return int(EXACT.scaleb(value, places))


def unscaled(count: int, places: int) -> Decimal:
    """count / 10**places, exact, written to the cent or as far beyond as it takes."""
    if places < CENT_PLACES:
        count, places = count * 10 ** (CENT_PLACES - places), CENT_PLACES
    while places > CENT_PLACES and count % 10 == 0:
        count, places = count // 10, places - 1
    return EXACT.scaleb(Decimal(count), -places)


def ceil_div(a: int, b: int) -> int:
    """⌈a/b⌉ for b > 0."""
    return -(-a // b)
