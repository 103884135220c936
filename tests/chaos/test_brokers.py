"""A broker that takes the connection and then says nothing holds up nobody who launches."""

from __future__ import annotations

import time

import pytest

from tests.chaos.faults import Chaos

pytestmark = pytest.mark.slow
SECONDS = 20  # it is about three, but a machine may be busy


@pytest.mark.parametrize("database", ["sqlite"])
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_a_launch_is_answered_though_the_broker_is_silent(chaos: Chaos) -> None:
    assert chaos.broker
    chaos.console("runs")  # it takes seconds to start
    chaos.broker.freeze()
    asked = time.monotonic()
    run = chaos.console("launch", chaos.book["model"])

    assert time.monotonic() - asked < SECONDS
    assert chaos.console("state", run)["state"] == "queued"
