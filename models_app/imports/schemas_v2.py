"""Records of the book as API v2 takes them: texts in the columns of the files, so that both have the same rules."""

from __future__ import annotations

from typing import Any

from ninja import Field, Schema

from models_app.imports.plan import ImportPlan
from ordergen.apis.conventions import Strict

MAX_ROWS = 10_000
_PORTFOLIO = Field(description="The name or the id of a portfolio of the book", examples=["Aldermoor Family"])


class SecurityFacts(Strict):
    ticker: str = Field(examples=["KELP"])
    name: str = Field("", examples=["Kelp Foods"])


class SecurityRow(SecurityFacts):
    security_id: str | None = Field(None, description="Left out, the ticker says which; a new one gets an id")


class PriceFacts(Strict):
    close: str = Field(examples=["41.25"])


class PriceRow(PriceFacts):
    date: str = Field(examples=["2026-11-20"])
    ticker: str = Field(examples=["KELP"])


class PortfolioFacts(Strict):
    name: str = Field(examples=["Aldermoor Family"])
    cash: str = Field(examples=["12500.00"])


class PortfolioRow(PortfolioFacts):
    portfolio_id: str | None = Field(None, description="Left out, the name says which; a new one gets an id")


class CashIn(Strict):
    cash: str = Field(description="Negative when overdrawn", examples=["12500.00"])


class HoldingFacts(Strict):
    ticker: str = Field(examples=["KELP"])
    quantity: str = Field(description="Negative when sold short, 0 for none", examples=["350"])


class HoldingRow(HoldingFacts):
    portfolio: str = _PORTFOLIO


class LotFacts(Strict):
    ticker: str = Field(examples=["KELP"])
    reference: str = Field(examples=["A-1041"])
    acquired_on: str = Field(examples=["2024-03-08"])
    quantity: str = Field(examples=["200"])
    cost: str = Field(description="Of one share", examples=["36.40"])


class LotRow(LotFacts):
    portfolio: str = _PORTFOLIO


def _rows(meaning: str) -> Any:
    return Field(min_length=1, max_length=MAX_ROWS, description=f"{meaning} All of them are written, or none.")


class SecuritiesIn(Strict):
    items: list[SecurityRow] = _rows("Added or changed; none is removed.")


class PricesIn(Strict):
    items: list[PriceRow] = _rows("Added or corrected; none is removed.")


class PortfoliosIn(Strict):
    items: list[PortfolioRow] = _rows("Added or changed; none is removed.")


class HoldingsIn(Strict):
    items: list[HoldingRow] = _rows("All that each portfolio named here holds; what is not named of it is removed.")


class LotsIn(Strict):
    items: list[LotRow] = _rows("All lots of each portfolio named here; what is not named of it is removed.")


class PortfolioHoldingsIn(Strict):
    items: list[HoldingFacts] = _rows("All it holds; what is not named is removed. For nothing: a row of quantity 0.")


class PortfolioLotsIn(Strict):
    items: list[LotFacts] = _rows("All its lots; what is not named is removed. For none: a row of quantity 0.")


class Written(Schema):
    n_new: int
    n_changed: int
    n_removed: int
    n_unchanged: int
    notes: list[str] = Field(description="Worth knowing, such as lots that do not add up to what is held")


def written_out(plan: ImportPlan) -> dict[str, Any]:
    counts = {name: getattr(plan, name) for name in Written.model_fields if name != "notes"}
    return counts | {"notes": list(plan.notes)}
