"""MongoDB: Django's transactions on it, and locks; how it is set up is tested on every database."""

import threading
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections, transaction
from django.utils import timezone

from models_app.models import Portfolio
from ordergen.audit.models import AuditEvent
from ordergen.audit.services import first_broken_link, record, recorded
from ordergen.core import mongo
from ordergen.core.db import as_of_one_moment, is_busy, one_at_a_time, promises

on_mongo = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "mongodb", reason="DATABASE_URL names no MongoDB: `make test-mongo`"),
]


def marked(test):
    for mark in on_mongo:
        test = mark(test)
    return test


@pytest.mark.parametrize(
    "url", ["mongodb://db.example:27017/", "mongodb+srv://db.example", "mongodb://db.example/?w=1"]
)
def test_an_address_that_names_no_database_is_refused_with_an_example(url):
    with pytest.raises(ImproperlyConfigured, match="mongodb://host:27017/ordergen"):
        mongo.database(url, seconds=1)


def test_without_its_driver_the_next_step_is_named(monkeypatch):
    monkeypatch.setattr(mongo, "find_spec", lambda _name: None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'ordergen\[mongodb\]'"):
        mongo.database("mongodb://db.example/ordergen", seconds=1)


@marked
def test_what_fails_in_a_transaction_leaves_nothing_and_its_hooks_do_not_run():
    told = []
    half_done(lambda: told.append("committed"))
    assert not Portfolio.objects.exists()
    assert told == []


@marked
def test_what_fails_in_a_block_within_another_undoes_both():
    """There are no savepoints; what is undone is more than elsewhere, and never less."""
    with transaction.atomic():
        Portfolio.objects.create(name="Outer")
        half_done()
    assert not Portfolio.objects.exists()


@marked
def test_hooks_run_once_what_they_tell_of_can_be_read():
    seen = []
    with transaction.atomic():
        Portfolio.objects.create(name="Done")
        transaction.on_commit(lambda: seen.append(Portfolio.objects.count()))
        assert seen == []
    assert seen == [1]


@marked
def test_a_lock_is_held_to_the_end_of_its_transaction_and_who_waits_too_long_is_told_busy(settings):
    settings.LOCK_SECONDS = 0.2
    refused = []

    def other():
        try:
            with transaction.atomic():
                one_at_a_time("audit")
        except DatabaseError as error:
            refused.append(is_busy(error))
        finally:
            connections.close_all()

    with transaction.atomic():
        one_at_a_time("audit")
        in_thread(other)
    assert refused == [True]
    in_thread(other)
    assert refused == [True], "it was let go of"


@marked
def test_the_lock_of_a_process_that_died_lapses():
    locks = connection.database["ordergen_lock"]
    locks.insert_one({"_id": "audit", "token": "dead", "until": timezone.now() + timedelta(seconds=1)})
    started = time.monotonic()
    with transaction.atomic():
        one_at_a_time("audit")
    assert 0.5 < time.monotonic() - started < 15


@marked
def test_people_who_record_at_once_take_turns_and_the_chain_is_whole():
    def act():
        for _ in range(3):
            with recorded():
                record("test.done", Portfolio(pk="p", name="P"), "done", by=None)
        connections.close_all()

    threads = [threading.Thread(target=act) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert AuditEvent.objects.count() == 9
    assert first_broken_link() is None


@marked
def test_reading_as_of_one_moment_ends_with_its_block():
    with as_of_one_moment():
        assert not Portfolio.objects.exists()
    assert connection.session is None


@marked
def test_a_server_by_itself_is_told_for_what_it_cannot_promise(monkeypatch):
    assert promises() == ""
    monkeypatch.setitem(vars(connections[DEFAULT_DB_ALIAS]), "has_transactions", False)  # noqa: FBT003
    assert "replica set" in promises()
    half_done()
    assert Portfolio.objects.exists(), "as MongoDB without a replica set has it"


def half_done(hook=lambda: None):
    with suppress(ZeroDivisionError), transaction.atomic():
        Portfolio.objects.create(name="Half done")
        transaction.on_commit(hook)
        raise ZeroDivisionError


def in_thread(what):
    thread = threading.Thread(target=what)
    thread.start()
    thread.join(60)
