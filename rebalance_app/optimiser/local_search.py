"""Closing the last cents: exchanges between two securities, searched in floats and judged in exact integers.

Near the optimum the coupling rows make a subset-sum problem: many combinations of a few shares more of one security and
a few less of another differ by fractions of a cent. Branch and bound is slow at it; sorting is not. With all small
changes of single lines sorted by their effect on the objective, the pairs that land within a cent of the proven bound
are found by binary search.

The prices that prove the bound say which changes are worth a look: one whose effect, less what it frees of each
priced row, exceeds the gap belongs to no answer that closes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_app.portfolio.units import MONEY_PLACES
from rebalance_app.optimiser.problem.bounds import Choice
from rebalance_app.optimiser.problem.coupling import broken_rows
from rebalance_app.optimiser.problem.integer_problem import EXCESS_WEIGHT, FLOAT_EXACT, ONE, Ledger
from rebalance_app.optimiser.problem.objective import score

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CHANGES = 3000  # single-line changes looked at: 2 × their number over the lines is how far each line is moved
FAR_LINES = 4
FAR_REACH = 250
THIRDS = 40  # first moves tried where no pair closes the gap by itself
MOST_PAIRS = 20_000
SLACK = 1e-7  # money; what floats may be wrong by before the exact check
SEGMENTS = 3
NO_LINE = -1
MOST_EXCHANGES = 100  # of equally good answers
TRADED_PLACES = MONEY_PLACES  # what is saved less than that is not told apart from nothing


def total_score(ledger: Ledger, trades: Sequence[int]) -> int:
    """The objective of a whole set of trades, in score units."""
    return sum(score(ledger, line, k) for line, k in zip(ledger.lines, trades, strict=True))


Rank = tuple[int, int, tuple[tuple[int, int], ...]]


def rank(ledger: Ledger, trades: Sequence[int]) -> Rank:
    """What orders answers: the score, then what is traded; then, id by id, who trades more, then who buys."""
    traded = sum(abs(k) * line.step for line, k in zip(ledger.lines, trades, strict=True))
    return total_score(ledger, trades), traded, tuple((-abs(k), -k) for k in trades)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines in money, as columns (n, 1)."""

    step: Floats
    held: Floats
    target: Floats
    low: Floats
    high: Floats
    sold_out: NDArray[np.bool_]
    first: Ints  # (n, 3) ends of the segments
    last: Ints

    @classmethod
    def of(cls, ledger: Ledger, choices: Sequence[Choice]) -> "_Lines":
        unit = 10**ledger.places

        def money(name: str) -> Floats:
            return np.array([[getattr(line, name) / unit] for line in ledger.lines])

        padded = [(*c.segments, *((1, 0),) * (SEGMENTS - len(c.segments))) for c in choices]
        ends = np.array(padded, dtype=np.int64)
        sold_out = np.array([[line.sold_out] for line in ledger.lines])
        return cls(
            step=money("step"),
            held=money("held"),
            target=money("target"),
            low=money("low"),
            high=money("high"),
            sold_out=sold_out,
            first=ends[:, :, 0],
            last=ends[:, :, 1],
        )

    def rows(self, which: Ints) -> "_Lines":
        """Some of the lines."""
        return _Lines(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def allowed(self, k: Ints) -> NDArray[np.bool_]:
        """(n, m) whether each number of steps lies in a segment of its line."""
        inside = (self.first[:, :, None] <= k[:, None, :]) & (k[:, None, :] <= self.last[:, :, None])
        return np.asarray(inside.any(axis=1))

    def excess(self, ledger: Ledger, value: Floats) -> Floats:
        """What `objective.penalised_excess` says, of arrays."""
        below = np.maximum(self.low - value, 0)
        if ledger.options.mode == "raise_cash":
            return below
        whole = np.maximum(np.floor(value / self.step + SLACK) * self.step, 0)
        return np.where(self.sold_out, whole, np.maximum(below, value - self.high))

    def sums(self, ledger: Ledger, k: Ints) -> Floats:
        """(4, n, m): score, bought, traded and orders of each number of steps, in money."""
        bought = k * self.step
        value = self.held + bought
        total = ledger.drift_weight / ONE * np.abs(self.target - value) + ledger.trade_weight / ONE * np.abs(bought)
        if ledger.soft:
            total += EXCESS_WEIGHT / ONE * self.excess(ledger, value)
        total += ledger.ticket / (ONE * 10**ledger.places) * (k != 0)
        return np.stack([total, bought, np.abs(bought), (k != 0).astype(float)])


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes of single lines, sorted by effect on the score: which line, its new steps, effects (4, m), and room."""

    line: Ints
    steps: Ints
    effects: Floats

    def only(self, keep: Any) -> "_Changes":  # a mask or an order
        return _Changes(self.line[keep], self.steps[keep], self.effects[:, keep])


def _room(ledger: Ledger, totals: Floats) -> Floats:
    """How much bought, sold, traded and orders may still rise, in money; infinite where nothing limits them."""
    unit, o = 10**ledger.places, ledger.options
    most_bought = (ledger.cash - ledger.floor) / unit
    least_bought = -np.inf if ledger.ceiling is None else (ledger.cash - ledger.ceiling) / unit
    cap = np.inf if ledger.trade_cap is None else ledger.trade_cap / unit
    orders = np.inf if o.max_trades is None else o.max_trades
    _, bought, traded, count = totals
    return np.array([most_bought - bought, bought - least_bought, cap - traded, orders - count]) + SLACK


def _fits(effects: Floats, room: Floats) -> NDArray[np.bool_]:
    _, bought, traded, orders = effects
    return np.asarray((bought <= room[0]) & (-bought <= room[1]) & (traded <= room[2]) & (orders <= room[3]))


def _moves(ledger: Ledger, lines: _Lines, trades: Ints, reach: int) -> tuple[Ints, Ints, Floats]:
    """Line, new steps and effects (4, m) of every allowed change by up to `reach` steps or to the end of a segment."""
    now = trades[:, None]
    ends = np.where(lines.first <= lines.last, lines.first, now)
    stops = np.where(lines.first <= lines.last, lines.last, now)
    k = np.concatenate([now + np.arange(-reach, reach + 1), ends, stops], axis=1)
    k = np.clip(k, ends.min(axis=1)[:, None], stops.max(axis=1)[:, None])
    effects = lines.sums(ledger, k) - lines.sums(ledger, now)
    which = lines.allowed(k) & (k != now)
    line = np.broadcast_to(np.arange(len(trades))[:, None], k.shape)[which]
    return line, k[which], effects[:, which]


@dataclass(frozen=True, slots=True)
class Spare:
    """What an answer may still lose: the prices of the rows, and the gap (money) to the bound that they prove."""

    prices: Mapping[str, int]
    gap: float

    def allows(self, effects: Floats) -> NDArray[np.bool_]:
        """(m,) which effects (4, m), with what they use of each row at its price, stay within the gap."""
        of = {name: price / ONE for name, price in self.prices.items()}
        net = of.get("cash_floor", 0.0) - of.get("cash_ceiling", 0.0)
        each = np.array([1.0, net, of.get("turnover", 0.0), of.get("max_trades", 0.0)])
        return np.asarray(each @ effects <= self.gap + SLACK)


def _changes(ledger: Ledger, lines: _Lines, trades: Ints, spare: Spare) -> _Changes:
    """All small changes worth a look, and longer ones of the few lines that are furthest from their target.

    The relaxation leaves what is missing in few lines; only these can take up what the others give.
    """
    line, steps, effects = _moves(ledger, lines, trades, max(8, CHANGES // (2 * len(trades))))
    off = np.abs(lines.target + -lines.held - trades[:, None] * lines.step)[:, 0]
    far = np.argsort(-off, kind="stable")[:FAR_LINES]
    far_line, far_steps, far_effects = _moves(ledger, lines.rows(far), trades[far], FAR_REACH)
    # One change that changes nothing, so that a single line can be a pair.
    line = np.concatenate([line, far[far_line], [NO_LINE]])
    steps = np.concatenate([steps, far_steps, [0]])
    effects = np.concatenate([effects, far_effects, np.zeros((4, 1))], axis=1)
    useful = _Changes(line, steps, effects).only(spare.allows(effects))
    return useful.only(np.argsort(useful.effects[0], kind="stable"))


def _pairs(changes: _Changes, room: Floats, window: tuple[float, float]) -> tuple[Ints, Ints]:
    """Indices (a, b) of changes of two lines whose scores sum into the window and that leave every row whole."""
    scores = changes.effects[0]
    start = np.searchsorted(scores, window[0] - scores, "left")
    stop = np.searchsorted(scores, window[1] - scores, "right")
    counts = np.maximum(stop - start, 0)
    if counts.sum() > MOST_PAIRS:
        counts = np.where(np.cumsum(counts) <= MOST_PAIRS, counts, 0)
    a = np.repeat(np.arange(len(scores)), counts)
    b = np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    good = (changes.line[a] < changes.line[b]) & _fits(changes.effects[:, a] + changes.effects[:, b], room)
    return a[good], b[good]


def _best_pair(changes: _Changes, found: tuple[Ints, Ints]) -> tuple[int, int]:
    """The pair with the lowest score, then the least trading, then the lower ids."""
    a, b = found
    sums = changes.effects[:, a] + changes.effects[:, b]
    keys = (changes.line[b], changes.line[a], np.round(sums[2], 6), np.round(sums[0], 6))
    first = int(np.lexsort(keys)[0])
    return int(a[first]), int(b[first])


def _applied(trades: Ints, changes: _Changes, *picked: int) -> Ints:
    moved = trades.copy()
    for i in picked:
        if changes.line[i] != NO_LINE:
            moved[changes.line[i]] = changes.steps[i]
    return moved


def _thirds(changes: _Changes) -> Ints:
    """Which changes to try first: those that raise the score or those that lower it, whichever are fewer.

    The others are many, so that nearly any amount is the sum of two of them.
    """
    scores = changes.effects[0]
    common = 1 if np.count_nonzero(scores > 0) > np.count_nonzero(scores < 0) else -1
    return np.lexsort((np.abs(scores), np.sign(scores) == common))[:THIRDS]


def _with_third(changes: _Changes, trades: Ints, room: Floats, window: tuple[float, float]) -> Ints | None:
    """The first single change that a pair completes into the window."""
    for first in _thirds(changes):
        effect = changes.effects[:, first]
        rest = changes.only(changes.line != changes.line[first])
        left = room - np.array([effect[1], -effect[1], effect[2], effect[3]])
        found = _pairs(rest, left, (window[0] - effect[0], window[1] - effect[0]))
        if len(found[0]):
            return _applied(_applied(trades, changes, int(first)), rest, *_best_pair(rest, found))
    return None


def _closed(changes: _Changes, trades: Ints, room: Floats, windows: Sequence[tuple[float, float]]) -> Ints | None:
    """The first window that a pair reaches; else the first window with three lines changed."""
    for window in windows:
        found = _pairs(changes, room, window)
        if len(found[0]):
            return _applied(trades, changes, *_best_pair(changes, found))
    return _with_third(changes, trades, room, windows[0])


def _ranked_pairs(changes: _Changes, trades: Ints, room: Floats) -> Iterator[tuple[int, int]]:
    """Pairs that keep the score, as far as floats can tell, and come before `trades` by `rank`; most saved first."""
    a, b = _pairs(changes, room, (-SLACK, SLACK))
    saved = -np.round(changes.effects[2][a] + changes.effects[2][b], TRADED_PLACES)
    before = np.append(trades, 0)  # NO_LINE has traded nothing
    first, second = (np.abs(changes.steps[i]) - np.abs(before[changes.line[i]]) for i in (a, b))
    turned = changes.steps[a] - before[changes.line[a]]
    lower_id = np.where(first != 0, first, np.where(turned != 0, turned, second)) > 0
    useful = np.flatnonzero((saved > 0) | ((saved == 0) & lower_id))
    order = np.lexsort((changes.line[b[useful]], -first[useful], changes.line[a[useful]], -saved[useful]))
    yield from zip(a[useful[order]].tolist(), b[useful[order]].tolist(), strict=True)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """The exchanges of one problem. Every answer given and returned honours every row, exactly."""

    ledger: Ledger
    lines: _Lines | None  # None: floats cannot tell the numbers apart, or a row is not one that the search knows

    @classmethod
    def of(cls, ledger: Ledger, choices: Sequence[Choice]) -> "Exchanges":
        """The exchanges that the choices permit."""
        small = all(max(abs(c.least), abs(c.most)) < FLOAT_EXACT for c in choices)
        return cls(ledger, _Lines.of(ledger, choices) if small and ledger.gain_budget is None else None)

    def _around(self, lines: _Lines, trades: Ints, spare: Spare) -> tuple[_Changes, Floats]:
        """Changes of the trades that are worth a look, and the room that the rows leave for them."""
        room = _room(self.ledger, lines.sums(self.ledger, trades[:, None]).sum(axis=(1, 2)))
        return _changes(self.ledger, lines, trades, spare), room

    def closer(
        self, trades: tuple[int, ...], spare: Spare, windows: Sequence[tuple[float, float]]
    ) -> tuple[int, ...] | None:
        """Trades whose score, in money, is lower by window[0] to window[1] for the first window possible.

        Two or three lines are changed; None when no exchange reaches any window.
        """
        if self.lines is None:
            return None
        now = np.array(trades, dtype=np.int64)
        changes, room = self._around(self.lines, now, spare)
        found = _closed(changes, now, room, [(-most - SLACK, SLACK - least) for least, most in windows])
        moved = None if found is None else tuple(found.tolist())
        return moved if moved and not broken_rows(self.ledger, moved) else None

    def less_trading(self, trades: tuple[int, ...], spare: Spare) -> tuple[int, ...]:
        """Trades of the same score that come before these by `rank`, after up to MOST_EXCHANGES of two lines each.

        Counted, not timed, so that a slow machine gives no other answer.
        """
        if self.lines is None:
            return trades
        for _ in range(MOST_EXCHANGES):
            now = np.array(trades, dtype=np.int64)
            changes, room = self._around(self.lines, now, spare)
            pairs = _ranked_pairs(changes, now, room)
            moves = (tuple(_applied(now, changes, *pair).tolist()) for pair in pairs)
            best = rank(self.ledger, trades)
            better = (m for m in moves if rank(self.ledger, m) < best and not broken_rows(self.ledger, m))
            following = next(better, None)
            if following is None:
                break
            trades = following
        return trades
