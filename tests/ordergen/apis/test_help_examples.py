"""The programs on the help page are true: they are run as they stand, against a live server with a worker."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import unavailable
from tests.site import Site, eventually, free_port

EXAMPLES = Path(__file__).resolve().parents[3] / "templates/help/examples"
FILL = """
from decimal import Decimal
from models_app.models import Holding, Portfolio, Price, Security
from ordergen.accounts.services import user_create
user_create(username='maya', password='a-long-enough-word', roles=['manager'])
user_create(username='tom', password='a-long-enough-word', roles=['approver'])
for ticker, close in (('ACME', '41.37'), ('BOLT', '12.05')):
    security = Security.objects.create(ticker=ticker, name=ticker.title())
    Price.objects.create(security=security, date='2026-11-20', close=Decimal(close))
harbour = Portfolio.objects.create(name='Harbour', cash=Decimal('60000'))
Holding.objects.create(portfolio=harbour, security=security, quantity=Decimal(900))
Portfolio.objects.create(name='Lee', cash=Decimal('70000'))
answer = None
"""


def _needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            unavailable("examples", f"{program} is not installed")


def _bash(script, environment):
    command = ["bash", "-euo", "pipefail", str(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A live server with a worker, and the environment the examples ask for; its keys are made as the page says."""
    _needs("bash", "curl", "jq")
    site = Site(tmp_path_factory.mktemp("help"))
    assert site.run("migrate").returncode == 0
    site.ask(FILL)
    folder = site.home / "bin"
    folder.mkdir()
    (folder / "ordergen").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ordergen.ops.cli "$@"\n')
    (folder / "ordergen").chmod(0o700)
    environment = site.environment | {"PATH": f"{folder}:{site.environment['PATH']}"}
    keys = _bash(EXAMPLES / "keys.sh", environment)
    manager, approver = keys.stdout.split()
    port = free_port()
    site.start("serve", "--port", str(port))
    environment |= {"HOST": f"http://127.0.0.1:{port}", "KEY": manager, "APPROVER_KEY": approver}
    ready = ["curl", "--silent", "--fail", environment["HOST"] + "/health/ready"]
    eventually(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, 180)
    yield environment
    site.stop()


@pytest.mark.slow
def test_the_main_job_with_curl_does_what_the_page_says(live):
    done = _bash(EXAMPLES / "main_job.sh", live)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    decided = json.loads(lines[-1])

    assert [json.loads(line)["status"] for line in lines[:3]] == ["optimal"] * 3
    assert [line.split("\t")[0] for line in lines[3:-1]] == ["Harbour", "Harbour"]
    assert decided == {"n_decided": 2, "n_skipped": 0, "n_outdated": 0, "reasons": {}, "skipped": []}


@pytest.mark.slow
def test_the_main_job_with_python_does_what_the_page_says(live):
    script = EXAMPLES / "main_job.py.txt"
    done = subprocess.run(
        [sys.executable, str(script)], env=live, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout

    assert done.stdout.count("Lee BUY") == 2
    assert done.stdout.splitlines()[-1] == "approved 2 left alone {}"


@pytest.mark.slow
def test_the_complete_problem_is_answered_as_it_stands(live):
    answer = json.loads(_bash(EXAMPLES / "problem.sh", live).stdout)

    assert (answer["status"], len(answer["scenarios"])) == ("optimal", 2)


@pytest.mark.slow
def test_the_line_for_solve_is_answered_with_its_scenarios(live):
    done = _bash(EXAMPLES / "solve.sh", live)
    answer = json.loads(done.stdout)

    assert answer["trades"] == [{"security_id": "A", "side": "BUY", "quantity": 1}]
    assert [scenario["orders"] for scenario in answer["scenarios"]] == [1, 0]
