"""The command line says in one line what is wrong, and never with a traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.site import Site

GOOD = b'{"portfolio_id": "good", "cash": "5", "positions": []}\n'


def ordergen(*arguments: str, given: bytes = b"", output: int = subprocess.PIPE) -> tuple[int, bytes, str]:
    """Exit status, standard output and standard error of one command."""
    command = [sys.executable, "-m", "ordergen.ops.cli", *arguments]
    done = subprocess.run(command, input=given, stdout=output, stderr=subprocess.PIPE, timeout=300, check=False)
    return done.returncode, done.stdout or b"", done.stderr.decode()


def test_a_line_that_is_not_utf_8_is_answered_and_so_is_the_next() -> None:
    status, output, complaint = ordergen("solve", given=b'{"portfolio_id": "M\xfcller"}\n' + GOOD)
    first, second = (json.loads(line) for line in output.splitlines())
    assert (first["status"], first["line"]) == ("error", 1)
    assert (second["portfolio_id"], second["status"]) == ("good", "optimal")
    assert status == 1
    assert complaint.count("\n") == 1


def test_a_refused_problem_says_whose_it_was_and_on_which_line() -> None:
    status, output, _ = ordergen("solve", given=GOOD + b'\n{"portfolio_id": "p7", "cash": "NaN", "positions": []}\n')
    refused = json.loads(output.splitlines()[1])
    assert (refused["portfolio_id"], refused["line"]) == ("p7", 3)
    assert status == 1


def test_an_answer_that_cannot_be_written_is_a_failure_in_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        status, _, complaint = ordergen("solve", given=GOOD, output=full.fileno())
    assert (status, complaint) == (1, "ordergen: the output: No space left on device\n")


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, output, complaint = ordergen("serve", "--port", str(taken.getsockname()[1]))
    assert (status, output) == (1, b"")
    assert "cannot listen on 127.0.0.1:" in complaint
    assert complaint.count("\n") == 1


def test_a_port_out_of_range_is_wrong_usage() -> None:
    for port in ("99999", "0", "-1", "abc", "9" * 5000):
        status, _, complaint = ordergen("serve", f"--port={port}")
        assert status == 2
        assert "is no port: 1 to 65535" in complaint


# A database as migrations left it that came before the newest of ours.
EARLIER = """
from django.core.management import call_command
call_command('migrate', verbosity=0)
call_command('migrate', 'accounts', '0001', fake=True, verbosity=0)
answer = True
"""
LATER = """
from django.core.management import call_command
from django.db.migrations.recorder import MigrationRecorder
from django.db import connection
call_command('migrate', verbosity=0)
MigrationRecorder(connection).record_applied('accounts', '9999_of_the_future')
answer = True
"""
WORKING = [
    ("worker",),
    ("web", "--port", "8699"),
    ("verify",),
    ("sweep",),
    ("demo", "--once"),
    ("rebalance", "--model", "x"),
]


@pytest.mark.slow
def test_a_database_that_holds_something_is_changed_only_where_somebody_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.ask(EARLIER)
    for command in WORKING:
        done = site.run(*command)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), command
        assert "of an earlier version: run `ordergen migrate`, or this command with --migrate" in done.stderr
    done = site.run("verify", "--migrate")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), "the tables are there already: it was tried"
    assert "earlier version" not in done.stderr


@pytest.mark.slow
def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.ask(LATER)
    for command in (*WORKING, ("verify", "--migrate")):
        done = site.run(*command)
        assert (done.returncode, done.stderr) == (
            1, "ordergen: The database is of a later version of ordergen: run that one.\n"
        )  # fmt: skip


@pytest.mark.slow
def test_an_empty_database_is_given_its_tables_by_whichever_command_comes_first_and_by_one_of_several(tmp_path) -> None:
    site = Site(tmp_path)
    with ThreadPoolExecutor(4) as together:
        done = list(together.map(lambda _: site.run("verify"), range(4)))
    assert [one.returncode for one in done] == [0] * 4, [one.stderr for one in done]
    told = "ordergen: the database was empty; it has the tables of this version now\n"
    assert sorted(one.stderr for one in done) == ["", "", "", told]
    assert json.loads(done[0].stdout)["violations"] == 0
