"""The command line: exit status 0 on success, 1 with one clear line on failure, 2 on wrong usage."""

import json
import logging
import os
import subprocess
import sys
from decimal import Decimal
from functools import partial

import pytest

from ordergen.ops.cli import main
from rebalance_app.what_if import scenario_json
from tests.rebalance_app.optimiser.build import document

run = partial(subprocess.run, check=False, capture_output=True, text=True, timeout=300)
ORDERGEN = [sys.executable, "-m", "ordergen.ops.cli"]
GOOD = document()


def ordergen(*arguments, stdin=""):
    """Runs the command as a person does, without any settings of the tests."""
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return run([*ORDERGEN, *arguments], input=stdin, env=env)


def lines(*documents):
    return "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in documents)


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def complaint(done, status):
    """The one line on standard error, after checking that it is one and no traceback."""
    assert done.returncode == status, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("ordergen: ")
    return line


def test_solve_answers_each_line_from_standard_input(tmp_path):
    done = ordergen("solve", stdin=lines(GOOD, "", GOOD | {"portfolio_id": "P2"}))
    first, second = answers(done)

    assert (done.returncode, done.stderr) == (0, "")
    assert (first["status"], first["method"], first["quantities"]) == ("optimal", "separable", {"A": 11})
    assert first["trades"] == [{"security_id": "A", "side": "BUY", "quantity": 1}]
    assert second["portfolio_id"] == "P2"
    assert "scenarios" not in first


def test_solve_loads_nothing_that_it_does_not_need():
    code = (
        "import sys; from ordergen.ops.cli import main; main(['solve']); "
        "print({'django', 'ninja', 'pandas', 'cvxpy', 'highspy', 'celery'} & set(sys.modules), file=sys.stderr)"
    )
    done = run([sys.executable, "-c", code], input=lines(GOOD))

    assert (answers(done)[0]["status"], done.stderr) == ("optimal", "set()\n")


def test_solve_reads_a_file_as_it_reads_standard_input(tmp_path):
    problems = tmp_path / "problems.jsonl"
    problems.write_text(lines(GOOD))

    assert ordergen("solve", str(problems)).stdout.startswith('{"portfolio_id": "P1", "status": "optimal"')


def test_nonsense_lines_are_told_and_the_good_ones_between_them_answered():
    done = ordergen("solve", stdin=lines("{", GOOD, GOOD | {"cash": "NaN"}, "[]", GOOD))
    statuses = [answer["status"] for answer in answers(done)]

    assert statuses == ["error", "optimal", "error", "error", "optimal"]
    assert answers(done)[2]["reasons"][0]["field"] == "cash"
    assert "3 lines" in complaint(done, 1)


def test_a_defect_on_one_line_is_told_by_its_type_and_the_other_lines_are_answered(tmp_path, monkeypatch, capsys):
    good, read = scenario_json.answer_line, []

    def broken_once(document):
        read.append(document)
        if len(read) == 1:
            raise ValueError("a defect")
        return good(document)

    monkeypatch.setattr(scenario_json, "answer_line", broken_once)
    problems = tmp_path / "problems.jsonl"
    problems.write_text(lines(GOOD, GOOD))
    status, told = main(["solve", str(problems)]), capsys.readouterr()
    first, second = (json.loads(line) for line in told.out.splitlines())

    assert (status, first["portfolio_id"], second["status"]) == (1, "P1", "optimal")
    assert first["reasons"][0]["code"] == "INTERNAL_ERROR"
    assert "ValueError: a defect" in first["reasons"][0]["message"]
    assert told.err.endswith("ordergen: the program failed on 1 of 2 lines; their answers say how, see above\n")


def test_a_defect_in_any_command_is_told_in_one_line_by_its_type(db, monkeypatch, capsys):
    def broken(**_named):
        raise ValueError("a defect")

    monkeypatch.setattr("rebalance_app.runs.wait.run_by_name", broken)
    monkeypatch.setattr("ordergen.ops.cli.rebalance.person", lambda _name: None)
    status = main(["rebalance", "--model", "Growth"])

    said = capsys.readouterr().err.splitlines()
    assert (status, said[-1]) == (1, "ordergen: the program failed with ValueError: a defect; the log tells where")


def test_an_infeasible_problem_is_an_answer_and_not_a_failure():
    done = ordergen("solve", stdin=lines(GOOD | {"options": {"min_cash": "5000"}}))

    assert (done.returncode, answers(done)[0]["status"]) == (0, "infeasible")
    assert answers(done)[0]["trades"] == []


def test_what_branch_and_bound_proved_is_told_in_signs_that_add_up():
    line = {"price": "51", "quantity": "0", "target": "0.475", "low_drift": "0.475", "high_drift": "0.475"}
    both = [line | {"security_id": name} for name in "AB"]
    (answer,) = answers(ordergen("solve", stdin=lines(GOOD | {"cash": "100", "positions": both})))
    objective, bound, gap = (Decimal(answer[name]) for name in ("objective", "lower_bound", "gap"))

    assert (answer["status"], answer["method"]) == ("optimal", "milp")
    assert 0 <= bound <= objective
    assert gap == objective - bound <= Decimal("0.01")


def test_scenarios_are_answered_beside_the_problem_with_the_figures_of_the_api():
    asked = [{}, {"hold": True}, {"min_cash": "5000"}]
    done = ordergen("solve", stdin=lines(GOOD | {"scenarios": asked}))
    (answer,) = answers(done)
    plain, held, impossible = answer["scenarios"]

    assert (done.returncode, answer["status"]) == (0, "optimal")
    assert plain["trades"] == [{"security_id": "A", "side": "BUY", "quantity": 1, "price": "10.00", "value": "10.0000"}]
    assert (plain["traded"], plain["turnover"], plain["cost"]) == ("10.0000", "0.004533", "0.0000")
    assert (plain["drift_before"], plain["drift_after"]) == ("10.3000", "0.3000")
    assert (held["orders"], held["drift_after"], held["cash_after"]) == (0, "10.3000", "1003.0000")
    assert (impossible["status"], impossible["orders"], impossible["turnover"]) == ("infeasible", None, None)
    assert impossible["reasons"][0]["code"] == "SHORT_OF_CASH"


def test_a_scenario_without_an_answer_shows_the_nearest_one_where_that_is_asked_for():
    done = ordergen("solve", stdin=lines(GOOD | {"scenarios": [{"min_cash": "5000", "nearest": True}, {}]}))
    nearest, plain = answers(done)[0]["scenarios"]

    assert (nearest["status"], nearest["trades"], plain["nearest"]) == ("infeasible", [], None)
    assert nearest["nearest"]["status"] == "optimal"
    assert any(reason["code"] == "LIMIT_RELAXED" for reason in nearest["nearest"]["reasons"])


@pytest.mark.parametrize(
    ("scenarios", "field"),
    [
        ([], "scenarios"),
        ({}, "scenarios"),
        ([{}, {"mode": "sideways"}], "scenarios[1].mode"),
        ([{"colour": 1}], "scenarios[0].colour"),
        ([5], "scenarios[0]"),
    ],
)
def test_scenarios_that_make_no_sense_are_refused_by_name(scenarios, field):
    from models_app.portfolio.types import ProblemError
    from rebalance_app.what_if.scenario_json import answer_line

    with pytest.raises(ProblemError) as refused:
        answer_line(GOOD | {"scenarios": scenarios})
    assert refused.value.field == field


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path):
    assert "No such file" in complaint(ordergen("solve", str(tmp_path / "none.jsonl")), 1)


@pytest.mark.parametrize("arguments", [(), ("sovle",), ("solve", "--fast"), ("solve", "a", "b"), ("rebalance",)])
def test_wrong_usage_ends_with_status_two_and_says_how_it_is_right(arguments):
    done = ordergen(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: ordergen" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipe")
def test_a_reader_that_has_enough_leaves_no_traceback(tmp_path):
    problems = tmp_path / "problems.jsonl"
    problems.write_text(lines(GOOD) * 2000)
    command = f"'{sys.executable}' -m ordergen.ops.cli solve '{problems}' | head -1"
    done = run(["bash", "-c", command])

    assert json.loads(done.stdout)["status"] == "optimal"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.django_db
def test_a_command_called_by_a_program_leaves_the_program_s_log_where_it_goes(capsys):
    def streams():
        return [handler.stream for handler in logging.getLogger().handlers if hasattr(handler, "setStream")]

    before = streams()

    assert main(["verify"]) == 0
    assert before
    assert all(now is then for now, then in zip(streams(), before, strict=True))
