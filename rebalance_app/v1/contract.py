"""What API v1 says of a run: rows and their documents -> JSON of the drop-in contract.

Built straight from the stored quantities: a record of 100 x 100 positions is read whole by every list. Money is counted
in ticks of 1/10,000 and weights in parts per million, both whole numbers; their quotients become the nearest float at
the very end, which is as exact as a JSON number can be and many times as fast as decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from models_app.portfolio.units import BASIS_POINT, MONEY_SCALE, WEIGHT_SCALE
from ordergen.apis.json import array, dumps
from ordergen.core.times import zulu
from rebalance_app.models import PortfolioRebalance, ProposalState, Rebalance
from rebalance_app.proposals.run_inputs import NO_PLACE, Band, RunInputs, inputs_of

SUCCESSES = (ProposalState.SOLVED, ProposalState.NO_TRADES)
_LONGEST_LIST = 5  # of remainders told in one message
Exact = int | Decimal  # a Decimal only where a quantity is fractional


class Place(NamedTuple):
    """A security in a run: what to count with, price in ticks and target in parts per million, and what to show."""

    ticks: Exact
    parts: Exact
    price: float
    target: float
    low_drift: float
    high_drift: float


class SolvedPosition(NamedTuple):
    """One security of a solved portfolio."""

    security_id: str
    place: Place
    before: Exact
    after: Exact

    @property
    def side(self) -> str | None:
        return None if self.before == self.after else "BUY" if self.after > self.before else "SELL"

    @property
    def trade_quantity(self) -> int | None:
        return None if self.before == self.after else int(max(self.after - self.before, self.before - self.after))


def trigger_body(run: Rebalance, row: PortfolioRebalance, *, note: str = "") -> dict[str, Any]:
    """One portfolio's element of a trigger's answer."""
    inputs = inputs_of(run.pk)
    lines, worth = _lines(run.pk, row), _ticks(row, "market_value")
    return {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "rebalance_id": run.pk,
        "transactions": [_transaction(line, run.launched_at) for line in lines if line.side],
        "drifts": [_drift(inputs, line, worth) for line in lines],
        "status": row.state,
        "message": " ".join(filter(None, [note, _message(inputs, row, lines)])),
    }


def stored_pieces(run: Rebalance, rows: Iterable[PortfolioRebalance]) -> Iterator[bytes]:
    """A whole stored rebalance as JSON, portfolio by portfolio: of ten thousand it is hundreds of megabytes."""
    body: dict[str, Any] = {
        "rebalance_id": run.pk,
        "model_id": run.model_id,
        "rebalance_date": zulu(run.launched_at),
        "model_name": run.model_name,
        "number_of_portfolios": run.n_portfolios,
        "portfolios": [],
        "version": 1,
        "created_at": zulu(run.launched_at),
        "status": run.state,
    }
    before, after = dumps(body).split(b'"portfolios":[]')  # which no text holds, for quotes in texts are escaped
    yield before + b'"portfolios":'
    yield from portfolio_pieces(run, rows)
    yield after


def portfolio_pieces(run: Rebalance, rows: Iterable[PortfolioRebalance]) -> Iterator[bytes]:
    """The portfolios of a stored rebalance as a JSON array, one by one."""
    return array([dumps(portfolio_body(run, row))] for row in rows)


def portfolio_body(run: Rebalance, row: PortfolioRebalance) -> dict[str, Any]:
    """One portfolio of a stored rebalance; one that failed keeps its cash and has no positions."""
    inputs = inputs_of(run.pk)
    lines, worth = _lines(run.pk, row), _ticks(row, "market_value")
    cash_before, when = _ticks(row, "cash_before"), zulu(run.launched_at)
    return {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "market_value": float(worth / MONEY_SCALE),
        "cash_before_rebalance": float(cash_before / MONEY_SCALE),
        "cash_after_rebalance": float(
            (_ticks(row, "cash_after") if row.state in SUCCESSES else cash_before) / MONEY_SCALE
        ),
        "positions": [_stored_position(line, worth, when) for line in lines],
        "status": row.state,
        "message": _message(inputs, row, lines),
    }


def position_bodies(run: Rebalance, row: PortfolioRebalance) -> list[dict[str, Any]]:
    """The positions of one portfolio of a stored rebalance."""
    worth, when = _ticks(row, "market_value"), zulu(run.launched_at)
    return [_stored_position(line, worth, when) for line in _lines(run.pk, row)]


def reasons(rows: Sequence[PortfolioRebalance]) -> list[dict[str, Any]]:
    """Why portfolios failed, one entry per reason, for callers that get no result at all."""
    return [
        {"portfolio_id": row.portfolio_id, "portfolio_name": row.portfolio_name, **reason}
        for row in rows
        for reason in _reasons(row)
    ]


def failure(row: PortfolioRebalance) -> str:
    """Why a portfolio has no result, in words."""
    return " ".join(str(reason["message"]) for reason in _reasons(row)) or ProposalState(row.state).label


def _message(inputs: RunInputs, row: PortfolioRebalance, lines: Sequence[SolvedPosition]) -> str:
    """What a person should know: why it failed, or what remains of fractional holdings; empty when all is plain."""
    if row.state not in SUCCESSES:
        return failure(row)
    remainders = [line for line in lines if line.after and not line.place.target]
    if not remainders:
        return ""
    named = ", ".join(
        f"{_plain(line.after)} of {inputs.ticker(line.security_id)}" for line in remainders[:_LONGEST_LIST]
    )
    more = f" and {len(remainders) - _LONGEST_LIST} more" if len(remainders) > _LONGEST_LIST else ""
    return f"Whole shares only: {named}{more} cannot be sold."


def _reasons(row: PortfolioRebalance) -> list[dict[str, Any]]:
    told = (row.document or {}).get("reasons") or []
    return [
        {"code": reason["code"], "message": reason["message"], "security_id": reason.get("security_id")}
        for reason in told
    ] or ([{"code": row.reason_code, "message": row.reason, "security_id": None}] if row.reason_code else [])


def _lines(run_id: str, row: PortfolioRebalance) -> list[SolvedPosition]:
    """The lines of a proposal that may be acted on: none, unless the portfolio was solved."""
    quantities = (row.document or {}).get("quantities")
    if row.state not in SUCCESSES or not quantities:
        return []
    inputs, places = inputs_of(run_id), _places(run_id)
    ids = [*inputs.targets, *quantities["outside"]]
    held = zip(ids, quantities["before"], quantities["after"], strict=True)
    # Every line of a solved portfolio has its price: indexed, so that none could ever be taken for zero.
    return [SolvedPosition(key, places[key], _read(before), _read(after)) for key, before, after in held]


@lru_cache(maxsize=16)
def _places(run_id: str) -> dict[str, Place]:
    """By security id, of all that have a price. They never change, so each process works them out once."""
    inputs = inputs_of(run_id)
    return {key: _place(price, inputs.targets.get(key, NO_PLACE)) for key, price in inputs.prices.items()}


def _place(price: Decimal, band: Band) -> Place:
    return Place(_scaled(price, MONEY_SCALE), _scaled(band[0], WEIGHT_SCALE), *map(float, (price, *band)))


def _read(stored: int | str) -> Exact:
    """A quantity of a document: whole ones are numbers there, fractional ones texts."""
    return stored if isinstance(stored, int) else Decimal(stored)


def _plain(number: Exact) -> str:
    return format(number, "f") if isinstance(number, Decimal) else str(number)


def _scaled(number: Decimal, by: int) -> Exact:
    scaled = number * by
    return int(scaled) if scaled == int(scaled) else scaled


def _ticks(row: PortfolioRebalance, name: str) -> Exact:
    return _scaled(Decimal((row.document or {}).get(name) or 0), MONEY_SCALE)


def _transaction(line: SolvedPosition, when: datetime) -> dict[str, Any]:
    return {
        "transaction_type": line.side,
        "security_id": line.security_id,
        "quantity": line.trade_quantity,
        "trade_date": when.date().isoformat(),
    }


def _drift(inputs: RunInputs, line: SolvedPosition, worth: Exact) -> dict[str, str]:
    target, low_drift, high_drift = inputs.targets.get(line.security_id, NO_PLACE)
    actual = Decimal(line.after * line.place.ticks) / worth if worth else Decimal(0)
    return {
        "security_id": line.security_id,
        "original_quantity": _plain(line.before),
        "adjusted_quantity": _plain(line.after),
        "target": f"{target:f}",
        "high_drift": f"{high_drift:f}",
        "low_drift": f"{low_drift:f}",
        "actual": str(actual.quantize(BASIS_POINT, ROUND_HALF_EVEN)),
    }


def _stored_position(line: SolvedPosition, worth: Exact, when: str) -> dict[str, Any]:
    security_id, (ticks, parts, price, target, low_drift, high_drift), before, after = line
    value = after * ticks
    return {
        "security_id": security_id,
        "price": price,
        "original_quantity": float(before),
        "adjusted_quantity": float(after),
        "original_position_market_value": float(before * ticks / MONEY_SCALE),
        "adjusted_position_market_value": float(value / MONEY_SCALE),
        "target": target,
        "high_drift": high_drift,
        "low_drift": low_drift,
        "actual": float(value / worth) if worth else 0.0,
        "actual_drift": float((value * WEIGHT_SCALE - parts * worth) / (worth * WEIGHT_SCALE)) if worth else -target,
        "transaction_type": line.side,
        "trade_quantity": line.trade_quantity,
        "trade_date": when if before != after else None,
    }
