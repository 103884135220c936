"""Proposals as API v2 writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from ninja import Field, Schema

from rebalance_app.models import PortfolioRebalance, ProposalState
from rebalance_app.proposals import stored as proposals


class CountedOrder(Schema):
    """An order that was approved and that the holdings do not show yet."""

    id: str
    run: int
    security_id: str
    ticker: str
    side: Literal["BUY", "SELL"]
    quantity: int = Field(description="Shares that are still to come, or to go")
    price: Decimal = Field(description="What a share is counted at")
    is_unclear: bool = Field(description="The holdings were stated anew since: somebody has to say what became of it")


class ProposalSummary(Schema):
    run_id: str
    portfolio_id: str
    portfolio_name: str
    state: ProposalState
    reason_code: str = Field(description="Empty, or one of Help’s [reasons](/help/problems/#reasons)")
    reason: str
    method: Literal["", "separable", "milp"]
    n_orders: int
    buy_value: Decimal
    sell_value: Decimal
    market_value: Decimal | None
    cash_before: Decimal | None
    cash_after: Decimal | None
    drift_before: Decimal | None
    drift_after: Decimal | None
    band_use_before: Decimal | None
    band_use_after: Decimal | None


class ProposalOut(ProposalSummary):
    cash_after_costs: Decimal | None = Field(
        description="What the cost of trading leaves of `cash_after`; null where there is no answer, and in proposals "
        "of before it was told"
    )
    document: dict[str, Any] | None = Field(
        description="Positions before and after, certificate, reasons; `open_orders`, on their way and counted, "
        "and by position `on_their_way`, the shares of `quantity_before` that come by them; under a gain budget the "
        "realised gain, each position's part of it and the tax lots sold, and all lots it was computed from"
    )


def proposal_summary(row: PortfolioRebalance) -> dict[str, Any]:
    names = (name for name in ProposalSummary.model_fields if name != "run_id")
    return {"run_id": row.rebalance_id} | {name: getattr(row, name) for name in names}


def proposal_out(row: PortfolioRebalance) -> dict[str, Any]:
    document = None if row.document is None else {**row.document, "positions": proposals.lines(row)}
    after_costs = (document or {}).get("cash_after_costs")
    return proposal_summary(row) | {"document": document, "cash_after_costs": after_costs}
