"""Trying every answer that the prices leave, where they are few: the exact optimum, and of equal ones the first.

What a trade's priced score has above its line's least adds up over the lines, and may not exceed the gap between a
known answer and the bound. Line by line, combinations beyond it are dropped; often a few dozen are left. All in exact
integers: neither a solver's tolerance nor a machine's floating point has a say in what is found here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds import Choice
from .constraints import Interval
from .coupling import Totals, coupling_rows
from .exchange import rank, total_score
from .integers import Ledger, Line
from .milp import Relaxed
from .pricing import cut
from .table import Table, Whole, table

Ints = NDArray[np.int64]
MOST_STEPS = 2000  # of all lines; beyond, the combinations are too many
MOST_COMBINATIONS = 4000


def every_step(_ledger: Ledger, _line: Line, interval: Interval) -> range:
    """All whole numbers of an interval."""
    return range(interval[0], interval[1] + 1)


def combinations(spare: Whole, lines: Sequence[Ints], gap: int) -> Ints | None:
    """(c, lines) one place of each line in every row, all rows whose `spare` adds up to `gap` at most; None: too many.

    The lines that take most of the gap come first, so that little is built only to be dropped.
    """
    order = sorted(range(len(lines)), key=lambda i: sorted(spare[lines[i]])[1], reverse=True)
    rows, used = np.empty((1, 0), dtype=np.int64), np.zeros(1, dtype=object)
    for i in order:
        kept = spare[lines[i]] <= (gap - used)[:, None]  # of millions of sums only the answers are held
        if np.count_nonzero(kept) > MOST_COMBINATIONS:
            return None
        row, place = np.nonzero(kept)
        rows, used = np.column_stack([rows[row], lines[i][place]]), used[row] + spare[lines[i][place]]
    return rows[:, np.argsort(order)]


@dataclass(frozen=True, slots=True)
class _Answers:
    """Combinations (c, lines) of points, each one whole answer together with the points that have no alternative."""

    points: Table
    rows: Ints
    fixed: Ints

    def total(self, column: Whole) -> Whole:
        """(c,) the sum of a column over all lines."""
        return np.asarray(column[self.rows].sum(axis=1) + column[self.fixed].sum())

    def only(self, which: NDArray[np.bool_]) -> "_Answers":
        """Some of the combinations."""
        return _Answers(self.points, self.rows[which], self.fixed)

    def kept(self) -> NDArray[np.bool_]:
        """(c,) which of them honour every coupling row."""
        of = self.points
        columns = (of.bought, np.abs(of.bought), of.orders, of.gain)
        rows = coupling_rows(of.ledger, Totals(*map(self.total, columns)), int)
        return np.asarray(np.logical_and.reduce(list(rows.values())), dtype=np.bool_)

    def trades(self) -> Iterator[tuple[int, ...]]:
        """Each of them as steps by line."""
        for row in self.rows:
            yield tuple(self.points.steps[np.sort(np.concatenate([row, self.fixed]))].tolist())


def best_remaining(
    ledger: Ledger, choices: Sequence[Choice], relaxed: Relaxed, trades: Sequence[int]
) -> tuple[int, ...] | None:
    """The first of all answers by `exchange.rank`, given one that honours every row; None where too many are left."""
    gap = total_score(ledger, trades) - relaxed.bound
    left = cut(choices, relaxed.points, relaxed.prices, gap)
    if sum(b - a + 1 for c in left for a, b in c.segments) > MOST_STEPS:
        return None
    points = table(ledger, left, every_step)
    priced = points.priced(relaxed.prices)
    spare = priced - np.minimum.reduceat(priced, points.start)[points.line]
    places = np.split(np.arange(len(points.line)), points.start[1:])
    found = combinations(spare, [at for at in places if len(at) > 1], gap)
    if found is None:
        return None
    answers = _Answers(points, found, np.array([at[0] for at in places if len(at) == 1], dtype=np.int64))
    answers = answers.only(answers.kept())
    score = answers.total(points.score)
    return min(answers.only(score == score.min()).trades(), key=lambda each: rank(ledger, each))
