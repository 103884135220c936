"""`make chaos`: every fault on every broker and database, for as many seeds as asked. Not collected with the suite."""

from __future__ import annotations

import json
import logging
import os
import random

import pytest

from tests.chaos.faults import Chaos, assert_as_calm, disturb
from tests.chaos.inside import CRASH, HANG, KILL
from tests.chaos.test_chaos import SEED

pytestmark = pytest.mark.slow

logger = logging.getLogger(__name__)
SEEDS = range(SEED, SEED + int(os.environ.get("CHAOS_ROUNDS", "2")))
PAIRS = [(broker, database) for broker in ("embedded", "redis", "rabbitmq") for database in ("sqlite", "postgresql")]
FAULTS = (
    "pool_process_dies", "worker_dies", "machine_dies", "worker_sleeps", "solver_dies", "sweeper_dies", "web_dies",
    "broker_dies", "broker_freezes", "queues_are_flushed", "database_restarts", "database_dies",
    "messages_repeat", "messages_are_forged",
)  # fmt: skip
REASONS = {CRASH: "POISON", HANG: "SOLVER_KILLED or POISON", KILL: "POISON"}
CANCELLED = {"state": "cancelled", "reason": "", "orders": []}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("broker", "database"), PAIRS, indirect=["broker"])
def test_a_night_of_faults(chaos: Chaos, seed: int) -> None:
    """Two runs at once, one of them cancelled in the middle of it; then what failed in the other is tried again."""
    rng = random.Random(seed)
    faults = rng.sample(FAULTS * 2, 2 * len(FAULTS))
    logger.info("CHAOS_SEED=%s: %s", seed, ", ".join(faults))
    names = sorted(chaos.book["ids"])
    some = set(rng.sample([name for name in names if name not in REASONS], 20))
    chaos.start("crash", "hang", "kill")
    chaos.serve()
    run = chaos.launch("all the others", [chaos.book["ids"][name] for name in names if name not in some])
    cancelled = chaos.launch("some", [chaos.book["ids"][name] for name in some])
    at = rng.randrange(4)
    disturb(chaos, rng, faults[:at])
    chaos.cancel(cancelled)
    disturb(chaos, rng, faults[at:])
    logger.info("ended %.1f s after the last fault", max(chaos.ended(run), chaos.ended(cancelled)))

    assert_as_calm(chaos, run, REASONS, unlucky=len(names))
    for name, found in chaos.console("answers", cancelled).items():
        calm = chaos.book["calm"][name]
        assert {key: found[key] for key in CANCELLED} in (CANCELLED, {key: calm[key] for key in CANCELLED}), name
    _try_again(chaos, run)


def _try_again(chaos: Chaos, run: str) -> None:
    before = chaos.console("answers", run)
    again = chaos.console("retry", run)
    chaos.ended(again)
    verified = chaos.site.run("verify", "--json")

    assert chaos.console("answers", again).keys() == {
        name for name, found in before.items() if found["state"] in {"failed", "infeasible"}
    }
    assert chaos.console("answers", run) == before
    assert_as_calm(chaos, again, REASONS)
    assert verified.returncode == 0, verified.stdout
    assert json.loads(verified.stdout)["violations"] == 0


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_broker_that_never_comes_back_leaves_no_run_open(chaos: Chaos, how: str) -> None:
    chaos.start("crash")
    chaos.ended(chaos.launch("while it is there"))
    assert chaos.broker
    getattr(chaos.broker, how)()
    run = chaos.launch("without it")
    logger.info("ended in %.1f s", chaos.ended(run))

    assert_as_calm(chaos, run, {CRASH: "POISON"})
