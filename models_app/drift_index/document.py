"""What the index says of a portfolio against a model: made from the live view, or of many at once from arrays.

Both ways give the same, which tests promise. Fractions are kept to six decimals, money as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_app.drift_index.live_drift import (
    NO_BAND,
    DriftInputs,
    PortfolioView,
    PositionView,
    low_cash_word,
    near_band,
)
from models_app.investment_models.selectors import ModelRow
from models_app.portfolio.batch import Block
from models_app.portfolio.batch_drift import DriftTable, drift_table
from models_app.portfolio.units import DIVIDE, MILLIONTH, MONEY_PLACES, MONEY_SCALE, WEIGHT_PLACES, WEIGHT_SCALE, WIDE
from models_app.sources.book_source import Balances, PriceInfo
from ordergen.core.errors import promised

STATES = ("breach", "near", "in_band", "unpriced", "unknown", "no_model", "not_computed")
# The first five in the order of drift_table's codes.
LINE_STATES = ("in_band", "near", "over", "under", "not_in_model", "unpriced", "unknown")
_CODES = {word: code for code, word in enumerate(LINE_STATES)}
BYTES_PER_LINE = 5  # packed: four of drift, one of state
_UNKNOWN = -(2**31)  # a drift that cannot be told
_FARTHEST = 2**31 - 1
_MOST = Decimal(_FARTHEST)  # of a weight: a million times beyond what is kept of drifts
_MOST_BREACHES = 10**6
_ENDLESS = 1e9  # sorts a drift without any band above every number, and the larger drift above the smaller
_LARGEST_WHOLE = 2**53  # a number beyond this is left to the general way


@dataclass(frozen=True, slots=True)
class Worst:
    """The position that uses most of its band; `use` is signed, and infinite where the drift has no band."""

    security_id: str
    ticker: str
    state: str
    drift: Decimal
    use: Decimal


@dataclass(frozen=True, slots=True)
class DriftDocument:
    state: str
    market_value: Decimal | None
    cash: Decimal
    total_drift: Decimal | None
    breaches: int
    trades: int
    worst: Worst | None
    unpriced: tuple[str, ...]
    prices_of: date | None
    lines: bytes

    def columns(self) -> dict[str, Any]:
        """The values of a DriftFigures row."""
        weight, total = _share(self.cash, self.market_value), _share(self.total_drift, self.market_value)
        has_model = self.state != "no_model"
        return {
            "state": self.state,
            "state_order": STATES.index(self.state) * _MOST_BREACHES - self.breaches,
            "low_cash": low_cash_word(self.cash, weight),
            "worst_ticker": self.worst.ticker if self.worst else None,
            "drift": float(self.worst.drift) if self.worst else None,
            "use": _sortable(self.worst) if has_model else None,
            "total": None if total is None else float(total),
            "cash": None if weight is None else float(weight),
            "value": None if self.market_value is None else float(self.market_value),
            "prices_of": self.prices_of,
            "n_unpriced": len(self.unpriced),
            "unpriced": " ".join(self.unpriced),
            "lines": self.lines,
            "told": {
                "market_value": _text(self.market_value),
                "cash": _text(self.cash),
                "cash_weight": _text(_rounded(weight)),
                "total_drift": _text(self.total_drift),
                "total_weight": _text(_rounded(total)),
                "breaches": self.breaches,
                "trades": self.trades,
                "worst": _told(self.worst) if self.worst else None,
            },
        }


def _share(amount: Decimal | None, market_value: Decimal | None) -> Decimal | None:
    if amount is None or market_value is None or market_value <= 0:
        return None
    return DIVIDE.divide(amount, market_value)


def _rounded(number: Decimal | None) -> Decimal | None:
    return number if number is None or number.is_infinite() else number.quantize(MILLIONTH, context=WIDE)


def _text(number: Decimal | None) -> str | None:
    """Every digit, without the zeros at the end."""
    if number is None:
        return None
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _told(worst: Worst) -> dict[str, Any]:
    numbers = {"drift": _text(_rounded(worst.drift)), "use": _text(_rounded(worst.use))}
    return {"security_id": worst.security_id, "ticker": worst.ticker, "state": worst.state} | numbers


def _sortable(worst: Worst | None) -> float:
    if worst is None:
        return 0.0
    if worst.use.is_infinite():
        return _ENDLESS + min(float(abs(worst.drift)), _ENDLESS)
    return min(float(abs(worst.use)), _ENDLESS)


def document_of(view: PortfolioView, row: ModelRow | None) -> DriftDocument:
    """From the live view; `row` is the model of the view."""
    drift = view.drift
    return DriftDocument(
        state=view.state,
        market_value=drift.market_value,
        cash=drift.cash,
        total_drift=drift.total_drift,
        breaches=drift.breaches,
        trades=drift.trades,
        worst=_worst(view.worst) if view.worst else None,
        unpriced=tuple(sorted(position.security_id for position in view.unpriced)),
        prices_of=max((position.price_date for position in view.positions if position.price_date), default=None),
        lines=_packed_lines(view, row) if row else b"",
    )


def _worst(position: PositionView) -> Worst:
    drift = promised(position.drift.drift, "what has a rank has drifted")
    use = promised(position.band_use, "what has a rank has a band")
    return Worst(position.security_id, position.ticker, position.state, drift, use)


def _packed_lines(view: PortfolioView, row: ModelRow) -> bytes:
    by_id = {position.security_id: position for position in view.positions}
    lines = [by_id[p.security_id] for p in row.draft.positions]
    drifts = np.array([[_millionths(position) for position in lines]], dtype=np.int64)
    return _packed(drifts, np.array([[_CODES[position.state] for position in lines]], dtype=np.uint8))[0]


def _millionths(position: PositionView) -> int:
    if position.drift.weight is None:
        return _UNKNOWN
    weight = max(-_MOST, min(_MOST, position.drift.weight))
    return int((weight.quantize(MILLIONTH) - position.drift.target) * WEIGHT_SCALE)


def _packed(drifts: NDArray[np.int64], states: NDArray[np.uint8]) -> list[bytes]:
    """For each portfolio its drifts in millionths, four bytes each, then its states, one byte each."""
    narrow = np.where(drifts == _UNKNOWN, _UNKNOWN, np.clip(drifts, 1 - _FARTHEST, _FARTHEST)).astype("<i4")
    return [row.tobytes() + codes.tobytes() for row, codes in zip(narrow, states, strict=True)]


@dataclass(frozen=True)
class PositionFigures:
    """How a model's portfolios stand in one of its positions."""

    n_over: int
    n_under: int
    median_drift: Decimal | None


NO_FIGURES = PositionFigures(0, 0, None)


def positions_of(packed: Sequence[bytes], n_positions: int) -> list[PositionFigures]:
    """From the packed lines of portfolios, one for each of the model's positions, in its order."""
    if not packed or not n_positions:
        return [NO_FIGURES] * n_positions
    rows = np.frombuffer(b"".join(packed), dtype=np.uint8).reshape(len(packed), BYTES_PER_LINE * n_positions)
    drifts = np.ascontiguousarray(rows[:, : 4 * n_positions]).view("<i4")
    states = rows[:, 4 * n_positions :]
    over, under = ((states == _CODES[word]).sum(axis=0).tolist() for word in ("over", "under"))
    return [PositionFigures(over[at], under[at], _median(drifts[:, at])) for at in range(n_positions)]


def _median(drifts: NDArray[np.int32]) -> Decimal | None:
    known = drifts[drifts != _UNKNOWN]
    return Decimal(float(np.median(known))) / WEIGHT_SCALE if len(known) else None


def documents_at_once(row: ModelRow, portfolio_ids: Iterable[str], inputs: DriftInputs) -> dict[str, DriftDocument]:
    """The documents of those portfolios that arrays can answer for: whole shares, every price known, and a value."""
    securities, prices = inputs.securities, inputs.prices
    balances = {key: inputs.balances[key] for key in portfolio_ids if key in inputs.balances}
    aims = {p.security_id for p in row.draft.positions}
    priced = {key for key, known in prices.items() if known.price > 0 and _is_whole(known.price * MONEY_SCALE)}
    plain = {key: held for key, held in balances.items() if held.quantities.keys() <= priced and _is_plain(held)}
    ids = sorted(
        aims.union(*(held.quantities for held in plain.values())),
        key=lambda key: securities[key].ticker if key in securities else key,
    )
    if not plain or not ids or not aims <= priced:
        return {}
    block = _block(row, ids, plain, prices)
    table = drift_table(block, near=near_band())
    makers = _Maker(row, ids, block, table, inputs)
    return {key: makers.figures(at, held) for at, (key, held) in enumerate(plain.items()) if table.answered[at]}


def _is_plain(held: Balances) -> bool:
    shares = list(map(int, held.quantities.values()))
    is_whole = shares == list(held.quantities.values()) and max(map(abs, shares), default=0) < _LARGEST_WHOLE
    return is_whole and _is_whole(held.cash * MONEY_SCALE)


def _is_whole(number: Decimal) -> bool:
    return abs(number) < _LARGEST_WHOLE and number == int(number)


def _block(
    row: ModelRow, ids: Sequence[str], balances: Mapping[str, Balances], prices: Mapping[str, PriceInfo]
) -> Block:
    column = {key: at for at, key in enumerate(ids)}
    quantities = np.zeros((len(balances), len(ids)), dtype=np.int64)
    for at, held in enumerate(balances.values()):
        quantities[at, [column[key] for key in held.quantities]] = [int(q) for q in held.quantities.values()]
    bands = np.zeros((3, len(ids)), dtype=np.int64)
    for p in row.draft.positions:
        bands[:, column[p.security_id]] = [
            int(number * WEIGHT_SCALE) for number in (p.target, p.low_drift, p.high_drift)
        ]
    cash = np.array([int(held.cash * MONEY_SCALE) for held in balances.values()], dtype=np.int64)
    price = np.array([int(prices[key].price * MONEY_SCALE) for key in ids], dtype=np.int64)
    targets, low_drifts, high_drifts = bands
    return Block(tuple(ids), price, targets, low_drifts, high_drifts, quantities, cash, np.zeros_like(cash))


class _Maker:
    """Takes the figures of one portfolio out of a table."""

    def __init__(self, row: ModelRow, ids: Sequence[str], block: Block, table: DriftTable, inputs: DriftInputs) -> None:
        self._ids, self._table, self._securities = ids, table, inputs.securities
        places = [ids.index(p.security_id) for p in row.draft.positions]
        self._lines = _packed(table.drift[:, places], table.state[:, places])
        in_model = (block.targets + block.low_drifts + block.high_drifts) > 0
        days = np.array([inputs.prices[key].date.toordinal() for key in ids])
        self._days = np.where((block.quantities != 0) | in_model, days, 0).max(axis=1)
        self._near = (table.state == _CODES["near"]).any(axis=1)

    def figures(self, at: int, held: Balances) -> DriftDocument:
        table = self._table
        breaches = int(table.breaches[at])
        return DriftDocument(
            state="breach" if breaches else "near" if self._near[at] else "in_band",
            market_value=Decimal(int(table.market_value[at])) / MONEY_SCALE,
            cash=held.cash,
            total_drift=Decimal(int(table.total[at])).scaleb(-MONEY_PLACES - WEIGHT_PLACES),
            breaches=breaches,
            trades=int(table.trades[at]),
            worst=self._worst(at),
            unpriced=(),
            prices_of=date.fromordinal(int(self._days[at])) if self._days[at] else None,
            lines=self._lines[at],
        )

    def _worst(self, at: int) -> Worst | None:
        table = self._table
        column, drift, use = int(table.worst[at]), table.worst_drift[at], table.worst_use[at]
        if drift is None:
            return None
        key = self._ids[column]
        known = self._securities.get(key)
        state = LINE_STATES[table.state[at, column]]
        return Worst(
            key, known.ticker if known else key, state, drift, NO_BAND.copy_sign(drift) if use is None else use
        )
