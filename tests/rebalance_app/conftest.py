from decimal import Decimal
from types import SimpleNamespace

import pytest

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from rebalance_app.runs import sweep
from rebalance_app.runs.launch import run_launch
from tests.builders import portfolio, security, together


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker but the test's own takes anything while a sweep waits for that, so it looks again at once."""
    monkeypatch.setattr(sweep, "SECOND_LOOK", 0.0)


@pytest.fixture
def run(book, manager, run_worker):
    return run_worker(run_launch(by=manager, model_id=book.model.pk, note="Quarter end"))


@pytest.fixture
def as_manager(client, manager):
    client.force_login(manager)
    return client


@pytest.fixture
def as_approver(client, approver):
    client.force_login(approver)
    return client


@pytest.fixture
def fell(manager):
    """Fell has 1,000 KELP at 40 and no cash; its model wants 45 % KELP, 30 % RUNE at 8 and 15 % MOSS at 120."""
    with together():
        kelp, rune, moss = security("KELP", "40"), security("RUNE", "8"), security("MOSS", "120")
        owner = portfolio("Fell", "0", KELP="1000")
    weights = ((kelp, "0.45"), (rune, "0.30"), (moss, "0.15"))
    band = Decimal("0.03")
    positions = tuple(PositionDraft(s.pk, Decimal(weight), band, band) for s, weight in weights)
    model = model_create(draft=ModelDraft("Core", positions, (owner.pk,)), by=manager)
    return SimpleNamespace(portfolio=owner, kelp=kelp, rune=rune, moss=moss, model=model)


@pytest.fixture
def proposal(fell, manager, run_worker):
    """SELL 550 KELP for 22,000, BUY 1,500 RUNE for 12,000 and 50 MOSS for 6,000."""
    run = run_worker(run_launch(by=manager, model_id=fell.model.pk))
    orders = {order.ticker: order.pk for order in run.orders.all()}
    told = {o.ticker: (o.side, o.quantity) for o in run.orders.all()}
    assert told == {"KELP": ("SELL", 550), "RUNE": ("BUY", 1500), "MOSS": ("BUY", 50)}
    return SimpleNamespace(run=run, sale=orders["KELP"], buys=[orders["RUNE"], orders["MOSS"]], of=orders)
