"""The scales that money and weights are counted on, and the contexts that decimals are computed in: each fact once.

A ten-thousandth is a tick where it is money and a basis point where it is a part of something: two facts that happen to
be equal. The independent checks (verify.py, verify_block.py) keep numbers of their own: they share nothing with what
they check.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

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
