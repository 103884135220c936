"""What is minimised, one security at a time, in exact integers.

    score(k) = w_d·|MV·t − (held + k·step)| + w_t·|k|·step + w_e·excess over a soft band + ticket if k ≠ 0

On each side of k = 0 it is convex and linear between the breakpoints below, so its minimum over a segment lies at one
of them; that makes both the closed form and the integer programme's columns.
"""

from collections.abc import Iterable
from itertools import chain

from .bounds import Choice
from .constraints import Interval
from .integer_problem import EXCESS_WEIGHT, Ledger, Line


def drift_value(line: Line, steps: int) -> int:
    """|MV·t − p·u'| in grains after a trade of `steps`."""
    return abs(line.target - line.held - steps * line.step)


def band_excess(line: Line, steps: int) -> int:
    """Grains by which the value after a trade of `steps` lies outside its band; 0 inside.

    Of a position to be sold out only whole shares count: a fraction cannot be sold.
    """
    value = line.held + steps * line.step
    if line.sold_out and value > 0:
        return value // line.step * line.step
    return max(0, line.low - value, value - line.high)


def penalised_excess(ledger: Ledger, line: Line, steps: int) -> int:
    """The excess that weighs in the objective where bands are soft.

    Raising cash is not there to repair positions above their band: only what sales leave below a band counts.
    """
    if ledger.options.mode == "raise_cash":
        return max(0, line.low - line.held - steps * line.step)
    return band_excess(line, steps)


def score(ledger: Ledger, line: Line, steps: int) -> int:
    """The objective of one line at a trade of `steps`, in score units (grains × ONE)."""
    total = ledger.drift_weight * drift_value(line, steps)
    if steps:
        total += ledger.trade_weight * abs(steps) * line.step + ledger.ticket
    return total + EXCESS_WEIGHT * penalised_excess(ledger, line, steps) if ledger.soft else total


def realised_gain(line: Line, steps: int) -> int:
    """Gain in grains of selling −steps, the highest cost first; 0 for a buy and for shares without tax lots."""
    left, gain = max(0, -steps) * line.shares, 0
    for shares, gain_per_share in line.tax_lots:
        sold = min(left, shares)
        gain, left = gain + sold * gain_per_share, left - sold
    return gain


def kinks(ledger: Ledger, line: Line) -> list[int]:
    """Steps between which every convex function of the line is linear; ascending."""
    found = {0}
    edges = [line.target, line.low, line.high] if ledger.soft else [line.target]
    for edge in edges:
        below = (edge - line.held) // line.step
        found |= {below, below + 1}
    if ledger.gain_budget is not None:
        sold = 0
        for shares, _ in line.tax_lots:
            sold += shares
            found |= {-(sold // line.shares), -(sold // line.shares) - 1}
    return sorted(found)


def breakpoints(ledger: Ledger, line: Line, segments: Iterable[Interval]) -> list[list[int]]:
    """Of each segment its ends and the kinks between them, ascending."""
    bends = kinks(ledger, line)
    return [[a, *(k for k in bends if a < k < b), b] if a < b else [a] for a, b in segments]


def best(ledger: Ledger, choice: Choice) -> int:
    """The best trade of one line by itself; of equal ones the smallest, a buy rather than a sale. Needs a segment."""
    line = choice.line
    candidates = chain.from_iterable(breakpoints(ledger, line, choice.segments))
    return min(candidates, key=lambda k: (score(ledger, line, k), abs(k), -k))
