"""What is minimised, one security at a time, in exact integers.

    score(k) = w_d·|MV·t − (held + k·step)| + w_t·|k|·step + w_e·excess over a soft band + ticket if k ≠ 0

On each side of k = 0 it is convex and linear between the breakpoints below, so its minimum over a segment lies at one
of them; that makes both the closed form and the integer programme's columns.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from .bounds import AllowedTrades
from .constraints import Interval
from .integer_problem import EXCESS_WEIGHT, IntegerProblem, Security

Rank = tuple[int, int, tuple[tuple[int, int], ...]]  # score, traded, then security by security


def drift_value(security: Security, steps: int) -> int:
    """|MV·t − p·u'| in minor units after a trade of `steps`."""
    return abs(security.target - security.held - steps * security.step)


def band_excess(security: Security, steps: int) -> int:
    """Minor units by which the value after a trade of `steps` lies outside its band; 0 inside.

    Of a position to be sold out only whole shares count: a fraction cannot be sold.
    """
    value = security.held + steps * security.step
    if security.sold_out and value > 0:
        return value // security.step * security.step
    return max(0, security.low - value, value - security.high)


def penalised_excess(ip: IntegerProblem, security: Security, steps: int) -> int:
    """The excess that weighs in the objective where bands are soft.

    Raising cash is not there to repair positions above their band: only what sales leave below a band counts.
    """
    if ip.options.mode == "raise_cash":
        return max(0, security.low - security.held - steps * security.step)
    return band_excess(security, steps)


def score(ip: IntegerProblem, security: Security, steps: int) -> int:
    """The objective of one security at a trade of `steps`, in score units (minor units × ONE)."""
    total = ip.drift_weight * drift_value(security, steps)
    if steps:
        total += ip.trade_weight * abs(steps) * security.step + ip.ticket
    return total + EXCESS_WEIGHT * penalised_excess(ip, security, steps) if ip.soft else total


def total_score(ip: IntegerProblem, trades: Sequence[int]) -> int:
    """The objective of a whole set of trades, in score units."""
    return sum(score(ip, security, k) for security, k in zip(ip.securities, trades, strict=True))


def rank(ip: IntegerProblem, trades: Sequence[int]) -> Rank:
    """What orders answers: the score, then what is traded; then, id by id, who trades more, then who buys."""
    traded = sum(abs(k) * security.step for security, k in zip(ip.securities, trades, strict=True))
    return total_score(ip, trades), traded, tuple((-abs(k), -k) for k in trades)


def realised_gain(security: Security, steps: int) -> int:
    """Gain in minor units of selling −steps, the highest cost first; 0 for a buy and for shares without tax lots."""
    left, gain = max(0, -steps) * security.shares, 0
    for shares, gain_per_share in security.tax_lots:
        sold = min(left, shares)
        gain, left = gain + sold * gain_per_share, left - sold
    return gain


def kinks(ip: IntegerProblem, security: Security) -> list[int]:
    """Steps between which every convex function of the security is linear; ascending."""
    found = {0}
    edges = [security.target, security.low, security.high] if ip.soft else [security.target]
    for edge in edges:
        below = (edge - security.held) // security.step
        found |= {below, below + 1}
    if ip.gain_budget is not None:
        sold = 0
        for shares, _ in security.tax_lots:
            sold += shares
            found |= {-(sold // security.shares), -(sold // security.shares) - 1}
    return sorted(found)


def breakpoints(ip: IntegerProblem, security: Security, segments: Iterable[Interval]) -> list[list[int]]:
    """Of each segment its ends and the kinks between them, ascending."""
    bends = kinks(ip, security)
    return [[a, *(k for k in bends if a < k < b), b] if a < b else [a] for a, b in segments]


def best(ip: IntegerProblem, allowed: AllowedTrades) -> int:
    """The best trade of one security alone; of equal ones the smallest, a buy rather than a sale. Needs a segment."""
    security = allowed.security
    candidates = chain.from_iterable(breakpoints(ip, security, allowed.segments))
    return min(candidates, key=lambda k: (score(ip, security, k), abs(k), -k))
