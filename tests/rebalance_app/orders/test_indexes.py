"""What each row of a run pays for in the database."""

from __future__ import annotations

import pytest
from django.db import connection

from rebalance_app.models import Decision, Order, PortfolioRebalance

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [Order, PortfolioRebalance, Decision])
def test_no_row_of_a_run_pays_for_an_index_on_how_texts_begin(model):
    """Django makes one for each text key on PostgreSQL; ids are only ever looked for whole."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, model._meta.db_table)
    assert not [name for name, one in found.items() if one["index"] and name.endswith("_like")]
