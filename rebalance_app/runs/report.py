"""A run in one document, for the command line."""

from __future__ import annotations

from typing import Any

from rebalance_app.models import Order, PortfolioRebalance, Rebalance

NUMBERS = ("market_value", "cash_before", "cash_after", "drift_before", "drift_after", "buy_value", "sell_value")


def run_report(run: Rebalance) -> dict[str, Any]:
    """The run, its portfolios and every order it proposes. Decimals are strings; what is unknown is null."""
    orders: dict[str, list[dict[str, Any]]] = {}
    for order in run.orders.order_by("ticker"):
        orders.setdefault(order.proposal_id, []).append(_order(order))
    return {
        "run": run.number,
        "id": run.pk,
        "model": run.model_name,
        "model_version": run.model_version,
        "open_orders": run.open_orders,
        "state": run.state,
        "portfolios": [
            _portfolio(row) | {"orders": orders.get(row.pk, [])}
            for row in run.portfolios.defer("document").order_by("portfolio_name")
        ],
    }


def in_words(report: dict[str, Any]) -> str:
    """The report as lines for a terminal."""
    lines = [f"Run #{report['run']} of {report['model']} v{report['model_version']}: {report['state']}"]
    for row in report["portfolios"]:
        lines.append(f"  {row['portfolio']}: {row['state']}, {len(row['orders'])} orders. {row['reason']}".rstrip())
        lines += [f"    {o['side']:4} {o['quantity']:>9,} {o['ticker']:8} at {o['price']}" for o in row["orders"]]
    return "\n".join(lines)


def _portfolio(row: PortfolioRebalance) -> dict[str, Any]:
    numbers = {name: None if (value := getattr(row, name)) is None else str(value) for name in NUMBERS}
    return {
        "portfolio": row.portfolio_name,
        "portfolio_id": row.portfolio_id,
        "state": row.state,
        "method": row.method or None,
        "reason_code": row.reason_code or None,
        "reason": row.reason,
        **numbers,
    }


def _order(order: Order) -> dict[str, Any]:
    return {
        "id": order.pk,
        "security_id": order.security_id,
        "ticker": order.ticker,
        "side": order.side,
        "quantity": order.quantity,
        "price": str(order.price),
        "value": str(order.value),
        "reason": order.reason,
        "state": order.state,
    }
