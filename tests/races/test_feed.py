"""Who follows the feed misses nothing that is committed later than it was numbered: it cannot be."""

from __future__ import annotations

import threading
import time

from django.db import connection

from ordergen.audit.feed import feed, newest
from ordergen.audit.services import record, recorded
from ordergen.core.models import Setting

WRITERS, EACH = 4, 15


def test_a_reader_beside_many_writers_sees_every_event_once_and_in_order(at_once):
    book, _ = Setting.objects.get_or_create(name="book_version")
    written = threading.Event()
    left = threading.Semaphore(0)

    def write():
        for number in range(EACH):
            with recorded():
                record("book.import", book, str(number), by=None)
                time.sleep(0.002)  # numbered and not committed: here a later one would overtake it
        left.release()

    def wait():
        for _ in range(WRITERS):
            left.acquire()
        written.set()

    def follow():
        seen, after = [], 0
        while True:
            is_last = written.is_set()
            last = newest()
            seen += [event.seq for event in feed(after=after)]
            after = max([last, *seen])
            if is_last:
                return seen

    *_, seen = at_once(*[write] * WRITERS, wait, follow)

    assert seen == list(range(1, WRITERS * EACH + 1))


def test_a_second_writer_gets_its_number_only_when_the_first_one_has_ended(at_once):
    book, _ = Setting.objects.get_or_create(name="book_version")
    has_number = threading.Event()
    told = {}

    def slow():
        with recorded():
            told["slow"] = record("book.import", book, "slow", by=None).seq
            has_number.set()
            time.sleep(0.3)
            told["before"] = "quick" not in told

    def quick():
        has_number.wait(60)
        with recorded():
            told["quick"] = record("book.import", book, "quick", by=None).seq

    outcomes = at_once(slow, quick)
    connection.ensure_connection()

    assert outcomes == [None, None]
    assert told == {"slow": 1, "quick": 2, "before": True}
