"""Closing the last cents: exchanges between two or three securities, searched in floats and judged in exact integers.

Near the optimum the coupling rows make a subset-sum problem: many combinations of a few shares more of one security and
a few less of another differ by fractions of a cent. Branch and bound is slow at it; sorting is not. With all small
changes of single securities sorted by their effect on the objective, the pairs that land within a cent of the proven
bound are found by binary search.

The multipliers that prove the bound say which changes are worth a look: one whose effect, less what it frees of each
row at its multiplier, exceeds the gap belongs to no answer that closes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_app.portfolio.units import MONEY_PLACES
from rebalance_app.optimiser.problem.bounds import AllowedTrades
from rebalance_app.optimiser.problem.constraints import CouplingRow
from rebalance_app.optimiser.problem.coupling import broken_rows, coupling_rows
from rebalance_app.optimiser.problem.integer_problem import EXCESS_WEIGHT, FLOAT_EXACT, ONE, IntegerProblem
from rebalance_app.optimiser.problem.objective import rank

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CHANGES = 3000  # of single securities looked at: each is moved up and down by as many steps as that leaves it
FAR_SECURITIES = 4
FAR_REACH = 250
MOST_FIRST = 40  # moves tried where no pair closes the gap by itself
MOST_PAIRS = 20_000
SLACK = 1e-7  # money; what floats may be wrong by before the exact check
SEGMENTS = 3
NO_SECURITY = -1
EFFECTS = ("score", "net_bought", "traded", "orders")  # of gains the search knows nothing
MOST_EXCHANGES = 100  # of equally good answers
TRADED_PLACES = MONEY_PLACES  # what is saved less than that is not told apart from nothing


@dataclass(frozen=True, slots=True)
class _Securities:
    """The securities in money, as columns (n, 1)."""

    step: Floats
    held: Floats
    target: Floats
    low: Floats
    high: Floats
    sold_out: NDArray[np.bool_]
    first: Ints  # (n, 3) ends of the segments
    last: Ints

    @classmethod
    def of(cls, ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> "_Securities":
        unit, names = 10**ip.places, ("step", "held", "target", "low", "high")
        money = {name: np.array([[getattr(security, name) / unit] for security in ip.securities]) for name in names}
        padded = [(*c.segments, *((1, 0),) * (SEGMENTS - len(c.segments))) for c in choices]
        ends = np.array(padded, dtype=np.int64)
        sold_out = np.array([[security.sold_out] for security in ip.securities])
        return cls(**money, sold_out=sold_out, first=ends[:, :, 0], last=ends[:, :, 1])

    def rows(self, which: Ints) -> "_Securities":
        """Some of the securities."""
        return _Securities(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def allowed(self, k: Ints) -> NDArray[np.bool_]:
        """(n, m) whether each number of steps lies in a segment of its security."""
        inside = (self.first[:, :, None] <= k[:, None, :]) & (k[:, None, :] <= self.last[:, :, None])
        return np.asarray(inside.any(axis=1))

    def excess(self, ip: IntegerProblem, value: Floats) -> Floats:
        """What `objective.penalised_excess` says, of arrays."""
        below = np.maximum(self.low - value, 0)
        if ip.options.mode == "raise_cash":
            return below
        whole = np.maximum(np.floor(value / self.step + SLACK) * self.step, 0)
        return np.where(self.sold_out, whole, np.maximum(below, value - self.high))

    def sums(self, ip: IntegerProblem, k: Ints) -> Floats:
        """(4, n, m): score, net bought, traded and orders of each number of steps, in money."""
        net = k * self.step
        value = self.held + net
        total = ip.drift_weight / ONE * np.abs(self.target - value) + ip.trade_weight / ONE * np.abs(net)
        if ip.soft:
            total += EXCESS_WEIGHT / ONE * self.excess(ip, value)
        total += ip.ticket / (ONE * 10**ip.places) * (k != 0)
        return np.stack([total, net, np.abs(net), (k != 0).astype(float)])


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes of single securities, sorted by effect on the score: security, its new steps, and effects (4, m)."""

    security: Ints
    steps: Ints
    effects: Floats

    def only(self, keep: Any) -> "_Changes":  # a mask or an order
        return _Changes(self.security[keep], self.steps[keep], self.effects[:, keep])


def uses(ip: IntegerProblem, row: CouplingRow) -> Floats:
    """(4,) how much of a row, in money, a unit of each effect uses."""
    of: dict[str, float] = {row.total: 1.0}
    if row.total == "spent":
        of = {"net_bought": 1.0, "traded": ip.cost_rate / ONE, "orders": ip.in_float(ip.ticket) / ONE}
    return row.sign * np.array([of.get(name, 0.0) for name in EFFECTS])


@dataclass(frozen=True, slots=True)
class _Room:
    """What the coupling rows still leave, in money: what effects use of it (r, 4), and how much (r,)."""

    signs: Floats
    left: Floats

    @classmethod
    def of(cls, ip: IntegerProblem, sums: Floats) -> "_Room":
        """Beside sums (4,) of all trades."""
        rows = coupling_rows(ip)
        signs = np.array([uses(ip, row) for row in rows.values()])
        limits = [float(row.limit) if row.total == "orders" else ip.in_float(row.limit) for row in rows.values()]
        return cls(signs, np.array(limits) - signs @ sums + SLACK)

    def fits(self, effects: Floats) -> NDArray[np.bool_]:
        """(m,) which effects (4, m) leave every row whole."""
        return np.asarray((self.signs @ effects <= self.left[:, None]).all(axis=0))

    def after(self, effect: Floats) -> "_Room":
        """What one effect (4,) leaves."""
        return _Room(self.signs, self.left - self.signs @ effect)


def _moves(ip: IntegerProblem, securities: _Securities, trades: Ints, reach: int) -> tuple[Ints, Ints, Floats]:
    """Securities, new steps and effects (4, m) of every allowed change by up to `reach` steps or to a segment's end."""
    now = trades[:, None]
    ends = np.where(securities.first <= securities.last, securities.first, now)
    stops = np.where(securities.first <= securities.last, securities.last, now)
    k = np.concatenate([now + np.arange(-reach, reach + 1), ends, stops], axis=1)
    k = np.clip(k, ends.min(axis=1)[:, None], stops.max(axis=1)[:, None])
    effects = securities.sums(ip, k) - securities.sums(ip, now)
    which = securities.allowed(k) & (k != now)
    security = np.broadcast_to(np.arange(len(trades))[:, None], k.shape)[which]
    return security, k[which], effects[:, which]


@dataclass(frozen=True, slots=True)
class OpenGap:
    """What an answer may still lose: the multipliers of the rows, and the gap (money) to the bound that they prove."""

    multipliers: Mapping[str, int]
    gap: float

    def allows(self, ip: IntegerProblem, effects: Floats) -> NDArray[np.bool_]:
        """(m,) which effects (4, m), with what they use of each row at its multiplier, stay within the gap."""
        each = np.array([1.0, 0.0, 0.0, 0.0])
        for name, row in coupling_rows(ip).items():
            each += self.multipliers.get(name, 0) / ONE * uses(ip, row)
        return np.asarray(each @ effects <= self.gap + SLACK)


def _changes(ip: IntegerProblem, securities: _Securities, trades: Ints, open_gap: OpenGap) -> _Changes:
    """All small changes worth a look, and longer ones of the few securities that are furthest from their target.

    The relaxation leaves what is missing in few securities; only these can take up what the others give.
    """
    security, steps, effects = _moves(ip, securities, trades, max(8, CHANGES // (2 * len(trades))))
    off = np.abs(securities.target + -securities.held - trades[:, None] * securities.step)[:, 0]
    far = np.argsort(-off, kind="stable")[:FAR_SECURITIES]
    far_security, far_steps, far_effects = _moves(ip, securities.rows(far), trades[far], FAR_REACH)
    # One change that changes nothing, so that a single security can be a pair.
    security = np.concatenate([security, far[far_security], [NO_SECURITY]])
    steps = np.concatenate([steps, far_steps, [0]])
    effects = np.concatenate([effects, far_effects, np.zeros((4, 1))], axis=1)
    useful = _Changes(security, steps, effects).only(open_gap.allows(ip, effects))
    return useful.only(np.argsort(useful.effects[0], kind="stable"))


def _pairs(changes: _Changes, room: _Room, window: tuple[float, float]) -> tuple[Ints, Ints]:
    """Indices (a, b) of changes of two securities whose scores sum into the window and that leave every row whole."""
    scores = changes.effects[0]
    start = np.searchsorted(scores, window[0] - scores, "left")
    stop = np.searchsorted(scores, window[1] - scores, "right")
    counts = np.maximum(stop - start, 0)
    if counts.sum() > MOST_PAIRS:
        counts = np.where(np.cumsum(counts) <= MOST_PAIRS, counts, 0)
    a = np.repeat(np.arange(len(scores)), counts)
    b = np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start, counts)
    good = (changes.security[a] < changes.security[b]) & room.fits(changes.effects[:, a] + changes.effects[:, b])
    return a[good], b[good]


def _best_pair(changes: _Changes, found: tuple[Ints, Ints]) -> tuple[int, int]:
    """The pair with the lowest score, then the least trading, then the lower ids."""
    a, b = found
    sums = changes.effects[:, a] + changes.effects[:, b]
    keys = (changes.security[b], changes.security[a], np.round(sums[2], 6), np.round(sums[0], 6))
    first = int(np.lexsort(keys)[0])
    return int(a[first]), int(b[first])


def _applied(trades: Ints, changes: _Changes, *picked: int) -> Ints:
    moved = trades.copy()
    for i in picked:
        if changes.security[i] != NO_SECURITY:
            moved[changes.security[i]] = changes.steps[i]
    return moved


def _first_moves(changes: _Changes) -> Ints:
    """Which changes to try first: those that raise the score or those that lower it, whichever are fewer.

    The others are many, so that nearly any amount is the sum of two of them.
    """
    scores = changes.effects[0]
    common = 1 if np.count_nonzero(scores > 0) > np.count_nonzero(scores < 0) else -1
    return np.lexsort((np.abs(scores), np.sign(scores) == common))[:MOST_FIRST]


def _with_third(changes: _Changes, trades: Ints, room: _Room, window: tuple[float, float]) -> Ints | None:
    """The first single change that a pair completes into the window."""
    for first in _first_moves(changes):
        effect = changes.effects[:, first]
        rest = changes.only(changes.security != changes.security[first])
        found = _pairs(rest, room.after(effect), (window[0] - effect[0], window[1] - effect[0]))
        if len(found[0]):
            return _applied(_applied(trades, changes, int(first)), rest, *_best_pair(rest, found))
    return None


def _closed(changes: _Changes, trades: Ints, room: _Room, windows: Sequence[tuple[float, float]]) -> Ints | None:
    """The first window that a pair reaches; else the first window with three securities changed."""
    for window in windows:
        found = _pairs(changes, room, window)
        if len(found[0]):
            return _applied(trades, changes, *_best_pair(changes, found))
    return _with_third(changes, trades, room, windows[0])


def _ranked_pairs(changes: _Changes, trades: Ints, room: _Room) -> Iterator[tuple[int, int]]:
    """Pairs that keep the score, as far as floats can tell, and come before `trades` by `rank`; most saved first."""
    a, b = _pairs(changes, room, (-SLACK, SLACK))
    saved = -np.round(changes.effects[2][a] + changes.effects[2][b], TRADED_PLACES)
    before = np.append(trades, 0)  # NO_SECURITY has traded nothing
    first, second = (np.abs(changes.steps[i]) - np.abs(before[changes.security[i]]) for i in (a, b))
    turned = changes.steps[a] - before[changes.security[a]]
    lower_id = np.where(first != 0, first, np.where(turned != 0, turned, second)) > 0
    useful = np.flatnonzero((saved > 0) | ((saved == 0) & lower_id))
    order = np.lexsort((changes.security[b[useful]], -first[useful], changes.security[a[useful]], -saved[useful]))
    yield from zip(a[useful[order]].tolist(), b[useful[order]].tolist(), strict=True)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """The exchanges of one problem. Every answer given and returned honours every row, exactly."""

    ip: IntegerProblem
    securities: _Securities | None  # None: floats cannot tell the numbers apart, or a row is not one of EFFECTS

    @classmethod
    def of(cls, ip: IntegerProblem, choices: Sequence[AllowedTrades]) -> "Exchanges":
        """The exchanges that the choices permit."""
        small = all(max(abs(c.least), abs(c.most)) < FLOAT_EXACT for c in choices)
        return cls(ip, _Securities.of(ip, choices) if small and ip.gain_budget is None else None)

    def _around(self, securities: _Securities, trades: Ints, open_gap: OpenGap) -> tuple[_Changes, _Room]:
        """Changes of the trades that are worth a look, and the room that the rows leave for them."""
        room = _Room.of(self.ip, securities.sums(self.ip, trades[:, None]).sum(axis=(1, 2)))
        return _changes(self.ip, securities, trades, open_gap), room

    def closer(
        self, trades: tuple[int, ...], open_gap: OpenGap, windows: Sequence[tuple[float, float]]
    ) -> tuple[int, ...] | None:
        """Trades whose score, in money, is lower by window[0] to window[1] for the first window possible.

        Two or three securities are changed; None when no exchange reaches any window.
        """
        if self.securities is None:
            return None
        now = np.array(trades, dtype=np.int64)
        changes, room = self._around(self.securities, now, open_gap)
        found = _closed(changes, now, room, [(-most - SLACK, SLACK - least) for least, most in windows])
        moved = None if found is None else tuple(found.tolist())
        return moved if moved and not broken_rows(self.ip, moved) else None

    def less_trading(self, trades: tuple[int, ...], open_gap: OpenGap) -> tuple[int, ...]:
        """Trades of the same score that come before these by `rank`, after up to MOST_EXCHANGES of two securities each.

        Counted, not timed, so that a slow machine gives no other answer.
        """
        if self.securities is None:
            return trades
        for _ in range(MOST_EXCHANGES):
            now = np.array(trades, dtype=np.int64)
            changes, room = self._around(self.securities, now, open_gap)
            pairs = _ranked_pairs(changes, now, room)
            moves = (tuple(_applied(now, changes, *pair).tolist()) for pair in pairs)
            best = rank(self.ip, trades)
            better = (m for m in moves if rank(self.ip, m) < best and not broken_rows(self.ip, m))
            following = next(better, None)
            if following is None:
                break
            trades = following
        return trades
