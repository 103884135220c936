"""Rebalances as API v1 reads and writes them: under a stored rebalance numbers are JSON numbers, in drifts strings."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Schema
from pydantic import AfterValidator

from ordergen.apis.json import Body

MAX_PORTFOLIOS_SOUGHT = 1000


class Transaction(Schema):
    transaction_type: str = Field(examples=["BUY"])
    security_id: str
    quantity: int
    trade_date: str = Field(examples=["2026-11-23"])


class Drift(Schema):
    security_id: str
    original_quantity: str
    adjusted_quantity: str
    target: str
    high_drift: str
    low_drift: str
    actual: str = Field(examples=["0.0250"])


class RebalanceTrigger(Schema):
    """What a rebalance proposes for one portfolio; one that failed has no transactions and says why."""

    portfolio_id: str
    portfolio_name: str
    rebalance_id: str
    transactions: list[Transaction]
    drifts: list[Drift]
    status: str = Field(examples=["solved"])
    message: str


class StoredPosition(Schema):
    security_id: str
    price: float
    original_quantity: float
    adjusted_quantity: float
    original_position_market_value: float
    adjusted_position_market_value: float
    target: float
    high_drift: float
    low_drift: float
    actual: float
    actual_drift: float
    transaction_type: str | None
    trade_quantity: int | None
    trade_date: str | None


class StoredPortfolio(Schema):
    portfolio_id: str
    portfolio_name: str
    market_value: float
    cash_before_rebalance: float
    cash_after_rebalance: float
    positions: list[StoredPosition]
    status: str
    message: str


class StoredRebalance(Schema):
    rebalance_id: str
    model_id: str
    rebalance_date: str
    model_name: str
    number_of_portfolios: int
    portfolios: list[StoredPortfolio]
    version: int
    created_at: str
    status: str


class Accepted(Schema):
    """A run that goes on without its caller; `Location` says where to look for it."""

    rebalance_id: str
    status: str


class Message(Schema):
    message: str


PortfolioId = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F]{24}$", examples=["68a0c0ffee0000000000beef"]), AfterValidator(str.lower)
]


class PortfolioSearch(Body):
    portfolios: list[PortfolioId] = Field(min_length=1, max_length=MAX_PORTFOLIOS_SOUGHT)
