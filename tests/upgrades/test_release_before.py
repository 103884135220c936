"""A database made by release 0.1 goes on: it is migrated, read on every page, worked off, approved and verified.

`release_0_1.sql` is what SQLite's own dump said of it: two models, five portfolios, tax lots and a limit; five runs,
of which one was superseded in part, one approved and rejected in part, one short of cash, one with a gain budget, and
one still waits for a worker.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.site import Site

pytestmark = pytest.mark.slow
DUMP = Path(__file__).with_name("release_0_1.sql")
APPROVE = """
from ordergen.accounts.models import User
from rebalance_app.models import Order
from rebalance_app.orders.decide import order_decide
waiting = list(Order.objects.filter(state="proposed", rebalance__number=4).values_list("pk", flat=True))
order_decide(order_ids=waiting, verdict="approved", by=User.objects.get(username="tom"), comment="after the upgrade")
answer = [len(waiting), Order.objects.filter(pk__in=waiting, state="approved").count()]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """An installation of today on the database of then, migrated."""
    home = tmp_path_factory.mktemp("upgraded")
    database = sqlite3.connect(home / "ordergen.sqlite3")
    database.executescript(DUMP.read_text())
    database.close()
    # What waited at the upgrade is as old as the dump: how old it may be is not what these tests are about.
    upgraded = Site(home, ORDERGEN_PROPOSAL_AGE_HARD="1000000", ORDERGEN_PRICE_AGE_SOFT="1000000")
    migrated = upgraded.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    return upgraded


@pytest.mark.parametrize("name", ["maya", "tom", "aud"])
def test_every_page_of_the_release_before_opens(site, name):
    seen = site.ask(f"from tests.upgrades.crawl import crawl\nanswer = crawl({name!r})")

    assert {address: status for address, status in seen.items() if status != 200} == {}
    assert len(seen) > 100


def test_what_was_decided_before_the_upgrade_is_verified_and_what_was_proposed_is_approved_after_it(site):
    assert site.run("sweep").returncode == 0, "it works off the run that was in flight"

    assert site.run("verify").returncode == 0
    assert site.ask(APPROVE) == [1, 1]
    verified = site.run("verify")
    assert verified.returncode == 0, verified.stdout
