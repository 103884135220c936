"""What the index says of a portfolio against a model: made from the live view, or of many at once from arrays.

Both ways give the same, which tests promise. Fractions are kept to six decimals, money as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models_app.drift_index.live_drift import (
    NO_BAND,
    DriftInputs,
    PortfolioView,
    PositionView,
    low_cash_word,
    near_band,
    position_of,
)
from models_app.investment_models.selectors import ModelRow
from models_app.portfolio.batch import Batch, BatchAnswer, are_plain_securities, batch_of, is_plain_portfolio
from models_app.portfolio.batch_drift import batch_drift, weights
from models_app.portfolio.nearest import closed_form
from models_app.portfolio.types import ZERO
from models_app.portfolio.units import DIVIDE, MILLIONTH, MONEY_PLACES, MONEY_SCALE, WEIGHT_PLACES, WEIGHT_SCALE, WIDE
from models_app.sources.book_source import Balances
from ordergen.core.errors import promised

DriftState = Literal["breach", "near", "in_band", "unpriced", "unknown", "no_model", "not_computed"]
STATES: tuple[str, ...] = get_args(DriftState)
# The first five in the order of batch_drift's codes.
LINE_STATES = ("in_band", "near", "over", "under", "not_in_model", "unpriced", "unknown")
_CODES = {word: code for code, word in enumerate(LINE_STATES)}
BYTES_PER_LINE = 5  # packed: four of drift, one of state
_UNKNOWN = -(2**31)  # a drift that cannot be told
_FARTHEST = 2**31 - 1
_MOST = Decimal(_FARTHEST)  # of a weight: a million times beyond what is kept of drifts
_MOST_BREACHES = 10**6
_ENDLESS = 1e9  # sorts a drift without any band above every number, and the larger drift above the smaller


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
    aims = {p.security_id: p for p in row.draft.positions}
    balances = {key: inputs.balances[key] for key in portfolio_ids if key in inputs.balances}
    ids = aims.keys() | {key for held in balances.values() for key in held.quantities}
    stated = (position_of(key, ZERO, aims.get(key), inputs.prices.get(key)) for key in ids)
    securities = {p.security_id: p for p in stated if are_plain_securities([p])}
    plain = {
        key: held
        for key, held in balances.items()
        if held.quantities.keys() <= securities.keys() and is_plain_portfolio(held.quantities.values(), held.cash)
    }
    if not plain or not aims or not aims.keys() <= securities.keys():
        return {}
    held = aims.keys() | {key for held in plain.values() for key in held.quantities}
    names = inputs.securities
    columns = sorted(held, key=lambda key: names[key].ticker if key in names else key)
    batch = batch_of(
        [securities[key] for key in columns],
        [held.quantities for held in plain.values()],
        [held.cash for held in plain.values()],
    )
    found = closed_form(batch)
    answered = np.flatnonzero(found.answered).tolist()
    maker = _Maker(row, batch.rows(answered), found.rows(answered), inputs)
    keys = list(plain)
    return {keys[at]: maker.document(row_, plain[keys[at]]) for row_, at in enumerate(answered)}


class _Maker:
    """Takes the document of one portfolio out of a batch; `nearest` is what each would hold nearest to its targets."""

    def __init__(self, row: ModelRow, batch: Batch, nearest: BatchAnswer, inputs: DriftInputs) -> None:
        self._ids, self._securities = batch.security_ids, inputs.securities
        self._drift = batch_drift(batch, batch.quantities, nearest.market_value)
        self._states = self._drift.states(near_band())
        self._worst, self._total, self._breaches = self._drift.worst(), self._drift.total, self._drift.breaches
        self._trades = (nearest.quantities != batch.quantities).sum(axis=1)
        places = [self._ids.index(p.security_id) for p in row.draft.positions]
        drifts = weights(batch, batch.quantities, nearest.market_value) - batch.targets
        self._lines = _packed(drifts[:, places], self._states[:, places])
        days = np.array([inputs.prices[key].date.toordinal() for key in self._ids])
        self._days = np.where((batch.quantities != 0) | batch.in_model, days, 0).max(axis=1)
        self._near = (self._states == _CODES["near"]).any(axis=1)

    def document(self, at: int, held: Balances) -> DriftDocument:
        """Of the portfolio of row `at`, which holds `held`."""
        breaches = int(self._breaches[at])
        return DriftDocument(
            state="breach" if breaches else "near" if self._near[at] else "in_band",
            market_value=Decimal(int(self._drift.market_value[at])) / MONEY_SCALE,
            cash=held.cash,
            total_drift=Decimal(int(self._total[at])).scaleb(-MONEY_PLACES - WEIGHT_PLACES),
            breaches=breaches,
            trades=int(self._trades[at]),
            worst=self._worst_of(at),
            unpriced=(),
            prices_of=date.fromordinal(int(self._days[at])) if self._days[at] else None,
            lines=self._lines[at],
        )

    def _worst_of(self, at: int) -> Worst | None:
        column = int(self._worst[at])
        if column < 0:
            return None
        key, drift, use = self._ids[column], self._drift.drift_at(at, column), self._drift.band_use_at(at, column)
        ticker = self._securities[key].ticker if key in self._securities else key
        state = LINE_STATES[self._states[at, column]]
        return Worst(key, ticker, state, drift, NO_BAND.copy_sign(drift) if use is None else use)
