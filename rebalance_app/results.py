"""What API v1 says of a run: rows and their documents -> JSON of the drop-in contract. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from ordergen.times import zulu
from rebalance_app import proposals
from rebalance_app.models import PortfolioRebalance, ProposalState, Rebalance

SUCCESSES = (ProposalState.SOLVED, ProposalState.NO_TRADES)
_FOUR_PLACES = Decimal("0.0001")
_LONGEST_LIST = 5  # of remainders told in one message


def trigger_body(run: Rebalance, row: PortfolioRebalance, *, note: str = "") -> dict[str, Any]:
    """One portfolio's element of a trigger's answer."""
    positions = _positions(row)
    market_value = _market_value(row)
    return {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "rebalance_id": run.pk,
        "transactions": [_transaction(line, run.launched_at) for line in positions if line["side"]],
        "drifts": [_drift(line, market_value) for line in positions],
        "status": row.state,
        "message": message(row, note=note),
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
    document = row.document or {}
    cash_before = document.get("cash_before") or 0
    succeeded = row.state in SUCCESSES
    return {
        "portfolio_id": row.portfolio_id,
        "portfolio_name": row.portfolio_name,
        "market_value": float(_market_value(row)),
        "cash_before_rebalance": float(cash_before),
        "cash_after_rebalance": float(document["cash_after"] if succeeded and document else cash_before),
        "positions": position_bodies(run, row),
        "status": row.state,
        "message": message(row),
    }


def position_bodies(run: Rebalance, row: PortfolioRebalance) -> list[dict[str, Any]]:
    market_value = _market_value(row)
    return [_stored_position(line, market_value, run.launched_at) for line in _positions(row)]


def reasons(rows: Sequence[PortfolioRebalance]) -> list[dict[str, Any]]:
    """Why portfolios failed, one entry per reason, for callers that get no result at all."""
    return [
        {"portfolio_id": row.portfolio_id, "portfolio_name": row.portfolio_name, **reason}
        for row in rows
        for reason in _reasons(row)
    ]


def message(row: PortfolioRebalance, *, note: str = "") -> str:
    """What a person should know: why it failed, or what remains of fractional holdings; empty when all is plain."""
    parts = [note] if note else []
    if row.state not in SUCCESSES:
        parts += [str(reason["message"]) for reason in _reasons(row)] or [ProposalState(row.state).label]
    elif remainders := [line for line in _positions(row) if _is_remainder(line)]:
        named = ", ".join(f"{line['quantity_after']} of {line['ticker']}" for line in remainders[:_LONGEST_LIST])
        more = f" and {len(remainders) - _LONGEST_LIST} more" if len(remainders) > _LONGEST_LIST else ""
        parts.append(f"Whole shares only: {named}{more} cannot be sold.")
    return " ".join(parts)


def _is_remainder(line: Mapping[str, Any]) -> bool:
    return not Decimal(line["target"]) and bool(Decimal(line["quantity_after"]))


def _reasons(row: PortfolioRebalance) -> list[dict[str, Any]]:
    told = (row.document or {}).get("reasons") or []
    return [
        {"code": reason["code"], "message": reason["message"], "security_id": reason.get("security_id")}
        for reason in told
    ] or ([{"code": row.reason_code, "message": row.reason, "security_id": None}] if row.reason_code else [])


def _positions(row: PortfolioRebalance) -> list[dict[str, Any]]:
    """The lines of a proposal that may be acted on: none, unless the portfolio was solved."""
    return proposals.lines(row) if row.state in SUCCESSES else []


def _market_value(row: PortfolioRebalance) -> Decimal:
    return Decimal((row.document or {}).get("market_value") or 0)


def _actual(line: Mapping[str, Any], market_value: Decimal) -> Decimal:
    """The weight after the trades, unrounded; 0 in a portfolio worth nothing."""
    return Decimal(line["quantity_after"]) * Decimal(line["price"]) / market_value if market_value else Decimal(0)


def _transaction(line: Mapping[str, Any], when: datetime) -> dict[str, Any]:
    return {
        "transaction_type": line["side"],
        "security_id": line["security_id"],
        "quantity": int(line["trade_quantity"]),
        "trade_date": when.date().isoformat(),
    }


def _drift(line: Mapping[str, Any], market_value: Decimal) -> dict[str, str]:
    return {
        "security_id": line["security_id"],
        "original_quantity": line["quantity_before"],
        "adjusted_quantity": line["quantity_after"],
        "target": line["target"],
        "high_drift": line["high_drift"],
        "low_drift": line["low_drift"],
        "actual": str(_actual(line, market_value).quantize(_FOUR_PLACES, ROUND_HALF_EVEN)),
    }


def _stored_position(line: Mapping[str, Any], market_value: Decimal, when: datetime) -> dict[str, Any]:
    price, before, after = (Decimal(line[name]) for name in ("price", "quantity_before", "quantity_after"))
    actual = _actual(line, market_value)
    numbers = {
        "price": price,
        "original_quantity": before,
        "adjusted_quantity": after,
        "original_position_market_value": before * price,
        "adjusted_position_market_value": after * price,
        "target": line["target"],
        "high_drift": line["high_drift"],
        "low_drift": line["low_drift"],
        "actual": actual,
        "actual_drift": actual - Decimal(line["target"]),
    }
    return {
        "security_id": line["security_id"],
        **{name: float(value) for name, value in numbers.items()},
        "transaction_type": line["side"],
        "trade_quantity": int(line["trade_quantity"]) if line["side"] else None,
        "trade_date": zulu(when) if line["side"] else None,
    }
