"""What API v1 says of a run: rows and their documents -> JSON of the drop-in contract.

Built straight from the stored quantities: a record of 100 x 100 positions is read whole by every list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

from ordergen.times import zulu
from rebalance_app.facts import NO_PLACE, RunFacts, facts_of
from rebalance_app.models import PortfolioRebalance, ProposalState, Rebalance

SUCCESSES = (ProposalState.SOLVED, ProposalState.NO_TRADES)
_FOUR_PLACES = Decimal("0.0001")
_LONGEST_LIST = 5  # of remainders told in one message


class Line(NamedTuple):
    """One security of a solved portfolio."""

    security_id: str
    price: Decimal
    before: Decimal
    after: Decimal
    target: Decimal
    low_drift: Decimal
    high_drift: Decimal

    @property
    def side(self) -> str | None:
        return None if self.before == self.after else "BUY" if self.after > self.before else "SELL"

    @property
    def trade_quantity(self) -> int | None:
        return int(abs(self.after - self.before)) if self.after != self.before else None

    def actual(self, market_value: Decimal) -> Decimal:
        """The weight after the trades, unrounded; 0 in a portfolio worth nothing."""
        return self.after * self.price / market_value if market_value else Decimal(0)


def trigger_body(run: Rebalance, row: PortfolioRebalance, *, note: str = "") -> dict[str, Any]:
    """One portfolio's element of a trigger's answer."""
    facts = facts_of(run.pk)
    lines, market_value = _lines(facts, row), _money(row, "market_value")
    return {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "rebalance_id": run.pk,
        "transactions": [_transaction(line, run.launched_at) for line in lines if line.side],
        "drifts": [_drift(line, market_value) for line in lines],
        "status": row.state,
        "message": " ".join(filter(None, [note, _message(facts, row, lines)])),
    }


def stored_body(run: Rebalance, rows: Iterable[PortfolioRebalance]) -> dict[str, Any]:
    """A whole stored rebalance."""
    return {
        "rebalance_id": run.pk,
        "model_id": run.model_id,
        "rebalance_date": zulu(run.launched_at),
        "model_name": run.model_name,
        "number_of_portfolios": run.n_portfolios,
        "portfolios": [portfolio_body(run, row) for row in rows],
        "version": 1,
        "created_at": zulu(run.launched_at),
        "status": run.state,
    }


def portfolio_body(run: Rebalance, row: PortfolioRebalance) -> dict[str, Any]:
    """One portfolio of a stored rebalance; one that failed keeps its cash and has no positions."""
    facts = facts_of(run.pk)
    lines, market_value = _lines(facts, row), _money(row, "market_value")
    cash_before, when = _money(row, "cash_before"), zulu(run.launched_at)
    return {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "market_value": float(market_value),
        "cash_before_rebalance": float(cash_before),
        "cash_after_rebalance": float(_money(row, "cash_after") if row.state in SUCCESSES else cash_before),
        "positions": [_stored_position(line, market_value, when) for line in lines],
        "status": row.state,
        "message": _message(facts, row, lines),
    }


def position_bodies(run: Rebalance, row: PortfolioRebalance) -> list[dict[str, Any]]:
    """The positions of one portfolio of a stored rebalance."""
    market_value, when = _money(row, "market_value"), zulu(run.launched_at)
    return [_stored_position(line, market_value, when) for line in _lines(facts_of(run.pk), row)]


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


def _message(facts: RunFacts, row: PortfolioRebalance, lines: Sequence[Line]) -> str:
    """What a person should know: why it failed, or what remains of fractional holdings; empty when all is plain."""
    if row.state not in SUCCESSES:
        return failure(row)
    remainders = [line for line in lines if line.after and not line.target]
    if not remainders:
        return ""
    named = ", ".join(f"{line.after:f} of {facts.ticker(line.security_id)}" for line in remainders[:_LONGEST_LIST])
    more = f" and {len(remainders) - _LONGEST_LIST} more" if len(remainders) > _LONGEST_LIST else ""
    return f"Whole shares only: {named}{more} cannot be sold."


def _reasons(row: PortfolioRebalance) -> list[dict[str, Any]]:
    told = (row.document or {}).get("reasons") or []
    return [
        {"code": reason["code"], "message": reason["message"], "security_id": reason.get("security_id")}
        for reason in told
    ] or ([{"code": row.reason_code, "message": row.reason, "security_id": None}] if row.reason_code else [])


def _lines(facts: RunFacts, row: PortfolioRebalance) -> list[Line]:
    """The lines of a proposal that may be acted on: none, unless the portfolio was solved."""
    quantities = (row.document or {}).get("quantities")
    if row.state not in SUCCESSES or not quantities:
        return []
    ids = [*facts.targets, *quantities["outside"]]
    held = zip(ids, quantities["before"], quantities["after"], strict=True)
    return [_line(facts, key, Decimal(before), Decimal(after)) for key, before, after in held]


def _line(facts: RunFacts, security_id: str, before: Decimal, after: Decimal) -> Line:
    # Every line of a solved portfolio has its price: indexed, so that none could ever be taken for zero.
    price, band = facts.prices[security_id], facts.targets.get(security_id, NO_PLACE)
    return Line(security_id, price, before, after, *band)


def _money(row: PortfolioRebalance, name: str) -> Decimal:
    return Decimal((row.document or {}).get(name) or 0)


def _transaction(line: Line, when: datetime) -> dict[str, Any]:
    return {
        "transaction_type": line.side,
        "security_id": line.security_id,
        "quantity": line.trade_quantity,
        "trade_date": when.date().isoformat(),
    }


def _drift(line: Line, market_value: Decimal) -> dict[str, str]:
    return {
        "security_id": line.security_id,
        "original_quantity": f"{line.before:f}",
        "adjusted_quantity": f"{line.after:f}",
        "target": f"{line.target:f}",
        "high_drift": f"{line.high_drift:f}",
        "low_drift": f"{line.low_drift:f}",
        "actual": str(line.actual(market_value).quantize(_FOUR_PLACES, ROUND_HALF_EVEN)),
    }


def _stored_position(line: Line, market_value: Decimal, when: str) -> dict[str, Any]:
    actual = line.actual(market_value)
    return {
        "security_id": line.security_id,
        "price": float(line.price),
        "original_quantity": float(line.before),
        "adjusted_quantity": float(line.after),
        "original_position_market_value": float(line.before * line.price),
        "adjusted_position_market_value": float(line.after * line.price),
        "target": float(line.target),
        "high_drift": float(line.high_drift),
        "low_drift": float(line.low_drift),
        "actual": float(actual),
        "actual_drift": float(actual - line.target),
        "transaction_type": line.side,
        "trade_quantity": line.trade_quantity,
        "trade_date": when if line.side else None,
    }
