"""The programs on the help page are true: they are run as they stand, against a live server with a worker."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
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
from ordergen.accounts.keys import create_api_key
ada = user_create(username='ada', password='a-long-enough-word', roles=['admin'])
answer = create_api_key(user=ada, name='hooks', scopes=('webhooks:manage',), days=1)[1]
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
    site = Site(tmp_path_factory.mktemp("help"), ORDERGEN_WEBHOOK_NETWORKS="127.0.0.1/32")
    assert site.run("migrate").returncode == 0
    admin = site.ask(FILL)
    folder = site.home / "bin"
    folder.mkdir()
    (folder / "ordergen").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ordergen.ops.cli "$@"\n')
    (folder / "ordergen").chmod(0o700)
    environment = site.environment | {"PATH": f"{folder}:{site.environment['PATH']}"}
    keys = _bash(EXAMPLES / "keys.sh", environment)
    manager, approver = keys.stdout.split()
    port = free_port()
    site.start("serve", "--port", str(port))
    environment |= {"HOST": f"http://127.0.0.1:{port}", "KEY": manager, "APPROVER_KEY": approver, "ADMIN_KEY": admin}
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


def _launch(live):
    """A run of a model and a portfolio of their own, to its end; returns what the server calls it."""
    with httpx.Client(base_url=live["HOST"] + "/api/v2", headers={"X-API-Key": live["KEY"]}) as api:
        portfolio, name = os.urandom(12).hex(), f"Told {free_port()}"
        assert api.put(f"/portfolios/{portfolio}", json={"name": name, "cash": "10000"}).status_code == 201
        security = api.get("/securities", params={"q": "ACME"}).json()["items"][0]["id"]
        place = {"security_id": security, "target": "0.25", "low_drift": "0.01", "high_drift": "0.01"}
        model = api.post("/models", json={"name": name, "positions": [place], "portfolios": [portfolio]})
        run = eventually(lambda: api.post("/runs", json={"model_id": model.json()["id"]}).json().get("id"), 60, 1)
        return eventually(lambda: _ended(api.get(f"/runs/{run}").json()), 60)


def _ended(run):
    return run["state"] == "completed" and f"Run #{run['number']}"


@pytest.mark.slow
def test_the_feed_is_followed_from_where_it_was_left(live, tmp_path):
    number = _launch(live)
    command = ["bash", "-euo", "pipefail", str(EXAMPLES / "follow.sh")]
    first, second = (
        subprocess.run(command, env=live, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
        for _ in range(2)
    )

    assert f"rebalance.finished {number} completed" in first
    assert [line.split()[0] for line in first.splitlines()] == sorted(
        (line.split()[0] for line in first.splitlines()), key=int
    )
    assert not set(first.splitlines()) & set(second.splitlines()), "nothing is read twice"


@pytest.mark.slow
def test_a_webhook_that_is_set_up_by_curl_tells_the_program_that_listens(live):
    port = free_port()
    made = _bash(EXAMPLES / "webhook.sh", live | {"HOOK_URL": f"http://127.0.0.1:{port}/"})
    assert made.returncode == 0, made.stderr + made.stdout
    secret, attempts = made.stdout.splitlines()
    command = [sys.executable, str(EXAMPLES / "listen.py.txt")]
    secrets = {"SECRET": secret, "PORT": str(port)}
    with subprocess.Popen(command, env=live | secrets, stdout=subprocess.PIPE, text=True) as listener:
        try:
            number, told = _launch(live), [""]
            while not told[-1].endswith(f"rebalance.finished run {number} completed"):
                told.append(listener.stdout.readline().strip())
                assert told[-1], "it has ended"
        finally:
            listener.kill()

    assert json.loads(attempts) == []
    assert any("rebalance.launched" in line for line in told)
    assert not any("refused" in line for line in told)


def _python(name, environment, folder):
    command = [sys.executable, str(EXAMPLES / name)]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_the_nightly_job_writes_prices_and_runs_what_needs_it_once_a_night(live, tmp_path):
    _launch(live)
    first, second = (_python("nightly.py.txt", live, tmp_path) for _ in range(2))

    assert first.returncode == 0, first.stderr + first.stdout
    assert first.stdout.splitlines()[0] == "prices: 2 new, 0 changed, 0 as they were"
    runs = first.stdout.splitlines()[1:]
    assert runs
    assert all("completed" in line for line in runs), runs
    assert second.stdout == first.stdout, "nothing is written or launched a second time"


@pytest.mark.slow
def test_an_order_management_system_takes_over_what_was_approved_and_nothing_twice(live, tmp_path):
    number = _launch(live)
    approver = httpx.Client(base_url=live["HOST"] + "/api/v2", headers={"X-API-Key": live["APPROVER_KEY"]})
    run = next(run for run in approver.get("/runs").json()["items"] if number == f"Run #{run['number']}")
    orders = approver.get("/orders", params={"run_id": run["id"]}).json()["items"]
    choice = {"order_ids": [order["id"] for order in orders], "verdict": "approved"}
    assert approver.post("/orders/decisions", json=choice).json()["n_decided"] == len(orders) > 0
    first, second = (_python("oms.py.txt", live, tmp_path) for _ in range(2))

    assert first.returncode == 0, first.stderr + first.stdout
    told = [line.split()[:4] for line in first.stdout.splitlines()]
    for order in orders:
        assert [order["id"], order["side"], str(order["quantity"]), order["ticker"]] in told
    assert second.stdout.startswith("seen up to event"), second.stdout


@pytest.mark.parametrize("name", ["nightly.py.txt", "oms.py.txt"])
def test_a_program_says_what_it_misses(name, tmp_path):
    ended = _python(name, {"PATH": "/usr/bin"}, tmp_path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("Set HOST and KEY")


@pytest.mark.slow
def test_a_program_whose_key_may_not_says_so(live, tmp_path):
    ended = _python("nightly.py.txt", live | {"KEY": live["APPROVER_KEY"]}, tmp_path)

    assert (ended.returncode, "missing_scope" in ended.stderr) == (1, True), ended.stderr
