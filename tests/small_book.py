"""A book small enough to check by hand."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.models import InvestmentModel, Portfolio, Security
from ordergen.accounts.models import User
from tests.builders import portfolio, security, together


@dataclass
class Book:
    """Three priced securities in a model of 30, 25 and 2 per cent; one security outside it; three portfolios.

    harbour   10,000 in cash and 10 XXX at 100      (checked by hand)
    cash_only 7,000 in cash
    tiny      100 in cash: one share of CCC at 62.85 is more than its band allows
    """

    aaa: Security
    bbb: Security
    ccc: Security
    xxx: Security
    harbour: Portfolio
    cash_only: Portfolio
    tiny: Portfolio
    model: InvestmentModel


@pytest.fixture
def book(manager: User) -> Book:
    with together():
        aaa, bbb, ccc = security("AAA", "10"), security("BBB", "20"), security("CCC", "62.85")
        xxx = security("XXX", "100")
        harbour = portfolio("Harbour", "10000", XXX="10")
        cash_only, tiny = portfolio("Lee", "7000"), portfolio("Tiny", "100")
    targets = ((aaa, "0.30", "0.05"), (bbb, "0.25", "0.05"), (ccc, "0.02", "0.005"))
    positions = tuple(PositionDraft(s.pk, Decimal(t), Decimal(band), Decimal(band)) for s, t, band in targets)
    model = model_create(draft=ModelDraft("Growth", positions, (harbour.pk, cash_only.pk, tiny.pk)), by=manager)
    return Book(aaa, bbb, ccc, xxx, harbour, cash_only, tiny, model)
