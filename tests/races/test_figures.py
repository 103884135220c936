"""Figures are refreshed by several, and made old by others, at the same moment: none ever looks newer than it is."""

from decimal import Decimal
from functools import partial

import pytest

from models_app.drift_index import changed as changes
from models_app.drift_index import refresh
from models_app.drift_index.changed import book_changed
from models_app.drift_index.document import document_of
from models_app.drift_index.live_drift import portfolio_view
from models_app.investment_models.selectors import ModelRow, model_draft
from models_app.modelling.services import model_update
from models_app.models import DriftFigures, Price
from ordergen.core.db import atomic

TRIALS = 4


def _new_price(book, close):
    with atomic():
        Price.objects.filter(security=book.xxx).update(close=Decimal(close))
        book_changed()


def _new_target(book, version, target):
    draft = model_draft(book.model)
    first, *others = draft.positions
    changed = type(draft)(
        draft.name, (type(first)(first.security_id, target, Decimal(0), Decimal(0)), *others), draft.portfolios
    )
    model_update(model_id=book.model.pk, version=version, draft=changed, by=None)


def _check():
    """What is not marked is what the live view says."""
    for row in DriftFigures.objects.filter(changed=None):
        view = portfolio_view(row.portfolio_id, row.model_id or None)
        model = ModelRow(view.model, model_draft(view.model)) if view.model else None
        assert row.told == document_of(view, model).columns()["told"]


@pytest.mark.parametrize("few", [300, -1], ids=["computed at once", "left to a worker"])
def test_changes_and_refreshes_at_the_same_moment_leave_no_false_figure(book, at_once, monkeypatch, few):
    monkeypatch.setattr(changes, "FEW", few)
    for trial in range(TRIALS):
        outcomes = at_once(
            partial(_new_price, book, 50 + trial),
            partial(_new_target, book, trial + 1, Decimal("0.1") + Decimal(trial) / 200),
            refresh.refresh,
            refresh.refresh,
        )
        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        _check()
        refresh.refresh()
        assert not DriftFigures.objects.exclude(changed=None).exists()
        _check()


def test_of_two_who_refresh_one_does_the_work(book, at_once, monkeypatch):
    monkeypatch.setattr(changes, "FEW", -1)
    for _ in range(TRIALS):
        with atomic():
            book_changed()
        assert sum(at_once(refresh.refresh, refresh.refresh, refresh.refresh)) == DriftFigures.objects.count() == 3
