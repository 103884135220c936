"""A change of many portfolios is told to a worker, and a real one computes their figures."""

import pytest

from tests.site import Site, eventually

pytestmark = pytest.mark.slow
MANY = 320  # more than are computed with the change itself
BOOK = f"""
from decimal import Decimal
from models_app.drift_index.changed import book_changed
from models_app.models import DriftFigures, Holding, Portfolio, Price, Security
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from ordergen.core.db import atomic
with atomic():
    one = Security.objects.create(ticker='ONE', name='One')
    Price.objects.create(security=one, date='2026-11-20', close=Decimal(10))
    funds = [Portfolio.objects.create(name=f'P{{n:03}}', cash=Decimal(9000)) for n in range({MANY})]
    held = (Holding(portfolio=fund, security=one, quantity=Decimal(50 + n)) for n, fund in enumerate(funds))
    Holding.objects.bulk_create(held)
    book_changed()
row = PositionDraft(one.pk, Decimal('0.05'), Decimal('0.01'), Decimal('0.02'))
model_create(draft=ModelDraft('Growth', (row,), tuple(f.pk for f in funds)), by=None)
answer = DriftFigures.objects.filter(state='not_computed').count()
"""
STANDS = """
from models_app.drift_index.read import counts, freshness, rows_of
answer = freshness().is_current and counts(rows_of()).by_state
"""


def test_a_real_worker_computes_what_a_large_change_made_old(tmp_path):
    site = Site(tmp_path)
    try:
        assert site.run("migrate").returncode == 0
        assert site.ask(BOOK) == MANY
        site.start("worker")
        stands = eventually(lambda: site.ask(STANDS), 90, every=1)
    finally:
        site.stop()
    assert stands == {"breach": 302, "near": 4, "in_band": 14}
