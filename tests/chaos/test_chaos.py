"""Whatever dies while a run is going, each portfolio ends once, with the answer that an undisturbed run gives.

One scenario for each broker and database; `make chaos` has all faults on all of them, for many seeds.
"""

from __future__ import annotations

import logging
import os
import random
import time

import pytest

from tests.chaos.faults import Chaos, assert_as_calm, disturb
from tests.chaos.inside import CRASH

pytestmark = pytest.mark.slow

logger = logging.getLogger(__name__)
SEED = int(os.environ.get("CHAOS_SEED", "20261126"))
KILLS = ("pool_process_dies", "worker_dies", "database_restarts")
SILENCE = 20  # seconds; it is about three, but a machine may be busy
FAULTS = (*KILLS, "broker_dies", "queues_are_flushed", "web_dies", "messages_repeat", "messages_are_forged")


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("broker", ["embedded", "redis", "rabbitmq"], indirect=True)
def test_nothing_is_lost_doubled_or_left_open(chaos: Chaos) -> None:
    rng = random.Random(SEED)
    faults = [*FAULTS]
    rng.shuffle(faults)
    logger.info("CHAOS_SEED=%s: %s", SEED, ", ".join(faults))
    _launch_while_the_broker_is_silent(chaos)
    chaos.start("crash")
    chaos.serve()
    run = chaos.launch("monday")
    disturb(chaos, rng, faults)
    logger.info("ended %.1f s after the last fault", chaos.ended(run))
    again = chaos.launch("monday")

    assert again == run, "the same key is the same run, whatever died meanwhile"
    assert_as_calm(chaos, run, {CRASH: "POISON"}, unlucky=2)
    assert chaos.console("verify")["faults"] == []


def _launch_while_the_broker_is_silent(chaos: Chaos) -> None:
    """It takes the connection and says nothing; whoever launches is answered all the same, and cancels the run."""
    chaos.console("runs")  # the first answer takes seconds
    if chaos.broker:
        chaos.broker.freeze()
    asked = time.monotonic()
    run = chaos.console("launch", chaos.book["model"])
    seconds = time.monotonic() - asked
    if chaos.broker:
        chaos.broker.thaw()
    chaos.cancel(run)

    assert seconds < SILENCE
    assert chaos.console("state", run)["state"] == "cancelled", "nobody had begun"
