"""Writing many rows past the ORM."""

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from models_app.models import Portfolio
from ordergen.core.db import bulk_insert, bulk_update
from ordergen.core.ids import made_at, object_id

pytestmark = pytest.mark.django_db
FIELDS = ("id", "name", "cash")


def test_rows_arrive_as_given_and_are_counted():
    rows = [(object_id(), f"P{n}", n) for n in range(3)]

    with transaction.atomic():
        assert bulk_insert(Portfolio, FIELDS, iter(rows)) == 3
    assert list(Portfolio.objects.order_by("pk").values_list(*FIELDS)) == rows


def test_a_row_that_is_there_already_is_an_integrity_error_on_every_database_and_leaves_nothing():
    with pytest.raises(IntegrityError), transaction.atomic():
        bulk_insert(Portfolio, FIELDS, [(object_id(), "Same", 0), (object_id(), "Same", 0)])
    assert not Portfolio.objects.exists()


def test_a_row_that_no_longer_is_as_expected_is_left_alone_and_not_counted():
    one, other = ("a" * 24, "One", 1), ("b" * 24, "Other", 2)
    rows = [(one[0], 5), (other[0], 5)]
    with transaction.atomic():
        bulk_insert(Portfolio, FIELDS, [one, other])

        assert bulk_update(Portfolio, ("cash",), rows, {"name": "One"}) == 1
    assert dict(Portfolio.objects.values_list("name", "cash")) == {"One": 5, "Other": 2}


def test_a_value_that_is_missing_is_a_database_error_of_django():
    with pytest.raises(DatabaseError), transaction.atomic():
        bulk_insert(Portfolio, FIELDS, [(object_id(), None, 0)])


def test_an_id_says_when_it_was_made_and_those_of_a_process_ascend(time_machine):
    time_machine.move_to("2026-11-30 09:30:15.25Z", tick=False)
    ids = [object_id() for _ in range(1000)]

    assert {made_at(one) for one in ids} == {datetime(2026, 11, 30, 9, 30, 15, tzinfo=UTC)}
    assert ids == sorted(set(ids))
