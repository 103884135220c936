"""Who asks whether the optimiser is well is told of the integer programme, and cannot start processes without bound."""

import threading
import time
from dataclasses import replace
from decimal import Decimal

import pytest
from django.test import Client

from models_app.portfolio.types import RebalanceSolution, Trade
from ordergen.ops import health
from rebalance_app.solving import solver_health, solver_process
from rebalance_app.solving.failures import SolverCrashedError
from rebalance_app.solving.solver_health import SolverHealth
from rebalance_app.solving.solver_process import SolverChild
from tests.rebalance_app.solving.test_solver_process import DYING, SILENT

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("patient_probes")]
RIGHT = RebalanceSolution(
    "health",
    "optimal",
    method="milp",
    market_value=Decimal(100),
    objective=Decimal(51),
    lower_bound=Decimal(51),
    gap=Decimal(0),
    quantities={"a": Decimal(1), "b": Decimal(0)},
    trades=(Trade("a", "BUY", 1),),
    cash_after=Decimal(49),
    cash_after_costs=Decimal(49),
    drift_value=Decimal(51),
)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Child:
    """A child that answers as it is told, and counts how often it was started."""

    def __init__(self, answer=RIGHT):
        self.answer, self.n_started, self.is_open = answer, 0, False

    def solve(self, _problem):
        self.n_started, self.is_open = self.n_started + 1, True
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self):
        self.is_open = False


@pytest.fixture
def of(monkeypatch):
    """The health that the pages tell is this one's."""

    def use(child, clock=Clock()):  # noqa: B008
        found = SolverHealth(child, clock)
        monkeypatch.setattr(health, "solver_health", found)
        return found

    return use


def engine():
    answer = Client().get("/health/ready")
    check = answer.json()["dependencies"]["optimization_engine"]
    assert set(check) == {"status", "message", "solver_status"}
    assert (check["status"] == "healthy") == (answer.status_code == 200)
    return check


def test_a_programme_solved_by_a_process_of_its_own_is_what_makes_the_optimiser_healthy(of):
    child = SolverChild()
    of(child)

    assert engine() == {
        "status": "healthy",
        "message": "A small integer programme came out right.",
        "solver_status": "optimal",
    }
    assert child._process is None, "nothing is kept for the next one who asks"


@pytest.mark.parametrize("library", ["cvxpy", "highspy"])
def test_without_one_of_the_solver_s_libraries_nothing_is_ready_but_the_process_lives(
    of, library, tmp_path, monkeypatch
):
    (tmp_path / f"{library}.py").write_text("raise ImportError('it is not installed')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    of(SolverChild())

    assert engine()["status"] == "unhealthy"
    assert Client().get("/health/").json()["status"] == "unhealthy"
    assert Client().get("/health/live").status_code == 200, "another web process would be no better"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (SILENT, "A small integer programme had no answer in time: the solver hangs."),
        (DYING, "The solver's process could not solve a small integer programme; the log says why."),
    ],
)
def test_a_solver_that_hangs_or_crashes_is_told_as_such(of, command, message, monkeypatch, settings):
    monkeypatch.setattr(solver_process, "COMMAND", command)
    settings.SOLVER_GRACE_SECONDS = 0.1
    hurried = replace(solver_health.SMALL, options=replace(solver_health.SMALL.options, time_limit=0.1))
    monkeypatch.setattr(solver_health, "SMALL", hurried)
    child = SolverChild()
    of(child)

    assert engine() == {"status": "unhealthy", "message": message, "solver_status": "error"}
    assert child._process is None


@pytest.mark.parametrize(
    "wrong",
    [
        replace(RIGHT, quantities={"a": Decimal(1), "b": Decimal(1)}),
        replace(RIGHT, method="closed_form"),
        RebalanceSolution("health", "time_limit"),
    ],
)
def test_a_wrong_answer_or_one_that_needed_no_programme_is_no_health(of, wrong):
    of(Child(wrong))

    check = engine()
    assert (check["status"], check["message"]) == ("unhealthy", "A small integer programme came out wrong.")
    assert check["solver_status"] == wrong.status


def test_however_often_somebody_asks_one_process_a_minute_is_started(of):
    child, clock = Child(), Clock()
    of(child, clock)

    assert {engine()["status"] for _ in range(20)} == {"healthy"}
    assert (child.n_started, child.is_open) == (1, False)
    clock.now += solver_health.GOOD_FOR
    engine()
    assert child.n_started == 2


def test_a_solver_that_is_well_again_is_soon_known_to_be(of):
    child, clock = Child(SolverCrashedError("it is gone")), Clock()
    of(child, clock)
    assert engine()["status"] == "unhealthy"

    child.answer = RIGHT
    assert engine()["status"] == "unhealthy", "whoever asks again and again starts nothing"
    assert child.n_started == 1
    clock.now += solver_health.BAD_FOR
    assert engine()["status"] == "healthy"


class Slow(Child):
    """Answers once it is let to."""

    def __init__(self):
        super().__init__()
        self.is_asked, self.may_answer = threading.Event(), threading.Event()

    def solve(self, problem):
        self.is_asked.set()
        assert self.may_answer.wait(30)
        return super().solve(problem)


def test_nobody_waits_longer_than_a_probe_for_a_solver_that_is_slow(of, monkeypatch):
    child, clock = Slow(), Clock()
    of(child, clock)
    monkeypatch.setattr(solver_health, "PATIENCE", 0.05)

    check = engine()
    assert (check["status"], check["message"]) == ("unhealthy", "A first integer programme is being solved just now.")
    engine()
    assert child.is_asked.is_set()
    child.may_answer.set()
    wait_until(lambda: engine()["status"] == "healthy")
    child.may_answer.clear()
    clock.now += solver_health.GOOD_FOR
    assert engine()["status"] == "healthy", "the last answer holds until there is another"
    child.may_answer.set()
    wait_until(lambda: child.n_started == 2 and not child.is_open)


def wait_until(is_so):
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
