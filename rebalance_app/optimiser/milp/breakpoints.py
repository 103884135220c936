"""Every line's breakpoints in one table: bound, cut and integer programme are read off its columns.

Between neighbouring points of a part everything that is summed is linear, and in a part the score is convex, with any
prices on the coupling rows. The columns hold Python integers of any size: exact, and added up without loops.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rebalance_app.optimiser.problem.bounds import Choice
from rebalance_app.optimiser.problem.constraints import Interval
from rebalance_app.optimiser.problem.integer_problem import Ledger, Line
from rebalance_app.optimiser.problem.objective import breakpoints, realised_gain, score

Whole = NDArray[np.object_]  # Python integers


def needs_gate(ledger: Ledger, choice: Choice) -> bool:
    """Whether buying, selling and not trading must be told apart.

    They must when small trades are forbidden, when an order counts or costs, and when selling at a loss would pay for
    itself by buying back (a wash sale).
    """
    if not choice.least <= 0 <= choice.most or choice.least == choice.most:
        return False
    at_a_loss = ledger.gain_budget is not None and any(gain < 0 for _, gain in choice.line.tax_lots)
    return len(choice.segments) > 1 or ledger.orders_matter or (at_a_loss and choice.least < 0)


def parts(ledger: Ledger, choice: Choice) -> list[Interval]:
    """Where the score is convex: all of a line without gates; else its sales, no trade, and its buys."""
    if not needs_gate(ledger, choice):
        return [(choice.least, choice.most)]
    sales = [(a, min(b, -1)) for a, b in choice.segments if a < 0]
    buys = [(max(a, 1), b) for a, b in choice.segments if b > 0]
    return [*sales, (0, 0), *buys]


@dataclass(frozen=True, slots=True)
class Table:
    """The points of all lines, one after another and ascending in each: m of them.

    line, part   (m,) which line, and which part, counted over all lines; gated   (m,) whether the line has gates
    start        (n,) where each line begins
    steps, score, bought, orders, gain   (m,) of each point; score in score units, bought and gain in grains
    """

    ledger: Ledger
    line: NDArray[np.int64]
    part: NDArray[np.int64]
    gated: NDArray[np.bool_]
    start: NDArray[np.int64]
    steps: Whole
    score: Whole
    bought: Whole
    orders: Whole
    gain: Whole

    @property
    def uses(self) -> dict[str, Whole]:
        """By coupling row, what each point uses of it, in grains; an order counts as a unit of money."""
        return {
            "cash_floor": self.bought,
            "cash_ceiling": -self.bought,
            "turnover": np.abs(self.bought),
            "max_trades": self.orders * 10**self.ledger.places,
            "min_trades": -self.orders * 10**self.ledger.places,
            "gain_budget": self.gain,
        }

    def priced(self, prices: Mapping[str, int]) -> Whole:
        """(m,) score of each point plus what it uses of each priced row, in score units."""
        uses = self.uses
        return np.asarray(sum((price * uses[name] for name, price in prices.items() if price), self.score))


def _row(ledger: Ledger, line: Line, k: int) -> tuple[int, int, int, int, int]:
    """Steps, score, bought, orders and gain of one trade."""
    gain = realised_gain(line, k) if ledger.gain_budget is not None else 0
    return k, score(ledger, line, k), k * line.step, int(k != 0), gain


def _columns(rows: Iterable[tuple[int, ...]]) -> list[Whole]:
    return [np.array(column, dtype=object) for column in zip(*rows, strict=True)]


def table(ledger: Ledger, choices: Sequence[Choice]) -> Table:
    """The breakpoints of all choices, each of which needs a segment."""
    rows, places = list[tuple[int, ...]](), list[tuple[int, int, bool]]()
    start, part = [], 0
    for i, choice in enumerate(choices):
        start.append(len(rows))
        intervals = parts(ledger, choice)
        for points in breakpoints(ledger, choice.line, intervals):
            rows += [_row(ledger, choice.line, k) for k in points]
            places += [(i, part, len(intervals) > 1)] * len(points)
            part += 1
    line, part_of, gated = (np.array(column) for column in zip(*places, strict=True))
    return Table(ledger, line, part_of, gated, np.array(start), *_columns(rows))


def listed(ledger: Ledger, steps: Sequence[Sequence[int]]) -> Table:
    """Given trades of every line, at least one of each, as a table without gates, in the order in which they stand."""
    rows = (_row(ledger, line, k) for line, some in zip(ledger.lines, steps, strict=True) for k in some)
    counts = np.array([len(some) for some in steps])
    line = np.repeat(np.arange(len(steps)), counts)
    return Table(ledger, line, line, np.zeros(len(line), dtype=np.bool_), np.cumsum(counts) - counts, *_columns(rows))
