"""Real workers on the embedded broker: what is killed is done by another, once."""

import json
import os
import signal
import time
from contextlib import suppress
from decimal import Decimal

import pytest

from tests.site import Site, command_of, descendants, eventually

pytestmark = pytest.mark.slow

FILL = """
from decimal import Decimal
from models_app.models import Holding, Portfolio, Price, Security
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from ordergen.accounts.models import User
from ordergen.accounts.services import user_create
maya = user_create(username='maya', password='a-long-enough-word', roles=['manager'])
securities = [Security.objects.create(ticker=f'S{i:02}', name=f'Security {i}') for i in range(20)]
for i, s in enumerate(securities):
    Price.objects.create(security=s, date='2026-11-20', close=Decimal(567 + 233 * i) / 100)
positions = [PositionDraft(s.pk, Decimal('0.045'), Decimal('0.02'), Decimal('0.02')) for s in securities]
portfolios = [Portfolio.objects.create(name=f'P{i:03}', cash=Decimal(100_000 + 137 * i)) for i in range(%d)]
model = model_create(draft=ModelDraft('Many', tuple(positions), tuple(p.pk for p in portfolios)), by=maya)
answer = model.pk
"""
LAUNCH = """
from ordergen.accounts.models import User
from rebalance_app.runs.launch import run_launch
answer = run_launch(by=User.objects.get(username='maya'), model_id='%s', options=%s).pk
"""
STATE = """
from rebalance_app.models import Rebalance
run = Rebalance.objects.get(number=1)
answer = {'state': run.state, 'done': run.n_done, 'solved': run.n_solved, 'orders': run.n_orders,
          'attempts': sorted(set(run.portfolios.values_list('attempt', flat=True)))}
"""


@pytest.fixture
def site(tmp_path, request):
    """Its lease is that of an installation, which no worker that lives outlasts, unless the test says how short."""
    lease = getattr(request, "param", 65)
    site = Site(
        tmp_path,
        ORDERGEN_CHUNK_SIZE="20",
        ORDERGEN_LEASE_SECONDS=str(lease),
        OPTIMIZATION_TIMEOUT="5",
        ORDERGEN_SWEEP_SECONDS="1",
    )
    assert site.run("migrate").returncode == 0
    yield site
    site.stop()


def _kill_one(victims):
    """The first of them that is still there."""
    for pid in victims():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return


def _solver_children(supervisor):
    return [pid for pid in descendants(supervisor.pid) if "ordergen.ops.cli solve" in command_of(pid)]


def _pool_children(supervisor):
    worker = next((pid for pid in descendants(supervisor.pid) if "celery" in command_of(pid)), 0)
    return [pid for pid in descendants(worker) if "solve" not in command_of(pid)]


def test_a_run_is_solved_by_a_real_worker(site):
    model = site.ask(FILL % 100)
    site.start("worker")
    site.ask(LAUNCH % (model, "{}"))
    state = eventually(lambda: (s := site.ask(STATE))["state"] == "completed" and s, 300, every=1)
    verified = site.run("verify")

    assert state["solved"] == 100
    assert state["attempts"] == [1]
    assert verified.returncode == 0, verified.stdout


LOTS = """
from models_app.models import TaxLot
from rebalance_app.runs.launch import run_launch
for p in portfolios:
    for s in securities[:10]:
        Holding.objects.create(portfolio=p, security=s, quantity=800)
        for reference, quantity, cost in (('old', 500, 1), ('new', 300, 30)):
            TaxLot.objects.create(portfolio=p, security=s, reference=reference, acquired_on='2025-01-10',
                                  quantity=quantity, cost=cost)
answer = run_launch(by=maya, model_id=model.pk, options={'gain_budget': '-100'}).pk
"""
GAINS = """
from rebalance_app.models import Rebalance
run = Rebalance.objects.get()
answer = None if run.is_active else [(r.state, (r.document or {}).get('realised_gain')) for r in run.portfolios.all()]
"""


def test_a_gain_budget_is_kept_by_a_real_worker(site):
    site.start("worker")
    site.ask(FILL % 2 + LOTS)
    found = eventually(lambda: site.ask(GAINS), 300, every=1)

    assert {state for state, _ in found} == {"solved"}
    assert all(Decimal(gain) <= -100 for _, gain in found)
    assert site.run("verify").returncode == 0


@pytest.mark.parametrize("site", [12], indirect=True, ids=["a lease of 12 s"])
def test_killing_a_worker_process_and_a_solver_in_the_middle_loses_and_doubles_nothing(site):
    """The cash floor makes every portfolio a programme; pool children and solver processes are killed with -9."""
    model = site.ask(FILL % 60)
    supervisor = site.start("worker")
    site.ask(LAUNCH % (model, "{'min_cash_weight': '0.1001'}"))
    for kill in (_solver_children, _pool_children, _solver_children):
        eventually(lambda kill=kill: kill(supervisor), 120)
        time.sleep(1)
        _kill_one(lambda kill=kill: kill(supervisor))
    state = eventually(lambda: (s := site.ask(STATE))["state"] == "completed" and s, 300, every=1)
    verified = json.loads(site.run("verify").stdout)

    assert state["done"] == 60
    assert verified["violations"] == 0, verified["faults"]
