import io

import pytest

from models_app.imports.services import apply_import, plan_import


@pytest.fixture
def plan(manager):
    """Plans an import of text (or bytes) as the portfolio manager."""

    def make(kind, content):
        raw = content if isinstance(content, bytes) else content.encode()
        return plan_import(kind, io.BytesIO(raw), manager, file_name=f"{kind}.csv")

    return make


@pytest.fixture
def load(plan, manager):
    """Imports text as the portfolio manager and gives back the plan, which has to be clean."""

    def make(kind, content):
        made = plan(kind, content)
        assert made.problems.shown == []
        return apply_import(made, by=manager)

    return make


SECURITIES = "ticker,name\nKELP,Kelp Foods\nALDR,Alder Oil\nRUNE,Rune Systems\n"
PRICES = "date,ticker,close\n2026-01-02,KELP,10.5\n2026-01-09,KELP,11\n2026-01-09,ALDR,20.0001\n"
PORTFOLIOS = "name,cash\nAldermoor Family,1000\nBell Foundation,-25.5\n"
HOLDINGS = "portfolio,ticker,quantity\nAldermoor Family,KELP,10\nAldermoor Family,ALDR,-3.5\nBell Foundation,KELP,7\n"
LOTS = """portfolio,ticker,reference,acquired_on,quantity,cost
Aldermoor Family,KELP,A1,2024-03-01,6,9.75
Aldermoor Family,KELP,A2,2025-06-30,4,12
Bell Foundation,KELP,B1,2025-01-15,7,10.5
"""
MODELS = """model,ticker,target,low_drift,high_drift,portfolio
Growth,KELP,0.4,0.02,0.03,
Growth,ALDR,0.105,0.01,0.01,
Growth,,,,,Aldermoor Family
Growth,,,,,Bell Foundation
"""


@pytest.fixture
def book(load):
    """A small book and one model, imported."""
    for kind, text in (
        ("securities", SECURITIES),
        ("prices", PRICES),
        ("portfolios", PORTFOLIOS),
        ("holdings", HOLDINGS),
        ("lots", LOTS),
        ("models", MODELS),
    ):
        load(kind, text)
