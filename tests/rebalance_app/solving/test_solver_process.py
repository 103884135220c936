"""The integer programme lives in its own process, and the worker outlives whatever happens there."""

import json
import sys
import time
from dataclasses import replace
from decimal import Decimal

import pytest

from models_app.models import Portfolio
from models_app.portfolio.types import Options, Position, RebalanceProblem
from ordergen.ops.verify import verify_all
from rebalance_app.formats.problem_json import problem_to_json
from rebalance_app.optimiser.check.scalar import violations
from rebalance_app.runs import solve_chunk as solve
from rebalance_app.runs.launch import run_launch
from rebalance_app.solving import solver_process, solver_protocol
from rebalance_app.solving.failures import (
    SolverCrashedError,
    SolverHungError,
    SolverMemoryError,
    SolverRaisedError,
    SolverWrongError,
    of_process,
)
from rebalance_app.solving.solver_process import SolverChild
from tests.chaos.faults import POISON_HOOK

# Two securities at 51 with targets of 47.5 % of 100: the nearest whole shares would cost 102.
SHORT_OF_CASH = RebalanceProblem(
    "p" * 24,
    Decimal(100),
    tuple(
        Position(name * 24, Decimal(0), Decimal(51), Decimal("0.475"), Decimal("0.475"), Decimal("0.475"))
        for name in "ab"
    ),
    Options(time_limit=10),
)
READY = 'print("ready", flush=True)\n'
SILENT = [sys.executable, "-c", f"{READY}import time; time.sleep(600)"]
NEVER_READY = [sys.executable, "-c", "import time; time.sleep(600)"]
DYING = [sys.executable, "-c", "import os; os.abort()"]
BABBLING = [sys.executable, "-c", "print('no JSON', flush=True); import time; time.sleep(600)"]
BABBLING_LATER = [sys.executable, "-c", f"{READY}print('no JSON', flush=True); import time; time.sleep(600)"]


@pytest.fixture
def child():
    child = SolverChild()
    yield child
    child.close()


@pytest.mark.slow
def test_the_child_solves_what_the_closed_form_cannot_and_stays_for_the_next(child):
    first = child.solve(SHORT_OF_CASH)
    pid = child._process.pid
    second = child.solve(SHORT_OF_CASH)

    assert (first.status, first.method, first.cash_after) == ("optimal", "milp", Decimal(49))
    assert violations(SHORT_OF_CASH, first) == ()
    assert second.trades == first.trades, "the same input gives the same orders"
    assert child._process.pid == pid


@pytest.mark.parametrize("command", [DYING, BABBLING, BABBLING_LATER])
def test_a_child_that_dies_or_talks_nonsense_is_an_error_and_not_an_answer(child, command, monkeypatch):
    monkeypatch.setattr(solver_process, "COMMAND", command)

    with pytest.raises(SolverCrashedError):
        child.solve(SHORT_OF_CASH)
    assert child._process is None


def test_a_child_that_never_answers_is_killed_in_time(child, monkeypatch, settings):
    monkeypatch.setattr(solver_process, "COMMAND", SILENT)
    settings.SOLVER_GRACE_SECONDS = 0.5
    child._start()
    started = time.monotonic()

    with pytest.raises(SolverHungError):
        child.solve(replace(SHORT_OF_CASH, options=Options(time_limit=0.5)))
    assert time.monotonic() - started < 5


def _capped(settings, beyond: int) -> None:
    """A child may have what importing takes, and so many MB beyond that."""
    settings.SOLVER_MEMORY_BYTES = (160 + beyond) * 2**20


@pytest.mark.slow
def test_a_problem_that_needs_more_memory_than_there_may_be_has_a_reason_and_the_next_one_an_answer(child, settings):
    _capped(settings, 40)
    with pytest.raises((SolverMemoryError, SolverCrashedError), match="it may have 200 MB"):
        child.solve(_hungry())
    assert child._process is None, "whatever it left behind went with it"
    settings.SOLVER_MEMORY_BYTES = 2**31
    assert child.solve(SHORT_OF_CASH).status == "optimal"


def test_a_child_that_can_still_say_that_it_lacks_memory_is_believed(child, monkeypatch):
    said = "print(json.dumps(dict(question=question, out_of_memory_mb=200)), flush=True)"
    monkeypatch.setattr(solver_process, "COMMAND", _telling(said))
    with pytest.raises(SolverMemoryError) as lost:
        child.solve(SHORT_OF_CASH)
    assert not lost.value.may_pass
    assert of_process(lost.value, 10).details == {"megabytes": 200}


def _hungry() -> RebalanceProblem:
    """So many securities short of cash that their programme does not fit in 40 MB."""
    n = 4_000
    share = Decimal(95) / 100 / n
    each = (Position(f"{at:024x}", Decimal(0), Decimal(51), share, share, share) for at in range(n))
    return RebalanceProblem("h" * 24, Decimal(n * 40), tuple(each), Options(time_limit=10))


# Answers with the time limit it was given, as the seconds it took.
TELLING = f"""import json, os, sys, time
{READY}
for line in sys.stdin:
    asked = json.loads(line)
    question, name = asked["question"], asked["problem"]["portfolio_id"]
    limit = float(asked["problem"]["options"]["time_limit"])
    empty = dict(quantities={{}}, trades=[], reasons=[])
    solution = dict(portfolio_id=name, status="error", method=None, seconds=limit, **empty)
    answer = json.dumps(dict(question=question, solution=solution))
    print(answer, flush=True)
"""


def _telling(saying):
    """A child that says this, in Python, in place of the plain answer."""
    return [sys.executable, "-c", TELLING.replace("print(answer, flush=True)", saying)]


@pytest.mark.parametrize(
    "saying",
    [
        "print(answer.replace(question, 'another'), flush=True)",
        "print(answer.replace(name, 'q' * 24), flush=True)",
        "print(json.dumps(solution), flush=True)",
        "print('[]', flush=True)",
        "print(json.dumps(dict(question=question, solution=[])), flush=True)",
        "print('Solver 1.16 says hello'); print(answer, flush=True)",
        "os.write(1, (answer + chr(10) + answer + chr(10)).encode())",
        "os.write(1, (answer + chr(10) + 'half a line').encode())",
    ],
    ids=["question", "portfolio", "no envelope", "list", "no solution", "line before", "line after", "half a line"],
)
def test_what_is_not_the_answer_to_the_question_is_nobodys_answer_and_ends_the_child(child, monkeypatch, saying):
    monkeypatch.setattr(solver_process, "COMMAND", _telling(saying))

    with pytest.raises(SolverCrashedError):
        child.solve(SHORT_OF_CASH)
    assert child._process is None


def test_an_answer_that_breaks_a_rule_is_thrown_away_and_its_child_with_it(child, monkeypatch):
    """Optimal, it says, and gives no trades: whoever asks checks for himself."""
    wrong = (
        "dict(solution, status='optimal', quantities={p['security_id']: '0' for p in asked['problem']['positions']})"
    )
    saying = f"print(json.dumps(dict(question=question, solution={wrong})), flush=True)"
    monkeypatch.setattr(solver_process, "COMMAND", _telling(saying))

    with pytest.raises(SolverWrongError):
        child.solve(SHORT_OF_CASH)
    assert child._process is None


def test_what_was_said_after_an_answer_is_not_taken_for_that_to_the_next_question(child, monkeypatch):
    """One line too many would otherwise give every later portfolio the orders of the one before it."""
    monkeypatch.setattr(
        solver_process, "COMMAND", _telling("print(answer, flush=True); time.sleep(.2); print(answer, flush=True)")
    )
    child.solve(SHORT_OF_CASH)
    time.sleep(0.4)

    with pytest.raises(SolverCrashedError):
        child.solve(SHORT_OF_CASH)
    assert child.solve(SHORT_OF_CASH).portfolio_id == SHORT_OF_CASH.portfolio_id, "of a new child"


DEAF = [sys.executable, "-c", f"import os; os.close(0)\n{READY}import time; time.sleep(600)"]


def test_a_child_that_takes_no_question_any_more_is_lost_like_any_other(child, monkeypatch):
    monkeypatch.setattr(solver_process, "COMMAND", DEAF)

    with pytest.raises(SolverCrashedError):
        child.solve(SHORT_OF_CASH)
    assert child._process is None


def test_a_child_that_does_not_even_read_is_killed_in_time(child, monkeypatch, settings):
    """A long question does not fit into a pipe: to write it takes as much patience as to read its answer, not more."""
    monkeypatch.setattr(solver_process, "COMMAND", SILENT)
    settings.SOLVER_GRACE_SECONDS = 0.5
    positions = tuple(replace(SHORT_OF_CASH.positions[0], security_id=f"{n:024}") for n in range(2000))
    child._start()
    started = time.monotonic()

    with pytest.raises(SolverHungError):
        child.solve(replace(SHORT_OF_CASH, positions=positions, options=Options(time_limit=0.5)))
    assert time.monotonic() - started < 5


def test_a_problem_that_is_given_up_while_it_is_solved_leaves_no_child_with_an_answer_for_it(child, monkeypatch):
    monkeypatch.setattr(solver_process, "COMMAND", SILENT)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(solver_process, "_read_line", interrupted)
    with pytest.raises(KeyboardInterrupt):
        child.solve(SHORT_OF_CASH)
    assert child._process is None


def test_an_exception_in_the_child_is_told_as_what_it_is_and_is_no_end_of_the_child(child, monkeypatch):
    saying = "print(json.dumps(dict(question=question, raised='ValueError: a defect')), flush=True)"
    monkeypatch.setattr(solver_process, "COMMAND", _telling(saying))

    with pytest.raises(SolverRaisedError, match=r"^ValueError: a defect$"):
        child.solve(SHORT_OF_CASH)


@pytest.mark.slow
def test_a_value_error_of_cvxpy_is_a_defect_with_its_words_and_its_traceback(child, monkeypatch, capfd):
    monkeypatch.setenv("PYTHONPATH", str(POISON_HOOK))
    monkeypatch.setenv("POISON", json.dumps({SHORT_OF_CASH.portfolio_id: "raise"}))

    with pytest.raises(SolverRaisedError, match=r"^ValueError: a defect, and no bad problem$"):
        child.solve(SHORT_OF_CASH)
    logged = capfd.readouterr().err
    assert "Traceback" in logged
    assert 'raise ValueError("a defect' in logged


def test_what_is_no_problem_is_answered_as_that_by_the_child_too():
    outcome = solver_protocol._outcome(problem_to_json(SHORT_OF_CASH) | {"cash": "NaN"})

    assert outcome["solution"]["reasons"][0]["code"] == "INVALID_PROBLEM"


@pytest.mark.slow
def test_what_native_code_prints_in_the_child_goes_to_the_log_and_stands_before_no_answer(child, monkeypatch, capfd):
    other = replace(SHORT_OF_CASH, portfolio_id="q" * 24)
    monkeypatch.setenv("PYTHONPATH", str(POISON_HOOK))
    monkeypatch.setenv("POISON", json.dumps({SHORT_OF_CASH.portfolio_id: "babble"}))
    asked = [SHORT_OF_CASH, other, SHORT_OF_CASH]

    assert [child.solve(problem).portfolio_id for problem in asked] == [problem.portfolio_id for problem in asked]
    assert capfd.readouterr().err.count('"question"') == 2


@pytest.mark.parametrize(("nearest", "given"), [(False, 10.0), (True, 3.333)])
def test_a_nearest_answer_shares_the_time_that_one_answer_has(child, monkeypatch, nearest, given):
    monkeypatch.setattr(solver_process, "COMMAND", [sys.executable, "-c", TELLING])
    problem = replace(SHORT_OF_CASH, options=Options(time_limit=10.0, nearest=nearest))

    assert child.solve(problem).seconds == given


TIMED_OUT = TELLING.replace(
    "    answer =",
    """    held = {p["security_id"]: "0" for p in asked["problem"]["positions"]}
    solution |= dict(status="time_limit", method="milp", quantities=held, market_value="100", cash_after="100")
    solution["cash_after_costs"] = "100"
    solution |= dict(objective="95", lower_bound="0", gap="95", drift_value="95")
    answer =""",
)


def test_after_a_time_out_the_child_is_replaced_for_its_solver_may_still_be_at_work(child, monkeypatch):
    monkeypatch.setattr(solver_process, "COMMAND", [sys.executable, "-c", TIMED_OUT])

    assert child.solve(SHORT_OF_CASH).status == "time_limit"
    assert child._process is None


def test_a_child_that_is_long_in_starting_takes_nothing_from_the_time_of_its_portfolio(child, monkeypatch, settings):
    """A busy machine: ready only after more than the portfolio's limit and all grace."""
    settings.SOLVER_GRACE_SECONDS = 0
    monkeypatch.setattr(solver_process, "COMMAND", [sys.executable, "-c", f"import time; time.sleep(1.5)\n{TELLING}"])

    assert child.solve(replace(SHORT_OF_CASH, options=Options(time_limit=1))).seconds == 1


def test_a_child_that_never_gets_ready_is_lost_and_says_nothing_about_its_portfolio(child, monkeypatch, settings):
    monkeypatch.setattr(solver_process, "COMMAND", NEVER_READY)
    settings.SOLVER_STARTUP_SECONDS = 0.2

    with pytest.raises(SolverCrashedError, match="was not ready"):
        child.solve(SHORT_OF_CASH)
    assert child._process is None


@pytest.fixture
def short_of_cash(book):
    """Harbour's cash floor is set above what the nearest whole shares leave, so a programme has to be solved."""
    Portfolio.objects.exclude(pk=book.harbour.pk).delete()
    return {"min_cash": "4720"}


@pytest.mark.slow
@pytest.mark.django_db
def test_a_binding_cash_floor_is_kept_by_the_programme(book, manager, run_worker, short_of_cash):
    run = run_worker(
        run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk], options=short_of_cash)
    )
    row = run.portfolios.get()

    assert (row.state, row.method) == ("solved", "milp")
    assert row.cash_after >= Decimal(4720)
    assert Decimal(row.document["gap"]) <= Decimal("0.01")
    assert verify_all()["violations"] == 0


@pytest.mark.django_db
def test_a_portfolio_with_an_exception_in_its_solver_fails_after_three_attempts_and_nobody_is_said_to_have_died(
    book, manager, run_worker, short_of_cash, monkeypatch
):
    saying = "print(json.dumps(dict(question=question, raised='ValueError: a defect')), flush=True)"
    monkeypatch.setattr(solver_process, "COMMAND", _telling(saying))
    monkeypatch.setattr(solve, "_child", SolverChild())
    run = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk], options=short_of_cash)
    row = run_worker(run).portfolios.get()

    assert (row.state, row.attempt, row.reason_code) == ("failed", 3, "INTERNAL_ERROR")
    assert row.reason == "The program failed with ValueError: a defect. The worker's log tells where."
    assert verify_all()["violations"] == 0


@pytest.mark.django_db
@pytest.mark.parametrize("command", [DYING, NEVER_READY])
def test_a_portfolio_that_crashes_the_solver_fails_after_three_attempts(
    book, manager, run_worker, short_of_cash, monkeypatch, command
):
    monkeypatch.setattr("django.conf.settings.SOLVER_STARTUP_SECONDS", 0.2)
    monkeypatch.setattr(solver_process, "COMMAND", command)
    monkeypatch.setattr(solve, "_child", SolverChild())
    run = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk], options=short_of_cash)
    run = run_worker(run)
    row = run.portfolios.get()

    assert (run.state, run.n_failed, run.n_orders) == ("completed", 1, 0)
    assert (row.attempt, row.reason_code) == (3, "POISON")
